"""Zip files: encoded images by name in a zip, by whatever program it was made."""

import errno
import os
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from datamodules.datasets.decoding import IMAGE_SUFFIXES
from datamodules.datasets.names import by_relative_name, is_image_name, text_of
from stylegan.machine.text import counted_are, printable

# A few kilobytes can claim to unpack to far more than any image has.
_LARGEST_BYTES = 1 << 30
# Numbers of the zip format (PKWARE's APPNOTE, 4.4 to 4.6).
_ENCRYPTED, _UTF8 = 0x1, 0x800
_UNICODE_PATH, _DOS_FOLDER, _DOS = 0x7075, 0x10, 0
_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES"}
_READ = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_READ |= {getattr(zipfile, "ZIP_ZSTANDARD", zipfile.ZIP_STORED)}  # from Python 3.14 on
_END_RECORD, _LONGEST_COMMENT = b"PK\x05\x06", 1 << 16

Stamp = tuple[int, int]  # bytes, and time of the last change in ns


class ZipFiles:
    """The files of a zip: `names`, `others`, `stamps` (here bytes and CRC-32) and `notes` as in `FolderFiles`.

    Every process opens the zip for itself at its first read: a handle shared over a fork shares its file
    position, and two readers then get each other's bytes. One that is written again is opened again by `let_go`.
    Raises: OSError, zipfile.BadZipFile where the zip cannot be opened; ValueError where none of its images can be
      unpacked.
    """

    def __init__(self, path: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES):
        self.path = path
        self._opened: tuple[int, Stamp, zipfile.ZipFile, dict[str, zipfile.ZipInfo]] | None = None
        self._lock = threading.Lock()
        if is_part_of_split(path):
            raise ValueError(
                "it is one part of a split zip; join the parts (zip -s 0 split.zip --out whole.zip)"
            )
        self._stamp = _stamp(path)
        with zipfile.ZipFile(path) as archive:
            entries, self.notes = _entries(archive)
        self.names = sorted(name for name in entries if is_image_name(name, suffixes))
        self.stamps = {name: (entries[name].file_size, entries[name].CRC) for name in self.names}
        self.others = sorted(entries.keys() - self.stamps.keys())
        reasons = {_why_not(entries[name]) for name in self.names}
        if len(reasons) == 1 and None not in reasons:
            raise ValueError(f"of each picture: {reasons.pop()}")

    def open(self, name: str) -> BinaryIO:
        """Raises: one of `UNREADABLE`; OSError with a number of the system's where the zip is being written again, or
        no longer holds the file."""
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = self._open()
            # Taken under the lock: another thread may let go at any moment.
            _, stamp, archive, entries = self._opened
        if stamp != _stamp(self.path):
            raise OSError(errno.ESTALE, "the zip is not what it was")
        if name not in entries:
            raise FileNotFoundError(errno.ENOENT, "the zip no longer holds it")
        reason = _why_not(entries[name])
        if reason is not None:
            raise ValueError(reason)
        return archive.open(entries[name])

    def _open(self) -> tuple[int, Stamp, zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
        stamp = _stamp(self.path)
        try:
            archive = zipfile.ZipFile(self.path)
        except zipfile.BadZipFile as error:
            # It was a whole one at the start: its directory is written last.
            raise OSError(errno.ESTALE, "the zip is not what it was") from error
        return os.getpid(), stamp, archive, _entries(archive)[0]

    def has_changed(self) -> bool:
        """Whether the zip was written to since the start, so that a fault of its content may be half of a new one."""
        return self._stamp != _stamp(self.path)

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read()

    def checksum(self, name: str) -> int:
        """CRC-32 of the content, as the zip's directory has it."""
        return self.stamps[name][1]

    def where(self, name: str) -> str:
        """The place of a file, for a line to a person."""
        return printable(f"{name} in {self.path}")

    def let_go(self) -> None:
        """Closes the zip; the next read opens it again."""
        with self._lock:
            self._opened = None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_opened": None, "_lock": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def is_part_of_split(path: Path) -> bool:
    """Whether a file is one of several that are a zip together: the first, or the last with the directory."""
    with path.open("rb") as file:
        if file.read(4) == b"PK\x07\x08":
            return True
        file.seek(max(0, path.stat().st_size - _LONGEST_COMMENT - 22))
        _, found, record = file.read().rpartition(_END_RECORD)
    # The number of this part, which is all ones where Zip64's own record has it.
    return bool(found) and len(record) >= 2 and struct.unpack_from("<H", record)[0] not in (0, 0xFFFF)


def _entries(archive: zipfile.ZipFile) -> tuple[dict[str, zipfile.ZipInfo], list[str]]:
    """The files of a zip by relative name, and lines about what does not count."""
    guessed: list[str] = []
    unstated: list[tuple[str, int]] = []
    files, notes = by_relative_name(_named(archive, guessed, unstated))
    if guessed:
        notes.append(
            f"the zip does not say how {counted_are(len(guessed), 'name')} encoded; read as in DOS (code page 437), as"
            f" {printable(guessed[0])}"
        )
    # Python's and macOS's own state no encoding and mean UTF-8; where others mean another one it may fit by chance.
    if unstated and (guessed or any(system == _DOS for _, system in unstated)):
        more = "more " if guessed else ""
        notes.append(
            f"the zip does not say how {counted_are(len(unstated), f'{more}name')} encoded; read as UTF-8, as"
            f" {printable(unstated[0][0])}; if that is another word, pack the pictures again with UTF-8 names"
        )
    return {name: entry for name, (_, entry) in files.items()}, notes


def _named(
    archive: zipfile.ZipFile, guessed: list[str], unstated: list[tuple[str, int]]
) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """The entries that are no folders, with their stored names.

    Args:
        guessed: gets names in no known encoding.
        unstated: gets names that do not state an encoding and can be UTF-8, and the system that each comes from.
    """
    for entry in archive.infolist():
        name = _stored_name(entry)
        if name.endswith(("/", "\\")) or entry.external_attr & _DOS_FOLDER and not entry.file_size:
            continue
        if not name.isascii() and not entry.flag_bits & _UTF8:
            raw = entry.orig_filename.encode("cp437")
            if name == entry.orig_filename:
                guessed.append(name)
            elif _unicode_path(entry.extra, raw) is None:
                unstated.append((name, entry.create_system))
        yield name, entry


def _stored_name(entry: zipfile.ZipInfo) -> str:
    """The name that an entry was stored with.

    Python takes names without the flag for UTF-8 as code page 437, also those of programs that write UTF-8 and set
    no flag; and it leaves the field for Unicode names alone, by which older programs state them.
    """
    flagged = bool(entry.flag_bits & _UTF8)
    raw = entry.orig_filename.encode("utf-8" if flagged else "cp437")
    name = _unicode_path(entry.extra, raw) or (entry.orig_filename if flagged else text_of(raw))
    # As Python and others do: what follows is no part of a name.
    return name.partition("\0")[0]


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The name in the field for Unicode names; None where there is none, or it is that of another name."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        field = extra[place + 4 : place + 4 + length]
        place += 4 + length
        if kind == _UNICODE_PATH and len(field) > 5:
            version, checksum = struct.unpack_from("<BL", field)
            # A program that knows nothing of the field renames an entry and leaves it as it was.
            if version == 1 and checksum == zlib.crc32(raw):
                try:
                    return field[5:].decode("utf-8")
                except UnicodeDecodeError:
                    return None
    return None


def _why_not(entry: zipfile.ZipInfo) -> str | None:
    """Why an entry cannot be unpacked; None where it can, as far as the directory says."""
    if entry.flag_bits & _ENCRYPTED:
        return "it is encrypted; unpack the zip with its password, and give the folder"
    if entry.compress_type not in _READ:
        method = _METHODS.get(entry.compress_type, f"method {entry.compress_type}")
        return f"it is packed by {method}, which is not read here; unpack the zip, and give the folder"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link, of which the zip holds only the target's name; zip the files themselves"
    if entry.file_size > _LARGEST_BYTES:
        return f"it unpacks to {entry.file_size} bytes"
    return None
