"""Half precision of the blocks of a network, with weights in float32, and activation checkpointing."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

# Karras et al. 2020 (ADA), appendix C.
GPU_NUM_HALF_RES = 4


class ResolutionBlock(nn.Module):
    """All layers of one resolution, which can compute in another precision than its weights have.

    Args:
        level: the block's nominal resolution in px.
    Attributes: `compute_dtype`: None = the weights' own. `recompute`: compute what is inside the block again in the
        backward pass instead of keeping it.
    """

    def __init__(self, level: int):
        super().__init__()
        self.level = level
        self.compute_dtype: torch.dtype | None = None
        self.recompute = False

    def run(self, *inputs):
        """The block's output; with `recompute`, only its inputs and outputs are kept."""
        if self.recompute and torch.is_grad_enabled():
            # A block draws no random numbers, so there is no state to restore.
            return checkpoint(self, *inputs, use_reentrant=False, preserve_rng_state=False)
        return self(*inputs)

    def dtype_of(self, weight: Tensor) -> torch.dtype:
        """What the layers compute in. Weights of float64, as in exact comparisons, keep float64."""
        half = self.compute_dtype
        return weight.dtype if half is None or weight.dtype != torch.float32 else half

    def image_dtype_of(self, weight: Tensor) -> torch.dtype:
        """What the layers that read an image compute in: not bfloat16, whose 8 bits are no more than an image has."""
        half = self.dtype_of(weight)
        return weight.dtype if half == torch.bfloat16 else half


def compute_in(network: nn.Module, dtype: torch.dtype | None, num_half_res: int | None = None) -> None:
    """Sets the `num_half_res` highest resolutions of `network` to compute in `dtype`.

    The others compute as their weights, and so does the discriminator's head, which is no `ResolutionBlock`.

    Args:
        network: generator or discriminator.
        dtype: bfloat16, float16, or None = the weights' own.
        num_half_res: None = all resolutions.
    Source: Karras et al. 2020 (ADA), appendix C, has float16 in the four highest.
    """
    blocks = [module for module in network.modules() if isinstance(module, ResolutionBlock)]
    levels = sorted({block.level for block in blocks}, reverse=True)
    chosen = levels if num_half_res is None else levels[:num_half_res]
    for block in blocks:
        block.compute_dtype = dtype if block.level in chosen else None


def recompute_in(network: nn.Module, on: bool) -> None:
    """Activation checkpointing (Chen et al. 2016) in all blocks of `network`, or in none."""
    for module in network.modules():
        if isinstance(module, ResolutionBlock):
            module.recompute = on


# By the names that users give them; `auto` chooses among them.
PRECISIONS: dict[str, torch.dtype | None] = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
# How other programs call them, in lower case.
_CALLED_ELSEWHERE = {
    **dict.fromkeys(("float32", "float", "fp-32", "32", "32-true", "single", "full"), "fp32"),
    **dict.fromkeys(("bfloat16", "bfloat", "bf-16", "bf16-mixed", "bf16-true"), "bf16"),
    **dict.fromkeys(("float16", "half", "fp-16", "16", "16-mixed", "16-true", "mixed"), "fp16"),
}


def refuse_unknown_precision(name: object, *, key: str = "precision") -> None:
    """Raises: ValueError for what is no precision, with the one that is called so elsewhere.

    Args: key: the configuration's name of the value, for the message.
    """
    if name not in (*PRECISIONS, "auto"):
        near = _CALLED_ELSEWHERE.get(str(name).lower())
        hint = f"; did you mean {key}={near}?" if near else ""
        raise ValueError(f"{key} must be auto, {', '.join(PRECISIONS)}, got {name}{hint}")


def precision_text(network: nn.Module, name: str) -> str:
    """The precision `name`, with the part of `network` that computes in it: "bf16 in the 4 highest resolutions"."""
    blocks = [module for module in network.modules() if isinstance(module, ResolutionBlock)]
    half = {block.level for block in blocks if block.compute_dtype is not None}
    if name == "fp32" or half == {block.level for block in blocks}:
        return name
    return f"{name} {of_highest(len(half))}" if half else "fp32"


def of_highest(count: int) -> str:
    """ "in the 4 highest resolutions", for lines."""
    return f"in the {count} highest resolutions" if count != 1 else "in the highest resolution"


def precision_on(device: torch.device, name: str, *, key: str = "precision") -> str:
    """Which of `PRECISIONS` a name means on a device.

    `auto`: bf16 where the hardware itself computes in it, otherwise fp16 on NVIDIA GPUs, otherwise fp32.
    Args:
        device: where the network computes.
        name: auto, fp32, bf16 or fp16.
        key: the configuration's name of the value, for the message.
    Raises: ValueError for an unknown name, or fp16 where the device has no fast kernels for it.
    """
    refuse_unknown_precision(name, key=key)
    if name == "fp16" and device.type != "cuda":
        raise ValueError(f"{key}=fp16 needs a GPU; on a {device.type}, {key}=auto takes what is fast there")
    if name != "auto":
        return name
    if has_bfloat16(device):
        return "bf16"
    return "fp16" if device.type == "cuda" else "fp32"


def has_bfloat16(device: torch.device) -> bool:
    """Whether the hardware computes in bfloat16, not a program that imitates it and takes longer than float32."""
    if device.type == "cuda":
        # torch asks the current GPU, and another one may be meant.
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch asks the processor; it has no public name for the question.
    return device.type == "cpu" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )


def is_unlimited(network: nn.Module) -> bool:
    """Whether activations have no limit, so that they may leave the range of float16, which ends at 65,504."""
    return getattr(network, "options", {}).get("conv_clamp", 0) is None


def set_compute_dtype(
    network: nn.Module,
    device: torch.device,
    name: str = "auto",
    *,
    num_half_res: int | None = None,
    key: str = "precision",
) -> str:
    """Sets `network` to compute as `precision_on` chooses; `auto` is fp32 where float16 would overflow.

    Args:
        network: generator or discriminator.
        device: where it computes.
        name: auto, fp32, bf16 or fp16.
        num_half_res: how many of the highest resolutions; None = 4 on GPUs, where the lower ones cost nothing and
            float16 has little range, and all on CPUs, where all gain.
        key: the configuration's name of the value, for the message.
    Returns: the precision's name.
    Raises: as `precision_on`; ValueError for fp16 without a limit of activations.
    """
    chosen = precision_on(device, name, key=key)
    if chosen == "fp16" and is_unlimited(network):
        if name != "auto":
            raise ValueError(
                f"{key}=fp16 needs a limit of activations, and this {type(network).__name__.lower()} has none"
                f" (its conv_clamp is null); take {key}=fp32"
            )
        chosen = "fp32"
    if num_half_res is None and device.type != "cpu":
        num_half_res = GPU_NUM_HALF_RES
    compute_in(network, PRECISIONS[chosen], num_half_res)
    return chosen
