"""PNG: what of a file its pixels need, without the rest, and the metadata that say which way up it is.

Decoders may skip most chunks. Pillow reads them all and refuses a whole picture for a large text or a wrong checksum
in one of them, so it does not get them.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE = 0, 2, 3  # colour types that may have tRNS
# Metadata that unpack to more than this are no photograph's.
_MOST_UNPACKED_BYTES = 64 << 20


class PngParts(NamedTuple):
    """pixels: a PNG of what the pixels need; exif, xmp: the blocks that may say which way up it is, b"" = none."""

    pixels: bytes
    exif: bytes
    xmp: bytes


class _Chunk(NamedTuple):
    name: bytes
    content: bytes
    rest: bytes  # the checksum, and less where the file is cut short

    @property
    def is_whole(self) -> bool:
        return self.rest == _checksum(self.name, self.content)

    @property
    def stored(self) -> bytes:
        return struct.pack(">I", len(self.content)) + self.name + self.content + self.rest


def split_png(stream: BinaryIO, *, whole: bool) -> PngParts:
    """The parts of a PNG that count.

    Args: whole: with the pixels; else what comes before and after them.
    Raises: ValueError where pixels or the transparent colour are damaged, or it needs a reader that keeps 16 bits.
    """
    pixels, exif, xmp = [SIGNATURE], {}, b""
    header = b""
    for chunk in _chunks(stream, whole=whole):
        if chunk.name == b"IHDR" and not header:
            header = chunk.content
        if chunk.name == b"tRNS":
            pixels += _transparency(chunk, header)
        elif _is_needed(chunk.name):
            # Pillow checks those of all others. What is cut short it names itself.
            if whole and chunk.name == b"IDAT" and len(chunk.rest) == 4 and not chunk.is_whole:
                raise ValueError("the checksum of its pixels is wrong")
            pixels.append(chunk.stored)
        elif not chunk.is_whole:
            continue
        elif chunk.name == b"eXIf":
            exif[0] = chunk.content
        elif chunk.name in (b"tEXt", b"zTXt", b"iTXt"):
            key, value = _text(chunk)
            if key == b"XML:com.adobe.xmp":
                xmp = value
            elif key == b"Raw profile type exif":
                exif[1] = _from_hex(value)
    return PngParts(b"".join(pixels), exif[min(exif)] if exif else b"", xmp)


def _is_needed(name: bytes) -> bool:
    return not name[:1].islower()


def _chunks(stream: BinaryIO, *, whole: bool) -> Iterator[_Chunk]:
    """The chunks up to IEND, as far as they go. Without `whole` of the pixels' chunks only the first, empty."""
    stream.seek(len(SIGNATURE))
    seen_pixels = False
    while len(head := stream.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"IDAT" and not whole:
            if not seen_pixels:
                yield _Chunk(name, b"", b"")
            seen_pixels = True
            stream.seek(length + 4, 1)
            continue
        yield _Chunk(name, stream.read(length), stream.read(4))
        if name == b"IEND":
            return


def _transparency(chunk: _Chunk, header: bytes) -> list[bytes]:
    """The chunk of the transparent colour as Pillow understands it; none where it does not fit the picture."""
    if not chunk.is_whole:
        raise ValueError("the checksum of its transparency is wrong")
    depth, kind = header[8:10] if len(header) == 13 else (8, _PALETTE)
    if kind == _PALETTE:
        return [chunk.stored]
    count = {_GREY: 1, _RGB: 3}.get(kind, 0)
    if not count or len(chunk.content) < 2 * count:
        return []
    key = struct.unpack_from(f">{count}H", chunk.content)
    if depth == 16:
        if kind == _RGB:
            raise ValueError(
                "a PNG of 16 bits in which one colour is transparent, which is not read; save it with 8"
            )
        return [chunk.stored]
    # Pillow compares the key with pixels that it has spread over 8 bits.
    most = 2**depth - 1
    content = struct.pack(f">{count}H", *((value & most) * 255 // most for value in key))
    return [_Chunk(chunk.name, content, _checksum(chunk.name, content)).stored]


def _checksum(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))


def _text(chunk: _Chunk) -> tuple[bytes, bytes]:
    """Keyword and text, unpacked; two empty ones where it is no text that can be read."""
    key, _, value = chunk.content.partition(b"\0")
    packed = chunk.name == b"zTXt"
    if packed:
        value = value[1:]
    elif chunk.name == b"iTXt":
        packed = value[:1] == b"\1"
        value = value[2:].split(b"\0", 2)[-1]
    try:
        return key, zlib.decompressobj().decompress(value, _MOST_UNPACKED_BYTES) if packed else value
    except zlib.error:
        return b"", b""


def _from_hex(value: bytes) -> bytes:
    """The block that ImageMagick writes as hex digits below its name and length."""
    try:
        return bytes.fromhex("".join(value.decode("latin-1").split("\n")[3:]))
    except ValueError:
        return b""
