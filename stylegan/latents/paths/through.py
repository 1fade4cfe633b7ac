"""A path through key frames: which keys a position lies between, and what comes of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stylegan.latents.paths.curves import CURVES, cubic, linear, slerp
from stylegan.latents.paths.timing import Legs


@dataclass(frozen=True)
class Through:
    """From key frame to key frame.

    Args:
        legs: when each key comes.
        curve: one of `CURVES`.
    Raises: ValueError for another curve.
    """

    legs: Legs
    curve: str = "slerp"

    def __post_init__(self):
        if self.curve not in CURVES:
            raise ValueError(f"curve must be one of {', '.join(CURVES)}, got {self.curve!r}")

    def between(self, position: float) -> tuple[int, int, float]:
        """(key before, key after, eased part of the way) at a position in frames; part 0 is the key before itself."""
        leg, part = self.legs.at(position)
        return (leg, leg, 0.0) if part == 0 else (leg, self.legs.neighbours(leg)[2], part)

    def keys_at(self, position: float) -> tuple[int, ...]:
        """The keys that the latent at a position depends on."""
        leg, part = self.legs.at(position)
        if part == 0:
            return (leg,)
        before, a, b, after = self.legs.neighbours(leg)
        around = (before, a, b, after) if self.curve == "cubic" else (a, b)
        return tuple(dict.fromkeys(key for key in around if key is not None))

    def latent(
        self, position: float, latent_of: Callable[[int], np.ndarray], center: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """The latent float32 [...,W] at a position, of the latents of `keys_at`. At a key frame it is the key's own.

        Args: center: of the sphere that slerp moves on.
        """
        leg, part = self.legs.at(position)
        if part == 0:
            return latent_of(leg)
        before, a, b, after = self.legs.neighbours(leg)
        if self.curve == "linear":
            found = linear(latent_of(a), latent_of(b), part)
        elif self.curve == "slerp":
            found = slerp(latent_of(a), latent_of(b), part, center)
        else:
            outer = (None if key is None else latent_of(key).astype(np.float64) for key in (before, after))
            found = cubic(next(outer), latent_of(a), latent_of(b), next(outer), part, self.legs.spans(leg))
        return found.astype(np.float32)
