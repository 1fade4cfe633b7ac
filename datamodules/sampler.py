"""The order in which items are dealt: infinite, and a pure function of (seed, position)."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

# Keeps the order's random numbers apart from other draws under the same seed.
_STREAM = int.from_bytes(b"ordr", "big")


class ResumableSampler(Sampler[list[int]]):
    """Deals batches of indices for ever; a `batch_sampler` without length.

    Position j of the stream lies in epoch j // n, and is dealt that epoch's permutation at j % n. Batches cut
    the stream wherever they fall, also across epochs, and the next run goes on at any position: nothing has
    to be saved. With several ranks, rank r takes the positions r, r + world, ... of every batch, so that the
    ranks together deal what one alone would.

    Args: num_items n; batch_size: of all ranks together; start: the first position (images seen).
    Raises: ValueError for a batch that the ranks cannot share equally.
    """

    def __init__(
        self, *, num_items: int, batch_size: int, seed: int, start: int = 0, rank: int = 0, world: int = 1
    ):
        if batch_size % world:
            raise ValueError(
                f"batch_size {batch_size} cannot be shared by {world} devices; make it a multiple of {world}"
            )
        self.num_items = num_items
        self.batch_size = batch_size
        self.seed = seed
        self.start = start
        self.rank = rank
        self.world = world
        self._epoch = -1
        self._permutation = np.empty(0, dtype=np.int64)

    def __iter__(self) -> Iterator[list[int]]:
        position = self.start
        while True:
            batch = np.arange(position + self.rank, position + self.batch_size, self.world)
            yield self.indices(batch).tolist()
            position += self.batch_size

    def indices(self, positions: np.ndarray) -> np.ndarray:
        """Indices dealt at ascending positions: int64 [n] -> int64 [n]."""
        epochs, places = np.divmod(positions, self.num_items)
        dealt = np.empty_like(places)
        for epoch in range(epochs[0], epochs[-1] + 1):
            here = epochs == epoch
            dealt[here] = self._order(epoch)[places[here]]
        return dealt

    def _order(self, epoch: int) -> np.ndarray:
        """The epoch's permutation. The latest is kept: for a million items one takes longer than a batch."""
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, _STREAM, epoch])
            self._epoch, self._permutation = epoch, rng.permutation(self.num_items)
        return self._permutation
