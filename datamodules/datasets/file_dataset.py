"""File dataset: encoded images, decoded on request."""

import hashlib
import zlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from datamodules.datasets.decoding import UNREADABLE, decode_image, reason_of
from datamodules.datasets.image_dataset import ImageDataset
from datamodules.datasets.labels import Labels, no_labels
from datamodules.datasets.pixel_memory import shared_zeros
from stylegan.errors import BadImageError
from stylegan.machine.console import say_error
from stylegan.sizes import Size

# Digest of an item that cannot be read; no CRC-32 is negative.
_UNREAD = (-1).to_bytes(8, "little", signed=True) + (0).to_bytes(8, "little")


class ImageFiles(Protocol):
    """Encoded images by name, from wherever they are stored."""

    stamps: dict[str, tuple[int, int]]

    def read(self, name: str) -> bytes: ...

    def checksum(self, name: str) -> int: ...

    def where(self, name: str) -> str: ...


class FileDataset(ImageDataset):
    """Images by name. One that turns out to be unreadable is named once, and the next readable one, with its
    label, is shown in its place: always the same one, so that the order of the rest stays what it was.

    Args:
        names: the files, None = all.
        labels: of these, in their order.
        max_bad: how many files may be unreadable before it is an error.
        left_out: how many of these were met before.
        checksums: CRC-32 of the files, None = ask for them.
    Raises, from an item: BadImageError naming the file where there are more.
    """

    is_stored = True

    def __init__(
        self,
        files: ImageFiles,
        *,
        size: Size,
        channels: int,
        names: Sequence[str] | None = None,
        labels: Labels | None = None,
        max_bad: int = 0,
        left_out: int = 0,
        checksums: np.ndarray | None = None,
    ):
        self.files = files
        self.names = list(files.stamps if names is None else names)
        self.size = size
        self.channels = channels
        self.table = no_labels(len(self.names)) if labels is None else labels
        self.label_width, self.label_kind = self.table.width, self.table.kind
        self.label_names = self.table.names
        self.max_bad, self.left_out = max_bad, left_out
        self.checksums = checksums
        # In shared memory: whichever worker finds a file bad, all count it, and the others stay quiet.
        self._bad = shared_zeros(len(self.names), torch.bool)

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> torch.Tensor:
        return self.read(index)[0]

    def labels(self, indices: torch.Tensor) -> torch.Tensor:
        return self.table.rows(indices)

    def label_counts(self) -> np.ndarray:
        return self.table.counts()

    def key(self, index: int) -> str:
        return self.names[index]

    def choose(self, indices: np.ndarray) -> "FileDataset":
        return FileDataset(
            self.files,
            size=self.size,
            channels=self.channels,
            names=[self.names[i] for i in indices],
            labels=self.table.choose(indices),
            max_bad=self.max_bad,
            left_out=self.left_out,
            checksums=self.checksums[indices] if self.checksums is not None else None,
        )

    def fingerprint(self) -> str:
        """Of the contents (CRC-32 and length of each file) and labels, in order; not of the names."""
        checksums = self.checksums
        if checksums is None:
            checksums = np.array([self.files.checksum(name) for name in self.names], dtype=np.int64)
        lengths = np.array([self.files.stamps[name][0] for name in self.names], dtype="<i8")
        digest = hashlib.blake2b(checksums.astype("<u4").tobytes(), digest_size=16)
        digest.update(lengths.tobytes())
        digest.update(self.table.digest_bytes())
        return digest.hexdigest()

    def is_shown(self, index: int) -> bool:
        """Whether an item is shown itself, as far as is known: none that could not be read is."""
        return not self._bad[index]

    def content_digest(self) -> str:
        """Of the contents as they are now, not as a scan or a zip's directory has them, and of how they are shown."""
        return self.digest_of([self.stored_digest(index) for index in range(len(self))])

    def digest_of(self, items: Sequence[bytes]) -> str:
        digest = hashlib.blake2b(f"{self.size} {self.channels}".encode(), digest_size=16)
        digest.update(b"".join(items))
        return digest.hexdigest()

    def stored_digest(self, index: int) -> bytes:
        """CRC-32 and length of the bytes as they are read."""
        return self._bytes_of(index)[1]

    def read_stored(self, index: int) -> tuple[torch.Tensor | None, bytes]:
        data, digest = self._bytes_of(index)
        try:
            pixels = None if data is None else decode_image(data, size=self.size, channels=self.channels)
        except UNREADABLE:
            pixels = None
        return None if pixels is None else torch.from_numpy(pixels), digest

    def _bytes_of(self, index: int) -> tuple[bytes | None, bytes]:
        """The bytes of an item, None where it cannot be read, and their digest."""
        try:
            data = self.files.read(self.names[index])
        except UNREADABLE:
            return None, _UNREAD
        return data, zlib.crc32(data).to_bytes(8, "little") + len(data).to_bytes(8, "little")

    def read(self, index: int) -> tuple[torch.Tensor, int]:
        """The image of an item, or of the next that can be read, and which one it is."""
        for step in range(len(self)):
            shown = (index + step) % len(self)
            if self._bad[shown]:
                continue
            name = self.names[shown]
            try:
                pixels = decode_image(self.files.read(name), size=self.size, channels=self.channels)
                return torch.from_numpy(pixels), shown
            except UNREADABLE as error:
                self._mark_bad(shown, error)
        raise BadImageError(f"none of the {len(self)} pictures can be read; repair them, or give others")

    def _mark_bad(self, index: int, error: Exception) -> None:
        self._bad[index] = True
        count = self.left_out + int(self._bad.sum())
        problem = f"cannot read the picture {self.files.where(self.names[index])} ({reason_of(error)})"
        if count > self.max_bad:
            more = f"; with it {count} were met" if count > 1 else ""
            raise BadImageError(
                f"{problem}{more}; remove it, or save it again, as PNG or JPEG, or allow more of them by "
                f"data.max_bad={max(2 * self.max_bad, count)}"
            ) from error
        say_error(f"data        {problem}; another is shown in its place")
