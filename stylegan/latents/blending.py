"""Blending: one network out of two of one ancestor, by resolution or by one weight for all layers.

A network that was fine-tuned stays near the one it came from, so that what lies between their weights draws pictures,
too. Source: Pinkney and Adler 2020 ("Resolution dependent GAN interpolation"), for the passage over resolutions.
"""

import copy
import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from stylegan.latents.layers import level_of
from stylegan.sizes import size_text

# Mean cosine of convolution weights from which two networks count as relatives.
# Measured: 0.999 for a network and what it became by as much training again, within 0.01 of 0 for networks of two
# seeds, trained or not (docs/mixing.md). Changes that leave 0.2 are five times as large as the weights.
RELATED_COSINE = 0.2

MAPPINGS = ("low", "high")
# Options by which two networks of equal weights would still draw differently.
_SAME = (
    "resolution",
    "channels",
    "z_dim",
    "c_dim",
    "w_dim",
    "mapping_layers",
    "architecture",
    "activation",
    "mapping_activation",
    "mapping_lr_multiplier",
    "resample_taps",
    "use_noise",
)
_WIDTHS = ("channel_base", "channel_max", "mapping_features", "embed_features")


def share_of_high(level: int, *, at: int, width: float = 0.0) -> float:
    """How much of `high` is in the block of this level: 1 from `at` on, less over the `width` octaves below it, then 0.

    The share falls in equal steps an octave: 1 + log2(level / at) / (width + 1), clipped to 0..1. With width 0 the
    block below `at` is all `low`; with width 1 it is half of each.

    Raises: ValueError for a negative width.
    """
    if not 0 <= width < math.inf:
        raise ValueError(f"width must be 0 octaves or more, got {width}")
    return min(1.0, max(0.0, 1 + math.log2(level / at) / (width + 1)))


def blend(
    low: nn.Module,
    high: nn.Module,
    *,
    at: int,
    width: float = 0.0,
    mapping: str = "low",
    unrelated: bool = False,
) -> nn.Module:
    """The generator with the low resolutions of one network and the high ones of another.

    Args:
        low, high: generators of one shape; both are left as they are.
        at: the level of a block, from which on all is `high`'s.
        width: octaves below it over which one passes into the other, see `share_of_high`.
        mapping: "low" or "high", whose mapping network it has, with its w_avg and the names of its classes.
        unrelated: also networks without a common ancestor.
    Returns: a new generator on `low`'s device.
    Raises: ValueError, as of `check_relatives` and `check_split`.
    """
    check_relatives(low, high, unrelated=unrelated)
    share = split_shares(low, at=at, width=width, mapping=mapping)
    blended = copy.deepcopy(low)
    fill(blended, low, high, share)
    if mapping == "high":
        blended.label_names = blended.options["label_names"] = list(high.label_names)
    return blended


def split_shares(
    generator: nn.Module, *, at: int, width: float = 0.0, mapping: str = "low"
) -> Callable[[str], float]:
    """The share of `high` in each parameter and buffer, by its name, for `fill`.

    Raises: ValueError, as of `check_split`.
    """
    check_split(generator, at=at, width=width, mapping=mapping)

    def share(name: str) -> float:
        part, _, rest = name.partition(".")
        if part == "mapping":
            return float(mapping == "high")
        return share_of_high(level_of(rest), at=at, width=width)

    return share


def check_split(generator: nn.Module, *, at: int, width: float, mapping: str) -> None:
    """Raises: ValueError for a level that the network lacks, a negative width, or another word than low and high."""
    levels = [level_of(name) for name in generator.synthesis.block_names]
    if at not in levels:
        blocks = ", ".join(map(str, levels))
        size = (
            ""
            if max(generator.size) == levels[-1]
            else f" ({levels[-1]} draws {size_text(generator.size)} px)"
        )
        raise ValueError(f"at must be the resolution of a block, one of {blocks}{size}, got {at}")
    share_of_high(at, at=at, width=width)
    if mapping not in MAPPINGS:
        raise ValueError(f"mapping must be low or high, got {mapping!r}")


@torch.no_grad()
def fill(into: nn.Module, low: nn.Module, high: nn.Module, share: Callable[[str], float] | float) -> None:
    """Sets every parameter and buffer of `into` to low + share·(high − low), exactly `low`'s at 0 and `high`'s at 1.

    Args: share: of `high`; one number, or by the name of the parameter or buffer.
    """
    from_low, from_high = low.state_dict(), high.state_dict()
    for name, tensor in into.state_dict().items():
        weight = share(name) if callable(share) else share
        a, b = from_low[name], from_high[name]
        if weight <= 0:
            tensor.copy_(a)
        elif weight >= 1:
            tensor.copy_(b)
        else:
            tensor.copy_(torch.lerp(a.to(tensor), b.to(tensor), weight))


class Relatives:
    """Two networks, and a third one that is what lies between them: for tracks of a video that change the network.

    Args:
        low, high: generators of one shape, on one device; both are left as they are.
        unrelated: also networks without a common ancestor.
    Attributes: generator: the third one, on `low`'s device and in its precision. It begins as `low`.
        cosine: of their weights, see `mean_cosine`.
    Raises: ValueError, as of `check_relatives`.
    """

    def __init__(self, low: nn.Module, high: nn.Module, *, unrelated: bool = False):
        self.cosine = check_relatives(low, high, unrelated=unrelated)
        self.low, self.high = low, high
        self.generator = copy.deepcopy(low)
        self.weight = 0.0

    def set_weight(self, weight: float) -> nn.Module:
        """All weights, and w_avg, to low + weight·(high − low).

        Args: weight: 0 = `low`, 1 = `high`, to the bit.
        Returns: `generator`, in place.
        Raises: ValueError outside of 0..1.
        """
        if not 0 <= weight <= 1:
            raise ValueError(f"weight must be between 0 and 1, got {weight}")
        if weight != self.weight:
            fill(self.generator, self.low, self.high, float(weight))
            self.weight = float(weight)
        return self.generator


def there_and_back(frame: int, count: int) -> float:
    """The weight of a frame of a loop: 0 at the first one, 1 half-way, slow at both: (1 − cos(2π·frame/count)) / 2."""
    return (1 - math.cos(2 * math.pi * frame / count)) / 2


def check_relatives(low: nn.Module, high: nn.Module, *, unrelated: bool = False) -> float:
    """The mean cosine of two networks' weights, where they can be blended.

    Raises: ValueError in one line for networks of different shapes, with all that differs; and for those without a
        common ancestor, with the cosine, unless `unrelated`.
    """
    if different := differences(low, high):
        raise ValueError(
            f"these networks have different shapes: {'; '.join(different)}; only networks of one shape can be blended"
        )
    cosine = mean_cosine(low, high)
    if cosine < RELATED_COSINE and not unrelated:
        raise ValueError(
            f"these networks have no common ancestor: the cosine of their weights is {cosine:.3f}, and that of"
            f" relatives above {RELATED_COSINE}; set unrelated=true to blend them all the same"
        )
    return cosine


def differences(low: nn.Module, high: nn.Module) -> list[str]:
    """What keeps two generators from being blended, as in `resolution 64 and 32`; [] = nothing.

    The limit of activations (conv_clamp) may differ: a blend has `low`'s.
    """
    if found := _options_apart(low, high, _SAME):
        return found
    shapes, others = _shapes(low), _shapes(high)
    apart = [name for name in sorted(shapes.keys() | others.keys()) if shapes.get(name) != others.get(name)]
    if not apart:
        return []
    first = f"{apart[0]} {_written(shapes.get(apart[0]))} and {_written(others.get(apart[0]))}"
    # Of options with which networks may still be of one shape, as where the most channels are cut off.
    return [*_options_apart(low, high, _WIDTHS), first]


def _options_apart(low: nn.Module, high: nn.Module, names: Iterable[str]) -> list[str]:
    pairs = ((name, low.options[name], high.options[name]) for name in names)
    return [
        f"{name} {_written(ours)} and {_written(theirs)}" for name, ours, theirs in pairs if ours != theirs
    ]


def mean_cosine(low: nn.Module, high: nn.Module) -> float:
    """Mean over the 3×3 convolutions of the synthesis network of the cosine between corresponding weights.

    Near 1 for a network and what it was fine-tuned to, near 0 for networks that began with other random weights, and
    exactly 1 for equal ones, up to a positive factor a layer, which demodulation divides out.
    """
    ours, theirs = low.state_dict(), high.state_dict()
    names = [
        name
        for name in ours
        if name.startswith("synthesis.") and name.endswith((".conv0.weight", ".conv1.weight"))
    ]
    cosines = [_cosine(ours[name], theirs[name]) for name in names]
    return sum(cosines) / len(cosines)


def _cosine(a: Tensor, b: Tensor) -> float:
    a, b = a.detach().double().cpu().flatten(), b.detach().double().cpu().flatten()
    norms = float(a.norm() * b.norm())
    return float(a @ b) / norms if norms else 0.0


def _shapes(generator: nn.Module) -> Mapping[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in generator.state_dict().items()}


def _written(value: object) -> str:
    return "none" if value is None else str(value).replace(" ", "")
