"""Noise maps of a picture: first values, the regulariser that keeps them noise, and interpolation between two sets."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan.latents.projection.keys import normal_of
from stylegan.sizes import Size

NoiseMaps = dict[str, Tensor]

# Averaged by two as long as a side is longer than this.
_SMALLEST_PX = 8
# Angles whose sine is below this are those of one direction.
_PARALLEL = 1e-4


def first_maps(keys: Sequence[int], layers: Sequence[tuple[str, Size]], seed: int) -> NoiseMaps:
    """Unit normal noise of each picture, {layer: float32 [N,1,H,W]}, a function of its key and the seed alone.

    Args: keys: of N pictures, as of `key_of`. layers: [(name, (height, width)), ...].
    """
    return {
        name: torch.stack([normal_of(key, seed, "maps", place, shape=(1, *size)) for key in keys])
        for place, (name, size) in enumerate(layers)
    }


def regulariser(maps: Mapping[str, Tensor]) -> Tensor:
    """How far maps {layer: [N,1,H,W]} are from white noise → [N], before its weight; 0 for no maps.

    Sum over all maps, and over each averaged by 2x2 px down to 8 px, of the squared mean product of neighbours, across
    and down, the borders joined. Source: Karras et al. 2020 (StyleGAN2), appendix D.
    """
    terms = []
    for level in maps.values():
        while True:
            for axis in (2, 3):
                terms.append((level * level.roll(1, axis)).mean((1, 2, 3)).square())
            if min(level.shape[2:]) <= _SMALLEST_PX:
                break
            level = F.avg_pool2d(level, 2)
    return torch.stack(terms).sum(0) if terms else torch.zeros(())


@torch.no_grad()
def normalise(maps: Mapping[str, Tensor]) -> None:
    """Gives each map [N,1,H,W] the mean 0 and the variance 1, in place."""
    for values in maps.values():
        values -= values.mean((1, 2, 3), keepdim=True)
        values *= values.square().mean((1, 2, 3), keepdim=True).clamp_min(1e-12).rsqrt()


def interpolate_noise(first: Mapping[str, Tensor], second: Mapping[str, Tensor], t: float) -> NoiseMaps:
    """Noise between two sets of maps {layer: [...,H,W]}, t in 0..1, whose variance is that of noise throughout.

    A weighted mean of two independent noises has half the variance in the middle, so the picture would lose its fine
    texture there. Each map is turned from one to the other on the arc between them; length changes evenly.
    Where both are the same, that one stays; where one is the other's negative, noise of no direction in between is
    better than none: the mean is taken.

    Returns: at t = 0 `first` and at t = 1 `second`, bit for bit.
    Raises: ValueError where the layers or the sizes differ.
    Source: Shoemake 1985 (slerp).
    """
    if first.keys() != second.keys():
        raise ValueError(f"noise maps of different layers: {', '.join(sorted(first.keys() ^ second.keys()))}")
    return {name: _turned(first[name], second[name], t, name) for name in first}


def _turned(first: Tensor, second: Tensor, t: float, name: str) -> Tensor:
    if first.shape != second.shape:
        raise ValueError(f"noise of {name} has the shapes {list(first.shape)} and {list(second.shape)}")
    if t in (0, 1):
        return second if t else first
    if torch.equal(first, second):
        return first
    a, b = first.double(), second.double()
    axes = (-2, -1)
    long_a, long_b = (x.square().sum(axes, keepdim=True).sqrt() for x in (a, b))
    cosine = ((a * b).sum(axes, keepdim=True) / (long_a * long_b).clamp_min(1e-30)).clamp(-1, 1)
    angle = torch.arccos(cosine)
    sine = angle.sin()
    flat = sine < _PARALLEL
    sine = torch.where(flat, torch.ones_like(sine), sine)
    # In units of their lengths, and the length of the result between both.
    of_a = torch.where(flat, torch.full_like(sine, 1 - t), ((1 - t) * angle).sin() / sine)
    of_b = torch.where(flat, torch.full_like(sine, t), (t * angle).sin() / sine)
    length = long_a + (long_b - long_a) * t
    unit = of_a * a / long_a.clamp_min(1e-30) + of_b * b / long_b.clamp_min(1e-30)
    return (unit * length).to(first.dtype)
