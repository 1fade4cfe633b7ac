"""Lazy regularisation: a term that runs in one iteration of `interval` and pulls `interval` times harder."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn


def corrected_adam(
    *, lr: float, betas: Sequence[float], interval_iterations: int | None
) -> tuple[float, tuple[float, float]]:
    """Learning rate and betas for an Adam that takes interval + 1 steps in `interval` iterations.

    With c = interval / (interval + 1): lr·c and beta^c. None = no lazy regulariser, nothing is changed.
    Source: Karras et al. 2020 (StyleGAN2), appendix B.
    """
    if interval_iterations is None:
        return lr, (float(betas[0]), float(betas[1]))
    c = interval_iterations / (interval_iterations + 1)
    return lr * c, (float(betas[0]) ** c, float(betas[1]) ** c)


def lazy_adam(
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    betas: Sequence[float],
    eps: float,
    interval_iterations: int | None,
) -> torch.optim.Adam:
    """Adam with the correction above, all parameters in one kernel."""
    lr, betas = corrected_adam(lr=lr, betas=betas, interval_iterations=interval_iterations)
    return torch.optim.Adam(parameters, lr=lr, betas=betas, eps=eps, fused=True)
