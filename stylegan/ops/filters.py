"""Prepare the taps of a FIR filter."""

from collections.abc import Sequence

import torch
from torch import Tensor

# From this length on two 1-D passes are cheaper than one 2-D pass.
SEPARABLE_FROM_TAPS = 8


def setup_filter(
    f: Tensor | Sequence | float | None,
    *,
    normalize: bool = True,
    flip_filter: bool = False,
    gain: float = 1,
    separable: bool | None = None,
) -> Tensor:
    """Taps ready for `upfirdn2d`.

    Args:
        f: taps [k] or [kh, kw], a single number, or None for the identity.
        normalize: scale the taps to sum 1.
        flip_filter: reverse every axis.
        gain: factor on the filtered image; a separable filter carries its square root an axis.
        separable: keep 1-D taps 1-D (two passes); None = where there are at least 8 of them.
    Returns: float32 [kh, kw], or [k] where separable.
    Raises: ValueError for more than two axes, no taps, or taps to be normalised that sum to 0.
    """
    taps = torch.as_tensor(1 if f is None else f, dtype=torch.float32)
    if taps.ndim > 2 or taps.numel() == 0:
        raise ValueError(f"a filter has taps [k] or [kh, kw], got shape {list(taps.shape)}")
    if taps.ndim == 0:
        taps = taps.reshape(1)
    if separable is None:
        separable = taps.ndim == 1 and taps.numel() >= SEPARABLE_FROM_TAPS
    if separable and taps.ndim == 2:
        raise ValueError("2-D taps cannot be made separable; give the taps of one axis")
    if taps.ndim == 1 and not separable:
        taps = torch.outer(taps, taps)
    if normalize:
        total = taps.sum()
        # On the meta device, where networks are only counted, there are no values to look at.
        if not taps.is_meta and total == 0:
            raise ValueError("taps that sum to 0 cannot be normalised; pass normalize=False")
        taps = taps / total
    if flip_filter:
        taps = taps.flip(list(range(taps.ndim)))
    return taps * gain ** (taps.ndim / 2)
