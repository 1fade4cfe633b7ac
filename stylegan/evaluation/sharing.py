"""Rows computed by all processes together, in an order that does not tell how many there were."""

from collections.abc import Callable

import torch
from torch import Tensor

from stylegan.distributed.collectives import gather_to_first, rank, world
from stylegan.evaluation.watch import Watch

# One size for all chunks: kernels are chosen by it, and each rounds in its own way.
CHUNK = 32

Rows = dict[str, Tensor]


def rows_of_all(num: int, compute: Callable[[range], Rows], watch: Watch, what: str) -> Rows | None:
    """`compute` for all of 0..num-1, in chunks that go round among the processes.

    Args: compute: a range of at most CHUNK numbers → tensors of as many rows, by name, on the CPU.
    Returns: on the first process the rows by name, in order; None on the others.
    Raises: EvaluationStoppedError, on all.
    """
    chunks = [range(first, min(first + CHUNK, num)) for first in range(0, num, CHUNK)]
    mine: list[Rows] = []
    rounds = range(rank(), len(chunks) + (-len(chunks)) % world(), world())
    for place in watch.rounds(rounds, len(rounds), what):
        if place < len(chunks):
            mine.append(compute(chunks[place]))
    if world() == 1:
        return {name: torch.cat([rows[name] for rows in mine]) for name in mine[0]}
    return _in_order(gather_to_first(mine), len(chunks))


def _in_order(parts: list[list[Rows]] | None, num_chunks: int) -> Rows | None:
    if parts is None:
        return None
    ordered = [parts[place % len(parts)][place // len(parts)] for place in range(num_chunks)]
    return {name: torch.cat([rows[name] for rows in ordered]) for name in ordered[0]}
