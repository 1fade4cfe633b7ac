"""Cells: shapes, sheets, and several latents in one image."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stylegan.latents.cells import (
    Blend,
    Sheet,
    best_shape,
    check_room,
    colour_of,
    deal,
    parse_shape,
    shares_of_masks,
    side_by_side,
)


def images(count, channels=3, size=(4, 6), frames=2):
    return torch.randint(
        0, 256, (frames, count, channels, *size), dtype=torch.uint8, generator=torch.manual_seed(0)
    )


def test_shapes():
    assert parse_shape(" 3x2 ") == (3, 2) and parse_shape("3 × 2") == (3, 2)
    assert [best_shape(n) for n in (1, 2, 3, 4, 5, 6, 7, 9, 10)] == [
        *[(1, 1), (2, 1), (2, 2), (2, 2), (3, 2), (3, 2), (3, 3), (3, 3), (4, 3)]
    ]


@given(st.integers(1, 5000))
def test_the_best_shape_is_the_narrowest_that_is_wide_enough(count):
    columns, rows = best_shape(count)
    assert columns == math.ceil(math.sqrt(count))
    assert columns * (rows - 1) < count <= columns * rows


@given(st.text(max_size=12))
def test_any_text_is_a_shape_or_one_line(text):
    try:
        columns, rows = parse_shape(text)
        assert columns * rows >= 1
    except ValueError as error:
        assert str(error).startswith("grid") and "\n" not in str(error)


def test_too_small_a_grid_names_its_shape():
    check_room(3, 2, 6)
    with pytest.raises(ValueError, match="grid=2x2 has 4 cells, and there are 6 seeds"):
        check_room(2, 2, 6)


@pytest.mark.parametrize(
    ("channels", "colour"), [(1, [76]), (2, [76, 255]), (3, [255, 0, 0]), (4, [255, 0, 0, 255])]
)
def test_colours_for_any_channels(channels, colour):
    assert colour_of("red", channels).tolist() == colour
    with pytest.raises(ValueError, match="fill must be a colour.*'rot'"):
        colour_of("rot", channels)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_sheet_puts_cells_row_by_row_and_fills_the_rest(channels):
    pixels = images(5, channels)
    sheet = Sheet(3, 2, 5, "#102030")
    frames = sheet.frames(pixels)
    assert frames.shape == (2, channels, 8, 18) and sheet.size((4, 6)) == (8, 18)
    for cell in range(5):
        row, column = divmod(cell, 3)
        place = frames[:, :, row * 4 : row * 4 + 4, column * 6 : column * 6 + 6]
        assert torch.equal(place, pixels[:, cell])
    spare = frames[:, :, 4:, 12:]
    assert torch.equal(spare, colour_of("#102030", channels)[:, None, None].expand(2, -1, 4, 6))


@pytest.mark.parametrize(("columns", "rows", "softness"), [(3, 1, 0), (2, 2, 0.3), (5, 3, 1)])
def test_regions_share_every_pixel(columns, rows, softness):
    shares = side_by_side(columns, rows, (30, 40), softness)
    assert shares.shape == (columns * rows, 30, 40) and shares.min() >= 0
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-12)
    middles = [
        (int((r + 0.5) * 30 / rows), int((c + 0.5) * 40 / columns))
        for r in range(rows)
        for c in range(columns)
    ]
    for cell, (y, x) in enumerate(middles):
        assert shares[cell, y, x] > 0.85 and shares[:, y, x].argmax() == cell


def test_hard_regions_keep_the_pixels_of_each_image():
    pixels = images(2, size=(4, 6))
    frames = Blend(side_by_side(2, 1, (4, 6)), 2, 1).frames(pixels)
    assert torch.equal(frames[..., :3], pixels[:, 0, ..., :3])
    assert torch.equal(frames[..., 3:], pixels[:, 1, ..., 3:])


def test_blending_is_the_weighted_mean_and_weights_count():
    pixels = images(2)
    half = Blend(np.full((2, 4, 6), 0.5))
    mean = (pixels[:, 0].double() + pixels[:, 1].double()) / 2
    assert (half.frames(pixels).double() - mean).abs().max() <= 0.5
    weights = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    weighted = half.frames(pixels, weights)
    assert torch.equal(weighted[0], pixels[0, 0])
    assert torch.equal(weighted[1], half.frames(pixels)[1])  # nothing is left: they do not count


def test_a_mask_decides_which_latent_is_where(tmp_path):
    picture = np.zeros((8, 12), dtype=np.uint8)
    picture[:, 6:] = 255
    Image.fromarray(picture).save(tmp_path / "mask.png")
    pixels = images(2)
    frames = Blend(shares_of_masks(tmp_path / "mask.png", (4, 6))).frames(pixels)
    assert torch.equal(frames[..., :3], pixels[:, 0, ..., :3])
    assert torch.equal(frames[..., 3:], pixels[:, 1, ..., 3:])


def test_a_folder_of_masks_has_a_latent_for_each(tmp_path):
    for number in range(3):
        picture = np.zeros((4, 6), dtype=np.uint8)
        picture[number] = 255
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    pixels = images(3)
    frames = Blend(shares_of_masks(tmp_path, (4, 6))).frames(pixels)
    for number in range(3):
        assert torch.equal(frames[:, :, number], pixels[:, number, :, number])
    shares = shares_of_masks(tmp_path, (4, 6))
    np.testing.assert_allclose(shares[:, 3], 1 / 3)


@pytest.mark.parametrize("kind", ["grey16", "alpha", "palette"])
def test_masks_of_16_bits_and_with_transparency(tmp_path, kind):
    """A ramp from black to white; where it is transparent white is stored."""
    ramp = np.linspace(0, 1, 6)[None].repeat(4, axis=0)
    path = tmp_path / "mask.png"
    if kind == "grey16":
        Image.fromarray((ramp * 65535).round().astype(np.uint16)).save(path)
    elif kind == "alpha":
        alpha = (ramp * 255).round().astype(np.uint8)
        Image.fromarray(np.dstack([*[np.full_like(alpha, 255)] * 3, alpha])).save(path)
    else:
        ramp = np.array([[1.0, 0, 1, 0, 1, 0]] * 4)
        picture = Image.fromarray((ramp == 0).astype(np.uint8), "P")
        picture.putpalette([255, 255, 255] * 2)
        picture.save(path, transparency=1)
    np.testing.assert_allclose(shares_of_masks(path, (4, 6))[1], ramp, atol=1 / 255)
    np.testing.assert_allclose(
        shares_of_masks(path, (2, 3))[1][0], ramp[0].reshape(3, 2).mean(1), atol=2 / 255
    )


def test_wrong_masks_are_one_line(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty").mkdir()
    for name, words in [
        ("none.png", "there is no such file"),
        ("text.png", "no picture"),
        ("empty", "at least 2"),
    ]:
        with pytest.raises(ValueError, match=f"^mask=.*{words}") as caught:
            shares_of_masks(tmp_path / name, (4, 6))
        assert "\n" not in str(caught.value)


def test_points_are_dealt_in_order():
    assert deal([1, 2, 3, 4, 5, 6], 2, "grid=2x1") == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(ValueError, match="grid=2x2 has 4 cells, and 6 points cannot be divided.*give 4 or 8"):
        deal(range(6), 4, "grid=2x2")
