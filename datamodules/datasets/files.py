"""Image files: encoded images by name, in a folder and the folders below it; or in a zip, as the path says."""

import os
import shlex
import stat
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
from datamodules.datasets.names import by_relative_name, is_hidden, is_image_name, text_of_path
from datamodules.datasets.zip_files import ZipFiles, is_part_of_split
from stylegan.machine.files import expanded, nearest_place
from stylegan.machine.text import printable, some

_CHUNK_BYTES = 1 << 20


class FolderFiles:
    """The files below a folder.

    names: images, relative to the folder with "/" between the parts, in one form (`one_form`), sorted;
      others: files that are no images, hidden ones left out; stamps: (bytes, time of the last change in ns) of the
      images; notes: lines about files that do not count, for the user; away: names of links that lead nowhere, where
      they are no image's: of a folder, perhaps.
    Raises: OSError where a folder that is not hidden cannot be listed.
    """

    def __init__(self, root: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES):
        self.root = root
        below = dict(_files_below(root, "", ()))
        # Compared by one form of their names, opened by the name that the file system has.
        found, self.notes = by_relative_name((text_of_path(stored), stored) for stored in sorted(below))
        self._stored = {name: stored for name, (_, stored) in found.items()}
        images = sorted(name for name in found if is_image_name(name, suffixes))
        pipes = [name for name in images if below[self._stored[name]] == _PIPE]
        self.names = [name for name in images if below[self._stored[name]] != _PIPE]
        self.stamps = {name: below[self._stored[name]] for name in self.names}
        others = sorted(found.keys() - set(images))
        self.away = [name for name in others if below[self._stored[name]] == _NOT_THERE]
        self.others = [name for name in others if name not in set(self.away)]
        if pipes:
            self.notes.append(f"left out, pipes or devices and no files: {some(pipes)}")
        if self.away:
            self.notes.append(f"left out, links that lead nowhere: {some(self.away)}")

    def open(self, name: str) -> BinaryIO:
        return (self.root / self._stored[name]).open("rb")

    def read(self, name: str) -> bytes:
        return (self.root / self._stored[name]).read_bytes()

    def checksum(self, name: str) -> int:
        """CRC-32 of the content."""
        checksum = 0
        with self.open(name) as file:
            while chunk := file.read(_CHUNK_BYTES):
                checksum = zlib.crc32(chunk, checksum)
        return checksum

    def where(self, name: str) -> str:
        """The place of a file, for a line to a person."""
        return printable(str(self.path_of(name)))

    def path_of(self, name: str) -> Path:
        return self.root / self._stored.get(name, name)

    def has_changed(self) -> bool:
        """Never: a file that was written again shows by its checksum."""
        return False

    def let_go(self) -> None:
        """Nothing is kept open."""


_NOT_THERE, _PIPE = (-1, 0), (-2, 0)


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
            try:
                status = entry.stat()
            except OSError:
                # A link to what is not there, or to itself: a file by its name, which cannot be read.
                yield prefix + entry.name, _NOT_THERE
                continue
            if stat.S_ISDIR(status.st_mode):
                yield from _files_below(Path(entry.path), f"{prefix}{entry.name}/", (*ancestors, here))
            elif stat.S_ISREG(status.st_mode):
                yield prefix + entry.name, (status.st_size, status.st_mtime_ns)
            elif is_image_name(entry.name):
                yield prefix + entry.name, _PIPE


def open_image_files(path: str | Path, channels: int = 3) -> FolderFiles | ZipFiles:
    """The images of a folder or a zip; which of them it is shows in the file, not in its name.

    Raises: ValueError where there is neither, or no file in it that can hold this many channels.
    """
    path = expanded(path, key="data.path")
    suffixes = suffixes_for(channels)
    try:
        there, folder = path.exists(), path.is_dir()
        zipped = there and not folder and (zipfile.is_zipfile(path) or is_part_of_split(path))
        files = FolderFiles(path, suffixes) if folder else ZipFiles(path, suffixes) if zipped else None
    except (OSError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise ValueError(
            f"data.path cannot be opened: {path} ({error}); repair it or give another"
        ) from error
    except ValueError as error:
        raise ValueError(f"data.path cannot be read: {path} ({error})") from error
    if not there:
        near = nearest_place(path)
        way_out = "give a folder or a zip of pictures, data.path=pictures.zip"
        if near is not None:
            way_out = f"did you mean {shlex.quote(f'data.path={printable(str(near))}')}?"
        raise ValueError(f"data.path does not exist: {path} (looked from {Path.cwd()}); {way_out}")
    if files is None:
        raise ValueError(
            f"data.path is neither a folder nor a whole zip: {path}; "
            f"put the pictures into a folder or a zip, or fetch the zip again"
        )
    if not files.names:
        raise ValueError(f"data.path has no pictures: {path}; {_what_is_read(files, channels)}")
    return files


def _what_is_read(files: FolderFiles | ZipFiles, channels: int) -> str:
    if isinstance(files, FolderFiles) and files.away:
        return f"links in it lead nowhere ({some(files.away)}); mount what they lead to, or give another data.path"
    if channels > MOST_IMAGE_CHANNELS:
        return f"with data.channels={channels} these are .npy files of uint8 [H,W,{channels}]"
    if any(name.lower().endswith(ARRAY_SUFFIXES) for name in files.others):
        return f"its .npy files are read with data.channels={MOST_IMAGE_CHANNELS + 1} or more; else give PNG or JPEG"
    return (
        f"give a folder or a zip with files that end in {' '.join(suffixes_for(channels))} "
        f"(hidden ones do not count)"
    )
