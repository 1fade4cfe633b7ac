"""What detectors share: channels, and a precision that is the detector's own."""

import pytest
import torch
from torch import nn

from stylegan.features import Detector
from stylegan.features.detector import rgb_floats, rgb_pixels
from stylegan.images import on_white, to_float


class Mean(Detector):
    """The mean colour, and what settings it was computed under."""

    name, checksum, resize, num_features = "mean", "00", "none", 3

    def __init__(self):
        super().__init__(nn.Linear(3, 3))

    def _features(self, images):
        self.seen = torch.is_autocast_enabled("cpu"), torch.backends.cudnn.allow_tf32, torch.is_grad_enabled()
        return self.network(images.double().mean((2, 3)).float())


def test_a_training_around_does_not_change_a_score(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    detector = Mean()
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = detector.features(images)
    assert detector.seen == (False, False, False)
    assert torch.backends.cudnn.allow_tf32
    assert features.dtype == torch.float32 and not features.requires_grad
    assert torch.equal(features, detector.features(images))


def test_a_failure_restores_the_settings(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    detector = Mean()
    monkeypatch.setattr(detector, "_features", lambda images: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        detector.features(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    assert torch.backends.cudnn.allow_tf32


def test_it_is_not_a_module_whose_weights_a_checkpoint_would_hold():
    class Training(nn.Module):
        def __init__(self):
            super().__init__()
            self.detector = Mean()

    assert list(Training().parameters()) == [] and Training().state_dict() == {}
    assert not any(values.requires_grad for values in Mean().network.parameters())


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 9])
def test_pixels_and_floats_become_the_same_three_channels(channels):
    images = torch.randint(0, 256, (2, channels, 5, 6), dtype=torch.uint8)
    rgb = rgb_pixels(images)
    assert rgb.shape == (2, 3, 5, 6)
    expected = on_white(images) if channels <= 4 else images[:, :3]
    assert torch.equal(rgb, expected.expand(2, 3, 5, 6))
    floats = rgb_floats(to_float(images))
    assert floats.shape == rgb.shape
    # Where there is transparency, pixels are rounded once more.
    assert (floats - to_float(rgb)).abs().max() <= 1.01 / 255


@pytest.mark.parametrize(
    ("take", "images"), [(rgb_pixels, torch.zeros(1, 3, 4, 4)), (rgb_floats, torch.zeros(3, 4, 4))]
)
def test_other_shapes_and_types_are_refused(take, images):
    with pytest.raises(ValueError, match=r"\[N,C,H,W\]"):
        take(images)
