"""Sampler: the order of the items, infinite and a pure function of (seed, position)."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

# Keep the orders' random numbers apart from other draws under the same seed.
_STREAM = int.from_bytes(b"ordr", "big")
_BALANCED_STREAM = int.from_bytes(b"bala", "big")


class ResumableSampler(Sampler[list[int]]):
    """Batches of indices without end; a `batch_sampler` without length.

    Position j of the stream lies in epoch j // n and gets item j % n of that epoch's permutation. Batches cut
    the stream at any position, also across epochs, and a run resumes at any position: nothing has
    to be saved. With several ranks, rank r takes the positions r, r + world, ... of every batch, so that the
    ranks together read what one alone would.

    With `groups` the stream comes in rounds: each takes one item of every group, in an order of its own, and
    round r takes item r mod m of a permutation of the group's m items keyed by r // m.

    Args:
        num_items: n.
        batch_size: of all ranks together.
        seed: of the orders.
        start: the first position (images seen).
        rank, world: which of how many processes this is.
        groups: indices of the items of each group, none empty; None = no groups.

    `passed_batches`: this many batches after `start` the next pass begins; 0 unless it is set.
    Raises: ValueError for a batch that the ranks cannot split equally.
    """

    def __init__(
        self,
        *,
        num_items: int,
        batch_size: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        groups: Sequence[np.ndarray] | None = None,
    ):
        if batch_size % world:
            raise ValueError(f"batch_size must be a multiple of the {world} devices, got {batch_size}")
        self.num_items = num_items
        self.batch_size = batch_size
        self.seed = seed
        self.start = start
        self.rank = rank
        self.world = world
        self.groups = groups
        # The latest permutation of each kind: for a million items one takes longer than a batch.
        self._latest: dict[tuple[int, ...], tuple[int, np.ndarray]] = {}
        self.passed_batches = 0

    def __iter__(self) -> Iterator[list[int]]:
        position = self.start + self.passed_batches * self.batch_size
        while True:
            batch = np.arange(position + self.rank, position + self.batch_size, self.world)
            yield self.indices(batch).tolist()
            position += self.batch_size

    def indices(self, positions: np.ndarray) -> np.ndarray:
        """Indices at ascending positions: int64 [n] -> int64 [n]."""
        if self.groups is not None:
            return np.array([self._in_turn(int(position)) for position in positions], dtype=np.int64)
        epochs, places = np.divmod(positions, self.num_items)
        indices = np.empty_like(places)
        for epoch in range(epochs[0], epochs[-1] + 1):
            here = epochs == epoch
            indices[here] = self._order((_STREAM,), epoch, self.num_items)[places[here]]
        return indices

    def _in_turn(self, position: int) -> int:
        """The index at a position, where the groups take turns."""
        turn, place = divmod(position, len(self.groups))
        group = int(self._order((_BALANCED_STREAM,), turn, len(self.groups))[place])
        members = self.groups[group]
        epoch, place = divmod(turn, len(members))
        return int(members[self._order((_BALANCED_STREAM, group), epoch, len(members))[place]])

    def _order(self, stream: tuple[int, ...], epoch: int, count: int) -> np.ndarray:
        """The epoch's permutation of a stream."""
        if stream not in self._latest or self._latest[stream][0] != epoch:
            rng = np.random.default_rng([self.seed, *stream, epoch])
            self._latest[stream] = epoch, rng.permutation(count)
        return self._latest[stream][1]


def items_of_classes(
    class_of_item: np.ndarray, classes: int, each: int, rng: np.random.Generator
) -> list[int | None]:
    """`each` items of each of the first classes, class by class, chosen at random.

    Of a class with fewer they repeat; None where it has no item at all.

    Args:
        class_of_item: numbers [n].
    """
    items: list[int | None] = []
    for number in range(classes):
        chosen = rng.permutation(np.flatnonzero(class_of_item == number))[:each]
        items += np.resize(chosen, each).tolist() if len(chosen) else [None] * each
    return items
