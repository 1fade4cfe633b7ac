"""File dataset: encoded images, decoded on request."""

import errno
import hashlib
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch.utils.data import get_worker_info

from datamodules.datasets.decoding import UNREADABLE, decode_image, is_away, readers, reason_of
from datamodules.datasets.image_dataset import ImageDataset
from datamodules.datasets.labels import Labels, no_labels
from datamodules.datasets.pixel_memory import shared_zeros
from stylegan.errors import BadImageError, ImagesAwayError
from stylegan.machine.console import say_error
from stylegan.machine.text import counted
from stylegan.sizes import Size

T = TypeVar("T")
# Between two tries to read a file that is away: each twice as long as the one before, up to the second of these.
_PAUSES_SEC = (0.2, 5.0)
_OTHER = "it is not what it was at the start"
# Digest of an item that cannot be read; no CRC-32 is negative.
_UNREAD = (-1).to_bytes(8, "little", signed=True) + (0).to_bytes(8, "little")


class ImageFiles(Protocol):
    """Encoded images by name, from wherever they are stored."""

    stamps: dict[str, tuple[int, int]]

    def read(self, name: str) -> bytes: ...

    def checksum(self, name: str) -> int: ...

    def where(self, name: str) -> str: ...

    def has_changed(self) -> bool: ...

    def let_go(self) -> None: ...


class FileDataset(ImageDataset):
    """Images by name. One that turns out to be unreadable is named once, and the next readable one, with its
    label, is shown in its place: always the same one, so that the order of the rest stays what it was. None is shown
    in place of one that is only away, as with a network folder: what is learned would depend on it. The same holds
    for one that is not what it was at the start, which may be half of a copy.

    Args:
        names: the files, None = all.
        labels: of these, in their order.
        max_bad: how many files may be unreadable before it is an error.
        left_out: how many of these were met before.
        checksums: CRC-32 of the files at the start, None = not known.
        patience_sec: how long a file that is away is tried again.
        forget: called where a file has stayed another one, so that the next start asks for the checksums again.
    Raises, from an item: BadImageError naming the file where there are more; ImagesAwayError after that time.
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
        patience_sec: float = 0.0,
        forget: Callable[[], None] | None = None,
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
        self.patience_sec = patience_sec
        self._forget = forget
        # Shared as well: until when some process waits, and until when that needs no other line.
        self._waits = shared_zeros(2, torch.float64)
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
            patience_sec=self.patience_sec,
            forget=self._forget,
        )

    def fingerprint(self) -> str:
        """Of the contents (CRC-32 and length of each file) and labels, in order; not of the names."""
        checksums = self.checksums
        if checksums is None:
            found = [self._patiently(name, self.files.checksum) for name in self.names]
            checksums = np.array(found, dtype=np.int64)
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
        """`content_digest` where the items were read with these digests."""
        digest = hashlib.blake2b(f"{self.size} {self.channels}".encode(), digest_size=16)
        digest.update(b"".join(items))
        return digest.hexdigest()

    def stored_digest(self, index: int) -> bytes:
        """CRC-32 and length of the bytes as they are read."""
        return self._bytes_of(index)[1]

    def read_stored(self, index: int) -> tuple[torch.Tensor | None, bytes]:
        """An item as its file is now, past any memory: the image, None where it cannot be read (no other takes its
        place), and `stored_digest`.
        """
        data, digest = self._bytes_of(index)
        try:
            pixels = None if data is None else decode_image(data, size=self.size, channels=self.channels)
        except UNREADABLE:
            pixels = None
        return None if pixels is None else torch.from_numpy(pixels), digest

    def _bytes_of(self, index: int) -> tuple[bytes | None, bytes]:
        """The bytes of an item, None where it cannot be read, and their digest."""
        try:
            data = self._patiently(self.names[index], self.files.read)
        except ImagesAwayError:
            raise
        except UNREADABLE:
            return None, _UNREAD
        return data, zlib.crc32(data).to_bytes(8, "little") + len(data).to_bytes(8, "little")

    def read(self, index: int) -> tuple[torch.Tensor, int]:
        """The image of an item, or of the next that can be read, and which one it is."""
        for step in range(len(self)):
            shown = (index + step) % len(self)
            if self._bad[shown]:
                continue
            try:
                return torch.from_numpy(self._patiently(self.names[shown], self._decode, shown)), shown
            except ImagesAwayError:
                raise
            except UNREADABLE as error:
                self._mark_bad(shown, error)
        raise BadImageError(
            f"none of the {counted(len(self), 'picture')} can be read; repair them, or give others"
        )

    @property
    def readers(self) -> tuple[str, ...]:
        """What decides which pixels the files have: programs with their versions."""
        return tuple(readers())

    @property
    def waited_until(self) -> float:
        return float(self._waits[0])

    def _decode(self, name: str, index: int) -> np.ndarray:
        return decode_image(self._as_it_was(name, index), size=self.size, channels=self.channels)

    def _as_it_was(self, name: str, index: int) -> bytes:
        """The content of a file.  Raises: OSError(ESTALE) where it is not that of the start; one of `UNREADABLE`."""
        try:
            data = self.files.read(name)
        except UNREADABLE as error:
            if is_away(error) or not self.files.has_changed():
                raise
            raise OSError(errno.ESTALE, _OTHER) from error
        if self.checksums is not None and zlib.crc32(data) != self.checksums[index]:
            raise OSError(errno.ESTALE, _OTHER)
        return data

    def _patiently(self, name: str, work: Callable[..., T], *more: int) -> T:
        """What `work` makes of a file, tried again while the system does not give it.

        Raises: ImagesAwayError after `patience_sec`; what else `work` raises.
        """
        began = time.monotonic()
        # Workers that meet the same trouble try again at different moments, so that one line says it.
        worker = get_worker_info()
        pause_sec = _PAUSES_SEC[0] * (1 + (worker.id if worker else 0))
        tries = 0
        while True:
            try:
                result = work(name, *more)
            except UNREADABLE as error:
                if not is_away(error):
                    raise
                waited_sec = time.monotonic() - began
                if waited_sec >= self.patience_sec:
                    if self._forget is not None and isinstance(error, OSError) and error.strerror == _OTHER:
                        self._forget()
                    raise ImagesAwayError(self._gave_up(name, error)) from error
                tries += 1
                pause_sec = min(pause_sec, _PAUSES_SEC[1], self.patience_sec - waited_sec)
                if tries > 1:
                    self._say_once(name, error)
                self._waits[0] = max(float(self._waits[0]), time.monotonic() + pause_sec)
                time.sleep(pause_sec)
                pause_sec *= 2
                # A handle outlives the network folder that it reads from.
                self.files.let_go()
            else:
                if tries > 1 and self._waits[1]:
                    self._waits[1] = 0
                    say_error(f"data        the picture {self.files.where(name)} can be read again")
                return result

    def _say_once(self, name: str, error: Exception) -> None:
        now = time.monotonic()
        is_said = now < self._waits[1]
        # Longer than any pause: the line holds for as long as some process waits.
        self._waits[1] = now + 4 * _PAUSES_SEC[1]
        if not is_said:
            say_error(
                f"data        cannot read the picture {self.files.where(name)} now ({reason_of(error)}); "
                f"trying again for up to {self.patience_sec:g} s (data.patience_sec)"
            )

    def _gave_up(self, name: str, error: Exception) -> str:
        tried = f", tried for {self.patience_sec:g} s (data.patience_sec)" if self.patience_sec else ""
        return (
            f"cannot read the picture {self.files.where(name)} ({reason_of(error)}{tried}); no other picture "
            "takes its place, which would change the result; once it is there as it was, the same command continues"
        )

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
