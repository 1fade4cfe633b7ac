"""Pictures of any format to upright ones: orientation without anything written back, silence, and reasons."""

import io
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from datamodules.datasets import opening
from datamodules.datasets.decoding import UNREADABLE, decode_image, measure_image, reason_of
from datamodules.datasets.opening import accept_odd_files, orientation_of

FORMATS = {"JPEG": {"quality": 100, "subsampling": 0}, "PNG": {}, "WEBP": {"lossless": True}}
TURNED = (0x0112, 3, 1, struct.pack("<HH", 6, 0))


def noise(height: int = 20, width: int = 30) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def directory(entries: list[tuple[int, int, int, bytes]], at: int = 8) -> bytes:
    """An IFD, little endian, at a place of its file: entries of (tag, type, count, value)."""
    body, heap, heap_at = struct.pack("<H", len(entries)), b"", at + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in entries:
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", heap_at + len(heap))
        heap += value if len(value) > 4 else b""
        body += struct.pack("<HHI", tag, kind, count) + place
    return body + b"\0\0\0\0" + heap


def block(entries: list, more: bytes = b"") -> bytes:
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory(entries) + more


def saved(pixels: np.ndarray, kind: str, exif: bytes) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, kind, exif=exif, **FORMATS[kind])
    return stream.getvalue()


# Whole pictures, of which Pillow cannot write back, or not read, some value of the EXIF.
ODD = {
    "a height below the sea": block(
        [TURNED, (0x8825, 4, 1, struct.pack("<I", 38))],
        directory([(6, 10, 1, struct.pack("<ii", -427, 1))], 38),
    ),
    "a resolution of -1/0": block([TURNED, (0x011A, 10, 1, struct.pack("<ii", -1, 0))]),
    "a text that is none": block([TURNED, (0x010F, 2, 4, b"\xff\xfe\xfd\xfc")]),
    "a value far outside": block([TURNED, (0x011A, 5, 1, b"\xff\xff\xff\x7f")]),
    "a type that does not exist": block([TURNED, (0x011A, 99, 1, b"\0\0\0\0")]),
    "directories in a circle": block([TURNED, (0x8769, 4, 1, struct.pack("<I", 8))]),
    "a maker's note that is cut": block([TURNED, (0x927C, 7, 1 << 20, b"\0\0\1\0")]),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("exif", ODD)
def test_turning_needs_nothing_written_back(exif, kind):
    upright = noise()
    data = saved(np.rot90(upright), kind, ODD[exif])
    assert measure_image(io.BytesIO(data), channels=3, whole=False) == (20, 30)
    assert measure_image(io.BytesIO(data), channels=3, whole=True) == (20, 30)
    result = decode_image(data, size=(20, 30), channels=3).transpose(1, 2, 0).astype(int)
    assert np.abs(result - upright).max() <= (6 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "words", [b"hello there this is no tiff", b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM"]
)
def test_an_exif_block_that_is_none_says_nothing_in_any_format(words, kind):
    data = saved(noise(), kind, b"Exif\0\0" + words)
    assert measure_image(io.BytesIO(data), channels=3, whole=True) == (20, 30)
    assert decode_image(data, size=(20, 30), channels=3).shape == (3, 20, 30)


@given(
    tag=st.sampled_from([274, 273, 256]),
    value=st.integers(0, 12),
    order=st.sampled_from("<>"),
    prefixes=st.integers(0, 2),
)
def test_the_tag_is_found_as_pillow_finds_it(tag, value, order, prefixes):
    exif = Image.Exif()
    exif.endian = order
    exif[305] = "a program"
    exif[tag] = value
    written = b"Exif\0\0" * prefixes + exif.tobytes().removeprefix(b"Exif\0\0")
    read = Image.Exif()
    read.load(written)
    known = read.get(274, 1)
    assert orientation_of(None, written, b"") == (known if 1 <= known <= 8 else 1)


@settings(max_examples=300)
@given(
    exif=st.binary(max_size=80),
    head=st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]),
    xmp=st.binary(),
)
def test_no_block_makes_it_fail(exif, head, xmp):
    assert 1 <= orientation_of(None, b"Exif\0\0" + head + exif, xmp) <= 8


def test_the_word_of_exif_counts_before_that_of_xmp():
    xmp = b'tiff:Orientation="3"'
    assert orientation_of(None, b"", xmp) == 3
    assert orientation_of(None, block([TURNED]), xmp) == 6
    assert orientation_of(None, block([(0x0112, 3, 1, b"\1\0")]), xmp) == 1
    assert orientation_of(8, block([TURNED]), xmp) == 8
    assert orientation_of(None, b"", 'tiff:Orientation="5"') == 5
    assert orientation_of(None, b"", "<tiff:Orientation> 6 </tiff:Orientation>") == 6


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "words",
    ['tiff:Orientation="6"', "tiff:Orientation='6'", "tiff:Orientation = '6'", 'tiff:Orientation\n=\n"6"'],
)
def test_the_word_of_xmp_as_xml_lets_it_be_written(words, kind):
    xml = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description rdf:about='' {words}/></x:xmpmeta>".encode()
    stream = io.BytesIO()
    if kind == "PNG":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xml.decode())
        options = {"pnginfo": text}
    else:
        options = {"xmp": xml, **FORMATS[kind]}
    upright = noise()
    Image.fromarray(np.ascontiguousarray(np.rot90(upright))).save(stream, kind, **options)
    data = stream.getvalue()
    assert measure_image(io.BytesIO(data), channels=3, whole=False) == (20, 30)
    result = decode_image(data, size=(20, 30), channels=3).transpose(1, 2, 0).astype(int)
    assert np.abs(result - upright).max() <= (6 if kind == "JPEG" else 0)


def test_inks_of_a_jpeg_that_does_not_say_how_they_are_stored_are_refused():
    """Also by the look at headers. With the word of Adobe, 255 is no ink."""
    red = np.zeros((20, 30, 4), np.uint8)
    red[..., 1:3] = 255
    stream = io.BytesIO()
    Image.fromarray(red, "CMYK").save(stream, "JPEG", quality=100)
    data = stream.getvalue()
    result = decode_image(data, size=(20, 30), channels=3).transpose(1, 2, 0).astype(int)
    assert np.abs(result - [255, 0, 0]).max() <= 3
    place = data.index(b"\xff\xee")
    (length,) = struct.unpack_from(">H", data, place + 2)
    without = data[:place] + data[place + 2 + length :]
    for whole in (True, False):
        with pytest.raises(ValueError, match=r"inks \(CMYK\) .*which way round.*save it as RGB"):
            measure_image(io.BytesIO(without), channels=3, whole=whole)


def test_large_pictures_and_odd_metadata_are_read_in_silence(monkeypatch):
    """Pillow warns from half its limit on, and of damaged EXIF; as warnings of a program, with a line of its source."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    data = saved(noise(), "JPEG", ODD["a value far outside"])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with Image.open(io.BytesIO(data)) as image:
            image.getexif()
        assert heard, "this version of Pillow does not warn, and the test tests nothing"
        heard.clear()
        accept_odd_files()
        assert decode_image(data, size=(30, 20), channels=3).shape == (3, 30, 20)
        assert measure_image(io.BytesIO(data), channels=3, whole=False) == (30, 20)
        assert [str(warning.message) for warning in heard] == []
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with pytest.raises(UNREADABLE) as caught:
        decode_image(data, size=(20, 30), channels=3)
    assert reason_of(caught.value) == "Image size (600 pixels) exceeds limit of 400 pixels"


@pytest.mark.parametrize("kind", sorted({"PNG", "JPEG", "WEBP", "GIF", "BMP"}))
def test_a_damaged_file_is_called_what_it_is(kind):
    stream = io.BytesIO()
    Image.fromarray(noise()).save(stream, kind)
    with pytest.raises(UNREADABLE) as caught:
        decode_image(stream.getvalue()[:12] + b"\xff" * 40, size=(20, 30), channels=3)
    assert "none of" not in reason_of(caught.value)


def test_what_has_no_signature_of_ours_is_none_of_them():
    for data in (b"", b"hello", b"%PDF-1.7", b"\0" * 100, b"<svg/>"):
        for whole in (True, False):
            with pytest.raises(UNREADABLE) as caught:
                measure_image(io.BytesIO(data), channels=3, whole=whole)
            assert reason_of(caught.value) == f"its content is none of {', '.join(opening.FORMATS)}"


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 60),
)
def test_no_damage_raises_anything_unexpected(kind, changes, cut):
    """And what the look at whole files finds good can be trained on, with the size that was found."""
    stream = io.BytesIO()
    Image.fromarray(noise(8, 12)).save(stream, kind)
    data = bytearray(stream.getvalue())
    for place, value in changes:
        data[place % len(data)] = value
    data = bytes(data[: len(data) - cut])
    try:
        size = measure_image(io.BytesIO(data), channels=3, whole=True)
    except UNREADABLE as error:
        assert reason_of(error)
        return
    assert measure_image(io.BytesIO(data), channels=3, whole=False) == size
    assert decode_image(data, size=(8, 8), channels=3).shape == (3, 8, 8)
