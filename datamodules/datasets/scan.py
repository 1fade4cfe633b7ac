"""Scan: one look at every file of a set before it is trained on (what can be read, how large, its checksum), and the
findings about its content kept for the next run."""

import contextlib
import errno
import hashlib
import os
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pytorch_lightning.utilities import rank_zero_only

from datamodules.datasets.decoding import UNREADABLE, is_away, measure_image, readers, reason_of
from datamodules.datasets.files import FolderFiles, ZipFiles
from stylegan.machine.console import say
from stylegan.machine.process import usable_cores
from stylegan.machine.text import printable
from stylegan.sizes import Size

# Sets of up to this many images are decoded once before the start, so that it can name every damaged file.
# Of larger ones, where that takes many minutes, the headers are read; the rest shows when it is trained on.
MOST_DECODED = 5000
_QUIET_SECONDS, _EVERY_SECONDS = 2.0, 10.0
_CHUNK = 64
# Counted up when something is found in another way, so that older findings are not believed.
_FORMAT = 3
Stamps = Mapping[str, tuple[int, int]]
Row = tuple[int, int, int, str]  # height, width, checksum, fault

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file. size: height and width, (0, 0) where it cannot be read; fault: why, or ""; is_away:
    whether that is not its content's, so that it may be another time otherwise."""

    size: Size
    checksum: int
    fault: str = ""
    is_away: bool = False


class ScanCache:
    """Findings about the files of one place; a file counts as known while its stamp is the same.

    What cannot be read or written is done without: the cache saves time, nothing else.

    Args:
        folder: where findings are kept, None = nowhere.
        place: what distinguishes them from those of other places.
    """

    def __init__(self, folder: Path | None, place: Iterable[object]):
        # What cannot be read is a finding about the readers, too: another one may.
        words = repr([_FORMAT, *readers(), *map(str, place)])
        digest = hashlib.blake2b(words.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
        self.path = folder / f"{digest}.npz" if folder is not None else None

    def load(self, stamps: Stamps) -> dict[str, Row]:
        """What is known of the files that still have the stamps they were seen with."""
        if self.path is None:
            return {}
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                names, faults = (_unpacked(stored[key]) for key in ("names", "faults"))
                numbers = stored["numbers"].tolist()
            rows = zip(names, numbers, faults, strict=True)
            return {
                name: (height, width, checksum, fault)
                for name, (*stamp, height, width, checksum), fault in rows
                if stamps.get(name) == tuple(stamp)
            }
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile):
            return {}

    def save(self, stamps: Stamps, rows: Mapping[str, Row]) -> None:
        """Keeps the findings, in place of those before."""
        if self.path is None:
            return
        numbers = np.array([(*stamps[name], *rows[name][:3]) for name in rows], dtype=np.int64)
        temporary = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path.parent, suffix=".part", delete=False) as file:
                temporary = file.name
                faults = [row[3] for row in rows.values()]
                np.savez(file, names=_packed(rows), faults=_packed(faults), numbers=numbers)
            os.replace(temporary, self.path)
        except OSError:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)

    def forget(self) -> None:
        """Lets the next look read all files: some have changed, and their stamps did not show it."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)


def scan(
    files: FolderFiles | ZipFiles, names: Sequence[str], *, channels: int, whole: bool, cache: ScanCache
) -> dict[str, Facts]:
    """Facts of the files `names`; those that are as the cache knows them are not read again.

    Args:
        whole: decode each, which finds nearly every damage; else read the headers.
    """
    known = {
        name: Facts((height, width), checksum, fault)
        for name, (height, width, checksum, fault) in cache.load(files.stamps).items()
    }
    new = [name for name in names if name not in known]
    if new:
        found = _in_threads(files, new, channels=channels, whole=whole)
        known.update(_with_progress(found, len(new)))
        of_content = {name: facts for name, facts in known.items() if not facts.is_away}
        cache.save(
            files.stamps,
            {name: (*facts.size, facts.checksum, facts.fault) for name, facts in of_content.items()},
        )
    return {name: known[name] for name in names}


def _look(files: FolderFiles | ZipFiles, name: str, *, channels: int, whole: bool) -> Facts:
    checksum = 0
    try:
        checksum = files.checksum(name)
        if files.stamps[name][0] == 0:
            return Facts((0, 0), checksum, "it is empty")
        with files.open(name) as stream:
            return Facts(measure_image(stream, channels=channels, whole=whole), checksum)
    except UNREADABLE as error:
        return Facts((0, 0), checksum, _fault_of_link(files, name, error) or reason_of(error), is_away(error))


def _fault_of_link(files: FolderFiles | ZipFiles, name: str, error: Exception) -> str | None:
    """What is wrong with a link that leads to no file; None where it is none, or does."""
    if (
        not isinstance(files, FolderFiles)
        or not isinstance(error, OSError)
        or not files.path_of(name).is_symlink()
    ):
        return None
    if error.errno == errno.ELOOP:
        return "its link leads back to itself"
    target = printable(os.readlink(files.path_of(name)))
    return f"its link leads nowhere: {target}" if error.errno == errno.ENOENT else None


def _in_threads(
    files: FolderFiles | ZipFiles, names: Sequence[str], *, channels: int, whole: bool
) -> Iterator[tuple[str, Facts]]:
    """Reading and decoding let go of Python's lock, so that threads do them side by side."""

    def look_at(chunk: Sequence[str]) -> list[tuple[str, Facts]]:
        return [(name, _look(files, name, channels=channels, whole=whole)) for name in chunk]

    with ThreadPoolExecutor(min(16, usable_cores())) as pool:
        chunks = [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]
        for looked_at in pool.map(look_at, chunks):
            yield from looked_at


def _with_progress(items: Iterable[Item], total: int) -> Iterator[Item]:
    """The items, and a line now and then once they take long."""
    began = time.monotonic()
    due = began + _QUIET_SECONDS
    said = False
    for number, item in enumerate(items):
        if time.monotonic() >= due:
            _say(f"data        looking at the pictures: {number} of {total}")
            due, said = time.monotonic() + _EVERY_SECONDS, True
        yield item
    if said:
        _say(f"data        looked at {total} pictures in {time.monotonic() - began:.0f} s")


@rank_zero_only
def _say(line: str) -> None:
    say(line)


def _packed(words: Iterable[str]) -> np.ndarray:
    """Texts without NUL as one array of bytes: far quicker to read than many small ones."""
    return np.array(bytearray("\0".join(words).encode("utf-8", "surrogateescape")), dtype=np.uint8)


def _unpacked(data: np.ndarray) -> list[str]:
    return data.tobytes().decode("utf-8", "surrogateescape").split("\0")
