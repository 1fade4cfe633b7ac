"""Reals: the real images of an evaluation, which of them a score compares with, and their features, which are kept."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stylegan.distributed.collectives import on_rank_zero
from stylegan.evaluation.shared_work import Watch, rows_of_all
from stylegan.features import Detector
from stylegan.machine.files import cache_folder, replacing

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


class Reals:
    """The real images of an evaluation, with their features.

    Args:
        plain: the set without mirrored copies.
        with_flips: the set with them; None = there are none.
        cache: for the features.
    """

    def __init__(self, plain: ImageSet, with_flips: ImageSet | None = None, *, cache: "FeatureCache"):
        self.sets = {False: plain, True: plain if with_flips is None else with_flips}
        self.cache = cache
        self._kept: dict[tuple, Tensor | None] = {}
        self._digests: dict[bool, str] = {}

    @classmethod
    def of(cls, data: EvaluationData, *, cache_dir: str | os.PathLike | None = None) -> Self:
        """The images of a data module.

        Args:
            data: of a data module that is set up.
            cache_dir: as in `FeatureCache`; None = the user's cache folder.
        """
        # Empty, as in `cache_dir=`, would be the working folder.
        folder = Path(cache_dir).expanduser() if cache_dir else cache_folder("features")
        return cls(data.originals, data.dataset, cache=FeatureCache(folder))

    @property
    def plain(self) -> ImageSet:
        """The set without mirrored copies."""
        return self.sets[False]

    def count(self, max_reals: int | None, *, with_flips: bool) -> int:
        """How many images there are to compare with."""
        total = len(self.sets[with_flips])
        return total if max_reals is None else min(total, max_reals)

    def features(
        self, detector: Detector, max_reals: int | None, *, with_flips: bool, watch: Watch
    ) -> Tensor | None:
        """float32 [N,F] on the CPU of rank 0; None on the others.

        Raises: EvaluationStoppedError.
        """
        count = self.count(max_reals, with_flips=with_flips)
        place = (detector.name, detector.checksum, detector.resize, count, with_flips)
        if place not in self._kept:
            self._kept[place] = self._found_or_computed(detector, count, with_flips, watch)
        return self._kept[place]

    def _found_or_computed(
        self, detector: Detector, count: int, with_flips: bool, watch: Watch
    ) -> Tensor | None:
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
        images = self.sets[with_flips]
        indices = chosen(len(images), count)
        rows = rows_of_all(
            count,
            lambda some: {"features": _features(detector, _read(images, indices[some.start : some.stop]))},
            watch,
            f"{detector.name} features of {count:,} real pictures",
        )
        if rows is None:
            return None
        failure = self.cache.save(key, rows["features"])
        if failure:
            watch.say(failure)
        return rows["features"]

    def digest(self, *, with_flips: bool) -> str:
        """Of what the images show; computed once."""
        if with_flips not in self._digests:
            self._digests[with_flips] = self.sets[with_flips].content_digest()
        return self._digests[with_flips]


def _read(images: ImageSet, indices: Sequence[int]) -> Tensor:
    """uint8 [n,C,H,W] of some items. Decoding releases Python's lock, so that threads do it side by side."""
    with ThreadPoolExecutor(_READERS) as pool:
        return torch.stack([item[0] for item in pool.map(lambda i: images[int(i)], indices)])


def _features(detector: Detector, images: Tensor) -> Tensor:
    return detector.features(images).to("cpu", torch.float32)


# Counted up when features or their order come about in another way.
_FORMAT = "1"
_DIGEST = "digest"


class FeatureCache:
    """Feature cache: matrices float32 [N,F] by what they were computed from, kept between runs.

    It saves time and nothing else: what cannot be read, is damaged, or cannot be written, is computed again. Any number
    of processes may share the folder.

    Args:
        folder: made where it is missing; None = nothing is kept.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder

    def load(self, key: Mapping[str, object]) -> Tensor | None:
        """The features of `key`; None where there are none, or not as they were written."""
        path = self._path(key)
        if path is None or not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as archive:
                stored = (archive.metadata() or {}).get(_DIGEST)
                features = archive.get_tensor("features")
        except (OSError, SafetensorError, RuntimeError, ValueError):
            return None
        return features if stored == _digest(features) else None

    def save(self, key: Mapping[str, object], features: Tensor) -> str | None:
        """Keeps features.

        Returns: why that was not possible, None where it was.
        """
        path = self._path(key)
        if path is None:
            return None
        features = features.contiguous()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(save({"features": features}, metadata={_DIGEST: _digest(features)}))
        except OSError as error:
            return f"features of the real pictures are not kept: {error}"
        return None

    def _path(self, key: Mapping[str, object]) -> Path | None:
        if self.folder is None:
            return None
        words = repr([_FORMAT, sorted((name, str(value)) for name, value in key.items())])
        digest = hashlib.blake2b(words.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        return self.folder / f"{digest}.safetensors"


def _digest(features: Tensor) -> str:
    digest = hashlib.blake2b(str(tuple(features.shape)).encode(), digest_size=16)
    digest.update(features.contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()
