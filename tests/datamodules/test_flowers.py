"""Flowers: the same ones for the same seed, at every resolution, with as many petals as they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from datamodules import FlowersData
from datamodules.datasets import FlowersDataset
from datamodules.datasets.flowers import (
    MAX_PETALS,
    MIN_PETALS,
    NUM_CLASSES,
    Flower,
    cut_out,
    grow,
    paint,
    petals_of,
)

ITEMS = dict(seed=0, num_items=9, size=(32, 24), labelled=False)


def flowers(**options) -> FlowersData:
    defaults = dict(resolution=32, batch_size=4, seed=0, num_items=60)
    data = FlowersData(**{**defaults, **options})
    data.setup()
    return data


def test_a_flower_follows_from_seed_and_index():
    forwards = [paint(grow(4, index), 32) for index in range(8)]
    backwards = [paint(grow(4, index), 32) for index in reversed(range(8))][::-1]
    np.testing.assert_array_equal(forwards, backwards)
    assert len({image.tobytes() for image in forwards}) == 8
    assert (paint(grow(5, 0), 32) != forwards[0]).any()


@pytest.mark.parametrize("index", [0, 1, 2, *(pytest.param(i, marks=pytest.mark.long) for i in range(3, 12))])
@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_resolutions_show_the_same_flower(index, resolution):
    """The picture at twice the resolution, averaged two by two, is the picture."""
    flower = grow(1, index)
    coarse = paint(flower, resolution).astype(float)
    fine = paint(flower, 2 * resolution).astype(float)
    averaged = fine.reshape(3, resolution, 2, resolution, 2).mean((2, 4))
    assert np.abs(coarse - averaged).mean() < 1.5
    assert np.quantile(np.abs(coarse - averaged), 0.99) < 20


def silhouette(flower: Flower) -> np.ndarray:
    """[256, 256], True on the petals, with the tips undented."""
    white, black = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)
    bare = replace(flower, petal_colours=white, disc_colours=white, ground_colours=black, notch=0.0)
    return paint(bare, 256)[0] > 64


def ring(flower: Flower, radius: float) -> np.ndarray:
    """Rows and columns [2, 720] of a circle around a flower, foreshortened as it is, in 256 px."""
    along = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    circle = radius * np.array([np.cos(along), np.sin(along)])
    tilt = np.array([np.cos(flower.tilt), np.sin(flower.tilt)])
    seen = np.array(flower.centre)[:, None] + circle + np.outer(tilt, tilt @ circle) * (flower.squash - 1)
    return np.floor((seen[::-1] + 1) * 128).astype(int).clip(0, 255)


@pytest.mark.parametrize("petals", range(MIN_PETALS, MAX_PETALS + 1))
def test_petals_can_be_counted_in_the_picture(petals):
    """Around some circle near the tips, petals and ground take turns as often as the class says."""
    for index in range(petals - MIN_PETALS, 20 * NUM_CLASSES, NUM_CLASSES):
        flower = grow(0, index)
        mask = silhouette(flower)
        turns = []
        for share in (0.78, 0.82, 0.86, 0.9, 0.94):
            on_petal = mask[tuple(ring(flower, share * flower.lengths.min()))]
            # Where the circle grazes an outline it crosses pixel corners; no gap is as short as that.
            on_petal = ndimage.median_filter(on_petal, 15, mode="wrap")
            turns.append(int((on_petal & ~np.roll(on_petal, 1)).sum()))
        assert max(turns) == petals, f"flower {index}: {turns}"


def petal_by_petal(flower: Flower) -> np.ndarray:
    """The silhouette in 256 px the slow way: each outline in the petal's own coordinates, and the disc."""
    axis = (np.arange(256) + 0.5) / 128 - 1
    x, y = axis[None, :] - flower.centre[0], axis[:, None] - flower.centre[1]
    covered = np.hypot(x, y) < flower.disc_radius
    p, q = flower.base_power, flower.tip_power
    widest = (p / (p + q)) ** p * (q / (p + q)) ** q
    for petal in range(flower.petals):
        direction = flower.rotation + 2 * np.pi * petal / flower.petals + flower.angles[petal]
        t = (np.cos(direction) * x + np.sin(direction) * y) / flower.lengths[petal]
        v = np.abs(np.cos(direction) * y - np.sin(direction) * x)
        inside = (t > 0) & (t < 1)
        t = t.clip(0, 1)
        covered |= inside & (v < flower.half_width * t**p * (1 - t) ** q / widest)
    return covered


@pytest.mark.parametrize("index", range(2 * NUM_CLASSES))
def test_petals_have_their_own_directions_and_lengths(index):
    """Away from the edges the picture agrees with the drawing petal by petal, also where petals overlap."""
    grown = grow(6, index)
    spread = np.linspace(-0.15, 0.15, grown.petals, dtype=np.float32) / grown.petals
    lengths = np.linspace(0.6, 0.9, grown.petals, dtype=np.float32)
    flower = replace(grown, lengths=lengths, angles=spread, centre=(0.05, -0.02), squash=1, notch=0.0)
    expected = petal_by_petal(flower)
    edge = ndimage.binary_dilation(expected, iterations=2) & ~ndimage.binary_erosion(expected, iterations=2)
    assert not ((silhouette(flower) != expected) & ~edge).any()


@pytest.mark.parametrize("index", range(NUM_CLASSES))
def test_a_flower_of_equal_petals_has_its_symmetry(index):
    """A turn by one petal changes nothing; a turn by half a petal does."""
    grown = grow(3, index)
    even = replace(
        grown,
        lengths=np.full_like(grown.lengths, 0.8),
        angles=np.zeros_like(grown.angles),
        centre=(0, 0),
        squash=1,
        disc_colours=np.zeros((2, 3), np.float32),  # the seeds on it have another symmetry
    )
    image = paint(even, 64).astype(float)
    step = 2 * np.pi / even.petals
    turned = paint(replace(even, rotation=even.rotation + step), 64)
    half = paint(replace(even, rotation=even.rotation + step / 2), 64)
    middle = slice(None), *[slice(8, 56)] * 2
    assert np.abs(image - turned)[middle].max() <= 2
    assert np.abs(image - half)[middle].max() > 40


def test_flowers_stay_inside_the_picture():
    """Beyond the tips' reach there is nothing but ground, and the reach ends at the border."""
    for index in range(60):
        flower = grow(2, index)
        reach = flower.lengths.max() + np.abs(flower.centre).max()
        assert reach <= 0.95


def test_classes_are_balanced_and_one_hot():
    data = flowers(labels="own")
    labels = data.labels(torch.arange(60))
    assert data.label_width == NUM_CLASSES and labels.dtype == torch.float32
    assert labels.sum(0).tolist() == [10.0] * NUM_CLASSES and (labels.sum(1) == 1).all()
    assert [MIN_PETALS + int(row.argmax()) for row in labels] == [grow(0, i).petals for i in range(60)]
    assert all(torch.equal(data.dataset[i][1], labels[i]) for i in range(6))


def test_without_labels():
    data = flowers()
    assert data.label_width == 0
    assert data.labels(torch.arange(5)).shape == (5, 0) and data.dataset[0][1].shape == (0,)


@pytest.mark.parametrize("resolution", [8, 32, 256])
def test_items_have_the_requested_size(resolution):
    image = flowers(resolution=resolution).dataset[7][0]
    assert image.shape == (3, resolution, resolution) and image.dtype == torch.uint8


def test_grey_is_the_luma_of_the_colours():
    weights = torch.tensor([0.299, 0.587, 0.114])
    colour, grey = flowers().dataset[3][0], flowers(channels=1).dataset[3][0]
    luma = (colour * weights[:, None, None]).sum(0)
    assert grey.shape == (1, 32, 32) and (grey[0] - luma).abs().max() <= 0.51


def test_pictures_differ_enough_to_be_worth_learning():
    images = np.stack([paint(grow(0, index), 32) for index in range(40)]).astype(float)
    assert images.std(0).mean() > 30 and images.std((1, 2, 3)).min() > 10


@pytest.mark.parametrize("wrong", [{"labels": "petals"}, {"num_items": 0}, {"labels": None}])
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} must be "):
        flowers(**wrong)


def test_petals_of_takes_turns():
    assert [petals_of(index) for index in range(7)] == [3, 4, 5, 6, 7, 8, 3]


@pytest.mark.parametrize("size", [(32, 64), (80, 32), (96, 40), (100, 128)])
def test_a_rectangle_holds_the_square_in_its_middle(size):
    """The flower keeps its size in the shorter side, and the ground continues around it."""
    flower = grow(0, 5)
    side = min(size)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    image = paint(flower, size)
    assert image.shape == (3, *size)
    square = image[:, top : top + side, left : left + side].astype(int)
    assert np.abs(square - paint(flower, side)).max() <= 1


@pytest.mark.parametrize("index", range(NUM_CLASSES))
def test_a_cut_out_flower_laid_on_its_ground_is_the_flower(index):
    """On black instead of a ground of its own, whose shadow is black, too: colour times alpha."""
    flower = replace(grow(0, index), ground_colours=np.zeros((2, 3), np.float32))
    cut = cut_out(flower, (64, 48)).astype(float)
    on_black = cut[:3] * cut[3] / 255
    assert np.abs(on_black - paint(flower, (64, 48))).max() <= 1.5
    assert cut[3].min() == 0 and cut[3].max() == 255 and ((cut[3] > 20) & (cut[3] < 235)).any()
    assert (cut[:3, cut[3] == 0] == 255).all()


@pytest.mark.parametrize("index", range(NUM_CLASSES))
def test_alpha_is_the_silhouette(index):
    flower = replace(grow(0, index), notch=0.0)
    alpha = cut_out(flower, 256)[3]
    mask = silhouette(flower)
    edge = ndimage.binary_dilation(mask, iterations=2) & ~ndimage.binary_erosion(mask, iterations=2)
    assert (((alpha > 64) == mask) | edge).all()


def test_grey_with_alpha_is_the_luma_of_the_cut_out():
    weights = torch.tensor([0.299, 0.587, 0.114])
    colour, grey = (FlowersDataset(**ITEMS, channels=channels).image(3) for channels in (4, 2))
    assert torch.equal(grey[1], colour[3]) and grey.shape == (2, 32, 24)
    assert (grey[0] - (colour[:3] * weights[:, None, None]).sum(0)).abs().max() <= 0.51
