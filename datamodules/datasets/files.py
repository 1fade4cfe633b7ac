"""Image files: encoded images by name, in a folder and the folders below it or in a zip."""

import os
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from datamodules.datasets.decoding import (
    ARRAY_SUFFIXES,
    IMAGE_SUFFIXES,
    MOST_IMAGE_CHANNELS,
    suffixes_for,
)

# What systems leave in folders of images, besides names that begin with a dot.
_LITTER = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")


def is_hidden(name: str) -> bool:
    """Whether a POSIX relative name, or a folder on its way, is hidden or a system's own."""
    return any(part.startswith(".") or part.lower() in _LITTER for part in name.split("/"))


def is_image_name(name: str, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> bool:
    """Whether a POSIX relative name is an image's by its suffix, and not hidden."""
    return not is_hidden(name) and name.lower().endswith(tuple(suffixes)) and not name.endswith("/")


def first_folder(name: str) -> str:
    """The first folder of a relative name, "" where there is none."""
    return name.split("/", 1)[0] if "/" in name else ""


_CHUNK_BYTES = 1 << 20


class FolderFiles:
    """The files below a folder.

    names: images, relative to the folder with "/" between the parts, sorted; others: files that are no
      images, hidden ones left out; stamps: (bytes, time of the last change in ns) of the images.
    Raises: OSError where a folder that is not hidden cannot be listed.
    """

    def __init__(self, root: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES):
        self.root = root
        found = dict(_files_below(root, "", ()))
        self.names = sorted(name for name in found if is_image_name(name, suffixes))
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

    Links are followed, but never back into a folder we came through. Hidden files and folders are skipped: they
    may be large, or not ours to read.
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


# A few kilobytes can claim to unpack to far more than any image has.
_LARGEST_BYTES = 1 << 30


class ZipFiles:
    """The files of a zip: `names`, `others` and `stamps` (here bytes and CRC-32) as in `FolderFiles`.

    Every process opens the zip for itself at its first read: a handle shared over a fork shares its file
    position, and two readers then get each other's bytes.
    Raises: OSError, zipfile.BadZipFile where the zip cannot be opened.
    """

    def __init__(self, path: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES):
        self.path = path
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        self._lock = threading.Lock()
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
        found = {name: entry for name, entry in entries.items() if not is_hidden(name)}
        self.names = sorted(name for name in found if is_image_name(name, suffixes))
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


def open_image_files(path: str | Path, channels: int = 3) -> FolderFiles | ZipFiles:
    """The images of a folder or a zip; which of them it is shows in the file, not in its name.

    Raises: ValueError where there is neither, or no file in it that can hold this many channels.
    """
    path = Path(path).expanduser()
    suffixes = suffixes_for(channels)
    try:
        if path.is_dir():
            files = FolderFiles(path, suffixes)
        elif not path.exists():
            raise ValueError(
                f"data.path does not exist: {path} (looked from {Path.cwd()}); "
                f"give a folder or a zip of pictures, data.path=pictures.zip"
            )
        elif zipfile.is_zipfile(path):
            files = ZipFiles(path, suffixes)
        else:
            raise ValueError(
                f"data.path is neither a folder nor a whole zip: {path}; "
                f"put the pictures into a folder or a zip, or fetch the zip again"
            )
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(
            f"data.path cannot be opened: {path} ({error}); repair it or give another"
        ) from error
    if not files.names:
        raise ValueError(f"data.path has no pictures: {path}; {_what_is_read(files, channels)}")
    return files


def _what_is_read(files: FolderFiles | ZipFiles, channels: int) -> str:
    if channels > MOST_IMAGE_CHANNELS:
        return f"with data.channels={channels} these are .npy files of uint8 [H,W,{channels}]"
    if any(name.lower().endswith(ARRAY_SUFFIXES) for name in files.others):
        return f"its .npy files are read with data.channels={MOST_IMAGE_CHANNELS + 1} or more; else give PNG or JPEG"
    return (
        f"give a folder or a zip with files that end in {' '.join(suffixes_for(channels))} "
        f"(hidden ones do not count)"
    )
