"""Pictures in a zip, read in place: nothing is unpacked to disk."""

import os
import zipfile
from pathlib import Path

from datamodules.datasets.pictures import is_picture_name


class ZipFiles:
    """The picture entries of a zip. `names`: as in the zip, sorted.

    Every process opens the zip for itself at its first read: a handle shared over a fork shares its file
    position, and two readers then get each other's bytes.
    Raises: OSError, zipfile.BadZipFile where the zip cannot be opened.
    """

    def __init__(self, path: Path):
        self.path = path
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        with zipfile.ZipFile(path) as archive:
            self.names = sorted({name for name in archive.namelist() if is_picture_name(name)})

    def read(self, name: str) -> bytes:
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), zipfile.ZipFile(self.path))
        return self._opened[1].read(name)

    def where(self, name: str) -> str:
        return f"{name} in {self.path}"

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_opened": None}
