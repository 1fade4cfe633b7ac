"""TIFF: which of its many kinds Pillow reads rightly, which tifffile reads instead, and which are refused by name.

Pillow reads some kinds of TIFF without an error and wrong: planes of 16 bits lose their lower half, a white that is
stored as 0 stays inverted beyond 8 bits, signed samples wrap, whole numbers of 32 bits are clipped. Here it gets those
alone for which tests compare its pixels with tifffile's.
"""

import io
import logging
import lzma
import math
import struct
import zlib
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from stylegan.sizes import Size

_ORIENTATION, _FILL_ORDER, _INK_SET, _SUBSAMPLING, _REFERENCE, _XMP = 274, 266, 332, 530, 532, 700
# The types of a tag's value that are whole numbers, as `struct` calls them.
WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_WHOLE, _SIGNED, _FLOAT = 1, 2, 3  # SampleFormat
_IN_ONE = 1  # PlanarConfiguration
_UNCOMPRESSED, _OLD_JPEG, _PACKBITS = 1, 6, 32773  # Compression
_ASSOCIATED, _UNASSOCIATED = 1, 2  # ExtraSamples
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _CMYK: 4}
_FULL_RANGE = (0, 255, 128, 255, 128, 255)  # ReferenceBlackWhite
# The kinds that Pillow reads rightly: PhotometricInterpretation and ExtraSamples, the samples of a pixel together.
_PILLOW_8_BITS = {
    *((photometric, ()) for photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK)),
    *((_BLACK_IS_ZERO, (extra,)) for extra in (0, 1, 2)),
    *((_RGB, (extra, *[0] * more)) for extra in (0, 1, 2) for more in (0, 1, 2)),
    (_RGB, (999,)),  # of Corel Draw
    (_LAB, ()),  # littleCMS makes sRGB of it
    *((_PALETTE, (extra,)) for extra in (0, 2)),
    *((_CMYK, (0,) * more) for more in (1, 2)),
}
_PILLOW_16_BITS = {(_BLACK_IS_ZERO, ()), (_CMYK, ()), (_RGB, ()), *((_RGB, (extra,)) for extra in (0, 1, 2))}
# Uncompressed, CCITT, LZW, JPEG, Deflate, PackBits, LZMA, Zstandard, WebP.
_PILLOW_UNPACKS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000, 50001)
# Compressions that hold a checksum, at which libtiff, Pillow's reader, does not look.
_CHECKED = {8: zlib.decompressobj, 32946: zlib.decompressobj, 34925: lzma.LZMADecompressor}
_UNPACKED_AT_ONCE_BYTES = 1 << 20
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class TiffKind(NamedTuple):
    """What the header of a TIFF's first page says.

    size: height and width as stored; orientation: EXIF's number, None = it has none; upright: bytes that stand for 1,
    and the place for them; xmp: the block that may hold the number instead; white: the number that stands for white in
    samples of whole numbers; inverted: whether 0 is white; by_pillow: whether Pillow reads these pixels rightly;
    parts: start and length of each strip or tile; unpacker: that of a compression with a checksum, None = there is
    none; reversed_bits: whether all bytes have their bits the other way round.
    """

    size: Size
    orientation: Any
    upright: tuple[int, bytes]
    xmp: bytes
    white: int
    inverted: bool
    by_pillow: bool
    parts: tuple[tuple[int, int], ...]
    unpacker: Callable[[], Any] | None
    reversed_bits: bool


@cache
def _tifffile() -> ModuleType:
    import tifffile

    # What it finds odd it logs, and Python prints that in the middle of other lines.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    return tifffile


def kind_of_tiff(stream: BinaryIO) -> TiffKind:
    """The kind of a TIFF, from its header.

    Raises: ValueError for a kind that nothing here reads rightly; errors of tifffile where the header is damaged.
    """
    with _tifffile().TiffFile(stream) as file:
        page = _first(file)
        _check(page)
        orientation = page.tags.get(_ORIENTATION)
        return TiffKind(
            size=(page.imagelength, page.imagewidth),
            orientation=None if orientation is None else orientation.value,
            upright=_upright(orientation, file.byteorder),
            xmp=_value(page, _XMP, b""),
            white=2**page.bitspersample - 1,
            inverted=page.photometric == _WHITE_IS_ZERO,
            by_pillow=_pillow_is_right(page),
            # Lengths may be missing, which Pillow does without.
            parts=tuple(zip(page.dataoffsets, page.databytecounts, strict=False)),
            unpacker=_CHECKED.get(page.compression),
            reversed_bits=_value(page, _FILL_ORDER, 1) == 2,
        )


def check_checksums(data: bytes, kind: TiffKind) -> None:
    """Unpacks all pixels, where these have checksums.  Raises: ValueError where one of them is wrong or missing."""
    if kind.unpacker is None:
        return
    try:
        for start, length in kind.parts:
            packed = data[start : start + length]
            _unpack(kind.unpacker(), packed.translate(_REVERSED) if kind.reversed_bits else packed)
    except (zlib.error, lzma.LZMAError) as error:
        raise ValueError("the checksum of its pixels is wrong") from error


def _unpack(unpacker: Any, packed: bytes) -> None:
    """To nowhere, little by little, up to the checksum at the end."""
    while not unpacker.eof:
        pixels = unpacker.decompress(packed, _UNPACKED_AT_ONCE_BYTES)
        packed = getattr(unpacker, "unconsumed_tail", b"")  # LZMA keeps it to itself
        if not pixels and not unpacker.eof:
            raise ValueError("it is cut short")


def read_tiff(data: bytes) -> Image.Image:
    """The first page as stored, with 8 bits a channel, by tifffile: for kinds that Pillow does not read rightly.

    Raises: ValueError for pixels that cannot be told or read; errors of tifffile where the data are damaged.
    """
    with _tifffile().TiffFile(io.BytesIO(data)) as file:
        page = _first(file)
        if page.imagelength * page.imagewidth > 2 * (Image.MAX_IMAGE_PIXELS or np.inf):
            raise ValueError(f"{page.imagelength}x{page.imagewidth} pixels are too many")
        try:
            samples = _samples_of(page, len(data))
        except ValueError as error:
            if "imagecodecs" in str(error):
                raise ValueError(
                    f"a TIFF of this kind, compressed by {_name(page.compression)}, is read with the package "
                    "imagecodecs: pip install 'stylegan-lightning[tiff]'"
                ) from error
            raise
        return _as_image(samples, page)


def _samples_of(page: Any, length: int) -> np.ndarray:
    """All samples [H,W,S] of a page in a file of that length.

    tifffile's own way to an array leaves what it finds wherever a strip or a tile is missing or short.
    Raises: ValueError where one is.
    """
    planes, depth, *_ = page.shaped
    if depth != 1:
        raise ValueError("a TIFF of a volume, which is not read; save it as PNG")
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or max(ends) > length:
        raise ValueError("it is cut short")
    samples = np.empty(page.shaped, page.dtype)
    missing = samples.size
    for part, (plane, _, top, left, _), _ in page.segments(maxworkers=1, sort=True):
        if part is not None and missing > 0:
            part = part[0, : page.imagelength - top, : page.imagewidth - left]
            samples[plane, 0, top : top + part.shape[0], left : left + part.shape[1]] = part
            missing -= part.size
    if missing:
        raise ValueError("it is cut short")
    return (
        samples[:, 0].transpose(1, 2, 0, 3).reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
    )


def floats_in_eight_bits(samples: np.ndarray, *, inverted: bool) -> np.ndarray:
    """Floating-point samples as uint8: 0 is black and 255 white, what is beyond is cut off.

    Raises: ValueError where they do not fill that range, and for what is no number.
    """
    if not np.isfinite(samples).all():
        raise ValueError("some of its floating-point values are no numbers; save it with 8 or 16 bits")
    if 0 < samples.max() <= 1:
        raise ValueError(
            "its floating-point values go from 0 to 1, and white is 255 here; save it with 8 or 16 bits"
        )
    narrow = np.clip(samples, 0, 255).astype(np.uint8)
    return 255 - narrow if inverted else narrow


def whole_numbers_in_eight_bits(samples: np.ndarray, *, white: int, inverted: bool = False) -> np.ndarray:
    """Samples [H,W] or [H,W,S] from 0 to `white` as uint8.

    Where S is above 1 and there are 16 bits, the high byte counts, as in Pillow: however it is stored, a picture has
    the same pixels. Else they are rounded.
    """
    if white == 65535 and samples.ndim == 3 and samples.shape[-1] > 1:
        return (samples >> 8).astype(np.uint8)
    narrow = np.clip(samples.astype(np.float32), 0, white) / (white / 255) + 0.5
    return 255 - narrow.astype(np.uint8) if inverted else narrow.astype(np.uint8)


def _upright(orientation: Any, byteorder: str) -> tuple[int, bytes]:
    width = WHOLE_NUMBERS.get(getattr(orientation, "dtype", None))
    if width is None or orientation.count != 1:
        return 0, b""
    return orientation.valueoffset, struct.pack(byteorder + width, 1)


def _first(file: Any) -> Any:
    if not len(file.pages):
        raise ValueError("a TIFF without a page")
    return file.pages.first


def _value(page: Any, tag: int, default: Any) -> Any:
    found = page.tags.get(tag)
    return default if found is None else found.value


def _name(value: Any) -> str:
    return getattr(value, "name", str(value))


def _extras(page: Any) -> tuple[int, ...]:
    return tuple(int(extra) for extra in page.extrasamples)


def _check(page: Any) -> None:
    """Raises: ValueError for a kind of which black, white or the colours cannot be told."""
    if page.compression == _OLD_JPEG:
        return  # it says little of itself, and libtiff knows it
    bits, form, photometric = page.bitspersample, page.sampleformat, page.photometric
    if not isinstance(bits, int) or not isinstance(form, int) or page.dtype is None:
        raise ValueError("a TIFF with samples of several kinds, which is not read; save it as PNG")
    if form not in (_WHOLE, _FLOAT):
        kind = "signed" if form == _SIGNED else _name(form).lower()
        raise ValueError(
            f"a TIFF with {kind} samples, of which black and white cannot be told; save it with 8 or 16 bits"
        )
    if form == _WHOLE and bits > 16:
        raise ValueError(
            f"a TIFF with whole numbers of {bits} bits, of which white cannot be told; save it with 8 or 16 bits"
        )
    # Pillow leaves black what no strip or tile is listed for.
    if len(page.dataoffsets) < math.prod(page.chunked):
        raise ValueError("it is cut short")
    if not _pillow_is_right(page) and not _is_plain(page):
        raise ValueError(
            f"a TIFF of the kind {_name(photometric)} with {page.samplesperpixel} channels, which is not read; "
            "save it as PNG"
        )


def _is_plain(page: Any) -> bool:
    """Whether the samples of a kind that tifffile reads are grey, RGB or CMYK, with an alpha or none."""
    photometric, extras = page.photometric, _extras(page)
    more = page.samplesperpixel - _COLOURS.get(photometric, page.samplesperpixel + 1)
    if more < 0 or more > len(extras) and (photometric, more) != (_RGB, 1):
        return False
    if photometric == _CMYK and _value(page, _INK_SET, 1) != 1:
        return False
    if photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and more > 1:
        return False  # bands of something else than a picture
    has_alpha = any(extra in extras for extra in (_ASSOCIATED, _UNASSOCIATED))
    # An alpha beside floating-point values, inks, or a white of 0 that is multiplied by it: no program writes these.
    return not has_alpha or (page.sampleformat == _WHOLE and photometric in (_BLACK_IS_ZERO, _RGB))


def _pillow_is_right(page: Any) -> bool:
    """Whether Pillow reads the pixels of a kind rightly; what it was not compared for counts as wrong."""
    bits, photometric, samples = page.bitspersample, page.photometric, page.samplesperpixel
    if page.compression == _OLD_JPEG:
        return True
    if page.compression not in _PILLOW_UNPACKS:
        return False
    if page.compression == _PACKBITS and page.predictor != 1:
        return False  # libtiff takes the differences for the pixels
    if page.parent.is_bigtiff and page.parent.byteorder == ">":
        return False  # Pillow does not know this header
    in_one, kind = page.planarconfig == _IN_ONE or samples == 1, (photometric, _extras(page))
    if photometric == _YCBCR:
        return in_one and samples == 3 and bits == 8 and _has_plain_ycbcr(page)
    if photometric == _CMYK and _value(page, _INK_SET, 1) != 1 or photometric == _LAB and bits != 8:
        return False
    if page.sampleformat == _FLOAT:
        # libtiff gives the machine's own order of bytes, which Pillow turns once more.
        ordered = page.compression == _UNCOMPRESSED or page.parent.byteorder == "<"
        return bits == 32 and kind == (_BLACK_IS_ZERO, ()) and samples == 1 and ordered
    if bits == 12:
        return kind == (_BLACK_IS_ZERO, ()) and samples == 1 and page.compression == _UNCOMPRESSED
    if bits == 16:
        return in_one and _value(page, _FILL_ORDER, 1) == 1 and kind in _PILLOW_16_BITS
    if bits == 8 and kind == (_RGB, ()) and samples == 3:
        return True
    return in_one and (bits == 8 or bits in (1, 2, 4) and samples == 1) and kind in _PILLOW_8_BITS


def _has_plain_ycbcr(page: Any) -> bool:
    """Of what is compressed libtiff makes RGB; of the rest Pillow takes all samples to be there, in full range."""
    if page.compression != _UNCOMPRESSED:
        return True
    full = tuple(np.ravel(_value(page, _REFERENCE, _FULL_RANGE)))
    if len(full) == 2 * len(_FULL_RANGE):  # numerators and denominators
        full = tuple(a / b for a, b in zip(full[::2], full[1::2], strict=True))
    return tuple(_value(page, _SUBSAMPLING, (2, 2))) == (1, 1) and full == _FULL_RANGE


def _as_image(samples: np.ndarray, page: Any) -> Image.Image:
    """Samples [H,W,S] in 8 bits, with an alpha that is not multiplied in."""
    photometric, white = page.photometric, 2**page.bitspersample - 1
    colours, inverted = _COLOURS[photometric], photometric == _WHITE_IS_ZERO
    shown = samples[..., :colours]
    alpha, is_multiplied = _alpha_of(page)
    if page.sampleformat == _FLOAT:
        pixels = floats_in_eight_bits(shown, inverted=inverted)
    elif alpha is None:
        pixels = whole_numbers_in_eight_bits(shown, white=white, inverted=inverted)
    else:
        opacity = samples[..., alpha : alpha + 1]
        if is_multiplied:
            shown = np.minimum(shown * float(white) / np.maximum(opacity, 1), white)
            if white in (255, 65535):
                shown = shown.astype(samples.dtype)  # as Pillow does
        pixels = whole_numbers_in_eight_bits(np.concatenate([shown, opacity], -1), white=white)
    mode = "CMYK" if photometric == _CMYK else {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[-1]]
    return Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())


def _alpha_of(page: Any) -> tuple[int | None, bool]:
    """Which sample is the alpha, None = there is none; and whether the colours are multiplied by it."""
    extras, colours = _extras(page), _COLOURS[page.photometric]
    if page.photometric == _RGB and page.samplesperpixel == 4 and not extras:
        return 3, False  # as Pillow has it
    for place, extra in enumerate(extras):
        if extra in (_ASSOCIATED, _UNASSOCIATED):
            return colours + place, extra == _ASSOCIATED
    return None, False
