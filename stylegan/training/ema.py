"""EMA generator, which is sampled, scored and shipped, and the mean w of the mapping network."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stylegan.distributed.collectives import sum_over_ranks
from stylegan.networks.mapping import MappingNetwork


def ema_decay(*, batch_size: int, half_life_kimg: float, ramp_up: float | None, images_seen: int) -> float:
    """Decay of an exponential moving average: 0.5^(batch / half-life in images).

    Args:
        batch_size: images of the iteration.
        half_life_kimg: thousands of images after which a weight counts half.
        ramp_up: the half-life is at most this share of the images seen, so that the random start is soon forgotten;
            None = no ramp-up.
        images_seen: before the iteration.
    Returns: the factor on the old average.
    Source: Karras et al. 2018, section 4.2; ramp-up, Karras et al. 2020 (ADA).
    """
    half_life_images = half_life_kimg * 1000
    if ramp_up is not None:
        half_life_images = min(half_life_images, images_seen * ramp_up)
    return 0.5 ** (batch_size / max(half_life_images, 1e-8))


def check_ema(*, ema_half_life_kimg: float, ema_ramp_up: float | None) -> None:
    """Raises: ValueError, naming the argument, for settings of the EMA generator that are out of range."""
    if not ema_half_life_kimg >= 0:
        raise ValueError(f"ema_half_life_kimg must be 0 (no average) or more, got {ema_half_life_kimg}")
    if ema_ramp_up is not None and not ema_ramp_up > 0:
        raise ValueError(f"ema_ramp_up must be above 0, or null for none, got {ema_ramp_up}")


@torch.no_grad()
def update_average(average: nn.Module, source: nn.Module, decay: float) -> None:
    """Every parameter of `average` becomes source + decay·(average − source); every buffer is copied."""
    torch._foreach_lerp_(list(average.parameters()), list(source.parameters()), 1 - decay)
    for old, new in zip(average.buffers(), source.buffers(), strict=True):
        old.copy_(new)


@contextmanager
def tracking_w_avg(mapping: MappingNetwork, samples: int) -> Iterator[Callable[[Tensor], Tensor]]:
    """Moving average of w over a batch that is split.

    Inside, each part's ws [n,L,W] go to the yielded function, which gives them back. At the end `mapping.w_avg` moves
    once towards their mean, on all processes.

    Args:
        mapping: whose `w_avg` moves.
        samples: of all parts, on all processes.
    """
    sums: list[Tensor] = []

    def track(ws: Tensor) -> Tensor:
        # The first entry is of the first latent also where two are mixed.
        sums.append(ws[:, 0].detach().sum(dim=0))
        return ws

    yield track
    # A process that had no part adds nothing.
    total = torch.stack(sums).sum(dim=0) if sums else next(mapping.parameters()).new_zeros(mapping.w_dim)
    mapping.track(sum_over_ranks(total) / samples)
