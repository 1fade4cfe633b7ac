"""Zips as other programs write them, byte by byte (PKWARE's APPNOTE, 4.3)."""

import io
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass
class Entry:
    """name: its bytes as they are stored; data; flags: general purpose; extra: of the directory; method: number of the
    compression; system: 0 = DOS, 3 = Unix; attributes: external ones."""

    name: bytes
    data: bytes
    flags: int = 0
    extra: bytes = b""
    method: int = 0
    system: int = 0
    attributes: int = 0


def png(shade: int, side: int = 8) -> bytes:
    """A grey square."""
    data = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), shade, np.uint8)).save(data, "PNG")
    return data.getvalue()


def unicode_path(raw: bytes, name: str, checksum: int | None = None) -> bytes:
    """The extra field 0x7075 of a name that is stored as `raw`."""
    checksum = zlib.crc32(raw) if checksum is None else checksum
    field = struct.pack("<BL", 1, checksum) + name.encode()
    return struct.pack("<HH", 0x7075, len(field)) + field


def write_zip(path: Path, entries: Iterable[Entry], disk: int = 0) -> Path:
    """Args: disk: the number of this part, of a zip in several."""
    out, directory, count = b"", b"", 0
    for entry in entries:
        sizes = struct.pack("<III", zlib.crc32(entry.data), len(entry.data), len(entry.data))
        head = struct.pack("<HHHHH", 20, entry.flags, entry.method, 0, 0x21) + sizes
        directory += struct.pack("<IBB", 0x02014B50, 20, entry.system) + head
        directory += struct.pack(
            "<HHHHHII", len(entry.name), len(entry.extra), 0, 0, 0, entry.attributes, len(out)
        )
        directory += entry.name + entry.extra
        out += (
            struct.pack("<I", 0x04034B50)
            + head
            + struct.pack("<HH", len(entry.name), 0)
            + entry.name
            + entry.data
        )
        count += 1
    end = struct.pack("<IHHHHIIH", 0x06054B50, disk, disk, count, count, len(directory), len(out), 0)
    path.write_bytes(out + directory + end)
    return path


def plain_zip(path: Path, names: Iterable[str | bytes]) -> Path:
    """Grey squares, each of another shade."""
    coded = [name if isinstance(name, bytes) else name.encode() for name in names]
    return write_zip(path, [Entry(name, png(shade)) for shade, name in enumerate(coded)])
