"""Real pictures for scores: which of a set, and their features, computed once and kept."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from stylegan.distributed.collectives import on_rank_zero
from stylegan.evaluation.feature_cache import FeatureCache
from stylegan.evaluation.sharing import rows_of_all
from stylegan.evaluation.watch import Watch
from stylegan.features import Detector

_READERS = 4


class PictureSet(Protocol):
    """What scores ask of a set of pictures; `datamodules.datasets.ImageDataset` is one.

    Item: (uint8 [C,H,W], float32 [K]). `content_digest`: another one if any pixel is.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]: ...

    def labels(self, indices: Tensor) -> Tensor: ...

    def content_digest(self) -> str: ...


def chosen(count: int, max_reals: int | None) -> np.ndarray:
    """Indices int64 of the pictures that a score compares with, in order: all, or a random choice that is always
    the same, as the public implementation makes it.
    """
    indices = np.arange(count, dtype=np.int64)
    if max_reals is None or count <= max_reals:
        return indices
    np.random.RandomState(0).shuffle(indices)
    return np.sort(indices[:max_reals])


class Reals:
    """The real pictures of an evaluation.

    Args: plain: the set without mirrored copies. with_flips: with them, if it has any. cache: for their features.
    """

    def __init__(self, plain: PictureSet, with_flips: PictureSet | None = None, *, cache: FeatureCache):
        self.sets = {False: plain, True: plain if with_flips is None else with_flips}
        self.cache = cache
        self._kept: dict[tuple, Tensor] = {}
        self._digests: dict[bool, str] = {}

    def count(self, max_reals: int | None, *, with_flips: bool) -> int:
        """How many pictures there are to compare with."""
        total = len(self.sets[with_flips])
        return total if max_reals is None else min(total, max_reals)

    def features(
        self, detector: Detector, max_reals: int | None, *, with_flips: bool, watch: Watch
    ) -> Tensor | None:
        """float32 [N,F] on the CPU of the first process; None on the others.

        Raises: EvaluationStoppedError.
        """
        count = self.count(max_reals, with_flips=with_flips)
        place = (detector.name, detector.checksum, detector.resize, count, with_flips)
        if place not in self._kept:
            self._kept[place] = self._found_or_made(detector, count, with_flips, watch)
        return self._kept[place]

    def _found_or_made(self, detector: Detector, count: int, with_flips: bool, watch: Watch) -> Tensor | None:
        key = {
            "detector": detector.name,
            "checksum": detector.checksum,
            "resize": detector.resize,
            "count": count,
        }
        found: list[Tensor | None] = [None]

        def look() -> bool:
            key["content"] = self.digest(with_flips=with_flips)
            found[0] = self.cache.load(key)
            return found[0] is not None

        # All must agree whether there is something to compute.
        if on_rank_zero(look):
            return found[0]
        pictures = self.sets[with_flips]
        indices = chosen(len(pictures), count)
        rows = rows_of_all(
            count,
            lambda some: {"features": _features(detector, read(pictures, indices[some.start : some.stop]))},
            watch,
            f"{detector.name} features of {count:,} real pictures",
        )
        if rows is None:
            return None
        trouble = self.cache.save(key, rows["features"])
        if trouble:
            watch.say(trouble)
        return rows["features"]

    def digest(self, *, with_flips: bool) -> str:
        """Of what the pictures show; computed once."""
        if with_flips not in self._digests:
            self._digests[with_flips] = self.sets[with_flips].content_digest()
        return self._digests[with_flips]


def read(pictures: PictureSet, indices: Sequence[int]) -> Tensor:
    """uint8 [n,C,H,W] of some items. Decoding lets go of Python's lock, so that threads do it side by side."""
    with ThreadPoolExecutor(_READERS) as pool:
        return torch.stack([item[0] for item in pool.map(lambda i: pictures[int(i)], indices)])


def _features(detector: Detector, images: Tensor) -> Tensor:
    return detector.features(images).to("cpu", torch.float32)
