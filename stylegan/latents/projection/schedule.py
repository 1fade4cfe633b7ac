"""Schedule of a projection: learning rate and noise on w over the steps, as published."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Numbers of the search for w, those of the public projector of StyleGAN2-ADA by default.

    Args:
        steps: of the optimisation, at least 1.
        learning_rate: Adam's at its highest.
        ramp_up, ramp_down: parts of the steps, 0 to 1, in which the rate rises from 0 and falls to 0.
        w_noise: noise that is added to w at step 0, in units of the spread of w.
        w_noise_until: part of the steps after which none is added.
        noise_weight: of the regulariser of the noise maps.
        betas: Adam's.
    Raises: ValueError for steps below 1, or a negative rate.
    Source: Karras et al. 2020 (StyleGAN2), appendix D.
    """

    steps: int = 1000
    learning_rate: float = 0.1
    ramp_up: float = 0.05
    ramp_down: float = 0.25
    w_noise: float = 0.05
    w_noise_until: float = 0.75
    noise_weight: float = 1e5
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.learning_rate < 0:
            raise ValueError(f"learning_rate must not be negative, got {self.learning_rate}")

    def rate_at(self, step: int) -> float:
        """Adam's learning rate at a step, 0 to steps - 1; 0 at step 0."""
        t = step / self.steps
        down = min(1.0, (1 - t) / self.ramp_down) if self.ramp_down else 1.0
        up = min(1.0, t / self.ramp_up) if self.ramp_up else 1.0
        return self.learning_rate * (0.5 - 0.5 * math.cos(math.pi * down)) * up

    def w_noise_at(self, step: int) -> float:
        """Standard deviation of the noise on w at a step, in units of the spread of w."""
        t = step / self.steps
        left = max(0.0, 1 - t / self.w_noise_until) if self.w_noise_until else 0.0
        return self.w_noise * left**2
