"""The pixel convention, grids, and PNG files that carry text."""

import io

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stylegan.images import (
    encoded,
    on_white,
    read_image_text,
    read_png_text,
    save_png,
    tile,
    to_float,
    to_uint8,
    to_uint16,
    visible,
)


def test_pixels_survive_the_round_trip():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    floats = to_float(pixels)
    assert floats.dtype == torch.float32 and floats.min() == -1 and floats.max() == 1
    torch.testing.assert_close(floats, pixels.to(torch.float64).div(127.5).sub(1).float(), rtol=0, atol=1e-7)
    assert torch.equal(to_uint8(floats), pixels)
    assert torch.equal(to_uint8(floats.double()), pixels)


def test_floats_are_rounded_to_the_nearest_pixel_and_clamped():
    values = torch.linspace(-1.5, 1.5, 4001, dtype=torch.float64)
    nearest = torch.floor(values * 127.5 + 127.5 + 0.5).clamp(0, 255)
    assert (to_uint8(values).double() - nearest).abs().max() == 0
    extremes = to_uint8(torch.tensor([-1e30, -torch.inf, torch.inf, 0.0]))
    assert extremes.tolist() == [0, 0, 255, 128]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(dtype):
    """Half precision near 255 is coarser than a pixel's rounding allows; the arithmetic must not be in it."""
    values = torch.linspace(-1, 1, 4001).to(dtype)
    assert torch.equal(to_uint8(values), to_uint8(values.double()))


def test_a_second_conversion_is_refused():
    with pytest.raises(ValueError, match="uint8"):
        to_float(torch.zeros(3))
    with pytest.raises(ValueError, match="floats"):
        to_uint8(torch.zeros(3, dtype=torch.uint8))


@settings(deadline=None, max_examples=40)
@given(
    num=st.integers(1, 7),
    columns=st.integers(1, 5),
    channels=st.integers(1, 4),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
)
def test_tiles_lie_row_by_row(num, columns, channels, height, width):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 255, (num, channels, height, width), dtype=np.uint8))
    grid = tile(images, columns)
    rows = (num + columns - 1) // columns
    assert grid.shape == (channels, rows * height, columns * width)
    for place in range(rows * columns):
        top, left = place // columns * height, place % columns * width
        cell = grid[:, top : top + height, left : left + width]
        assert torch.equal(cell, images[place]) if place < num else (cell == 255).all()


@pytest.mark.parametrize(("num", "columns"), [(0, 3), (3, 0)])
def test_an_empty_grid_is_refused(num, columns):
    with pytest.raises(ValueError, match="grid"):
        tile(torch.zeros(num, 3, 4, 4, dtype=torch.uint8), columns)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_pngs_hold_the_pixels(tmp_path, channels, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (channels, 5, 7), dtype=np.uint8)
    save_png(tmp_path / "ü b.png", torch.from_numpy(pixels))
    with Image.open(tmp_path / "ü b.png") as image:
        assert image.mode == mode and image.format == "PNG"
        stored = np.asarray(image).reshape(5, 7, channels)
    np.testing.assert_array_equal(stored.transpose(2, 0, 1), pixels)
    assert read_png_text(tmp_path / "ü b.png") == {}


def test_a_view_of_a_batch_can_be_saved(tmp_path):
    batch = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    view = batch.to(memory_format=torch.channels_last)[1].flip(-1)
    save_png(tmp_path / "a.png", view)
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "a.png")), batch[1].flip(-1).permute(1, 2, 0)
    )


@settings(deadline=None, max_examples=40)
@given(
    text=st.dictionaries(
        st.from_regex(r"[A-Za-z]{1,20}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
        max_size=3,
    )
)
def test_text_survives(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("text") / "a.png"
    save_png(path, torch.zeros(1, 2, 2, dtype=torch.uint8), text)
    assert read_png_text(path) == text


def test_text_beyond_latin_1_is_stored_as_utf_8(tmp_path):
    save_png(
        tmp_path / "a.png", torch.zeros(1, 2, 2, dtype=torch.uint8), {"plain": "seed 7", "name": "写真 ü"}
    )
    content = (tmp_path / "a.png").read_bytes()
    assert content.count(b"tEXt") == 1 and content.count(b"iTXt") == 1
    assert "写真 ü".encode() in content


def test_a_name_that_is_not_text_can_be_stored(tmp_path):
    save_png(tmp_path / "a.png", torch.zeros(1, 2, 2, dtype=torch.uint8), {"path": "caf\udce9"})
    assert read_png_text(tmp_path / "a.png") == {"path": "caf\\udce9"}


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    save_png(tmp_path / "a.png", torch.zeros(1, 2, 2, dtype=torch.uint8))
    before = (tmp_path / "a.png").read_bytes()

    def full_disk(self, target, **_):
        target.write(b"half a picture")
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_png(tmp_path / "a.png", torch.ones(1, 2, 2, dtype=torch.uint8))
    assert (tmp_path / "a.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "image",
    [torch.zeros(3, 4, 4), torch.zeros(4, 4, dtype=torch.uint8), torch.zeros(5, 4, 4, dtype=torch.uint8)],
)
def test_what_is_not_an_image_is_refused(tmp_path, image):
    with pytest.raises(ValueError, match="uint8 .C,H,W."):
        save_png(tmp_path / "a.png", image)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_a_image_format_holds_is_shown_as_it_is(channels):
    images = torch.randint(0, 256, (2, channels, 3, 4), dtype=torch.uint8)
    assert visible(images) is images


def test_of_many_channels_the_first_three_are_shown():
    images = torch.randint(0, 256, (2, 5, 3, 4), dtype=torch.uint8)
    assert torch.equal(visible(images), images[:, :3])
    assert torch.equal(visible(images[0]), images[0, :3])


def test_transparency_shows_white():
    image = torch.tensor([10, 20, 30, 255], dtype=torch.uint8).reshape(4, 1, 1)
    assert on_white(image).flatten().tolist() == [10, 20, 30]
    image[3] = 0
    assert on_white(image).flatten().tolist() == [255, 255, 255]
    image[3] = 51  # a fifth: 51/255
    assert on_white(image).flatten().tolist() == [206, 208, 210]
    grey = torch.tensor([0, 128], dtype=torch.uint8).reshape(2, 1, 1)
    assert on_white(grey).flatten().tolist() == [127]
    assert torch.equal(on_white(image[:3]), image[:3])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_batch_is_put_on_white_image_by_image(channels):
    images = torch.randint(0, 256, (3, channels, 4, 5), dtype=torch.uint8)
    assert torch.equal(on_white(images), torch.stack([on_white(image) for image in images]))


def test_16_bits_are_rounded_to_the_nearest_step_and_clamped():
    steps = torch.arange(65536, dtype=torch.float64)
    assert torch.equal(to_uint16((steps / 32767.5 - 1).float()).to(torch.int32), steps.to(torch.int32))
    values = torch.linspace(-1.2, 1.2, 10_001, dtype=torch.float64).float()
    nearest = torch.floor(values.double() * 32767.5 + 32767.5 + 0.5).clamp(0, 65535)
    assert (to_uint16(values).to(torch.float64) - nearest).abs().max() <= 1
    with pytest.raises(ValueError, match="to_uint16 takes floats"):
        to_uint16(torch.zeros(1, dtype=torch.uint8))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@settings(max_examples=15)
@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_a_png_of_16_bits_is_read_by_others_as_it_was(channels, height, width, seed):
    pixels = np.random.RandomState(seed).randint(0, 65536, (channels, height, width)).astype(np.uint16)
    data = encoded(torch.from_numpy(pixels), {"seed": "1", "name": "fücks"}, format="png16")
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).reshape(height, width, -1)
    order = {1: [0], 2: [0, 0, 0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    np.testing.assert_array_equal(read, pixels.transpose(1, 2, 0)[:, :, order])
    assert read_image_text(io.BytesIO(data), ending="png") == {"seed": "1", "name": "fücks"}
    with Image.open(io.BytesIO(data)) as image:
        image.load()  # checks the sums of all parts


@pytest.mark.parametrize(
    ("name", "ending"), [("png", "png"), ("png16", "png"), ("jpeg", "jpg"), ("webp", "webp")]
)
@settings(max_examples=15)
@given(text=st.dictionaries(st.sampled_from(["seed", "network", "label"]), st.text(max_size=40)))
def test_any_text_is_read_again(name, ending, text):
    text = {key: value.replace("\0", "") for key, value in text.items()}
    pixels = torch.zeros(3, 4, 4, dtype=torch.uint16 if name == "png16" else torch.uint8)
    stored = {key: value.encode("utf-8", "backslashreplace").decode() for key, value in text.items()}
    read = read_image_text(io.BytesIO(encoded(pixels, text, format=name)), ending=ending)
    if name == "png16" or all(value.isascii() for value in stored.values()):
        assert {key: read.get(key, "") for key in stored} == stored
    else:
        assert read.keys() == stored.keys()


def test_a_text_that_is_too_long_for_a_jpeg_loses_its_longest_values():
    text = {"seed": "1", "cells": "x" * 70_000, "weights": "0" * 64}
    data = encoded(torch.zeros(3, 4, 4, dtype=torch.uint8), text, format="jpeg")
    assert read_image_text(io.BytesIO(data), ending="jpg") == {"seed": "1", "weights": "0" * 64}
    data = encoded(torch.zeros(3, 4, 4, dtype=torch.uint8), text, format="webp")
    assert read_image_text(io.BytesIO(data), ending="webp") == text


def test_another_programs_comment_is_no_text_of_ours():
    for comment in (b"made by hand", b"[1, 2]", b"{"):
        file = io.BytesIO()
        Image.new("RGB", (4, 4)).save(file, format="JPEG", comment=comment)
        assert read_image_text(file, ending="jpg") == {}


def test_tiles_of_16_bits_have_white_spare_cells():
    images = torch.arange(3, dtype=torch.int32).to(torch.uint16)[:, None, None, None].expand(3, 1, 1, 1)
    assert tile(images, columns=2).to(torch.int32).tolist() == [[[0, 1], [2, 65535]]]
