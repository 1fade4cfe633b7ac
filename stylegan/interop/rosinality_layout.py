"""The layout of rosinality/stylegan2-pytorch: the tensors of one network under its names, and back.

The weights are the same numbers under other names, with axes of length 1 in places (`_Pair`). Both sides store
weights without the gains of the equalised learning rate (Karras et al. 2018, section 4.1), those of the mapping divided
by its multiplier, and both convolve where they upsample and correlate elsewhere, so no kernel is transposed or
flipped. There the factor 1/√(in·k²) stays on demodulated weights, too; demodulation divides it out again up to the
constant under its root (Karras et al. 2020, equation 3).
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from stylegan.interop.stored import StoredNetwork
from stylegan.networks import Discriminator, Generator
from stylegan.networks.mapping import MappingNetwork
from stylegan.ops import setup_filter

TAPS = [1.0, 3.0, 3.0, 1.0]
# Where a file has no mean w: over so many latents, as the public implementation's projection takes.
MEAN_LATENTS = 10_000
DRAWN_SEED = 0


class _Pair(NamedTuple):
    """One tensor on both sides; theirs has so many more axes of length 1 before and after ours."""

    ours: str
    theirs: str
    leading: int = 0
    trailing: int = 0


def has_layout(weights: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has the names of this layout."""
    return "conv1.conv.weight" in weights or is_discriminator(weights)


def is_discriminator(weights: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has the names of this layout's discriminator."""
    return "final_linear.1.weight" in weights and "convs.0.0.weight" in weights


def to_layout(network: StoredNetwork) -> dict[str, Tensor]:
    """The state dict in this layout. Any widths go over; whether its programs can build them is not asked here."""
    skeleton = skeleton_of(network.options)
    weights = {}
    for pair in _pairs(skeleton):
        value = network.weights[pair.ours].detach().cpu()
        weights[pair.theirs] = value.reshape(
            (1,) * pair.leading + tuple(value.shape) + (1,) * pair.trailing
        ).clone()
    return weights | _kernels(skeleton)


def from_layout(
    weights: Mapping[str, Tensor], options: Mapping[str, object], w_avg: Tensor | None
) -> StoredNetwork:
    """The network of a state dict in this layout.

    Args: options: ours. w_avg: [W] of a generator; None = the mean over latents of a fixed seed.
    Raises: ValueError for tensors that are missing, left over or of another shape, and for other blur kernels.
    """
    skeleton = skeleton_of(options)
    pairs, kernels = list(_pairs(skeleton)), _kernels(skeleton)
    _refuse_other_names(weights, pairs, kernels)
    shapes = {name: value.shape for name, value in skeleton.state_dict().items()}
    taken: dict[str, Tensor] = {}
    for pair in pairs:
        if pair.theirs in weights:
            taken[pair.ours] = _reshaped(pair, weights[pair.theirs], shapes[pair.ours])
    random = torch.Generator().manual_seed(DRAWN_SEED)
    for name, shape in shapes.items():
        if name.endswith("resample_filter"):
            taken[name] = setup_filter(TAPS)
        elif name.endswith("noise_const") and name not in taken:
            taken[name] = torch.randn(shape, generator=random)
    if "mapping.w_avg" in shapes:
        taken["mapping.w_avg"] = _mean_w(skeleton, taken) if w_avg is None else w_avg
    return StoredNetwork(dict(options), {name: taken[name] for name in shapes})


def skeleton_of(options: Mapping[str, object]) -> Generator | Discriminator:
    """A network without memory, for names and shapes.  Raises: ValueError for options that it cannot have."""
    try:
        with torch.device("meta"):
            return (Generator if "z_dim" in options else Discriminator)(**options)
    except TypeError as error:
        raise ValueError(f"its options are not of this version: {error}") from error


def _pairs(skeleton: Generator | Discriminator) -> Iterator[_Pair]:
    """All tensors that a file holds, but the filters, which are the same everywhere."""
    if isinstance(skeleton, Generator):
        for index in range(skeleton.mapping.num_layers):
            yield from _affine(f"mapping.fc{index}", f"style.{index + 1}")
        yield _Pair("synthesis.b4.const", "input.input", leading=1)
        yield from _layer("synthesis.b4.conv1", "conv1", noise=0)
        yield from _torgb("synthesis.b4.torgb", "to_rgb1")
        for index, name in enumerate(skeleton.synthesis.block_names[1:]):
            block = f"synthesis.{name}"
            yield from _layer(f"{block}.conv0", f"convs.{2 * index}", noise=2 * index + 1)
            yield from _layer(f"{block}.conv1", f"convs.{2 * index + 1}", noise=2 * index + 2)
            yield from _torgb(f"{block}.torgb", f"to_rgbs.{index}")
        return
    yield from _affine(f"{skeleton.block_names[0]}.fromrgb", "convs.0.0", "convs.0.1")
    for index, block in enumerate(skeleton.block_names, start=1):
        yield from _affine(f"{block}.conv0", f"convs.{index}.conv1.0", f"convs.{index}.conv1.1")
        yield from _affine(f"{block}.conv1", f"convs.{index}.conv2.1", f"convs.{index}.conv2.2")
        yield _Pair(f"{block}.skip.weight", f"convs.{index}.skip.1.weight")
    yield from _affine("b4.conv", "final_conv.0", "final_conv.1")
    yield from _affine("b4.fc", "final_linear.0")
    yield from _affine("b4.out", "final_linear.1")


def _affine(ours: str, theirs: str, bias: str | None = None) -> Iterator[_Pair]:
    yield _Pair(f"{ours}.weight", f"{theirs}.weight")
    yield _Pair(f"{ours}.bias", f"{bias or theirs}.bias")


def _layer(ours: str, theirs: str, *, noise: int) -> Iterator[_Pair]:
    yield _Pair(f"{ours}.weight", f"{theirs}.conv.weight", leading=1)
    yield from _affine(f"{ours}.affine", f"{theirs}.conv.modulation")
    yield _Pair(f"{ours}.noise_strength", f"{theirs}.noise.weight", leading=1)
    yield _Pair(f"{ours}.bias", f"{theirs}.activate.bias")
    yield _Pair(f"{ours}.noise_const", f"noises.noise_{noise}", leading=2)


def _torgb(ours: str, theirs: str) -> Iterator[_Pair]:
    yield _Pair(f"{ours}.weight", f"{theirs}.conv.weight", leading=1)
    yield from _affine(f"{ours}.affine", f"{theirs}.conv.modulation")
    yield _Pair(f"{ours}.bias", f"{theirs}.bias", leading=1, trailing=2)


def _kernels(skeleton: Generator | Discriminator) -> dict[str, Tensor]:
    """Their filters: with the gain up² where they upsample, and 1 where they downsample."""
    blocks = range(
        len(
            skeleton.block_names
            if isinstance(skeleton, Discriminator)
            else skeleton.synthesis.block_names[1:]
        )
    )
    if isinstance(skeleton, Discriminator):
        names = [f"convs.{index + 1}.{place}.0.kernel" for index in blocks for place in ("conv2", "skip")]
        return {name: setup_filter(TAPS) for name in names}
    names = [
        name
        for index in blocks
        for name in (f"convs.{2 * index}.conv.blur.kernel", f"to_rgbs.{index}.upsample.kernel")
    ]
    return {name: setup_filter(TAPS, gain=4) for name in names}


def _refuse_other_names(
    weights: Mapping[str, Tensor], pairs: list[_Pair], kernels: Mapping[str, Tensor]
) -> None:
    # Older files have no maps of constant noise, and filters are the same in all.
    needed = [pair.theirs for pair in pairs if not pair.theirs.startswith("noises.")]
    if missing := [name for name in needed if name not in weights]:
        raise ValueError(f"it lacks {', '.join(missing[:4])}{' and more' if len(missing) > 4 else ''}")
    known = {*(pair.theirs for pair in pairs), *kernels}
    if unknown := [name for name in weights if name not in known]:
        raise ValueError(
            f"it has {unknown[0]}, which no square RGB network without labels has in rosinality's layout"
        )
    for name, kernel in kernels.items():
        if name in weights and not torch.allclose(weights[name].float(), kernel):
            raise ValueError(
                f"its filter {name} is another one than [1, 3, 3, 1], which is the only one known here"
            )


def _reshaped(pair: _Pair, value: Tensor, shape: torch.Size) -> Tensor:
    if [side for side in value.shape if side != 1] != [side for side in shape if side != 1]:
        raise ValueError(
            f"its {pair.theirs} has the shape {list(value.shape)}, and not that of {list(shape)}"
        )
    return value.reshape(shape).to(torch.float32)


def _mean_w(skeleton: Generator, weights: Mapping[str, Tensor]) -> Tensor:
    options = skeleton.options
    with torch.random.fork_rng(devices=[]):
        mapping = MappingNetwork(
            z_dim=options["z_dim"],
            c_dim=0,
            w_dim=options["w_dim"],
            num_ws=None,
            num_layers=options["mapping_layers"],
        )
    own = {n.removeprefix("mapping."): value for n, value in weights.items() if n.startswith("mapping.")}
    mapping.load_state_dict(own)
    random = torch.Generator().manual_seed(DRAWN_SEED)
    with torch.no_grad():
        return mapping(
            torch.randn(MEAN_LATENTS, options["z_dim"], generator=random), track_average=False
        ).mean(0)
