"""Pictures in a folder and the folders below it."""

import os
from collections.abc import Iterator
from pathlib import Path

from datamodules.datasets.pictures import is_picture_name


class FolderFiles:
    """The picture files below a folder. `names`: relative, with "/" between the parts, sorted.

    Raises: OSError where a folder cannot be listed.
    """

    def __init__(self, root: Path):
        self.root = root
        self.names = sorted(name for name in _files_below(root, "", ()) if is_picture_name(name))

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def where(self, name: str) -> str:
        return str(self.root / name)


def _files_below(folder: Path, prefix: str, ancestors: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Names of the files below a folder. Links are followed, but never back into a folder we came through."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in ancestors:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files_below(Path(entry.path), f"{prefix}{entry.name}/", (*ancestors, here))
            elif entry.is_file():
                yield prefix + entry.name
