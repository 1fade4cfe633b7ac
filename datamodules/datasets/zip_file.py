"""Pictures in a zip, read in place: nothing is unpacked to disk."""

import os
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from datamodules.datasets.decoding import PICTURE_SUFFIXES
from datamodules.datasets.names import is_hidden, is_picture_name

# A few kilobytes can claim to unpack to far more than any picture has.
_LARGEST_BYTES = 1 << 30


class ZipFiles:
    """The files of a zip: `names`, `others` and `stamps` (here bytes and CRC-32) as in `FolderFiles`.

    Every process opens the zip for itself at its first read: a handle shared over a fork shares its file
    position, and two readers then get each other's bytes.
    Raises: OSError, zipfile.BadZipFile where the zip cannot be opened.
    """

    def __init__(self, path: Path, suffixes: Sequence[str] = PICTURE_SUFFIXES):
        self.path = path
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        self._lock = threading.Lock()
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
        found = {name: entry for name, entry in entries.items() if not is_hidden(name)}
        self.names = sorted(name for name in found if is_picture_name(name, suffixes))
        self.stamps = {name: (found[name].file_size, found[name].CRC) for name in self.names}
        self.others = sorted(found.keys() - self.stamps.keys())

    def open(self, name: str) -> BinaryIO:
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = (os.getpid(), zipfile.ZipFile(self.path))
        archive = self._opened[1]
        entry = archive.getinfo(name)
        if entry.file_size > _LARGEST_BYTES:
            raise ValueError(f"it unpacks to {entry.file_size} bytes")
        return archive.open(entry)

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read()

    def checksum(self, name: str) -> int:
        """CRC-32 of the content, as the zip's directory has it."""
        return self.stamps[name][1]

    def where(self, name: str) -> str:
        return f"{name} in {self.path}"

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_opened": None, "_lock": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _lock=threading.Lock())
