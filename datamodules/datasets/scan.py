"""One look at every file of a set before it is trained on: what can be read, how large, and its checksum."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from pytorch_lightning.utilities import rank_zero_only

from datamodules.datasets.decoding import UNREADABLE, Size, measure_picture, reason_of
from datamodules.datasets.folder import FolderFiles
from datamodules.datasets.scan_cache import ScanCache
from datamodules.datasets.zip_file import ZipFiles
from stylegan.machine.console import say
from stylegan.machine.process import usable_cores

# Sets of up to so many pictures are decoded once before the start, so that it can name every damaged file.
# Of larger ones, where that takes many minutes, the headers are read; the rest shows when it is trained on.
MOST_DECODED = 5000

_QUIET_SECONDS, _EVERY_SECONDS = 2.0, 10.0
_CHUNK = 64

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file. size: height and width, (0, 0) where it cannot be read; fault: why, or ""."""

    size: Size
    checksum: int
    fault: str = ""


def scan(
    files: FolderFiles | ZipFiles, names: Sequence[str], *, channels: int, whole: bool, cache: ScanCache
) -> dict[str, Facts]:
    """Facts of the files `names`; those that are as the cache knows them are not read again.

    Args: whole: decode each, which finds nearly every damage; else read the headers.
    """
    known = {
        name: Facts((height, width), checksum, fault)
        for name, (height, width, checksum, fault) in cache.load(files.stamps).items()
    }
    new = [name for name in names if name not in known]
    if new:
        found = _in_threads(files, new, channels=channels, whole=whole)
        known.update(_with_progress(found, len(new)))
        cache.save(
            files.stamps, {name: (*facts.size, facts.checksum, facts.fault) for name, facts in known.items()}
        )
    return {name: known[name] for name in names}


def _look(files: FolderFiles | ZipFiles, name: str, *, channels: int, whole: bool) -> Facts:
    checksum = 0
    try:
        checksum = files.checksum(name)
        if files.stamps[name][0] == 0:
            return Facts((0, 0), checksum, "it is empty")
        with files.open(name) as stream:
            return Facts(measure_picture(stream, channels=channels, whole=whole), checksum)
    except UNREADABLE as error:
        return Facts((0, 0), checksum, reason_of(error))


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
