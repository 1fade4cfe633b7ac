"""Curves between key frames, and easing: how a leg from one key frame to the next is travelled."""

import math
from collections.abc import Callable

import numpy as np

CURVES = ("linear", "slerp", "cubic")

# Below it two directions are one, or opposite, as far as float64 tells.
_SMALLEST_SINE = 1e-9
# By how much `in-out-back` overshoots: by a tenth at each end.
_OVERSHOOT = 2.5949095
# Out-bounce: the centre and the half-width of each arc of the ball, in parts of which 2.75 are the whole.
_BOUNCES = ((0.0, 1.0), (1.5, 0.5), (2.25, 0.25), (2.625, 0.125))
_BOUNCE_PARTS = 2.75


def eased(name: str, fraction: float) -> float:
    """The part of a leg that is travelled when `fraction` of its time has passed; 0 → 0 and 1 → 1, exactly.

    Args:
        name: one of `EASINGS`. In-out-back goes beyond 0 and 1 on the way.
        fraction: 0 to 1.
    """
    if fraction <= 0:
        return 0.0
    return 1.0 if fraction >= 1 else EASINGS[name](fraction)


def _in_out(begin: Callable[[float], float]) -> Callable[[float], float]:
    """`begin` up to the middle, and turned round from there on."""
    return lambda t: begin(2 * t) / 2 if t < 0.5 else 1 - begin(2 - 2 * t) / 2


def _out_bounce(t: float) -> float:
    x = t * _BOUNCE_PARTS
    centre, half = next(arc for arc in _BOUNCES if x <= arc[0] + arc[1])
    return 1 - half**2 + (x - centre) ** 2


# Robert Penner's names. Step keeps the first value until the leg is over.
EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "in-out-quad": _in_out(lambda t: t**2),
    "in-out-cubic": _in_out(lambda t: t**3),
    "in-out-sine": lambda t: (1 - math.cos(math.pi * t)) / 2,
    "in-out-circular": _in_out(lambda t: 1 - math.sqrt(1 - t**2)),
    "out-bounce": _out_bounce,
    "in-out-back": _in_out(lambda t: t**2 * ((_OVERSHOOT + 1) * t - _OVERSHOOT)),
    "step": lambda t: 0.0,
}


def check_easing(name: object, key: str = "easing") -> str:
    """Raises: ValueError for a name that is none of `EASINGS`."""
    if name not in EASINGS:
        raise ValueError(f"{key} must be one of {', '.join(EASINGS)}, got {name!r}")
    return str(name)


def linear(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """(1 − t)·a + t·b in float64, any shape; a itself at t = 0, b at 1."""
    if t in (0, 1):
        return b if t else a
    return (1 - t) * a.astype(np.float64) + t * b.astype(np.float64)


def slerp(a: np.ndarray, b: np.ndarray, t: float, center: np.ndarray | float = 0.0) -> np.ndarray:
    """Spherical interpolation of vectors [...,W] in float64: the direction turns evenly, the norm changes evenly.

    Where one of them is 0, or both point the same way, it is linear. Between opposite ones, which have no shortest
    arc, it turns over the axis on which a is smallest.

    Args:
        t: 0 to 1, or beyond; a itself at 0, b at 1.
        center: of the sphere.
    Source: Shoemake 1985; for latents White 2016, section 2.1.
    """
    if t in (0, 1):
        return b if t else a
    from_center, to = a.astype(np.float64) - center, b.astype(np.float64) - center
    norm_a, norm_b = (np.linalg.norm(v, axis=-1, keepdims=True) for v in (from_center, to))
    straight = (1 - t) * from_center + t * to
    has_direction = (norm_a > 0) & (norm_b > 0)
    unit_a, unit_b = from_center / np.where(norm_a > 0, norm_a, 1), to / np.where(norm_b > 0, norm_b, 1)
    cosine = (unit_a * unit_b).sum(axis=-1, keepdims=True)
    side = unit_b - cosine * unit_a
    sine = np.linalg.norm(side, axis=-1, keepdims=True)
    is_degenerate = sine < _SMALLEST_SINE
    side = np.where(is_degenerate, _perpendicular(unit_a), side / np.where(is_degenerate, 1, sine))
    angle = t * np.arctan2(np.where(is_degenerate, 0, sine), cosine)
    turned = (np.cos(angle) * unit_a + np.sin(angle) * side) * ((1 - t) * norm_a + t * norm_b)
    is_straight = ~has_direction | (is_degenerate & (cosine > 0))
    return np.where(is_straight, straight, turned) + center


def _perpendicular(unit: np.ndarray) -> np.ndarray:
    """Unit vectors at a right angle to `unit` [...,W]: of each the axis on which it is smallest, turned."""
    axis = np.zeros_like(unit)
    np.put_along_axis(axis, np.abs(unit).argmin(axis=-1, keepdims=True), 1, axis=-1)
    axis = axis - (axis * unit).sum(axis=-1, keepdims=True) * unit
    norm = np.linalg.norm(axis, axis=-1, keepdims=True)
    return axis / np.where(norm > 0, norm, 1)


def cubic(
    before: np.ndarray | None,
    a: np.ndarray,
    b: np.ndarray,
    after: np.ndarray | None,
    t: float,
    spans: tuple[float, float, float] = (1, 1, 1),
) -> np.ndarray:
    """Cubic Hermite curve from a to b in float64, whose slope at a key frame is that of the line past its neighbours.

    Args:
        before, after: the neighbours of a and b; None at the ends of an open path, which begin as a straight line.
        t: 0 to 1; a itself at 0, b at 1.
        spans: of time from `before` to a, a to b, and b to `after`.
    Source: Catmull and Rom 1974, with key frames at unequal times.
    """
    if t in (0, 1):
        return b if t else a
    a, b = a.astype(np.float64), b.astype(np.float64)
    first, middle, last = spans
    slope_a = b - a if before is None else (b - before) * (middle / (first + middle))
    slope_b = b - a if after is None else (after - a) * (middle / (middle + last))
    ease = t * t * (3 - 2 * t)
    return (1 - ease) * a + ease * b + t * (1 - t) ** 2 * slope_a - t * t * (1 - t) * slope_b
