"""Reals: the real images of an evaluation, which of them a score compares with, and the features of what was read."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from stylegan.distributed.collectives import on_rank_zero
from stylegan.evaluation.feature_cache import FeatureCache
from stylegan.evaluation.scores import ScoreError
from stylegan.evaluation.shared_work import Rows, Watch, rows_of_all
from stylegan.features import Detector
from stylegan.machine.files import cache_folder, expanded
from stylegan.machine.text import some

_READERS = 4


@runtime_checkable
class ImageSet(Protocol):
    """What an evaluation asks of a set of images; `datamodules.datasets.ImageDataset` is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """uint8 [C,H,W], float32 [K]."""
        ...

    def labels(self, indices: Tensor) -> Tensor:
        """int64 [n] → float32 [n,K], without reading images."""
        ...

    def content_digest(self) -> str:
        """Another one if any pixel is."""
        ...


@dataclass(frozen=True)
class EvaluationData:
    """What an evaluation reads of a data module that is set up.

    Attributes:
        dataset: the images to train on, with mirrored copies where it doubles them.
        originals: the images to train on, without mirrored copies.
        validation: images held out of training; None = there are none.
        fingerprint: digest of the contents and labels of `originals`, in order; None = unknown.
        xflip: whether training sees the mirror image of every image.
        label_names: of the classes; empty = unknown.
    """

    dataset: ImageSet
    originals: ImageSet
    validation: ImageSet | None = None
    fingerprint: str | None = None
    xflip: bool = False
    label_names: Sequence[str] = ()

    @classmethod
    def of(cls, datamodule: Any) -> Self:
        """Reads a data module. A user's own needs nothing but a `dataset`, so that all else is read with a default.

        Raises: ValueError where there is no set of images of which scores could be computed.
        """
        dataset = getattr(datamodule, "dataset", None)
        if not isinstance(dataset, ImageSet):
            raise ValueError(
                f"{type(datamodule).__name__} has no `dataset` of the kind of datamodules.datasets.ImageDataset, which"
                " metrics are computed on; set metrics=none"
            )
        return cls(
            dataset=dataset,
            originals=getattr(datamodule, "originals", dataset),
            validation=getattr(datamodule, "validation", None),
            fingerprint=getattr(datamodule, "fingerprint", None),
            xflip=bool(getattr(datamodule, "xflip", False)),
            label_names=list(getattr(dataset, "label_names", ())),
        )


def chosen(count: int, max_reals: int | None) -> np.ndarray:
    """Indices int64 of the images that a score compares with, in order: all, or a random choice that is always the
    same, as the public implementation makes it.
    """
    indices = np.arange(count, dtype=np.int64)
    if max_reals is None or count <= max_reals:
        return indices
    np.random.RandomState(0).shuffle(indices)
    return np.sort(indices[:max_reals])


class RealFeatures(NamedTuple):
    """Features of real images, and of which.

    Attributes:
        features: float32 [N,F] on the CPU of rank 0; None on the others.
        content: digest of what was read, mirrored copies aside; on rank 0.
        num_unreadable: images that could not be read, which were left out; on rank 0.
    """

    features: Tensor | None
    content: str
    num_unreadable: int


class Reals:
    """The real images of an evaluation, with their features.

    Images that come from files are read as they are now, past the memory that a training keeps; one that cannot be read
    is left out, and no other takes its place.

    Args:
        plain: the set without mirrored copies.
        with_flips: the set with them; None = there are none.
        cache: for the features.
    """

    def __init__(self, plain: ImageSet, with_flips: ImageSet | None = None, *, cache: FeatureCache):
        self.sets = {False: plain, True: plain if with_flips is None else with_flips}
        self.cache = cache
        self._kept: dict[tuple, RealFeatures] = {}

    @classmethod
    def of(cls, data: EvaluationData, *, cache_dir: str | os.PathLike | None = None) -> Self:
        """The images of a data module.

        Args:
            data: of a data module that is set up.
            cache_dir: as in `FeatureCache`; None = the user's cache folder.
        """
        # Empty, as in `cache_dir=`, would be the working folder.
        folder = expanded(cache_dir) if cache_dir else cache_folder("features")
        return cls(data.originals, data.dataset, cache=FeatureCache(folder))

    @property
    def plain(self) -> ImageSet:
        """The set without mirrored copies."""
        return self.sets[False]

    @property
    def left_out(self) -> int:
        """Files that the set lacks since they could not be read when it was opened."""
        return getattr(self.plain, "left_out", 0)

    def count(self, max_reals: int | None, *, with_flips: bool) -> int:
        """How many images there are to compare with, should all of them be readable."""
        total = len(self.sets[with_flips])
        return total if max_reals is None else min(total, max_reals)

    def features(
        self, detector: Detector, max_reals: int | None, *, with_flips: bool, watch: Watch
    ) -> RealFeatures:
        """Features of the images to compare with; the same ones, once they were read.

        Raises: EvaluationStoppedError; ScoreError, on all processes.
        """
        count = self.count(max_reals, with_flips=with_flips)
        place = (detector.name, detector.checksum, detector.resize, count, with_flips)
        if place not in self._kept:
            self._kept[place] = self._found_or_computed(detector, count, with_flips, watch)
        return self._kept[place]

    def _found_or_computed(
        self, detector: Detector, count: int, with_flips: bool, watch: Watch
    ) -> RealFeatures:
        images = self.sets[with_flips]
        key = {
            "detector": detector.name,
            "checksum": detector.checksum,
            "resize": detector.resize,
            "count": count,
            # Another version may make other pixels of the same bytes.
            "readers": getattr(self.plain, "readers", ()),
        }
        content = _Content(images)
        found: list[Tensor | None] = [None]

        def look() -> bool:
            found[0] = self.cache.load(key | {"content": content.look()})
            if found[0] is None:
                return False
            self._check_readable(count - len(found[0]), count)
            return True

        # All must agree whether there is something to compute.
        if not on_rank_zero(look):
            indices = chosen(len(images), count)
            rows = rows_of_all(
                count,
                lambda some: content.rows(detector, indices[some.start : some.stop]),
                watch,
                f"{detector.name} features of {count:,} real pictures",
            )

            def settle() -> None:
                found[0] = rows["features"]
                content.was_read(indices, rows)
                unread = indices[~rows["read"].numpy()]
                self._check_readable(len(unread), count, names=_names(images, unread))
                for line in _about_left_out(_names(images, unread)):
                    watch.say(line)
                if failure := self.cache.save(key | {"content": content.digest}, found[0]):
                    watch.say(failure)

            on_rank_zero(settle)
        if found[0] is None:  # rank 0 has them
            return RealFeatures(None, "", 0)
        return RealFeatures(found[0], self._shown(content), count - len(found[0]))

    def _shown(self, content: "_Content") -> str:
        """The digest for protocols, in which mirrored copies have an entry of their own."""
        if content.is_stored or content.images is self.plain:
            return content.digest.removesuffix("-flipped")
        return self.plain.content_digest()

    def _check_readable(self, unreadable: int, count: int, names: Sequence[str] = ()) -> None:
        """Raises: ScoreError where more images cannot be read than `data.max_bad` allows."""
        most = getattr(self.plain, "max_bad", None)
        if not unreadable or (most is not None and unreadable + self.left_out <= most and unreadable < count):
            return
        which = f" ({some(names)})" if names else ""
        raise ScoreError(
            f"{unreadable:,} of {count:,} real pictures cannot be read{which}; repair them or give others, or allow"
            f" more by data.max_bad={unreadable + self.left_out}"
        )


class _Content:
    """What is read of a set of images: digests of its items, where it is stored in files.

    Attributes:
        digest: of the whole, as it was last read.
    """

    def __init__(self, images: ImageSet):
        self.images = images
        self.is_stored = getattr(images, "is_stored", False)
        self.digest = ""
        self._items: list[bytes] = []

    def look(self) -> str:
        """Reads all bytes, and decodes none of them.  Returns: the digest."""
        if not self.is_stored:
            self.digest = self.images.content_digest()
            return self.digest
        with ThreadPoolExecutor(_READERS) as pool:
            self._items = list(pool.map(self.images.stored_digest, range(len(self.images))))
        self.digest = self.images.digest_of(self._items)
        return self.digest

    def rows(self, detector: Detector, indices: Sequence[int]) -> Rows:
        """Of some items: the features of those that can be read, which these are, and what each was read from."""
        # Decoding releases Python's lock, so that threads do it side by side.
        with ThreadPoolExecutor(_READERS) as pool:
            items = list(pool.map(self._read, map(int, indices)))
        images = [image for image, _ in items if image is not None]
        if images:
            features = detector.features(torch.stack(images)).to("cpu", torch.float32)
        else:
            features = torch.empty(0, detector.num_features)
        return {
            "features": features,
            "read": torch.tensor([image is not None for image, _ in items]),
            "items": torch.tensor([list(digest) for _, digest in items], dtype=torch.uint8),
        }

    def _read(self, index: int) -> tuple[Tensor | None, bytes]:
        return self.images.read_stored(index) if self.is_stored else (self.images[index][0], b"")

    def was_read(self, indices: np.ndarray, rows: Rows) -> None:
        """Takes in what images were read from, which may have changed since the look."""
        if self.is_stored:
            for index, digest in zip(indices.tolist(), rows["items"].numpy(), strict=True):
                self._items[index] = digest.tobytes()
            self.digest = self.images.digest_of(self._items)


def _names(images: ImageSet, indices: np.ndarray) -> list[str]:
    key = getattr(images, "key", str)
    return list(dict.fromkeys(key(int(index)) for index in indices))


def _about_left_out(names: Sequence[str]) -> list[str]:
    return [f"left out of the scores, cannot be read: {some(names)}"] if names else []
