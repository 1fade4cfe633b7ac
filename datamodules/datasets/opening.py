"""Opening: an encoded image of any kind to an upright one with 8 bits a channel, or its size from the headers alone.

What is found before training and what is trained on come through here, so that they cannot differ.
"""

import io
import logging
import re
import struct
import warnings
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from datamodules.datasets import png, tiff
from stylegan.sizes import Size

# Pillow knows more, some of which start other programs; what is not listed is refused by its content.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SIGNATURES = {
    png.SIGNATURE: "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"RIFF": "WEBP",
    b"BM": "BMP",
    b"GIF8": "GIF",
    **dict.fromkeys(_TIFF_SIGNATURES, "TIFF"),
}
_LONGEST_SIGNATURE = max(map(len, _SIGNATURES))
_ORIENTATION = 274
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER_TURNS = (5, 6, 7, 8)


def accept_odd_files() -> None:
    """Lets Pillow be silent about large pictures and odd metadata: its warnings are for programmers, and print the
    line of source that made them. A picture above twice its limit of pixels stays an error."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(logging.NullHandler())


accept_odd_files()


def open_upright(data: bytes) -> Image.Image:
    """Decodes all of an image, and turns it as its EXIF or XMP says.

    Returns: of mode 1, L, LA, P, PA, RGB, RGBA, CMYK or YCbCr.
    Raises: one of `datamodules.datasets.decoding.UNREADABLE`; ValueError for a kind of which the pixels cannot be told.
    """
    if data.startswith(_TIFF_SIGNATURES):
        kind = tiff.kind_of_tiff(io.BytesIO(data))
        image = _load_tiff(data, kind)
        return _turned(image, orientation_of(kind.orientation, b"", kind.xmp))
    exif = xmp = b""
    if data.startswith(png.SIGNATURE):
        data, exif, xmp = png.split_png(io.BytesIO(data), whole=True)
    with _opened(io.BytesIO(data)) as image:
        image.load()
        exif, xmp = image.info.get("exif") or exif, image.info.get("xmp") or xmp
        return _turned(_in_eight_bits(image), orientation_of(None, exif, xmp))


def size_upright(stream: BinaryIO) -> Size:
    """Height and width of an image once it is upright, from the headers.

    Raises: as `open_upright`, for what the headers show.
    """
    start = stream.read(_LONGEST_SIGNATURE)
    stream.seek(0)
    if start.startswith(_TIFF_SIGNATURES):
        kind = tiff.kind_of_tiff(stream)
        height, width = kind.size
        orientation = orientation_of(kind.orientation, b"", kind.xmp)
    else:
        exif = xmp = b""
        if start.startswith(png.SIGNATURE):
            pixels, exif, xmp = png.split_png(stream, whole=False)
            stream = io.BytesIO(pixels)
        with _opened(stream) as image:
            height, width = image.height, image.width
            exif, xmp = image.info.get("exif") or exif, image.info.get("xmp") or xmp
            orientation = orientation_of(None, exif, xmp)
    return (width, height) if orientation in _QUARTER_TURNS else (height, width)


def orientation_of(tag: Any, exif: bytes, xmp: bytes | str) -> int:
    """Which way up an image is stored, 1 to 8; EXIF's word counts before that of XMP.

    Args:
        tag: of a TIFF's own first directory, None = it has none.
        exif: a block, which is a TIFF without pixels; one that is none says nothing.
    """
    if tag is None:
        tag = _from_exif(exif)
    if tag is None:
        text = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else bytes(xmp)
        found = re.search(rb"""tiff:Orientation(?:\s*=\s*["']|>)\s*([0-9])""", text)
        tag = int(found[1]) if found else 1
    return tag if isinstance(tag, int) and tag in _TURNS else 1


def _from_exif(block: bytes) -> int | None:
    """The tag's value; None where there is none, or the block is damaged before it.

    By hand: Pillow reads all tags for it, and a damaged one makes it raise or warn.
    """
    block = re.sub(rb"\A(?:Exif\0\0){1,2}", b"", block)
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return None
    (at,) = struct.unpack_from(order + "I", block, 4)
    if at + 2 > len(block):
        return None
    (count,) = struct.unpack_from(order + "H", block, at)
    for start in range(at + 2, min(at + 2 + 12 * count, len(block) - 11), 12):
        tag, kind, values = struct.unpack_from(order + "HHI", block, start)
        if tag == _ORIENTATION:
            width = tiff.WHOLE_NUMBERS.get(kind)
            return struct.unpack_from(order + width, block, start + 8)[0] if width and values == 1 else 1
    return None


def _load_tiff(data: bytes, kind: tiff.TiffKind) -> Image.Image:
    """The pixels as stored."""
    if not kind.by_pillow:
        return tiff.read_tiff(data)
    # Pillow turns TIFFs by itself, but knows too late that it must: stored as upright, they are left to us.
    at, one = kind.upright
    with _opened(io.BytesIO(data[:at] + one + data[at + len(one) :])) as image:
        tiff.check_checksums(data, kind)
        image.info.pop("xmp", None)
        image.load()
        if image.size != kind.size[::-1]:
            raise ValueError("its headers contradict each other")
        return _in_eight_bits(image, white=kind.white)


def _opened(stream: BinaryIO) -> Image.Image:
    """Raises: UnidentifiedImageError, with words for a user; ValueError for inks of which white cannot be told."""
    start = stream.read(_LONGEST_SIGNATURE)
    stream.seek(0)
    try:
        image = Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError as error:
        kind = next((kind for signature, kind in _SIGNATURES.items() if start.startswith(signature)), None)
        words = f"a {kind} that is damaged, or of a kind that is not read" if kind else None
        raise UnidentifiedImageError(words or f"its content is none of {', '.join(FORMATS)}") from error
    # Pillow takes 255 for no ink, as Adobe stores it; others store 0.
    if image.mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        raise ValueError(
            "a JPEG of inks (CMYK) that does not say which way round they are stored; save it as RGB"
        )
    return image


def _in_eight_bits(image: Image.Image, *, white: int = 65535) -> Image.Image:
    if image.mode == "F":
        return Image.fromarray(tiff.floats_in_eight_bits(np.asarray(image), inverted=False))
    if image.mode.startswith("I"):
        # Pillow's own conversion clips, which turns such images white.
        wide = np.asarray(image)
        grey = Image.fromarray(tiff.whole_numbers_in_eight_bits(wide, white=white))
        key = image.info.get("transparency")
        if isinstance(key, int):
            grey.putalpha(Image.fromarray(np.where(wide == key, 0, 255).astype(np.uint8)))
        return grey
    if image.mode == "LAB":
        return image.convert("RGB")
    if image.mode in ("La", "RGBa"):
        return image.convert(image.mode[:-1] + "A")
    return image


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image if orientation == 1 else image.transpose(_TURNS[orientation])
