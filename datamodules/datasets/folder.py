"""Pictures in a folder and the folders below it."""

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from datamodules.datasets.decoding import PICTURE_SUFFIXES
from datamodules.datasets.names import is_hidden, is_picture_name

_CHUNK_BYTES = 1 << 20


class FolderFiles:
    """The files below a folder.

    names: pictures, relative to the folder with "/" between the parts, sorted; others: files that are no
      pictures, hidden ones left out; stamps: (bytes, time of the last change in ns) of the pictures.
    Raises: OSError where a folder that is not hidden cannot be listed.
    """

    def __init__(self, root: Path, suffixes: Sequence[str] = PICTURE_SUFFIXES):
        self.root = root
        found = dict(_files_below(root, "", ()))
        self.names = sorted(name for name in found if is_picture_name(name, suffixes))
        self.stamps = {name: found[name] for name in self.names}
        self.others = sorted(found.keys() - self.stamps.keys())

    def open(self, name: str) -> BinaryIO:
        return (self.root / name).open("rb")

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def checksum(self, name: str) -> int:
        """CRC-32 of the content."""
        checksum = 0
        with self.open(name) as file:
            while chunk := file.read(_CHUNK_BYTES):
                checksum = zlib.crc32(chunk, checksum)
        return checksum

    def where(self, name: str) -> str:
        return str(self.root / name)


def _files_below(
    folder: Path, prefix: str, ancestors: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Names and stamps of the files below a folder.

    Links are followed, but never back into a folder we came through. What is hidden is not looked at: it may be large,
    or not ours to read.
    """
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in ancestors:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                yield from _files_below(Path(entry.path), f"{prefix}{entry.name}/", (*ancestors, here))
            elif entry.is_file():
                status = entry.stat()
                yield prefix + entry.name, (status.st_size, status.st_mtime_ns)
