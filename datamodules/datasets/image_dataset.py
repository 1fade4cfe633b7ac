"""Image dataset: what every set of images offers, which of its items are used or held out, and left-right flips."""

import fnmatch
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.datasets.names import one_form
from datamodules.datasets.pixel_memory import PixelMemory
from stylegan.machine.text import some

_LABELS_AT_ONCE = 1 << 22  # numbers


class ImageDataset(Dataset, ABC):
    """A set of images of one size. Item: (uint8 [C,H,W] in 0..255, float32 [K]); K = 0 means no labels.

    A subclass gives `__len__` and `image`, and with labels also `label_width`, `label_kind`, `label_names` and
    `labels`. Items are read in worker processes: keep no open file that a fork would share.

    label_kind: "none", "classes" (exactly one class an item), "multi" (any number of classes) or "vector"
      (real numbers); label_names: of the K classes, [] where they have none; memory: where images are kept once
      an item was requested, None = each is read again; is_stored: whether images come from files, which may change
      while they are used: then it has `read_stored`, `stored_digest` and `digest_of`, as `FileDataset`; left_out: how
      many items the set lacks since they could not be read.
    """

    label_width = 0
    label_kind = "none"
    label_names: Sequence[str] = ()
    memory: PixelMemory | None = None
    is_stored = False
    left_out = 0

    @abstractmethod
    def __len__(self) -> int:
        """How many items."""

    @abstractmethod
    def image(self, index: int) -> Tensor:
        """uint8 [C,H,W] of one item, the same each time."""

    def read(self, index: int) -> tuple[Tensor, int]:
        """The image of an item, and the item whose image and label it is: another where its own cannot be read."""
        return self.image(index), index

    def labels(self, indices: Tensor) -> Tensor:
        """Labels of some items, without reading their images: int64 [n] -> float32 [n,K]."""
        return torch.zeros(len(indices), 0)

    def label_counts(self) -> np.ndarray:
        """How many items have each class, or a number other than 0 in each column: int64 [K]."""
        counts = torch.zeros(self.label_width, dtype=torch.int64)
        at_once = max(1, _LABELS_AT_ONCE // max(1, self.label_width))
        for part in torch.arange(len(self)).split(at_once):
            counts += (self.labels(part) != 0).sum(0)
        return counts.numpy()

    def key(self, index: int) -> str:
        """The name of an item: this decides, and not its place, whether it is held out or trained on."""
        return str(index)

    def choose(self, indices: np.ndarray) -> "ImageDataset":
        """The set of the items `indices`, int64 [n], and of no others."""
        return Chosen(self, indices)

    def fingerprint(self) -> str:
        """A digest, as hex digits, that changes with the items and their order.

        This one looks at all labels, and at 64 images spread over the set.
        """
        digest = hashlib.blake2b(f"{type(self).__qualname__} {len(self)}".encode(), digest_size=16)
        digest.update(self.labels(torch.arange(len(self))).numpy().tobytes())
        for index in np.unique(np.linspace(0, len(self) - 1, 64).astype(int)):
            digest.update(self.image(int(index)).numpy().tobytes())
        return digest.hexdigest()

    def content_digest(self) -> str:
        """A digest, as hex digits, of everything that is shown: any other pixel of any image makes another one.

        This one looks at all images; a set that knows more about where they come from has a quicker way.
        """
        digest = hashlib.blake2b(f"{len(self)}".encode(), digest_size=16)
        for index in range(len(self)):
            digest.update(self.image(index).numpy().tobytes())
        return digest.hexdigest()

    @property
    def waited_until(self) -> float:
        """Until when, by the monotonic clock, a process waits for files that are away; the past where none does."""
        return 0.0

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        self._check(index)
        image, shown = self.memory.read(index, self.read) if self.memory else self.read(index)
        return image, self.labels(torch.tensor([shown]))[0]

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of a set of {len(self)}")


class _View(ImageDataset):
    """Another view of a set, with the same labels."""

    def __init__(self, dataset: ImageDataset):
        self.dataset = dataset
        self.label_width = dataset.label_width
        self.label_kind = dataset.label_kind
        self.label_names = dataset.label_names

    @property
    def waited_until(self) -> float:
        return self.dataset.waited_until


class Chosen(_View):
    """Some items of a set: item i is its item indices[i]."""

    def __init__(self, dataset: ImageDataset, indices: np.ndarray):
        super().__init__(dataset)
        self.indices = np.asarray(indices, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def image(self, index: int) -> Tensor:
        return self.dataset.image(int(self.indices[index]))

    def labels(self, indices: Tensor) -> Tensor:
        return self.dataset.labels(torch.from_numpy(self.indices)[indices])

    def key(self, index: int) -> str:
        return self.dataset.key(int(self.indices[index]))

    def fingerprint(self) -> str:
        return self._digest(self.dataset.fingerprint())

    def content_digest(self) -> str:
        return self._digest(self.dataset.content_digest())

    def _digest(self, of_all: str) -> str:
        digest = hashlib.blake2b(of_all.encode(), digest_size=16)
        digest.update(self.indices.tobytes())
        return digest.hexdigest()


class XFlipped(_View):
    """A set of n items, doubled: item i >= n is item i - n flipped left-right, with the same label.

    As in StyleGAN2-ADA, flips are members of the set rather than draws.
    """

    def __len__(self) -> int:
        return 2 * len(self.dataset)

    def image(self, index: int) -> Tensor:
        return self[index][0]

    def labels(self, indices: Tensor) -> Tensor:
        return self.dataset.labels(indices % len(self.dataset))

    def key(self, index: int) -> str:
        return self.dataset.key(index % len(self.dataset))

    def content_digest(self) -> str:
        return f"{self.dataset.content_digest()}-flipped"

    @property
    def is_stored(self) -> bool:
        return self.dataset.is_stored

    def read_stored(self, index: int) -> tuple[Tensor | None, bytes]:
        image, digest = self.dataset.read_stored(index % len(self.dataset))
        return (image if image is None or index < len(self.dataset) else image.flip(-1)), digest

    def stored_digest(self, index: int) -> bytes:
        return self.dataset.stored_digest(index % len(self.dataset))

    def digest_of(self, items: Sequence[bytes]) -> str:
        """Of the items of both halves; each was read twice, perhaps with a change in between."""
        first, second = items[: len(self.dataset)], items[len(self.dataset) :]
        once = self.dataset.digest_of(first)
        return f"{once}-flipped" if first == second else f"{once}-{self.dataset.digest_of(second)}-flipped"

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        self._check(index)
        # Image and label together: where a file cannot be read both are another item's.
        image, label = self.dataset[index % len(self.dataset)]
        return (image if index < len(self.dataset) else image.flip(-1)), label


def place_in_lot(seed: int, purpose: str, key: str) -> int:
    """A number from 0 to 2^64 - 1 for an item, as good as random: of the seed and the item's name."""
    digest = hashlib.blake2b(f"{seed} {purpose} {key}".encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def split(
    count: int, key: Callable[[int], str], *, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places of the items to train on and of those held out, both ascending.

    An item is held out by its own key, so more items never move one from one side to the other.
    """
    limit = round(fraction * 2**64)
    held_out = np.array([place_in_lot(seed, "held out", key(i)) < limit for i in range(count)], dtype=bool)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def filter_names(
    names: Sequence[str],
    classes_of: Callable[[str], Sequence[str]],
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    top: str = "",
) -> tuple[list[str], list[str]]:
    """The names that some pattern of `include` fits (all, where there are none), and none of `exclude`.

    A pattern is the name of a class, or a glob for the whole relative name, in which * takes slashes, too.

    Args:
        top: the folder with all names, as `animals/`; a pattern may leave it out.
    Returns: the names, and the patterns of `exclude` that fit none.
    Raises: ValueError for a pattern of `include` that fits no image, or where no image is left.
    """

    def fitting(pattern: str) -> set[str]:
        form = one_form(pattern).rstrip("/")
        if form == top.rstrip("/"):
            return set(names)
        return {
            name
            for name in names
            if form in classes_of(name)
            or fnmatch.fnmatchcase(name, form)
            or top
            and fnmatch.fnmatchcase(name.removeprefix(top), form)
        }

    kept = set(names)
    if include:
        chosen = {pattern: fitting(pattern) for pattern in include}
        for pattern, fits in chosen.items():
            if not fits:
                classes = sorted({name for n in names for name in classes_of(n) if name})
                there = f"the classes are {some(classes, 8)}" if classes else f"there is {some(names, 8)}"
                raise ValueError(f"data.include: nothing is called {pattern}; {there}")
        kept = set().union(*chosen.values())
    idle = []
    for pattern in exclude:
        fits = fitting(pattern)
        kept -= fits
        if not fits:
            idle.append(pattern)
    if not kept:
        raise ValueError(
            f"data.exclude=[{','.join(exclude)}] leaves no picture of {len(names)}; exclude less"
        )
    return [name for name in names if name in kept], idle
