"""The search for latents: a picture's result is its own, the best step is kept, and drawn pictures are found again."""

import numpy as np
import pytest
import torch

from stylegan.images import to_float, to_uint8
from stylegan.latents.projection.losses import MultiScale, Target, distance
from stylegan.latents.projection.schedule import Schedule
from stylegan.latents.projection.search import SearchSettings, group_size, search
from stylegan.latents.projection.statistics import w_statistics
from stylegan.latents.seeds import latents_of
from stylegan.networks.precision import compute_in
from tests.latents.projection.small import make_generator, pictures_of


@pytest.fixture(scope="module")
def generator():
    return make_generator()


def found_in(generator, targets, **settings):
    statistics = w_statistics(generator, samples=200)
    start = statistics.mean.expand(len(targets), generator.num_ws, -1)
    spread = torch.full((len(targets),), statistics.spread)
    masks = settings.pop("masks", None)
    steps = settings.pop("steps", 5)
    settings = SearchSettings(schedule=Schedule(steps=steps), **settings)
    return search(generator, targets, start, spread, loss=MultiScale(), settings=settings, masks=masks)


def assert_same(one, other, row):
    for a, b in (
        (one.ws[0], other.ws[row]),
        (one.loss[0], other.loss[row]),
        (one.best_step[0], other.best_step[row]),
    ):
        assert torch.equal(a, b)
    assert one.noise.keys() == other.noise.keys()
    for name, maps in one.noise.items():
        assert torch.equal(maps[0], other.noise[name][row])


@pytest.mark.parametrize("space", ["w", "w+"])
def test_a_picture_among_others_is_found_as_alone_bit_for_bit(generator, space):
    targets = pictures_of(generator, range(10))
    together = found_in(generator, targets, space=space)
    for row in (3, 9):
        assert_same(found_in(generator, targets[row : row + 1], space=space), together, row)


def test_another_number_at_a_time_changes_it_by_rounding_alone(generator):
    targets = pictures_of(generator, range(4))
    one, four = found_in(generator, targets, group=1), found_in(generator, targets, group=4)
    torch.testing.assert_close(one.ws, four.ws, rtol=1e-3, atol=1e-3)


def test_the_loss_is_that_of_what_is_kept(generator):
    targets = pictures_of(generator, range(3))
    found = found_in(generator, targets, space="w+")
    images = generator.synthesis(found.ws, noise_mode="random", noise=found.noise)
    off = distance(MultiScale(), images, Target(MultiScale(), to_float(targets)))
    torch.testing.assert_close(off, found.loss, rtol=1e-4, atol=1e-7)


def test_it_is_never_worse_than_the_start(generator):
    """Steps far too large: the best one is kept, the first where need be."""
    targets = pictures_of(generator, [1])
    statistics = w_statistics(generator, samples=200)
    start, spread = statistics.mean.expand(1, generator.num_ws, -1), torch.zeros(1)
    wild = Schedule(steps=6, learning_rate=1e4, ramp_up=0, w_noise=0)
    found = search(
        generator,
        targets,
        start,
        spread,
        loss=MultiScale(),
        settings=SearchSettings(schedule=wild, with_noise=False),
    )
    images = generator.synthesis(start, noise_mode="none")
    assert found.loss <= distance(MultiScale(), images, Target(MultiScale(), to_float(targets))) + 1e-6


def test_a_drawn_picture_is_found_again(generator):
    """From a place nearby, since a network of random weights has many valleys."""
    with torch.no_grad():
        true = generator.mapping(latents_of(range(4), 8), track_average=False)
    targets = to_uint8(generator.synthesis(true, noise_mode="none"))
    away = 0.2 * torch.randn(true[:, :1].shape, generator=torch.Generator().manual_seed(0))
    settings = SearchSettings(schedule=Schedule(steps=40, learning_rate=0.03), with_noise=False)
    found = search(generator, targets, true + away, torch.zeros(4), loss=MultiScale(), settings=settings)
    assert (found.loss < 1e-3).all()
    assert ((found.ws - true).norm(dim=2) < 0.5 * away.norm(dim=2)).all()


def test_each_space_moves_what_it_says(generator):
    targets = pictures_of(generator, [1])
    w, wide = (found_in(generator, targets, space=space).ws[0] for space in ("w", "w+"))
    assert torch.equal(w, w[:1].expand_as(w))
    assert not torch.equal(wide[0], wide[1])


def test_noise_maps_stay_noise(generator):
    found = found_in(generator, pictures_of(generator, range(2)))
    for maps in found.noise.values():
        torch.testing.assert_close(maps.mean((1, 2, 3)), torch.zeros(2), rtol=0, atol=0.2)
        assert (maps.square().mean((1, 2, 3)) - 1).abs().max() < 0.5
    assert found_in(generator, pictures_of(generator, [0]), with_noise=False).noise == {}


def test_what_is_masked_out_has_no_part_in_it(generator):
    masks = torch.ones(1, 1, 8, 8)
    masks[..., 4:] = 0
    target = pictures_of(generator, [1])
    painted = target.clone()
    painted[..., 4:] = 255
    # Random numbers are those of the pixels, so only the same ones can be compared.
    losses = [
        found_in(generator, image, masks=masks, steps=15, with_noise=False).loss
        for image in (target, painted)
    ]
    unmasked = found_in(generator, painted, steps=15, with_noise=False).loss
    assert losses[1] < 0.2 * unmasked


def test_the_path_ends_where_the_search_ended(generator):
    found = found_in(generator, pictures_of(generator, range(2)), record_every=2)
    assert found.path.shape == (4, 2, generator.num_ws, 8)
    assert torch.equal(found.path[-1], found.ws)


def test_half_precision_takes_no_part(generator):
    targets = pictures_of(generator, [1])
    exact = found_in(generator, targets)
    compute_in(generator, torch.bfloat16)
    try:
        assert_same(found_in(generator, targets), exact, 0)
        assert generator.synthesis.b8.compute_dtype is torch.bfloat16
    finally:
        compute_in(generator, None)


@pytest.mark.parametrize(("side", "count"), [(8, 8), (32, 8), (64, 4), (128, 2), (256, 1), (1024, 1)])
def test_a_group_is_as_large_as_the_size_allows(side, count):
    assert group_size((side, side // 2)) == count


@pytest.mark.parametrize(
    ("wrong", "words"), [({"space": "z"}, "space must be"), ({"group": 0}, "batch must be")]
)
def test_a_wrong_setting_is_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        SearchSettings(**wrong)


def test_statistics_are_those_of_the_mapping():
    generator = make_generator(c_dim=2)
    labels = torch.eye(2)
    found = [w_statistics(generator, label, samples=3000) for label in labels]
    z = torch.from_numpy(np.random.RandomState(123).randn(3000, 8).astype(np.float32))
    for label, each in zip(labels, found, strict=True):
        w = generator.mapping(z, label.expand(3000, -1), track_average=False)[:, 0].double()
        torch.testing.assert_close(each.mean.double(), w.mean(0), atol=1e-6, rtol=1e-5)
        assert each.spread == pytest.approx(
            float((w - w.mean(0)).norm(dim=1).square().mean().sqrt()), rel=1e-5
        )
        ws = w[:, None].expand(-1, 3, -1).float()
        assert float(each.distance(ws).square().mean()) == pytest.approx(1, rel=1e-3)
    assert not torch.allclose(found[0].mean, found[1].mean)
