"""PNG: metadata that need not be read, transparent colours of every depth, and which way up it is."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from datamodules.datasets.decoding import UNREADABLE, decode_image, measure_image, reason_of
from tests.datamodules.flipped_bits import count_refused

HEIGHT, WIDTH = 16, 24
GREY, RGB, PALETTE = 0, 2, 3
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
EXIF = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


def chunk(name: bytes, content: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(name + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png(values: np.ndarray, *, kind: int, depth: int = 8, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG by hand, of [H,W] or [H,W,3], with chunks before and after the pixels."""
    height, width = values.shape[:2]
    bits = (values.reshape(height, -1, 1) >> np.arange(depth - 1, -1, -1)) & 1
    rows = np.packbits(bits.astype(np.uint8).reshape(height, -1), axis=1)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", pixels[:50]) + chunk(b"IDAT", pixels[50:])
        + after + chunk(b"IEND", b"")
    )  # fmt: skip


def noise(*shape: int, high: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(0, high, shape)


def decoded(data: bytes, *, channels: int = 3) -> np.ndarray:
    """[H,W,C], of the size that headers and pixels agree on."""
    size = measure_image(io.BytesIO(data), channels=channels, whole=True)
    assert measure_image(io.BytesIO(data), channels=channels, whole=False) == size
    return decode_image(data, size=size, channels=channels).transpose(1, 2, 0)


def text(name: bytes, key: bytes, value: bytes) -> bytes:
    middle = {b"tEXt": b"\0", b"zTXt": b"\0\0", b"iTXt": b"\0\0\0\0\0"}[name]
    return chunk(name, key + middle + (zlib.compress(value) if name == b"zTXt" else value))


METADATA = {
    "a profile of 2 MB": chunk(b"iCCP", b"p\0\0" + zlib.compress(os.urandom(2_000_000))),
    "a packed workflow": text(b"zTXt", b"workflow", b'{"a":1},' * 300_000),
    "a workflow": text(b"tEXt", b"workflow", b'{"a":1},' * 300_000),
    "a packed international text": chunk(
        b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(b'{"a":1},' * 300_000)
    ),
    "many texts": b"".join(text(b"zTXt", b"t%d" % i, b"x" * 900_000) for i in range(80)),
    "a wrong checksum of the time": chunk(b"tIME", b"\x07\xea\1\1\0\0\0", 7),
    "a wrong checksum of a text": chunk(b"tEXt", b"a\0b", 7),
    "a wrong checksum of EXIF": chunk(b"eXIf", EXIF, 7),
    "a wrong checksum of gamma": chunk(b"gAMA", b"\0\0\xb1\x8f", 7),
    "a profile that is damaged": chunk(b"iCCP", b"p\0\0no zlib"),
    "a text without an end": chunk(b"zTXt", b"no zero"),
    "a short gamma": chunk(b"gAMA", b"\0"),
    "a short resolution": chunk(b"pHYs", b"\0"),
    "an animation without frames": chunk(b"acTL", b"\0" * 8),
    "a chunk that does not exist": chunk(b"zzZz", b"?"),
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("kind", METADATA)
def test_odd_metadata_change_nothing(kind, place):
    pixels = noise(HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(decoded(png(pixels, kind=RGB, **{place: METADATA[kind]})), pixels)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_the_transparent_grey_of_every_depth(depth):
    values = noise(HEIGHT, WIDTH, high=2**depth)
    for key in (0, 2**depth - 1, 2 ** (depth - 1)):
        for above in (0, 0x100):  # bits above the depth say nothing
            data = png(values, kind=GREY, depth=depth, before=chunk(b"tRNS", struct.pack(">H", key + above)))
            result = decoded(data, channels=2)
            np.testing.assert_array_equal(result[..., 0], values * 255 // (2**depth - 1))
            np.testing.assert_array_equal(result[..., 1], np.where(values == key, 0, 255))


def test_the_transparent_colour():
    values = noise(HEIGHT, WIDTH, 3, high=3)
    data = png(values, kind=RGB, before=chunk(b"tRNS", struct.pack(">HHH", 0x101, 2, 0)))
    np.testing.assert_array_equal(
        decoded(data, channels=4)[..., 3], np.where((values == (1, 2, 0)).all(-1), 0, 255)
    )


def test_the_transparent_colours_of_a_palette():
    values = noise(HEIGHT, WIDTH, high=4)
    before = chunk(b"PLTE", bytes(range(12))) + chunk(b"tRNS", bytes([0, 100, 255]))
    data = png(values, kind=PALETTE, depth=2, before=before)
    np.testing.assert_array_equal(decoded(data, channels=4)[..., 3], np.array([0, 100, 255, 255])[values])


def test_sixteen_bits_with_a_transparent_colour_are_named():
    """Pillow keeps 8 of the 16, with which the colour cannot be found."""
    data = png(noise(HEIGHT, WIDTH, 3, high=65536), kind=RGB, depth=16, before=chunk(b"tRNS", b"\0" * 6))
    for whole in (True, False):
        with pytest.raises(ValueError, match="16 bits in which one colour is transparent.*save it with 8"):
            measure_image(io.BytesIO(data), channels=3, whole=whole)


def test_a_damaged_transparency_is_no_metadata():
    data = png(noise(HEIGHT, WIDTH, high=256), kind=GREY, before=chunk(b"tRNS", b"\0\7", 7))
    with pytest.raises(ValueError, match="the checksum of its transparency is wrong"):
        decoded(data)


@pytest.mark.parametrize("kind", [GREY, RGB])
def test_a_transparency_that_is_too_short_is_none(kind):
    values = noise(HEIGHT, WIDTH) if kind == GREY else noise(HEIGHT, WIDTH, 3)
    data = png(values, kind=kind, before=chunk(b"tRNS", b"\0"))
    assert (decoded(data, channels=4)[..., 3] == 255).all()


ORIENTED = {
    "EXIF": chunk(b"eXIf", EXIF),
    "XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    "packed XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
    "XMP of elements": chunk(
        b"iTXt", b"XML:com.adobe.xmp\0\0\0en\0x\0<tiff:Orientation>6</tiff:Orientation>"
    ),
    "EXIF as hex digits": text(
        b"zTXt", b"Raw profile type exif", b"\nexif\n      26\n" + EXIF.hex().encode() + b"\n"
    ),
    "EXIF as hex digits, not packed": text(
        b"tEXt", b"Raw profile type exif", b"\nexif\n26\n" + EXIF.hex().encode()
    ),
    "EXIF before XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP.replace(b"6", b"3"))
    + chunk(b"eXIf", EXIF),
    "XMP and EXIF that is none": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    + chunk(b"eXIf", b"hello"),
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("kind", ORIENTED)
def test_which_way_up_wherever_it_stands(kind, place):
    """Also behind the pixels, where a look at the headers alone has to find it."""
    upright = noise(HEIGHT, WIDTH, 3)
    data = png(np.rot90(upright), kind=RGB, **{place: ORIENTED[kind]})
    np.testing.assert_array_equal(decoded(data), upright)


def test_of_an_animation_the_first_picture():
    frames = [Image.fromarray(noise(HEIGHT, WIDTH, 4).astype(np.uint8)) for _ in range(1)]
    frames += [Image.new("RGBA", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decoded(stream.getvalue(), channels=4), np.asarray(frames[0]))


@pytest.mark.parametrize("interlaced", [False, True])
def test_damage_is_named_as_a_pngs(interlaced):
    data = bytearray(png(noise(HEIGHT, WIDTH, 3), kind=RGB))
    data[28] = int(interlaced)  # the checksum of the header is wrong now, or its word was changed on the way
    data[30] ^= 1
    with pytest.raises(UNREADABLE) as caught:
        decoded(bytes(data))
    assert reason_of(caught.value) == "a PNG that is damaged, or of a kind that is not read"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_what_is_cut_short_is_left_out(share):
    data = png(noise(HEIGHT, WIDTH, 3), kind=RGB)
    with pytest.raises(UNREADABLE):
        decode_image(data[: int(len(data) * share)], size=(HEIGHT, WIDTH), channels=3)


@pytest.mark.parametrize("bit", [1, 64])
def test_no_flipped_bit_shows_other_pixels_without_a_word(bit):
    """Wherever it is: in lengths, names, contents or checksums."""
    smooth = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[..., None] * [3, 2, 5] % 256
    data = png(smooth, kind=RGB)
    refused = count_refused(data, range(len(data)), bit=bit, pixels=smooth)
    assert refused > len(data) - 30


def test_wrong_checksums_of_pixels_are_named():
    data = png(noise(HEIGHT, WIDTH, 3), kind=RGB)
    end = data.index(b"IEND") - 4
    with pytest.raises(ValueError, match="^the checksum of its pixels is wrong$"):
        decoded(data[: end - 1] + bytes([data[end - 1] ^ 1]) + data[end:])
