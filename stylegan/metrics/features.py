"""What every metric here accepts as features, and how it goes through them."""

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

Features = Tensor | np.ndarray
# Rows that are looked at or widened to float64 at a time: 64 MiB of 2,048 features.
BLOCK = 4096


def feature_matrix(name: str, values: Features, *, at_least: int = 1) -> np.ndarray:
    """Features [N,F], any floating type, as float32 or float64 [N,F] on the CPU; no copy where none is needed.

    Args: name: what a message calls the set. at_least: how many rows the metric needs.
    Raises: ValueError for another shape or type, too few rows, or rows that are not finite.
    """
    if isinstance(values, np.ndarray):
        with warnings.catch_warnings():
            # Torch warns of arrays that are read-only, such as mapped files; nothing here writes to them.
            warnings.filterwarnings("ignore", message=".*not writable.*")
            values = torch.from_numpy(values)
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(f"{name} must have the shape [N,F] with F at least 1, got {list(values.shape)}")
    if not values.is_floating_point():
        raise ValueError(f"{name} must be floating-point numbers, got {values.dtype}")
    if len(values) < at_least:
        raise ValueError(f"{name} has {len(values)} rows, this metric needs at least {at_least}")
    values = values.detach().cpu()
    matrix = (values if values.dtype in (torch.float32, torch.float64) else values.float()).numpy()
    bad = np.concatenate([~np.isfinite(matrix[rows]).all(axis=1) for rows in row_blocks(len(matrix))])
    if bad.any():
        raise ValueError(
            f"{name}: {bad.sum()} of {len(bad)} rows have values that are not finite, first row {bad.argmax()}"
        )
    return matrix


def feature_pair(real: Features, fake: Features, *, at_least: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Both sets by `feature_matrix`.  Raises: ValueError also where they differ in width."""
    pair = feature_matrix("real", real, at_least=at_least), feature_matrix("fake", fake, at_least=at_least)
    if pair[0].shape[1] != pair[1].shape[1]:
        raise ValueError(f"real has {pair[0].shape[1]} features a row, fake has {pair[1].shape[1]}")
    return pair


def row_blocks(num: int, block: int = BLOCK) -> Iterator[slice]:
    """Slices of at most `block` rows that cover `num` rows, in order."""
    return (slice(first, min(first + block, num)) for first in range(0, num, block))
