"""Homogeneous 3×3 matrices of the plane, one a sample; x to the right, y down."""

import torch
from torch import Tensor


def translation(x: Tensor, y: Tensor) -> Tensor:
    """[N] and [N] -> [N,3,3], moves by (x, y)."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix(one, zero, x, zero, one, y)


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """[N] and [N] -> [N,3,3], diag(x, y)."""
    zero = torch.zeros_like(x)
    return _matrix(x, zero, zero, zero, y, zero)


def rotation(angle: Tensor) -> Tensor:
    """[N] radians -> [N,3,3], [[cos, −sin], [sin, cos]]."""
    zero, sin, cos = torch.zeros_like(angle), angle.sin(), angle.cos()
    return _matrix(cos, -sin, zero, sin, cos, zero)


def quarter_turns(count: Tensor) -> Tensor:
    """[N] whole numbers -> [N,3,3], rotations by 90° · count, exactly."""
    return rotation(count * (torch.pi / 2)).round()


def compose(*maps: Tensor) -> Tensor:
    """The product of [N,3,3] matrices, the last of which acts first.

    Written as sums: a matrix product is rounded to TF32 where the user allows that, and then moves pixels."""
    product = maps[0]
    for factor in maps[1:]:
        product = (product[:, :, :, None] * factor[:, None]).sum(dim=2)
    return product


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, f: Tensor) -> Tensor:
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    return torch.stack([a, b, c, d, e, f, zero, zero, one], dim=1).reshape(-1, 3, 3)
