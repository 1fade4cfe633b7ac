"""One picture from bytes to pixels, against formulas and against Pillow's own steps."""

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.datasets import FolderFiles, PictureDataset
from datamodules.datasets.decoding import decode_picture
from datamodules.datasets.names import is_picture_name

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
    result = decode_picture(encoded(Image.fromarray(pixels)), size=(16, 16), channels=3)
    expected = over_white(pixels[..., :3], pixels[..., 3]).transpose(2, 0, 1)
    assert np.abs(result - expected).max() <= 0.5 + 1e-9


def test_grey_with_alpha_is_put_on_white():
    pixels = noise(16, 16, 2)
    result = decode_picture(encoded(Image.fromarray(pixels, "LA")), size=(16, 16), channels=1)
    expected = over_white(pixels[..., :1], pixels[..., 1]).transpose(2, 0, 1)
    assert np.abs(result - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_becomes_white(kind):
    indices = noise(8, 8, high=4)
    image = Image.fromarray(indices, "P")
    palette = [200, 10, 10, 10, 200, 10, 10, 10, 200, 60, 70, 80]
    image.putpalette(palette)
    result = decode_picture(encoded(image, kind, transparency=2), size=(8, 8), channels=3)
    colours = np.array(palette).reshape(4, 3)
    colours[2] = 255
    np.testing.assert_array_equal(result, colours[indices].transpose(2, 0, 1))


def test_a_transparent_colour_key_becomes_white():
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[2:4, 3] = (1, 2, 3)
    data = encoded(Image.fromarray(pixels), transparency=(1, 2, 3))
    result = decode_picture(data, size=(8, 8), channels=3)
    expected = np.where((pixels == (1, 2, 3)).all(-1), 255, 0)
    np.testing.assert_array_equal(result, np.broadcast_to(expected, (3, 8, 8)))


@pytest.mark.parametrize(("height", "width"), [(20, 33), (33, 20), (21, 21)])
def test_crop_takes_the_centre_and_resize_is_lanczos(height, width):
    image = Image.fromarray(noise(height, width, 3))
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    cropped = decode_picture(encoded(image), size=(side, side), channels=3)
    np.testing.assert_array_equal(cropped, np.asarray(square).transpose(2, 0, 1))
    resized = decode_picture(encoded(image), size=(16, 16), channels=3)
    expected = np.asarray(square.resize((16, 16), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(resized, expected.transpose(2, 0, 1))


def test_colour_is_blended_before_it_is_resized():
    """Where it is invisible, a colour must not bleed into its surroundings."""
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[:, 16:, :] = 255
    result = decode_picture(encoded(Image.fromarray(pixels)), size=(8, 8), channels=3)
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
    result = decode_picture(encoded(image, "TIFF"), size=(8, 8), channels=channels)
    assert result.shape == (channels, 8, 8) and result.dtype == np.uint8
    assert (result == 255).all()


def test_sixteen_bits_keep_their_range():
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    result = decode_picture(encoded(Image.fromarray(ramp)), size=(8, 8), channels=1)
    assert np.abs(result[0] - ramp / 257).max() <= 0.5 + 1e-6


def test_grey_is_luma():
    pixels = noise(8, 8, 3)
    result = decode_picture(encoded(Image.fromarray(pixels)), size=(8, 8), channels=1)
    assert np.abs(result[0] - pixels @ np.array([0.299, 0.587, 0.114])).max() <= 0.51


def test_a_picture_lies_as_its_exif_says():
    pixels = np.repeat(np.repeat(noise(2, 2, 3), 8, 0), 8, 1)
    turned = Image.fromarray(np.rot90(pixels).copy())
    exif = turned.getexif()
    exif[274] = 6  # turn a quarter clockwise to see it upright
    result = decode_picture(encoded(turned, exif=exif), size=(16, 16), channels=3)
    np.testing.assert_array_equal(result, pixels.transpose(2, 0, 1))


def test_a_tiny_picture_is_enlarged():
    result = decode_picture(encoded(Image.new("RGB", (1, 3), (10, 20, 30))), size=(8, 8), channels=3)
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
        ("cut", "OSError: .*[Tt]runcated"),
        ("bomb", "900000000 pixels"),
    ],
)
def test_a_damaged_file_is_named_with_a_way_out(tmp_path, kind, reason):
    Image.new("RGB", (8, 8)).save(tmp_path / "a good one.png")
    (tmp_path / "bäd.png").write_bytes(damaged(kind))
    dataset = PictureDataset(FolderFiles(tmp_path), size=(8, 8), channels=3)
    assert dataset[0][0].shape == (3, 8, 8)
    with pytest.raises(ValueError, match=f"bäd.png .*{reason}.*remove it.*data.max_bad=1"):
        dataset[1]


def test_names_of_pictures():
    yes = ["a.png", "b/C.JPG", "x.y.jpeg", "ü ö/写真.WebP", "a.bmp", "a.gif", "a.tif", "a.TIFF"]
    no = ["a.txt", "png", ".a.png", ".hidden/a.png", "__MACOSX/a.png", "b/__MACOSX/._a.png", "a.png/b", ""]
    assert all(is_picture_name(name) for name in yes)
    assert not any(is_picture_name(name) for name in no)


@pytest.mark.parametrize("path", sorted(EMOJI.glob("*.png")), ids=lambda path: path.stem)
def test_emoji_stand_on_white(path):
    """Real files of three modes: corners are white, and the pixels are those of the "over" formula."""
    with Image.open(path) as image:
        rgba = np.asarray(image.convert("RGBA"))
    pixels = decode_picture(path.read_bytes(), size=(64, 64), channels=3)
    expected = over_white(rgba[..., :3], rgba[..., 3]).transpose(2, 0, 1)
    assert np.abs(pixels - expected).max() <= 0.5 + 1e-9
    assert (pixels[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()


def test_emoji_cover_the_three_modes():
    modes = [Image.open(path).mode for path in EMOJI.glob("*.png")]
    assert sorted(modes) == ["LA", "LA", "P", "P", "RGBA", "RGBA"]
