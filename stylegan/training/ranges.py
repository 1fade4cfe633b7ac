"""Which values a training takes; said in the words of the configuration."""

import math
from collections.abc import Sequence


def check_ranges(
    *,
    batch_size: int,
    micro_batch: int,
    r1_interval_iterations: int,
    pl_interval_iterations: int,
    style_mixing_prob: float,
    generator_lr: float,
    discriminator_lr: float,
    betas: Sequence[float],
    eps: float,
    ema_half_life_kimg: float,
    ema_ramp_up: float | None,
) -> None:
    """Raises: ValueError naming the key, the value and what is allowed."""
    if micro_batch < 1 or batch_size % micro_batch:
        raise ValueError(f"batch_size {batch_size} must be a multiple of micro_batch {micro_batch}")
    rules = (
        ("loss.r1_interval_iterations", r1_interval_iterations, r1_interval_iterations >= 1, "at least 1"),
        ("loss.pl_interval_iterations", pl_interval_iterations, pl_interval_iterations >= 1, "at least 1"),
        ("loss.style_mixing_prob", style_mixing_prob, 0 <= style_mixing_prob <= 1, "from 0 to 1"),
        ("optim.generator_lr", generator_lr, 0 < generator_lr < math.inf, "above 0"),
        ("optim.discriminator_lr", discriminator_lr, 0 < discriminator_lr < math.inf, "above 0"),
        ("optim.betas", list(betas), _are_betas(betas), "two numbers from 0 to below 1"),
        ("optim.eps", eps, eps > 0, "above 0"),
        ("ema.half_life_kimg", ema_half_life_kimg, ema_half_life_kimg >= 0, "0 (no average) or more"),
        ("ema.ramp_up", ema_ramp_up, ema_ramp_up is None or ema_ramp_up > 0, "above 0, or null for none"),
    )
    for key, value, good, allowed in rules:
        if not good:
            raise ValueError(f"{key} must be {allowed}, got {value}")


def _are_betas(betas: Sequence[float]) -> bool:
    return len(betas) == 2 and all(0 <= beta < 1 for beta in betas)
