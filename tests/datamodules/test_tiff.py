"""TIFFs of many kinds: their pixels against the arrays they were made of, or the reason why they are not read."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from datamodules.datasets.decoding import UNREADABLE, decode_image, measure_image, reason_of
from datamodules.datasets.tiff import kind_of_tiff
from tests.datamodules.flipped_bits import count_refused

HEIGHT, WIDTH = 32, 48


def noise(channels: int, dtype: str) -> np.ndarray:
    high = 65536 if dtype == "u2" else 256
    return np.random.default_rng(0).integers(0, high, (HEIGHT, WIDTH, channels)).astype(dtype)


def written(pixels: np.ndarray, *, planes: bool = False, **options) -> bytes:
    """A TIFF of [H,W,S] by tifffile."""
    if pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    elif planes:
        pixels = pixels.transpose(2, 0, 1)
    if pixels.ndim == 3:
        options["planarconfig"] = "separate" if planes else "contig"
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, metadata=None, **options)
    return stream.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """RGBA as float64 [H,W,4]; its size being what the headers and the whole file say."""
    for whole in (True, False):
        assert measure_image(io.BytesIO(data), channels=3, whole=whole) == (HEIGHT, WIDTH)
    return decode_image(data, size=(HEIGHT, WIDTH), channels=4).transpose(1, 2, 0).astype(np.float64)


def rgba(colour: np.ndarray, alpha: np.ndarray | float = 255.0) -> np.ndarray:
    """Colours [H,W,1 or 3] and alpha [H,W,1] from 0 to 255 as [H,W,4]."""
    colour = np.broadcast_to(colour, (HEIGHT, WIDTH, 3))
    return np.concatenate([colour, np.broadcast_to(alpha, (HEIGHT, WIDTH, 1))], -1)


# Name → photometric interpretation, kinds of the samples beyond the colours, and how many samples.
KINDS = {
    "white is zero": ("miniswhite", (), 1),
    "grey": ("minisblack", (), 1),
    "grey and something": ("minisblack", (0,), 2),
    "grey and alpha": ("minisblack", (2,), 2),
    "RGB": ("rgb", (), 3),
    "RGB and something": ("rgb", (0,), 4),
    "RGB and alpha": ("rgb", (2,), 4),
    "RGB, something and alpha": ("rgb", (0, 2), 5),
    "CMYK": ("separated", (), 4),
}
STORED = {
    "uncompressed": {},
    "many strips": {"rowsperstrip": 5},
    "tiles": {"tile": (16, 16)},
    "big endian": {"byteorder": ">"},
    "deflate, predictor": {"compression": "zlib", "predictor": True},
    "LZW, big endian": {"compression": "lzw", "byteorder": ">"},
    "PackBits, tiles": {"compression": "packbits", "tile": (16, 16)},
    "big": {"bigtiff": True},
}


# One plane is both.
KINDS_IN_PLANES = [(kind, planes) for kind in KINDS for planes in (False, True)[: KINDS[kind][2]]]


def kinds_as_stored():
    """Each kind with each type, and each type and one kind with each way to store it; the rest in the long run."""
    for number, (kind, planes) in enumerate(KINDS_IN_PLANES):
        for step, dtype in enumerate(("u1", "u2", "f4")):
            for place, stored in enumerate(STORED):
                usual = (number + 3 * step) % len(STORED) == place or kind == "RGB and alpha"
                yield pytest.param(kind, planes, dtype, stored, marks=() if usual else pytest.mark.long)


@pytest.mark.parametrize(("kind", "planes", "dtype", "stored"), list(kinds_as_stored()))
def test_pixels_are_those_that_were_written(kind, dtype, planes, stored):
    photometric, extras, count = KINDS[kind]
    pixels = noise(count, dtype)
    data = written(
        pixels, planes=planes, photometric=photometric, extrasamples=extras or None, **STORED[stored]
    )
    if dtype == "f4" and 2 in extras:
        with pytest.raises(ValueError, match="which is not read; save it as PNG"):
            decoded(data)
        return
    shown = pixels / (257.0 if dtype == "u2" else 1.0)
    colours = {"rgb": 3, "separated": 4}.get(photometric, 1)
    alpha = shown[..., colours + extras.index(2), None] if 2 in extras else 255.0
    if photometric == "separated":
        # Inks as Pillow shows them, of which the high byte counts.
        inks = Image.fromarray((pixels // (256 if dtype == "u2" else 1)).astype("u1"), "CMYK")
        expected = rgba(np.asarray(inks.convert("RGB")))
    else:
        colour = shown[..., :colours]
        expected = rgba(255 - colour if photometric == "miniswhite" else colour, alpha)
    assert np.abs(decoded(data) - expected).max() < (1.0 if dtype == "u2" else 0.001)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize(("photometric", "count"), [("minisblack", 2), ("rgb", 4)])
@pytest.mark.parametrize("planes", [False, True])
def test_colours_that_were_multiplied_by_alpha_are_divided_again(photometric, count, dtype, planes):
    pixels = noise(count, dtype)
    most = float(np.iinfo(dtype).max)
    pixels[..., -1] = np.maximum(pixels[..., -1], int(most) // 4)
    alpha = pixels[..., -1:] / most
    multiplied = np.concatenate([np.round(pixels[..., :-1] * alpha), pixels[..., -1:]], -1).astype(dtype)
    data = written(multiplied, planes=planes, photometric=photometric, extrasamples=(1,))
    expected = rgba(pixels[..., :-1] * (255 / most), 255 * alpha)
    # Eight bits times alpha of a quarter have six left.
    assert np.abs(decoded(data) - expected).max() < 6


def pixels_of(data: bytes) -> list:
    return decode_image(data, size=(HEIGHT, WIDTH), channels=3).tolist()


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("planes", [False, True])
def test_however_it_is_stored_sixteen_bits_have_the_same_pixels(stored, planes):
    pixels = noise(3, "u2")
    first = pixels_of(written(pixels, photometric="rgb"))
    assert pixels_of(written(pixels, planes=planes, photometric="rgb", **STORED[stored])) == first


def by_hand(
    samples: bytes, bits: int, photometric: int, *, form: int = 1, compression: int = 1, more: tuple = ()
) -> bytes:
    """One strip of a grey TIFF, little endian: written without a library."""
    tags = [
        *((256, 3, WIDTH), (257, 3, HEIGHT), (258, 3, bits), (259, 3, compression), (262, 3, photometric)),
        *((273, 4, 400), (277, 3, 1), (278, 3, HEIGHT), (279, 4, len(samples)), (339, 3, form), *more),
    ]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in sorted(tags))
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0"
    return head.ljust(400, b"\0") + samples


def test_twelve_bits_have_their_own_white():
    values = np.linspace(0, 4095, HEIGHT * WIDTH).round().astype(np.uint16).reshape(HEIGHT, WIDTH)
    bits = ((values[..., None] >> np.arange(11, -1, -1)) & 1).astype(np.uint8)
    data = by_hand(np.packbits(bits.reshape(HEIGHT, -1), axis=1).tobytes(), 12, 1)
    assert np.abs(decoded(data) - rgba(values[..., None] / 4095 * 255)).max() <= 0.501


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("photometric", [0, 1])
def test_few_bits_are_spread_over_the_range(bits, photometric):
    values = np.random.default_rng(1).integers(0, 2**bits, (HEIGHT, WIDTH))
    unpacked = ((values[..., None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)
    data = by_hand(np.packbits(unpacked.reshape(HEIGHT, -1), axis=1).tobytes(), bits, photometric)
    shown = values * 255 / (2**bits - 1)
    np.testing.assert_allclose(decoded(data), rgba((255 - shown if photometric == 0 else shown)[..., None]))


def test_floats_of_sixteen_and_sixty_four_bits_and_three_channels():
    pixels = np.random.default_rng(0).uniform(-20, 280, (HEIGHT, WIDTH, 3))
    for dtype in ("f2", "f4", "f8"):
        stored = pixels.astype(dtype)
        expected = rgba(np.floor(np.clip(stored.astype(np.float64), 0, 255)))
        np.testing.assert_array_equal(decoded(written(stored, photometric="rgb")), expected)


@pytest.mark.parametrize(
    ("lab", "srgb"),
    [
        ((54.29, 80.81, 69.89), (255, 0, 0)),
        ((87.82, -79.28, 80.99), (0, 255, 0)),
        ((29.57, 68.30, -112.03), (0, 0, 255)),
        ((100, 0, 0), (255, 255, 255)),
        ((53.39, 0, 0), (127, 127, 127)),
    ],
)
def test_lab_becomes_srgb(lab, srgb):
    """Primaries of sRGB in CIELAB under D50, as its profile has them; at the gamut's edge a step of 8 bits is wide."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[...] = [round(lab[0] * 2.55), round(lab[1]) % 256, round(lab[2]) % 256]
    assert np.abs(decoded(written(pixels, photometric="cielab"))[..., :3] - np.array(srgb)).max() <= 24


def test_jpeg_inside_a_tiff():
    ramp = np.broadcast_to(np.linspace(0, 255, WIDTH)[None, :, None], (HEIGHT, WIDTH, 3)).astype(np.uint8)
    data = written(ramp, photometric="rgb", compression="jpeg")
    assert tifffile.TiffFile(io.BytesIO(data)).pages.first.photometric == 6, "stored as YCbCr"
    assert np.abs(decoded(data)[..., :3] - ramp).max() <= 6


def test_of_several_pages_the_first_counts():
    pages = np.stack([noise(1, "u2")[..., 0], np.zeros((HEIGHT, WIDTH), np.uint16)])
    stream = io.BytesIO()
    tifffile.imwrite(stream, pages, photometric="miniswhite")
    assert np.abs(decoded(stream.getvalue()) - rgba(255 - pages[0][..., None] / 257)).max() < 1


LEFT_OUT = {
    "signed": (written(noise(1, "i1"), photometric="minisblack"), "signed samples"),
    "signed, 16 bits": (written(noise(3, "i2"), photometric="rgb"), "signed samples"),
    "32 bits": (written(noise(1, "u4"), photometric="minisblack"), "whole numbers of 32 bits"),
    "32 bits, signed": (written(noise(1, "i4"), photometric="minisblack"), "signed samples"),
    "32 bits, RGB": (written(noise(3, "u4"), photometric="rgb"), "whole numbers of 32 bits"),
    "complex": (written(noise(1, "c8"), photometric="minisblack"), "complex"),
    "five bands": (written(noise(5, "u1"), photometric="minisblack"), "with 5 channels"),
    "from 0 to 1": (written(noise(1, "f4") / 255, photometric="minisblack"), "from 0 to 1"),
    "from 0 to 1, RGB": (written(noise(3, "f2") / 255, photometric="rgb"), "from 0 to 1"),
    "no numbers": (written(noise(1, "f4") * np.float32(np.nan), photometric="minisblack"), "no numbers"),
    "colour filters": (written(noise(1, "u2"), photometric="cfa"), "CFA"),
    "inks": (written(noise(4, "u1"), photometric="separated", extratags=[(332, 3, 1, 2, True)]), "SEPARATED"),
    "JPEG 2000 without colours": (written(noise(1, "u1"), photometric="logl", compression="zlib"), "LOGL"),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_what_cannot_be_told_is_named(kind):
    data, reason = LEFT_OUT[kind]
    with pytest.raises(ValueError, match=reason) as caught:
        decoded(data)
    assert "save it" in reason_of(caught.value) and "none of" not in reason_of(caught.value)


def test_headers_and_pixels_are_refused_alike():
    """All that the header shows is said also of sets of which only headers are read."""
    for kind in set(LEFT_OUT) - {"from 0 to 1", "from 0 to 1, RGB", "no numbers"}:
        with pytest.raises(ValueError):
            measure_image(io.BytesIO(LEFT_OUT[kind][0]), channels=3, whole=False)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("planes", [False, True], ids=["by Pillow", "by tifffile"])
@pytest.mark.parametrize("byteorder", "<>")
def test_every_orientation(orientation, planes, byteorder):
    upright = noise(3, "u2")
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    tag = [(274, 3, 1, orientation, True)]
    data = written(stored, planes=planes, photometric="rgb", byteorder=byteorder, extratags=tag)
    assert kind_of_tiff(io.BytesIO(data)).by_pillow != planes
    np.testing.assert_array_equal(decoded(data)[..., :3], upright >> 8)


def test_an_orientation_in_xmp_alone():
    block = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    upright = noise(3, "u1")
    data = written(np.rot90(upright), photometric="rgb", extratags=[(700, 1, len(block), block, True)])
    np.testing.assert_array_equal(decoded(data)[..., :3], upright)


@pytest.mark.parametrize("kind", [("rgb", "u2", True), ("rgb", "u1", False), ("miniswhite", "u2", False)])
@pytest.mark.parametrize("stored", ["uncompressed", "many strips", "deflate, predictor"])
def test_what_is_cut_short_is_left_out(kind, stored):
    photometric, dtype, planes = kind
    pixels = noise(3 if photometric == "rgb" else 1, dtype)
    data = written(pixels, planes=planes, photometric=photometric, **STORED[stored])
    for length in (len(data) - 200, len(data) // 2, 40, 9):
        with pytest.raises(UNREADABLE):
            decoded(data[:length])


@pytest.mark.parametrize("planes", [False, True], ids=["by Pillow", "by tifffile"])
@pytest.mark.parametrize("compression", [None, "zlib", "packbits"])
@pytest.mark.parametrize("fault", ["a strip too few", "a short strip", "no strip", "a strip nowhere"])
def test_strips_that_are_missing_or_short_are_damage(fault, compression, planes):
    """Not noise, nor black: tifffile's own array would hold whatever was in the memory."""
    data = bytearray(
        written(noise(3, "u2"), planes=planes, photometric="rgb", compression=compression, rowsperstrip=4)
    )
    page = tifffile.TiffFile(io.BytesIO(data)).pages.first
    starts, counts = page.tags[273], page.tags[279]
    width = {3: 2, 4: 4}[counts.dtype]
    if fault == "a strip too few":
        for tag in (starts, counts):
            struct.pack_into("<I", data, tag.offset + 4, tag.count - 1)
    elif fault == "a short strip":
        struct.pack_into("<" + "-HI"[width // 2], data, counts.valueoffset + width, counts.value[1] // 2)
    elif fault == "no strip":
        struct.pack_into("<" + "-HI"[width // 2], data, counts.valueoffset + width, 0)
    else:
        struct.pack_into("<I", data, starts.valueoffset + 4, len(data) + 5)
    if fault in ("a short strip", "no strip") and compression is None and not planes:
        # All that a strip needs is there, and only its length is noted wrong, as some programs do.
        np.testing.assert_array_equal(decoded(bytes(data))[..., :3], noise(3, "u2") >> 8)
        return
    with pytest.raises(UNREADABLE):
        decode_image(bytes(data), size=(HEIGHT, WIDTH), channels=3)


def test_without_the_codecs_the_reason_names_the_extra(monkeypatch):
    data = written(noise(3, "u2"), planes=True, photometric="rgb", compression="lzw")
    fallback = __import__("tifffile._imagecodecs", fromlist=["_imagecodecs"])
    monkeypatch.setattr(tifffile.tifffile, "imagecodecs", fallback)
    monkeypatch.setattr(
        tifffile.TIFF, "DECOMPRESSORS", tifffile.tifffile.CompressionCodec(encode=False), raising=False
    )
    with pytest.raises(ValueError, match=r"compressed by LZW, is read with .*stylegan-lightning\[tiff\]"):
        decoded(data)
    # What people have most of needs none.
    for usual in ("zlib", "packbits", None):
        data = written(noise(3, "u2"), planes=True, photometric="rgb", compression=usual)
        assert np.abs(decoded(data)[..., :3] - noise(3, "u2") / 257).max() < 1


@pytest.mark.parametrize("reader", ["Pillow", "tifffile"])
@pytest.mark.parametrize("compression", ["zlib", "lzma"])
@pytest.mark.parametrize("bit", [1, 16])
def test_no_flipped_bit_of_what_has_a_checksum_shows_other_pixels(compression, bit, reader):
    smooth = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[..., None] * [3, 2, 5] % 256
    wide = smooth.astype("u2") * 257
    planes = reader == "tifffile"
    data = written(wide, planes=planes, photometric="rgb", compression=compression, rowsperstrip=16)
    assert kind_of_tiff(io.BytesIO(data)).by_pillow != planes
    np.testing.assert_array_equal(decoded(data)[..., :3], smooth)
    page = tifffile.TiffFile(io.BytesIO(data)).pages.first
    strips = zip(page.dataoffsets, page.databytecounts, strict=True)
    places = (place for start, length in strips for place in range(start, start + length))
    refused = count_refused(data, places, bit=bit, pixels=smooth)
    assert refused > 100


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("fault", ["", "the checksum of its pixels is wrong", "it is cut short"])
def test_checksums_of_deflate_whichever_way_its_bits_are(order, fault):
    pixels = noise(1, "u1")
    packed = bytearray(zlib.compress(pixels.tobytes()))
    if fault == "it is cut short":
        del packed[-4:]
    elif fault:
        packed[-1] ^= 1
    if order == 2:
        packed = np.packbits(np.unpackbits(np.frombuffer(packed, "u1"), bitorder="little")).tobytes()
    # By hand, as tifffile writes no such order of bits.
    data = by_hand(bytes(packed), 8, 1, compression=8, more=((266, 3, order),))
    if fault:
        with pytest.raises(ValueError, match=f"^{fault}$"):
            decoded(data)
    else:
        np.testing.assert_array_equal(decoded(data), rgba(pixels))


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize(("photometric", "count"), [("minisblack", 1), ("miniswhite", 1), ("rgb", 3)])
def test_big_ones_with_big_endian(photometric, count, compression, tile):
    """Pillow does not know their header."""
    pixels = noise(count, "u1")
    options = {"compression": compression, "tile": tile, "bigtiff": True, "byteorder": ">"}
    data = written(pixels, photometric=photometric, **options)
    assert data.startswith(b"MM\0+")
    np.testing.assert_array_equal(
        decoded(data), rgba(255 - pixels if photometric == "miniswhite" else pixels)
    )


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize(
    ("photometric", "count", "extras"),
    [("minisblack", 2, (2,)), ("rgb", 3, ()), ("rgb", 4, (2,)), ("separated", 4, ())],
)
def test_several_samples_of_few_bits(photometric, count, extras, bits, big):
    values = np.random.default_rng(2).integers(0, 2**bits, (HEIGHT, WIDTH, count)).astype("u1")
    data = written(
        values, photometric=photometric, extrasamples=extras or None, bitspersample=bits, bigtiff=big
    )
    shown = values * (255.0 / (2**bits - 1))
    if photometric == "separated":
        expected, tolerance = rgba((255 - shown[..., :3]) * (255 - shown[..., 3:]) / 255), 1.01
    else:
        expected = rgba(shown[..., :-1], shown[..., -1:]) if extras else rgba(shown)
        tolerance = 0.001
    assert np.abs(decoded(data) - expected).max() < tolerance


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 12])
@pytest.mark.parametrize(("photometric", "count"), [("minisblack", 2), ("rgb", 4)])
def test_colours_of_few_bits_are_divided_by_alpha_without_steps(photometric, count, bits, planes):
    most = 2**bits - 1
    values = np.random.default_rng(3).integers(0, most + 1, (HEIGHT, WIDTH, count))
    values[..., :-1] = np.minimum(values[..., :-1], values[..., -1:])
    data = written(
        values.astype("u2" if bits > 8 else "u1"),
        planes=planes,
        photometric=photometric,
        extrasamples=(1,),
        bitspersample=bits,
        compression="jpeg2000" if bits == 12 else None,  # in which tifffile writes 12 bits
    )
    alpha = values[..., -1:]
    expected = rgba(values[..., :-1] * 255.0 / np.maximum(alpha, 1), alpha * 255.0 / most)
    difference = np.abs(decoded(data) - expected)
    assert (difference * (alpha > 0)).max() < 0.51 and difference[..., 3].max() < 0.51


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize(("photometric", "count"), [("minisblack", 1), ("rgb", 3)])
@pytest.mark.parametrize("compression", ["packbits", "zlib", "lzw", "lzma", "zstd"])
def test_differences_are_added_up_whatever_packs_them(compression, photometric, count, dtype):
    """libtiff has no predictor for PackBits."""
    pixels = noise(count, dtype)
    data = written(pixels, photometric=photometric, compression=compression, predictor=2)
    assert tifffile.TiffFile(io.BytesIO(data)).pages.first.predictor == 2
    assert np.abs(decoded(data) - rgba(pixels / (257.0 if dtype == "u2" else 1.0))).max() < 1
