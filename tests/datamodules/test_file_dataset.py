"""One picture from bytes to pixels, against formulas and against Pillow's own steps."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.datasets import FileDataset, FolderFiles
from datamodules.datasets.decoding import decode_image, measure_image
from datamodules.datasets.files import is_image_name

EMOJI = Path(__file__).parent / "emoji"


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(*shape: int, high: int = 256, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Porter and Duff's "over" on white, in float64: colour [H,W,3], alpha [H,W], 0..255."""
    share = alpha[..., None].astype(np.float64) / 255
    return colour * share + 255 * (1 - share)


def test_rgba_is_put_on_white():
    pixels = noise(16, 16, 4)
    result = decode_image(encoded(Image.fromarray(pixels)), size=(16, 16), channels=3)
    expected = over_white(pixels[..., :3], pixels[..., 3]).transpose(2, 0, 1)
    assert np.abs(result - expected).max() <= 0.5 + 1e-9


def test_grey_with_alpha_is_put_on_white():
    pixels = noise(16, 16, 2)
    result = decode_image(encoded(Image.fromarray(pixels, "LA")), size=(16, 16), channels=1)
    expected = over_white(pixels[..., :1], pixels[..., 1]).transpose(2, 0, 1)
    assert np.abs(result - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_becomes_white(kind):
    indices = noise(8, 8, high=4)
    image = Image.fromarray(indices, "P")
    palette = [200, 10, 10, 10, 200, 10, 10, 10, 200, 60, 70, 80]
    image.putpalette(palette)
    result = decode_image(encoded(image, kind, transparency=2), size=(8, 8), channels=3)
    colours = np.array(palette).reshape(4, 3)
    colours[2] = 255
    np.testing.assert_array_equal(result, colours[indices].transpose(2, 0, 1))


def test_a_transparent_colour_key_becomes_white():
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[2:4, 3] = (1, 2, 3)
    data = encoded(Image.fromarray(pixels), transparency=(1, 2, 3))
    result = decode_image(data, size=(8, 8), channels=3)
    expected = np.where((pixels == (1, 2, 3)).all(-1), 255, 0)
    np.testing.assert_array_equal(result, np.broadcast_to(expected, (3, 8, 8)))


@pytest.mark.parametrize(("height", "width"), [(20, 33), (33, 20), (21, 21)])
def test_crop_takes_the_centre_and_resize_is_lanczos(height, width):
    image = Image.fromarray(noise(height, width, 3))
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    cropped = decode_image(encoded(image), size=(side, side), channels=3)
    np.testing.assert_array_equal(cropped, np.asarray(square).transpose(2, 0, 1))
    resized = decode_image(encoded(image), size=(16, 16), channels=3)
    expected = np.asarray(square.resize((16, 16), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(resized, expected.transpose(2, 0, 1))


def test_colour_is_blended_before_it_is_resized():
    """Where it is invisible, a colour must not bleed into its surroundings."""
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[:, 16:, :] = 255
    result = decode_image(encoded(Image.fromarray(pixels)), size=(8, 8), channels=3)
    assert (result == 255).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "I;16", "F", "PA", "LA", "RGBA"])
def test_every_mode_can_be_read(mode, channels):
    """A flat grey comes back as that grey from every mode that can hold it."""
    if mode == "I;16":
        image = Image.fromarray(np.full((9, 9), 255 * 257, np.uint16))
    else:
        white = Image.new("P" if mode == "PA" else "L", (9, 9), 255)
        if mode == "PA":
            white.putpalette([255] * 768)
        image = (
            white.convert(mode)
            if mode in ("L", "1", "P", "F", "LA", "PA")
            else white.convert("RGB").convert(mode)
        )
    result = decode_image(encoded(image, "TIFF"), size=(8, 8), channels=channels)
    assert result.shape == (channels, 8, 8) and result.dtype == np.uint8
    assert (result == 255).all()


def test_sixteen_bits_keep_their_range():
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    result = decode_image(encoded(Image.fromarray(ramp)), size=(8, 8), channels=1)
    assert np.abs(result[0] - ramp / 257).max() <= 0.5 + 1e-6


def test_grey_is_luma():
    pixels = noise(8, 8, 3)
    result = decode_image(encoded(Image.fromarray(pixels)), size=(8, 8), channels=1)
    assert np.abs(result[0] - pixels @ np.array([0.299, 0.587, 0.114])).max() <= 0.51


def test_an_image_is_turned_as_its_exif_says():
    pixels = np.repeat(np.repeat(noise(2, 2, 3), 8, 0), 8, 1)
    turned = Image.fromarray(np.rot90(pixels).copy())
    exif = turned.getexif()
    exif[274] = 6  # turn a quarter clockwise to see it upright
    result = decode_image(encoded(turned, exif=exif), size=(16, 16), channels=3)
    np.testing.assert_array_equal(result, pixels.transpose(2, 0, 1))


def test_a_tiny_picture_is_enlarged():
    result = decode_image(encoded(Image.new("RGB", (1, 3), (10, 20, 30))), size=(8, 8), channels=3)
    assert (result == np.array([10, 20, 30])[:, None, None]).all()


def damaged(kind: str) -> bytes:
    whole = encoded(Image.fromarray(noise(32, 32, 3)), "JPEG")
    if kind == "bomb":
        header = bytearray(encoded(Image.new("L", (1, 1))))
        header[16:24] = (30000).to_bytes(4, "big") * 2
        header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
        return bytes(header)
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    return {"empty": b"", "text": b"no picture", "cut": whole[:300], "postscript": postscript}[kind]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("empty", "its content is none of PNG"),
        ("text", "its content is none of PNG"),
        ("postscript", "its content is none of PNG"),
        ("cut", r"\([^:]*[Tt]runcated"),
        ("bomb", "900000000 pixels"),
    ],
)
def test_a_damaged_file_is_named_with_a_way_out(tmp_path, kind, reason):
    Image.new("RGB", (8, 8)).save(tmp_path / "a good one.png")
    (tmp_path / "bäd.png").write_bytes(damaged(kind))
    dataset = FileDataset(FolderFiles(tmp_path), size=(8, 8), channels=3)
    assert dataset[0][0].shape == (3, 8, 8)
    with pytest.raises(ValueError, match=f"bäd.png .*{reason}.*remove it.*data.max_bad=1"):
        dataset[1]


def test_names_of_pictures():
    yes = ["a.png", "b/C.JPG", "x.y.jpeg", "ü ö/写真.WebP", "a.bmp", "a.gif", "a.tif", "a.TIFF"]
    no = ["a.txt", "png", ".a.png", ".hidden/a.png", "__MACOSX/a.png", "b/__MACOSX/._a.png", "a.png/b", ""]
    assert all(is_image_name(name) for name in yes)
    assert not any(is_image_name(name) for name in no)


@pytest.mark.parametrize("path", sorted(EMOJI.glob("*.png")), ids=lambda path: path.stem)
def test_emoji_stand_on_white(path):
    """Real files of three modes: corners are white, and the pixels are those of the "over" formula."""
    with Image.open(path) as image:
        rgba = np.asarray(image.convert("RGBA"))
    pixels = decode_image(path.read_bytes(), size=(64, 64), channels=3)
    expected = over_white(rgba[..., :3], rgba[..., 3]).transpose(2, 0, 1)
    assert np.abs(pixels - expected).max() <= 0.5 + 1e-9
    assert (pixels[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()


def test_emoji_cover_the_three_modes():
    modes = [Image.open(path).mode for path in EMOJI.glob("*.png")]
    assert sorted(modes) == ["LA", "LA", "P", "P", "RGBA", "RGBA"]


def sixteen_bit_png(pixels: np.ndarray) -> bytes:
    """A PNG of uint16 [H,W,C], written by hand: Pillow writes such only in grey."""
    height, width, channels = pixels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    whole = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + whole


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_of_every_kind_become_eight(channels):
    pixels = noise(8, 8, channels, high=65536, dtype=np.uint16)
    result = decode_image(sixteen_bit_png(pixels), size=(8, 8), channels=channels)
    # The high byte, or the nearest: between them is one step at most.
    assert np.abs(result - pixels.transpose(2, 0, 1) / 257).max() < 1


def test_sixteen_bits_with_a_transparent_value():
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    data = encoded(Image.fromarray(ramp), transparency=5000)
    alpha = decode_image(data, size=(8, 8), channels=2)[1]
    np.testing.assert_array_equal(alpha, np.where(ramp == 5000, 0, 255))
    assert decode_image(data, size=(8, 8), channels=1)[0, 0, 5] == 255


@pytest.mark.parametrize(("height", "width"), [(40, 40), (30, 70), (70, 30), (210, 141), (48, 32)])
@pytest.mark.parametrize("size", [(48, 32), (32, 48), (24, 96)])
def test_the_crop_is_the_largest_of_its_aspect_in_the_centre(height, width, size):
    """A ramp to the right and one to the bottom say where the edges of the crop lay."""
    rows, columns = np.indices((height, width), dtype=np.float64)
    ramps = np.stack([rows / height * 255, columns / width * 255, rows * 0], -1).astype(np.uint8)
    result = decode_image(encoded(Image.fromarray(ramps)), size=size, channels=3)
    assert result.shape == (3, *size)
    scale = min(height / size[0], width / size[1])
    for channel, (length, kept) in enumerate([(height, size[0] * scale), (width, size[1] * scale)]):
        plane = result[channel].astype(float).mean(1 - channel)
        middle = 127.5 * (length - 1) / length
        assert abs(plane.mean() - middle) < 255 / length * 0.75 + 1
        # Lanczos bends the ends of a ramp; its middle has the slope of the crop.
        inner = slice(len(plane) // 4, -(len(plane) // 4))
        slope = np.polyfit(np.arange(len(plane))[inner], plane[inner], 1)[0]
        assert slope == pytest.approx(255 * kept / length / len(plane), rel=0.08)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_kept(channels):
    pixels = noise(16, 24, channels)
    data = encoded(Image.fromarray(pixels, {2: "LA", 4: "RGBA"}[channels]))
    result = decode_image(data, size=(16, 24), channels=channels)
    np.testing.assert_array_equal(result, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
@pytest.mark.parametrize("channels", [2, 4])
def test_what_has_no_alpha_is_opaque(mode, channels):
    data = encoded(Image.new("L", (8, 8), 255).convert(mode), "TIFF")
    assert (decode_image(data, size=(8, 8), channels=channels) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_alpha_of_a_palette(kind):
    indices = noise(8, 8, high=4)
    image = Image.fromarray(indices, "P")
    image.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200, 60, 70, 80])
    alpha = decode_image(encoded(image, kind, transparency=2), size=(8, 8), channels=4)[3]
    np.testing.assert_array_equal(alpha, np.where(indices == 2, 0, 255))


def test_invisible_colours_do_not_bleed_when_alpha_is_kept():
    """Red but invisible at the left, white at the right: what is visible of the edge is white."""
    pixels = np.zeros((32, 30, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[:, 11:, :] = 255
    result = decode_image(encoded(Image.fromarray(pixels)), size=(8, 8), channels=4)
    visible = result[3] > 16
    assert visible.any() and not visible.all() and result[:3, visible].min() >= 250


def test_cmyk_as_photo_programs_write_it():
    """A flat colour; JPEG stores such inks inverted."""
    image = Image.new("RGB", (16, 16), (200, 100, 50)).convert("CMYK")
    result = decode_image(encoded(image, "JPEG", quality=95), size=(16, 16), channels=3)
    assert np.abs(result.astype(int) - np.array([200, 100, 50])[:, None, None]).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_exif(orientation):
    """The eight ways a camera may be held, against the standard's own words: where row 0 and column 0 are."""
    upright = np.arange(48, dtype=np.uint8).reshape(6, 8)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(decode_image(data, size=(6, 8), channels=1)[0], upright)
    assert measure_image(io.BytesIO(data), channels=1, whole=False) == (6, 8)


def npy(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, pixels)
    return stream.getvalue()


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_many_channels(order):
    pixels = np.asarray(noise(12, 8, 5), order=order)
    np.testing.assert_array_equal(
        decode_image(npy(pixels), size=(12, 8), channels=5), pixels.transpose(2, 0, 1)
    )
    assert measure_image(io.BytesIO(npy(pixels)), channels=5, whole=True) == (12, 8)


def test_channels_of_arrays_are_cropped_and_resized_each_like_a_grey_picture():
    pixels = noise(20, 33, 6)
    result = decode_image(npy(pixels), size=(24, 16), channels=6)
    for channel in range(6):
        alone = encoded(Image.fromarray(np.ascontiguousarray(pixels[..., channel])))
        np.testing.assert_array_equal(result[channel], decode_image(alone, size=(24, 16), channels=1)[0])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (npy(noise(8, 8, 4)), r"uint8 \[8, 8, 4\], and must be uint8 \[H,W,5\]"),
        (npy(np.zeros((8, 8, 5), np.float32)), "float32"),
        (npy(np.zeros((8, 5), np.uint8)), r"\[8, 5\]"),
        (npy(np.zeros((0, 8, 5), np.uint8)), r"\[0, 8, 5\]"),
        (npy(noise(8, 8, 5))[:-1], "cut short"),
        (npy(np.array([{}], dtype=object)), "object"),
        (b"", "not a .npy file"),
        (b"\x93NUMPY\x09\x00junk", "not a .npy file"),
        (npy(noise(8, 8, 5)).replace(b"(8, 8, 5)", b"(9**9,1,5)"), "not a .npy file"),
        (npy(noise(8, 10, 5)).replace(b"(8, 10, 5), } ", b"(99999999, 99999999, 5), }"), "above|no .npy"),
    ],
)
def test_arrays_that_do_not_fit_are_distinguished(data, words):
    with pytest.raises(ValueError, match=words):
        decode_image(data, size=(8, 8), channels=5)
    with pytest.raises(ValueError, match=words):
        measure_image(io.BytesIO(data), channels=5, whole=True)
