"""Sheets and videos along a direction."""

import numpy as np
import pytest
import torch

from stylegan.images import tile
from stylegan.latents.directions.direction import Channel, Direction, write_directions
from stylegan.latents.directions.showing import DirectionFrames, Moved, parse_strengths, sheet_images
from stylegan.latents.drawer import Drawer
from stylegan.latents.latent_files import write_latents
from stylegan.latents.points import parse_points
from tests.latents.directions.planted import make_generator, unit

SMILE = Direction(vector=unit()[None], sigma=2.0, name="smile")
EYES = Direction(channel=Channel("b8.conv1", 1), sigma=0.7, name="eyes")
KINDS = [{}, {"channels": 1, "resolution": [16, 32]}, {"channels": 4, "c_dim": 3}]


def drawer_of(generator, **options):
    return Drawer(generator, device="cpu", precision="fp32", **options)


def moved(direction=SMILE, seeds="0-2", noise_mode="const", **options):
    drawer = drawer_of(make_generator(**options), noise_mode=noise_mode)
    points = parse_points(seeds)
    labels = None if drawer.generator.c_dim == 0 else torch.eye(3)[torch.arange(len(points)) % 3]
    return Moved(drawer, points, labels, direction), labels


@pytest.mark.parametrize("direction", [SMILE, EYES])
@pytest.mark.parametrize("options", KINDS)
def test_a_sheet_has_a_row_a_seed_and_a_column_a_strength(direction, options):
    images, labels = moved(direction, **options)
    drawer = images.drawer
    laid_out = tile(sheet_images(images, [-2, 0, 1.5]), columns=3)
    height, width = drawer.size
    assert laid_out.dtype == torch.uint8 and laid_out.shape == (drawer.channels, 3 * height, 3 * width)
    ws = drawer.ws(images.points, labels)
    for row in range(3):
        for column, strength in enumerate([-2, 0, 1.5]):
            cell = laid_out[:, row * height : (row + 1) * height, column * width : (column + 1) * width]
            given = torch.tensor([[strength]])
            own = ws[row : row + 1] + images.movement.shift(given)
            expected = drawer.images(own, styles=images.movement.style_offsets(given))[0]
            assert torch.equal(cell, expected)
            if strength == 0:
                label = None if labels is None else labels[row]
                alone = drawer.images(drawer.ws(images.points[row : row + 1], label))[0]
                assert torch.equal(cell, alone)


def test_what_is_configured_moves_all_of_a_sheet(tmp_path):
    write_directions(tmp_path / "age.npz", [Direction(vector=unit(5)[None])], {})
    write_directions(tmp_path / "eyes.npz", [EYES], {})
    text = f"{tmp_path}/age.npz:1,{tmp_path}/eyes.npz:-2"
    drawer, plain = drawer_of(make_generator(), directions=text), drawer_of(make_generator())
    points = parse_points("0-2")
    images = Moved(drawer, points, None, SMILE).images([0, 1, 2], [1, -1, 0])
    ws = plain.ws(points) + unit(5) + torch.tensor([1.0, -1.0, 0.0])[:, None, None] * 2 * unit()
    offsets = torch.zeros(3, 4)
    offsets[:, 1] = -2 * 0.7
    torch.testing.assert_close(images, plain.images(ws, styles={"b8.conv1": offsets}), atol=1, rtol=0)
    # Not those that are shown themselves.
    still = Moved(drawer, points, None, SMILE, steady=torch.zeros(2)).images([0, 1, 2], [0, 0, 0])
    assert torch.equal(still, plain.images(plain.ws(points)))


@pytest.mark.parametrize("noise_mode", ["const", "random"])
def test_latents_keep_their_noise(tmp_path, noise_mode):
    drawer = drawer_of(make_generator(), noise_mode=noise_mode)
    for name, _ in drawer.generator.synthesis.noise_layers:
        drawer.generator.get_submodule(f"synthesis.{name}").noise_strength.fill_(1)
    noise = {
        name: torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(1))
        for name, size in drawer.generator.synthesis.noise_layers
    }
    write_latents(tmp_path / "fox.npz", w=drawer.raw_ws(parse_points("7")).cpu(), noise=noise)
    points = parse_points(f"3,{tmp_path}/fox.npz")
    images = Moved(drawer, points, None, SMILE).images([0, 1], [0, 0])
    assert torch.equal(images[0], drawer.images(drawer.ws(points[:1]), noise_seeds=[3])[0])
    assert torch.equal(images[1], drawer.images(drawer.ws(points[1:]), noise=noise)[0])


def test_a_video_goes_there_and_back():
    frames = DirectionFrames(moved()[0], lowest=-1, highest=3, count=8)
    assert (frames.count, frames.size, frames.channels, frames.shape) == (8, (32, 32), 3, (2, 2))
    strengths = np.array([frames.strength(i) for i in range(9)])
    np.testing.assert_allclose(strengths[:8], 1 + 2 * np.sin(np.pi * np.arange(8) / 4), atol=1e-12)
    assert strengths[8] == pytest.approx(strengths[0])  # it closes, and no frame is shown twice
    assert len(list(frames.draw(0, 8))) >= 1


@pytest.mark.parametrize("direction", [SMILE, EYES])
@pytest.mark.parametrize("options", KINDS)
def test_any_part_of_a_video_has_the_same_pixels(direction, options):
    frames = DirectionFrames(moved(direction, **options)[0], lowest=-2, highest=2, count=11)
    whole = torch.cat(list(frames.draw(0, 11)))
    assert whole.shape == (11, frames.channels, *frames.size)
    for first, last in [(0, 1), (3, 9), (10, 11)]:
        assert torch.equal(torch.cat(list(frames.draw(first, last))), whole[first:last])
    height, width = frames.moved.drawer.size
    place = torch.tensor([[frames.strength(3)]])
    own = frames.moved.base[1:2] + frames.moved.movement.shift(place)
    alone = frames.moved.drawer.images(own, styles=frames.moved.movement.style_offsets(place))[0]
    assert torch.equal(whole[3][:, :height, width : 2 * width], alone)
    # The spare cell is filled.
    assert set(whole[0][:3, height:, width:].unique().tolist()) == {0}


def test_fewer_cells_than_seeds_are_refused():
    with pytest.raises(ValueError, match="grid=2x1: these are 2 cells, and there are 3 seeds"):
        DirectionFrames(moved()[0], lowest=-1, highest=1, count=4, shape=(2, 1))


def test_strengths_are_numbers():
    assert parse_strengths("-3, 0,1e-1") == (-3, 0, 0.1)
    assert parse_strengths(2) == (2,)
    for text in ("", "1,,2", "a", "nan", "1e9"):
        with pytest.raises(ValueError, match="strengths must be numbers from -1000 to 1000"):
            parse_strengths(text)
