"""The random numbers of the pipe, and what they make of each sample.

The numbers are drawn first, all of them and whatever p is; p only decides which are used. So the draws of a
sample can be made anywhere and dealt to whoever augments it.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from stylegan.augment.options import Options

# Columns that each transform owns in the three tables. xint, xfrac and cutout: x and y under one gate.
# rotate: two rotations. imgfilter: four bands.
GATES = {
    "xflip": 1,
    "rotate90": 1,
    "xint": 1,
    "scale": 1,
    "rotate": 2,
    "aniso": 1,
    "xfrac": 1,
    "brightness": 1,
    "contrast": 1,
    "lumaflip": 1,
    "hue": 1,
    "saturation": 1,
    "imgfilter": 4,
    "noise": 1,
    "cutout": 1,
}
UNIFORM = {"xflip": 1, "rotate90": 1, "xint": 2, "rotate": 2, "lumaflip": 1, "hue": 1, "cutout": 2}
NORMAL = {
    "scale": 1,
    "aniso": 1,
    "xfrac": 2,
    "brightness": 1,
    "contrast": 1,
    "saturation": 1,
    "imgfilter": 4,
    "noise": 1,
}


class Parameters(NamedTuple):
    """What is done to each of N samples. Zero leaves it alone, except in `cutout_center`."""

    xflip: Tensor  # [N,1] 1 = mirrored
    rotate90: Tensor  # [N,1] quarter turns, 0 to 3
    xint: Tensor  # [N,2] shift in x and y as a share of the side, before it is rounded to pixels
    scale: Tensor  # [N,1] log2 of the factor
    rotate: Tensor  # [N,2] radians, before and after the stretch
    aniso: Tensor  # [N,1] log2 of the stretch in x
    xfrac: Tensor  # [N,2] shift in x and y as a share of the side
    brightness: Tensor  # [N,1] offset
    contrast: Tensor  # [N,1] log2 of the factor
    lumaflip: Tensor  # [N,1] 1 = brightness inverted
    hue: Tensor  # [N,1] radians
    saturation: Tensor  # [N,1] log2 of the factor
    imgfilter: Tensor  # [N,4] log2 of each band's factor, before the power is normalised
    noise: Tensor  # [N,1] standard deviation of the noise
    cutout: Tensor  # [N,1] side of the box as a share of the image's
    cutout_center: Tensor  # [N,2] x and y as a share of the side


def draw_tables(n: int, generator: torch.Generator) -> dict[str, Tensor]:
    """`gate`, `uniform` [n, columns] in [0,1), `normal` [n, columns]; float32 on the generator's device."""
    at = {"generator": generator, "device": generator.device, "dtype": torch.float32}
    return {
        "gate": torch.rand(n, sum(GATES.values()), **at),
        "uniform": torch.rand(n, sum(UNIFORM.values()), **at),
        "normal": torch.randn(n, sum(NORMAL.values()), **at),
    }


def strengths(options: Options) -> Tensor:
    """The factor on p of every column of the gate table: [columns], float32."""
    values: list[float] = []
    for name, width in GATES.items():
        if name == "imgfilter":
            values += [options.imgfilter * band for band in options.imgfilter_bands]
        else:
            values += [getattr(options, name)] * width
    return torch.tensor(values, dtype=torch.float32)


def open_gates(uniform: Tensor, strength: Tensor, p: Tensor) -> dict[str, Tensor]:
    """Which transforms each sample gets: bool [N, columns] by name.

    Args: uniform [N, columns] of the gate table; strength [columns]; p 0-d; all on one device."""
    chance = (strength * p).clamp(max=1)
    # Two rotations share the strength, so that one in strength · p samples has at least one of them.
    rotations = _split(chance[None], GATES)["rotate"]
    rotations.copy_(1 - (1 - rotations).sqrt())
    return _split(uniform < chance, GATES)


def sampled(options: Options, gates: dict[str, Tensor], uniform: Tensor, normal: Tensor) -> Parameters:
    """The parameters that these numbers stand for.

    Args: gates from `open_gates` or `percentile_gates`; uniform, normal [N, columns] in the dtype wanted."""
    u, z = _split(uniform, UNIFORM), _split(normal, NORMAL)
    values = {
        "xflip": (2 * u["xflip"]).floor(),
        "rotate90": (4 * u["rotate90"]).floor(),
        "xint": (2 * u["xint"] - 1) * options.xint_max,
        "scale": z["scale"] * options.scale_std,
        "rotate": (2 * u["rotate"] - 1) * (math.pi * options.rotate_max),
        "aniso": z["aniso"] * options.aniso_std,
        "xfrac": z["xfrac"] * options.xfrac_std,
        "brightness": z["brightness"] * options.brightness_std,
        "contrast": z["contrast"] * options.contrast_std,
        "lumaflip": (2 * u["lumaflip"]).floor(),
        "hue": (2 * u["hue"] - 1) * (math.pi * options.hue_max),
        "saturation": z["saturation"] * options.saturation_std,
        "imgfilter": z["imgfilter"] * options.imgfilter_std,
        "noise": z["noise"].abs() * options.noise_std,
        "cutout": torch.full_like(u["cutout"][:, :1], options.cutout_size),
    }
    return Parameters(
        **{name: value * gates[name] for name, value in values.items()}, cutout_center=u["cutout"]
    )


def percentile_gates(strength: Tensor) -> dict[str, Tensor]:
    """The gates of the deterministic form: bool [1, columns] by name; on wherever there is a strength."""
    gates = _split((strength > 0)[None], GATES)
    # One rotation shows what two would.
    gates["rotate"] = gates["rotate"] & torch.tensor([True, False])
    return gates


def percentile_tables(percentile: float) -> dict[str, Tensor]:
    """`uniform` and `normal` [1, columns], float64, each number at this percentile of its distribution.

    As in the reference a normal one is erfinv(2q − 1), the true quantile without its factor √2, and the
    half-normal of the noise erfinv(q).
    Raises: ValueError for a percentile outside (0, 1).
    """
    if not 0 < percentile < 1:
        raise ValueError(f"percentile is {percentile}; give a number between 0 and 1, both excluded")
    q = torch.tensor(float(percentile), dtype=torch.float64)
    normal = torch.erfinv(2 * q - 1).repeat(1, sum(NORMAL.values()))
    _split(normal, NORMAL)["noise"].copy_(torch.erfinv(q))
    return {"uniform": q.repeat(1, sum(UNIFORM.values())), "normal": normal}


def _split(table: Tensor, columns: dict[str, int]) -> dict[str, Tensor]:
    """Views of a table's columns by name."""
    return dict(zip(columns, table.split(list(columns.values()), dim=1), strict=True))
