"""What the pipe may do: the strength of each transform and how far it may go."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

GEOMETRY = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac")
COLOR = ("brightness", "contrast", "lumaflip", "hue", "saturation")
STRENGTHS = (*GEOMETRY, *COLOR, "imgfilter", "noise", "cutout")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Strengths and ranges, checked.

    A strength multiplies p: the transform is applied to a sample with probability strength · p (above 1
    counts as 1). 0 takes it out of the pipe. The ranges say how far an applied transform goes.
    Raises: ValueError for a negative or non-finite number, or not four bands.
    """

    xflip: float
    rotate90: float
    xint: float
    xint_max: float  # ± share of the side, then rounded to whole pixels
    scale: float
    rotate: float
    aniso: float
    xfrac: float
    scale_std: float  # of log2 of the factor
    rotate_max: float  # ± share of a half turn
    aniso_std: float  # of log2 of the stretch in x
    xfrac_std: float  # share of the side
    brightness: float
    contrast: float
    lumaflip: float
    hue: float
    saturation: float
    brightness_std: float  # of the offset; images span -1..1
    contrast_std: float  # of log2 of the factor
    hue_max: float  # ± share of a half turn
    saturation_std: float  # of log2 of the factor
    imgfilter: float
    imgfilter_bands: Sequence[float]  # a factor on the strength of each band, lowest frequencies first
    imgfilter_std: float  # of log2 of a band's factor
    noise: float
    cutout: float
    noise_std: float  # of the half-normal that the noise's own standard deviation follows
    cutout_size: float  # share of the side

    def __post_init__(self):
        for field in fields(self):
            if field.name != "imgfilter_bands":
                _check(field.name, getattr(self, field.name))
        bands = self.imgfilter_bands
        if isinstance(bands, str) or not isinstance(bands, Sequence) or len(bands) != 4:
            raise ValueError(f"imgfilter_bands must be four strengths, as in [1, 1, 1, 1], got {bands!r}")
        for i, strength in enumerate(bands):
            _check(f"imgfilter_bands[{i}]", strength)
        # A list from a config could change under our feet.
        object.__setattr__(self, "imgfilter_bands", tuple(bands))

    def any_of(self, names: Sequence[str]) -> bool:
        """Whether one of these transforms is in the pipe at all."""
        return any(getattr(self, name) > 0 for name in names)


def _check(name: str, value: float) -> None:
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a number of at least 0 (0 = off), got {value!r}")
