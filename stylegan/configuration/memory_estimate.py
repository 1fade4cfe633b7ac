"""How much memory a training will take, told before anything is built: by counting what the networks keep.

    weights, gradients, Adam   4 bytes · 6·(G + D), with G and D parameters: weights, gradients, two moments; the
                               average generator, and copies that pass while a step is taken
    activations                4 bytes · images at a time · (max(main phase, path length, R1) + augmentation), where
                               main phase = 4·A_G + 3·A_D, path length = 5·A_G / pl_batch_shrink, R1 = 6·A_D,
                               augmentation = 80·C·H·W, for pictures padded and enlarged while they are moved
    A_G, A_D                   values that come out of the convolutions of a player, an image

The factors are how often a value is kept for the way back, more often for second derivatives; they were set by
measured peaks. Not in it: what Python and torch take before training begins, and the readers of the data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from stylegan.machine.memory import in_words
from stylegan.sizes import Size, block_sizes, parse_size

OURS = {"generator": "stylegan.networks.Generator", "discriminator": "stylegan.networks.Discriminator"}
FIRST_LEVEL, HEAD_MAPPING_LAYERS = 4, 8
BYTES = 4  # of a float32


class Layer(NamedTuple):
    parameters: int
    values: int  # that come out of it, an image


@dataclass(frozen=True)
class MemoryEstimate:
    """Parameters of the players, and the bytes that training keeps."""

    generator: int
    discriminator: int
    state_bytes: int
    activation_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.state_bytes + self.activation_bytes


def estimate_memory(config: DictConfig) -> MemoryEstimate | None:
    """From a complete configuration; None where a player is a class of the user's own."""
    if any(config[player].get("_target_") != target for player, target in OURS.items()):
        return None
    players = {player: OmegaConf.to_container(config[player], resolve=True) for player in OURS}
    generator = list(generator_layers(**_known(players["generator"], generator_layers)))
    discriminator = list(discriminator_layers(**_known(players["discriminator"], discriminator_layers)))
    g, d = (sum(layer.parameters for layer in layers) for layers in (generator, discriminator))
    a_g, a_d = (sum(layer.values for layer in layers) for layers in (generator, discriminator))
    height, width = parse_size(config.resolution)
    augmented = (
        0 if config.ada.get("mode") == "none" else 80 * config.data.get("channels", 3) * height * width
    )
    phases = [4 * a_g + 3 * a_d]
    if config.loss.pl_weight:
        phases.append(5 * a_g / max(config.loss.pl_batch_shrink, 1))
    if config.loss.r1_gamma:
        phases.append(6 * a_d)
    an_image = max(phases) + augmented
    return MemoryEstimate(g, d, BYTES * 6 * (g + d), round(BYTES * config.micro_batch * an_image))


def generator_layers(
    *,
    resolution: Any,
    channels: int,
    c_dim: int,
    z_dim: int,
    w_dim: int,
    mapping_layers: int,
    channel_base: int,
    channel_max: int,
    architecture: str,
) -> Iterator[Layer]:
    """The layers of `stylegan.networks.Generator`, with the same arguments."""
    yield from _mapping(z_dim, c_dim, w_dim, mapping_layers)

    def convolution(inside: int, outside: int, area: int) -> Layer:
        styles = (w_dim + 1) * inside
        return Layer(9 * inside * outside + outside + 1 + styles, outside * area)

    blocks = _blocks(resolution, channel_base, channel_max)
    inside = 0
    for width, (height, side) in blocks:
        area = height * side
        if inside:
            yield convolution(inside, width, area)
        else:
            yield Layer(width * area, 0)
        yield convolution(width, width, area)
        if architecture == "skip" or (height, side) == blocks[-1][1]:
            yield Layer((width + 1) * channels + (w_dim + 1) * width, channels * area)
        if architecture == "resnet" and inside:
            yield Layer(inside * width, width * area)
        inside = width


def discriminator_layers(
    *,
    resolution: Any,
    channels: int,
    c_dim: int,
    channel_base: int,
    channel_max: int,
    architecture: str,
    mbstd_channels: int,
) -> Iterator[Layer]:
    """The layers of `stylegan.networks.Discriminator`, with the same arguments."""
    blocks = _blocks(resolution, channel_base, channel_max)
    for (width, (height, side)), (outside, _) in zip(blocks[:0:-1], blocks[-2::-1], strict=True):
        area = height * side
        if architecture == "skip" or (height, side) == blocks[-1][1]:
            yield Layer((channels + 1) * width, width * area)
        yield Layer((9 * width + 1) * width, width * area)
        yield Layer((9 * width + 1) * outside, outside * area // 4)
        if architecture == "resnet":
            yield Layer(width * outside, outside * area // 4)
    width, (height, side) = blocks[0]
    if architecture == "skip":
        yield Layer((channels + 1) * width, width * height * side)
    yield Layer((9 * (width + mbstd_channels) + 1) * width, width * height * side)
    yield Layer((width * height * side + 1) * width, width)
    if c_dim:
        yield from _mapping(0, c_dim, width, HEAD_MAPPING_LAYERS)
    yield Layer((width + 1) * (width if c_dim else 1), 1)


def _mapping(z_dim: int, c_dim: int, w_dim: int, layers: int) -> Iterator[Layer]:
    if c_dim:
        yield Layer((c_dim + 1) * w_dim, w_dim)
    widths = [z_dim + (w_dim if c_dim else 0), *[w_dim] * layers]
    for inside, outside in zip(widths, widths[1:], strict=False):
        yield Layer((inside + 1) * outside, outside)


def _blocks(resolution: Any, channel_base: int, channel_max: int) -> list[tuple[int, Size]]:
    """(channels, size) of each block, lowest first."""
    sizes = block_sizes(*parse_size(resolution))
    return [
        (min(channel_base // (FIRST_LEVEL << index), channel_max), size) for index, size in enumerate(sizes)
    ]


def _known(options: dict[str, Any], layers: Callable[..., Iterator[Layer]]) -> dict[str, Any]:
    """The options that `layers` counts by; a label's width that is not known yet counts as none."""
    counted = {name: options[name] for name in signature(layers).parameters if name in options}
    return {**counted, "c_dim": options.get("c_dim") or 0}


def memory_line(config: DictConfig) -> str:
    """The estimate in one line, in units of 10^6 or 10^9 bytes."""
    estimate = estimate_memory(config)
    if estimate is None:
        return "not estimated: a player is not ours"
    return (
        f"about {in_words(estimate.total_bytes)}: {in_words(estimate.state_bytes)} for"
        f" {(estimate.generator + estimate.discriminator) / 1e6:.3g} million parameters,"
        f" {in_words(estimate.activation_bytes)} for {config.micro_batch} images at a time; torch itself comes on top"
    )
