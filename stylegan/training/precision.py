"""Training precision: what the networks compute in during each phase, and how a run reports it at its start."""

from collections.abc import Iterator

import torch
from torch import nn

from stylegan.machine.devices import device_text
from stylegan.networks.precision import (
    GPU_NUM_HALF_RES,
    is_unlimited,
    of_highest,
    precision_on,
    refuse_unknown_precision,
    set_compute_dtype,
)


class TrainingPrecision:
    """What the networks compute in; sums, penalties and weights are float32 in any case.

    Args:
        precision: auto, fp32, bf16 or fp16 (see `precision_on`).
        regulariser_precision: of R1 and path length: auto = as `precision`, or fp32.
        num_half_res: how many of the highest resolutions compute in half precision; None = 4 on GPUs, all on CPUs.
        tf32: whether a GPU may round the factors of float32 products to 10 bits.
    Attributes: `chosen`: the precision's name on the device of the training; None until `settle` is called.
    Raises: ValueError for a value that no device has.
    """

    def __init__(
        self,
        *,
        precision: str = "fp32",
        regulariser_precision: str = "auto",
        num_half_res: int | None = None,
        tf32: bool = False,
    ):
        refuse_unknown_precision(precision)
        if regulariser_precision not in ("auto", "fp32"):
            raise ValueError(f"regulariser_precision must be auto or fp32, got {regulariser_precision}")
        if num_half_res is not None and num_half_res < 0:
            raise ValueError(f"num_half_res must be at least 0, or null, got {num_half_res}")
        self.asked, self.regulariser_precision = precision, regulariser_precision
        self.num_half_res, self.tf32 = num_half_res, tf32
        self.chosen: str | None = None

    def settle(
        self,
        device: torch.device,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        generator_ema: nn.Module,
    ) -> None:
        """Chooses for the device that training is on.

        Raises: ValueError where the device cannot compute so, or where float16 would overflow.
        """
        chosen = precision_on(device, self.asked)
        both = {"generator": generator, "discriminator": discriminator}
        unclamped = [name for name, network in both.items() if is_unlimited(network)]
        if chosen == "fp16" and unclamped:
            if self.asked != "auto":
                raise ValueError(
                    f"precision=fp16 needs a limit of activations, and {unclamped[0]}.conv_clamp is null; set it to"
                    " 256, or precision=fp32"
                )
            chosen = "fp32"
        self.chosen = set_compute_dtype(generator_ema, device, chosen, num_half_res=self.num_half_res)
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.tf32

    def of_phase(self, *, second_order: bool) -> str:
        """The precision's name in a phase.

        Args:
            second_order: whether the phase differentiates a gradient, as R1 and path length do.
        """
        if self.chosen is None or (second_order and self.regulariser_precision == "fp32"):
            return "fp32"
        return self.chosen

    def apply(self, network: nn.Module, device: torch.device, *, second_order: bool) -> None:
        """Sets `network` to the precision of a phase."""
        name = self.of_phase(second_order=second_order)
        set_compute_dtype(network, device, name, num_half_res=self.num_half_res)

    def start_lines(self, device: torch.device, *, before: str | None = None) -> Iterator[str]:
        """Lines for the start of a run: where it computes, and how exactly.

        Args:
            device: of the training.
            before: the precision of the checkpoint that the run continues from; None = it begins.
        """
        yield f"device      {device_text(device)}"
        if device.type not in ("cpu", "cuda"):
            yield (
                f"note        results on {device.type} have not been compared with those of a CPU;"
                " trainer=cpu is the safe choice"
            )
        text = f"precision   {self.chosen}"
        if self.chosen != "fp32":
            half = self.num_half_res
            if half is None and device.type != "cpu":
                half = GPU_NUM_HALF_RES
            text += "" if half is None else f" {of_highest(half)}, the others fp32"
            text += "; R1 and path length fp32" if self.regulariser_precision == "fp32" else ""
        yield text
        if before not in (None, self.chosen):
            yield (
                f"note        computed in {before} so far, from here on in {self.chosen}: the same training, but not"
                f" the same bits; precision={before} keeps them"
            )
