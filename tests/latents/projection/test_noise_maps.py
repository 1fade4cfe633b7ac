"""Noise maps: their first values, the regulariser against a loop, and interpolation that keeps the variance."""

import numpy as np
import pytest
import torch

from stylegan.latents.projection.noise_maps import first_maps, interpolate_noise, normalise, regulariser


def by_loops(maps):
    """The regulariser of one picture's maps [1,H,W] in plain numpy, pixel by pixel."""
    total = 0.0
    for level in (values[0].numpy().astype(np.float64) for values in maps):
        while True:
            height, width = level.shape
            across = down = 0.0
            for y in range(height):
                for x in range(width):
                    across += level[y, x] * level[y, (x - 1) % width]
                    down += level[y, x] * level[(y - 1) % height, x]
            total += (across / level.size) ** 2 + (down / level.size) ** 2
            if min(height, width) <= 8:
                break
            blocks = level[: height // 2 * 2, : width // 2 * 2].reshape(height // 2, 2, width // 2, 2)
            level = blocks.mean((1, 3))
    return total


@pytest.fixture
def random():
    return torch.Generator().manual_seed(0)


def test_the_regulariser_is_the_sum_over_maps_and_levels(random):
    maps = {name: torch.randn(3, 1, *size, generator=random).double() for name, size in SIZES.items()}
    expected = [by_loops([values[row] for values in maps.values()]) for row in range(3)]
    np.testing.assert_allclose(regulariser(maps).numpy(), expected, rtol=1e-10)


SIZES = {"b4.conv1": (4, 4), "b16.conv0": (16, 16), "b16.conv1": (32, 16)}


def test_its_gradient_is_right(random):
    maps = [torch.randn(1, 1, 10, 9, generator=random).double().requires_grad_() for _ in range(2)]
    assert torch.autograd.gradcheck(lambda a, b: regulariser({"a": a, "b": b}), maps)


def test_without_maps_it_is_nothing():
    assert regulariser({}) == 0


def test_a_picture_in_the_noise_is_found(random):
    noise = torch.randn(1, 1, 32, 32, generator=random)
    smooth = torch.nn.functional.avg_pool2d(noise, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    maps = [{"a": noise.clone()}, {"a": smooth}]
    for each in maps:
        normalise(each)
    assert regulariser(maps[1]) > 50 * regulariser(maps[0])


def test_normalised_maps_have_mean_0_and_variance_1(random):
    maps = {"a": 3 + 5 * torch.randn(2, 1, 16, 16, generator=random)}
    normalise(maps)
    np.testing.assert_allclose(maps["a"].mean((1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(maps["a"].var((1, 2, 3), unbiased=False), 1, rtol=1e-5)


def test_first_maps_are_those_of_the_picture_alone():
    layers = [("b4.conv1", (4, 4)), ("b8.conv0", (8, 8))]
    together = first_maps([5, 2**64 - 1, 5], layers, seed=1)
    alone = first_maps([2**64 - 1], layers, seed=1)
    for name, size in layers:
        assert together[name].shape == (3, 1, *size)
        assert torch.equal(together[name][1:2], alone[name])
        assert torch.equal(together[name][0], together[name][2])
        assert not torch.equal(together[name][0], together[name][1])
    assert not torch.equal(first_maps([5], layers, seed=2)["b4.conv1"], together["b4.conv1"][:1])


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_noise_between_two_noises_keeps_its_variance(t, random):
    first, second = ({"a": torch.randn(1, 64, 64, generator=random)} for _ in range(2))
    normalise({"a": first["a"][None]})
    normalise({"a": second["a"][None]})
    between = interpolate_noise(first, second, t)["a"]
    assert float(between.square().mean()) == pytest.approx(1, abs=1e-5)
    # It is between both: as near to each as the arc says.
    cosine = float((first["a"] * second["a"]).mean())
    angle = np.arccos(cosine)
    assert float((between * first["a"]).mean()) == pytest.approx(np.cos(t * angle), abs=1e-5)
    assert float((between * second["a"]).mean()) == pytest.approx(np.cos((1 - t) * angle), abs=1e-5)


def test_the_ends_are_the_key_frames_bit_for_bit(random):
    first, second = ({"a": torch.randn(1, 8, 8, generator=random)} for _ in range(2))
    assert torch.equal(interpolate_noise(first, second, 0)["a"], first["a"])
    assert torch.equal(interpolate_noise(first, second, 1)["a"], second["a"])


def test_the_same_noise_stays(random):
    same = {"a": torch.randn(1, 8, 8, generator=random)}
    torch.testing.assert_close(interpolate_noise(same, same, 0.3)["a"], same["a"])


def test_maps_of_two_networks_are_refused():
    with pytest.raises(ValueError, match="b8.conv0"):
        interpolate_noise(
            {"a": torch.zeros(1, 4, 4)}, {"a": torch.zeros(1, 4, 4), "b8.conv0": torch.zeros(1)}, 0.5
        )
    with pytest.raises(ValueError, match=r"\[1, 4, 4\] and \[1, 8, 8\]"):
        interpolate_noise({"a": torch.zeros(1, 4, 4)}, {"a": torch.zeros(1, 8, 8)}, 0.5)
