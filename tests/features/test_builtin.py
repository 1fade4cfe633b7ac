"""The builtin detector: the same everywhere, each picture for itself, all sizes, and a sense of order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan.features import open_detector
from stylegan.features.builtin import BuiltinDetector
from stylegan.images import on_white, to_float

# SHA-256 of its design and its weights, the same on every machine.
CHECKSUM = "20288c230362e75578bf8cec3e212eda3b10caedd9f051e06a146194fbde93e8"


@pytest.fixture(scope="module")
def detector():
    return open_detector("builtin")


def random_images(count: int, height: int, width: int, channels: int = 3) -> torch.Tensor:
    """Smooth random pictures, uint8: the same on every machine."""
    rng = np.random.default_rng([count, height, width, channels])
    coarse = torch.from_numpy(rng.random((count, channels, 5, 5), dtype=np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth * 256).clamp(0, 255).to(torch.uint8)


def test_its_weights_have_the_bits_that_were_published(detector):
    assert detector.checksum == CHECKSUM
    assert detector.protocol() == {
        "detector": "builtin",
        "detector_checksum": CHECKSUM,
        "resize": "longer side to 64 px where larger, areas averaged; fine detail unresized",
    }


def test_another_weight_is_another_checksum(monkeypatch):
    monkeypatch.setattr("stylegan.features.builtin.DESIGN", "another design")
    assert BuiltinDetector().checksum != CHECKSUM


def test_nothing_global_is_drawn_or_changed():
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    BuiltinDetector().features(random_images(2, 8, 8))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert torch.is_grad_enabled()


@settings(max_examples=25)
@given(height=st.integers(4, 150), width=st.integers(4, 150), channels=st.integers(1, 6))
def test_any_size_and_channels_give_finite_numbers(detector, height, width, channels):
    features = detector.features(random_images(2, height, width, channels))
    assert features.shape == (2, detector.num_features) and features.dtype == torch.float32
    assert features.isfinite().all()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_image_gives_finite_numbers(detector, value):
    features = detector.features(torch.full((1, 3, 16, 16), value, dtype=torch.uint8))
    assert features.isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40), (100, 70)])
def test_a_image_does_not_depend_on_its_neighbours(detector, height, width):
    images = random_images(37, height, width)
    together = detector.features(images)
    alone = torch.cat([detector.features(image[None]) for image in images])
    assert (together - alone).abs().max() <= 1e-6 * together.abs().max()


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_other_channels_count_as_they_are_shown(detector, channels):
    images = random_images(3, 20, 20, channels)
    shown = on_white(images)[:, :3].expand(-1, 3, -1, -1)
    assert torch.equal(detector.features(images), detector.features(shown))
    torch.testing.assert_close(
        detector.embedding(to_float(images)), detector.embedding(to_float(shown)), rtol=0, atol=0.02
    )


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(2, 3, 8, 8), "convert floats with to_uint8"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "uint8 .N,C,H,W."),
        (torch.zeros(1, 3, 3, 8, dtype=torch.uint8), "from 4x4 px on, got 3x8"),
    ],
)
def test_what_is_not_a_batch_of_images_is_refused(detector, images, words):
    with pytest.raises(ValueError, match=words) as refused:
        detector.features(images)
    assert "\n" not in str(refused.value)


def test_no_images_give_no_rows(detector):
    assert detector.features(torch.zeros(0, 3, 8, 8, dtype=torch.uint8)).shape == (0, 467)


def test_the_distance_grows_with_the_difference_and_has_a_gradient(detector):
    first = to_float(random_images(2, 32, 32))
    direction = torch.randn(first.shape, generator=torch.Generator().manual_seed(0))
    here = detector.embedding(first)
    distances = [
        (detector.embedding(first + step * direction) - here).square().sum(1) for step in (0, 0.01, 0.05, 0.2)
    ]
    assert distances[0].abs().max() == 0
    assert all((nearer < farther).all() for nearer, farther in zip(distances, distances[1:], strict=False))
    moved = (first + 0.1 * direction).requires_grad_()
    (detector.embedding(moved) - here).square().sum().backward()
    assert moved.grad.isfinite().all() and (moved.grad.flatten(1).norm(dim=1) > 0).all()


def test_features_keep_their_values(detector):
    """A change of these numbers is another design, and needs another name."""
    features = detector.features(random_images(1, 80, 48))[0]
    places = [0, 20, 40, 70, 97, 110, 130, 200, 290, 320, 380, 450]
    expected = [0.59508, -0.751138, 0.69116, 0.322638, 0.380325, 0.151572]
    expected += [0.63809, 0.757913, 0.431508, -0.377648, 0.433392, 0.094857]
    torch.testing.assert_close(features[places], torch.tensor(expected), rtol=1e-4, atol=1e-5)
