"""Loops through latent space: the walk, the circle and the noise loop, each a function z of a position."""

from typing import Protocol

import numpy as np

from stylegan.latents.paths.timing import whole

# The random numbers of a walk, all of which its filter needs at once.
_MOST_NUMBERS = 2**28
_NUMBERS_AT_ONCE = 64
LARGEST_DIAMETER = 100


class Loop(Protocol):
    """A closed path: `z` at `position` and at `position + length` is the same.

    Attributes:
        length: of one round, in frames at speed 1.
    """

    length: float

    def z(self, position: float) -> np.ndarray:
        """z float32 [Z] at a position, any number."""
        ...


def walk_latents(
    seed: int, frames: int, z_dim: int, *, smoothing_frames: float, cells: int | None = None
) -> np.ndarray:
    """z of a smooth random loop, float64 [frames,Z], or [frames,cells,Z].

    `RandomState(seed).randn(frames[, cells], z_dim)`, filtered over time by a Gaussian that wraps round, so the
    last frame leads into the first. The norm is not 1; the mapping network normalises it.

    Args: smoothing_frames: standard deviation of the Gaussian; 0 = none, so each frame is an image of its own.
    Raises: ValueError for more numbers than memory should hold.
    """
    return _smoothed(_noise(seed, frames, z_dim, cells), smoothing_frames)


def _noise(seed: int, frames: int, z_dim: int, cells: int | None) -> np.ndarray:
    numbers = frames * (cells or 1) * z_dim
    if numbers > _MOST_NUMBERS:
        raise ValueError(
            f"duration_sec is too long for a walk: {frames:,} frames of {cells or 1} cells are {numbers:,} random"
            f" numbers, and at most {_MOST_NUMBERS:,} are held at once; take a shorter one, or slowdown="
        )
    shape = (frames, z_dim) if cells is None else (frames, cells, z_dim)
    return np.random.RandomState(seed).randn(*shape)


def _smoothed(noise: np.ndarray, smoothing_frames: float) -> np.ndarray:
    """`noise` filtered along its first axis."""
    # It ends at 4 deviations: so narrow a one reaches no neighbour, and the square of the narrowest is 0.
    if smoothing_frames < 1 / 8:
        return noise
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(noise, smoothing_frames, axis=0, mode="wrap")


def _smoothed_in_blocks(noise: np.ndarray, smoothing_frames: float) -> np.ndarray:
    """`_smoothed` of [frames,Z] as float32, some of Z at a time: a second copy in float64 need not be in memory."""
    smoothed = np.empty(noise.shape, np.float32)
    for first in range(0, noise.shape[1], _NUMBERS_AT_ONCE):
        some = np.s_[:, first : first + _NUMBERS_AT_ONCE]
        smoothed[some] = _smoothed(noise[some], smoothing_frames)
    return smoothed


class Walk:
    """z between the frames of a walk, which are at whole positions.

    Args: z: [frames,Z], of `walk_latents`.
    """

    def __init__(self, z: np.ndarray):
        self._z = np.ascontiguousarray(z, dtype=np.float32)
        self.length = len(z)

    def z(self, position: float) -> np.ndarray:
        frame = int(np.floor(position))
        part = position - frame
        here = self._z[frame % self.length]
        if part == 0:
            return here
        there = self._z[(frame + 1) % self.length]
        return ((1 - part) * here.astype(np.float64) + part * there).astype(np.float32)


class Circle:
    """z on a circle through a, which is at position 0: a + diameter·((cos φ − 1)·a + sin φ·b).

    With diameter 1 it is a great circle: in the middle is −a, the opposite of the beginning. A smaller one stays nearer
    to a.

    Args:
        a, b: [Z]. length: of one round, in frames.
    """

    def __init__(self, a: np.ndarray, b: np.ndarray, *, diameter: float, length: int):
        self._a, self._b = a.astype(np.float64), b.astype(np.float64)
        self._diameter, self.length = diameter, length

    def z(self, position: float) -> np.ndarray:
        angle = _angle(position, self.length)
        away = (np.cos(angle) - 1) * self._a + np.sin(angle) * self._b
        return (self._a + self._diameter * away).astype(np.float32)


class NoiseLoop:
    """z of smooth noise on a circle: normal numbers at each position, alike where they are near.

    The correlation of two positions is exp(−d²/2), d = diameter·sin(φ/2) their distance across the circle and φ their
    angle. So with diameter 1 opposite positions still have 0.61 in common, with 5 nothing.

    Args:
        coefficients: [1 + 2·K,Z] unit normal: of the mean, and of cosine and sine of each harmonic.
        diameter: of the circle, in units of what is alike. length: of one round, in frames.
    Source: the periodic kernel of MacKay 1998 by its Fourier series, whose weights are Bessel functions.
    """

    def __init__(self, coefficients: np.ndarray, *, diameter: float, length: int):
        harmonics = len(coefficients) // 2
        weights = np.sqrt(noise_spectrum(diameter)[: harmonics + 1])
        self._series = np.ascontiguousarray(coefficients * np.repeat(weights, [1] + [2] * harmonics)[:, None])
        self._harmonics = np.arange(1, harmonics + 1)
        self.length = length

    def z(self, position: float) -> np.ndarray:
        angles = self._harmonics * _angle(position, self.length)
        waves = np.stack([np.cos(angles), np.sin(angles)], axis=1).reshape(-1)
        # One position at a time: the bits of a product of matrices depend on how many rows there are.
        return (self._series[0] + waves @ self._series[1:]).astype(np.float32)


def noise_spectrum(diameter: float) -> np.ndarray:
    """The variance of each harmonic of a noise loop, from 0 on; their sum is 1 to within 1e-12."""
    from scipy.special import ive

    concentration = diameter**2 / 4
    most = 16 + int(8 * np.sqrt(concentration) + 8)
    variances = ive(np.arange(most + 1), concentration)
    variances[1:] *= 2
    return variances[: int(np.searchsorted(np.cumsum(variances), 1 - 1e-12)) + 1]


def loop_of_seed(
    kind: str,
    seed: int,
    cells: int | None,
    z_dim: int,
    *,
    length: int,
    smoothing_frames: float,
    diameter: float,
) -> list[Loop]:
    """The loops of one seed, one for each cell.

    The first random numbers are those of the seed's own image: in the first cell a circle begins with it, and a noise
    loop of a small diameter stays near it.

    Args:
        kind: "walk", "circle" or "noise".
        cells: how many; None = one, with the random numbers of a single loop.
        length, smoothing_frames: in frames, as of `walk_latents`.
        diameter: of circle and noise, above 0.
    Raises: ValueError as of `walk_latents`.
    """
    count = 1 if cells is None else cells
    if kind == "walk":
        noise = _noise(seed, length, z_dim, count)
        return [Walk(_smoothed_in_blocks(noise[:, cell], smoothing_frames)) for cell in range(count)]
    if kind == "circle":
        a, b = np.random.RandomState(seed).randn(2, count, z_dim)
        return [Circle(a[cell], b[cell], diameter=diameter, length=length) for cell in range(count)]
    rows = 2 * len(noise_spectrum(diameter)) - 1
    z = np.random.RandomState(seed).randn(rows, count, z_dim)
    return [NoiseLoop(z[:, cell], diameter=diameter, length=length) for cell in range(count)]


def frames_of_loop(duration_sec: float, fps: float, slowdown: float = 1) -> tuple[int, int]:
    """(frames of one round at full speed, frames of the video), both rounded to the nearest, halves up."""
    length = max(1, whole(duration_sec, fps))
    return length, max(1, whole(length, slowdown))


def _angle(position: float, length: float) -> float:
    return 2 * np.pi * (position % length) / length
