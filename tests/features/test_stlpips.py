"""ST-LPIPS: its layers on planted weights against a slow reference, and the real file where it is given."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import torch

from stylegan.features.stlpips import _CHANNELS, _GROUPS, STLPIPS_FILE, StLpips, _pooled
from stylegan.features.weights import Weights, read_weights


def tensors(seed=0):
    random = torch.Generator().manual_seed(seed)
    found, width = {}, 3
    for number, (places, channels) in enumerate(zip(_GROUPS, _CHANNELS, strict=True), start=1):
        for place in places:
            weight = torch.randn(channels, width, 3, 3, generator=random) / (3 * width**0.5)
            found |= {f"net.slice{number}.{place}.weight": weight}
            found |= {f"net.slice{number}.{place}.bias": torch.zeros(channels)}
            width = channels
        found[f"lin{number - 1}.model.1.weight"] = torch.rand(1, channels, 1, 1, generator=random)
    return found


def test_pooling_is_a_maximum_a_blur_and_every_second_place():
    x = torch.randn(1, 2, 8, 10, generator=torch.Generator().manual_seed(0))
    expected = []
    for plane in x[0].numpy():
        largest = np.max([plane[:-1, :-1], plane[1:, :-1], plane[:-1, 1:], plane[1:, 1:]], axis=0)
        padded = np.pad(largest, 2, mode="reflect")
        blurred = scipy.ndimage.convolve(padded, np.outer([1, 2, 1], [1, 2, 1]) / 16)
        expected.append(blurred[1:-1:2, 1:-1:2])
    np.testing.assert_allclose(_pooled(x)[0], np.stack(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wrong", ["missing", "shape", "negative"])
def test_other_weights_are_one_line(tmp_path, wrong):
    found = tensors()
    name = "lin2.model.1.weight"
    match wrong:
        case "missing":
            del found[name]
        case "shape":
            found[name] = found[name][:, :3]
        case "negative":
            found[name] = -found[name]
    with pytest.raises(ValueError, match="holds no ST-LPIPS") as caught:
        StLpips(Weights(tmp_path / "x.pth", found, "0", False))
    assert "\n" not in str(caught.value)


@pytest.mark.long
@pytest.mark.skipif(
    "STLPIPS_WEIGHTS" not in os.environ, reason="STLPIPS_WEIGHTS names no file of its weights"
)
def test_the_real_file_gives_the_distances_of_its_own_program():
    """Numbers that the class LPIPS of stlpips_pytorch 0.0.2 gave for the same images."""
    loss = StLpips(read_weights(Path(os.environ["STLPIPS_WEIGHTS"]), STLPIPS_FILE))
    assert loss.name == "st-lpips-vgg16"
    random = torch.Generator().manual_seed(0)
    for size, expected in (((64, 64), 0.06656891107559204), ((48, 80), 0.06802154332399368)):
        a, b = (torch.rand(1, 3, *size, generator=random) * 2 - 1 for _ in range(2))
        a.requires_grad_()
        off = (loss.embedding(a) - loss.embedding(b)).square().sum()
        assert float(off) == pytest.approx(expected, rel=1e-5)
        (gradient,) = torch.autograd.grad(off, a)
        assert torch.isfinite(gradient).all() and gradient.abs().max() > 0
