"""Distances of pictures: the multi-scale one against scipy, masks, transparency, and which one is chosen."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from stylegan.latents.projection.losses import MultiScale, NetworkLoss, Target, distance, open_loss


def images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def by_scipy(a, b):
    """The multi-scale distance of two pictures [C,H,W] in -1..1, by other means."""
    taps = np.array([1, 4, 6, 4, 1]) / 16
    error = (a.numpy().astype(np.float64) - b.numpy().astype(np.float64)) / 2
    terms = []
    while True:
        terms.append(
            sum((part**2).mean() for part in (error, np.diff(error, axis=1), np.diff(error, axis=2)))
        )
        if min(error.shape[1:]) <= 4:
            return np.mean(terms)
        for axis in (1, 2):
            error = scipy.ndimage.convolve1d(error, taps, axis=axis, mode="mirror")
        error = error[:, ::2, ::2]


@pytest.mark.parametrize("size", [(16, 16), (12, 24), (4, 4)])
def test_multiscale_is_what_its_words_say(size):
    a, b = images(2, 3, *size), images(2, 3, *size, seed=1)
    found = distance(MultiScale(), a, Target(MultiScale(), b))
    np.testing.assert_allclose(found, [by_scipy(a[row], b[row]) for row in range(2)], rtol=1e-5)


def test_it_is_zero_for_the_same_picture_alone():
    a = images(1, 3, 16, 16)
    assert distance(MultiScale(), a, Target(MultiScale(), a)) == 0
    assert distance(MultiScale(), a.flip(3), Target(MultiScale(), a)) > 0.01


def test_what_a_mask_leaves_out_counts_nothing():
    target, masks = images(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
    masks[..., :8] = 0
    wanted = Target(MultiScale(), target, masks)
    drawn = images(1, 3, 16, 16, seed=1).requires_grad_()
    off = distance(MultiScale(), drawn, wanted)
    (gradient,) = torch.autograd.grad(off.sum(), drawn)
    assert gradient[..., :8].abs().max() == 0 and gradient[..., 8:].abs().min() > 0
    other = drawn.detach().clone()
    other[..., :8] = 1
    torch.testing.assert_close(distance(MultiScale(), other, wanted), off)


def test_beyond_white_is_white_where_the_target_is_white():
    target = images(1, 3, 8, 8)
    target[:, 0], target[:, 1] = 1, -1
    drawn = target.clone()
    drawn[:, 0], drawn[:, 1] = 1.5, -3
    drawn = drawn.requires_grad_()
    wanted = Target(MultiScale(), target)
    off = distance(MultiScale(), drawn, wanted)
    assert off == 0 and torch.autograd.grad(off.sum(), drawn)[0].abs().max() == 0
    # Where the target is not, it is an error with a gradient.
    assert distance(MultiScale(), -drawn, wanted) > 0.5


@pytest.mark.parametrize("value", [254, 250, 1])
def test_beyond_white_is_no_more_than_white_where_the_target_is_nearly_white(value):
    """As in a JPEG of something on white. A file of what is drawn would hold 255 there, or 0."""
    target = torch.full((1, 3, 8, 8), value / 127.5 - 1)
    bound = target.sign()
    wanted = Target(MultiScale(), target)
    drawn = (1.5 * bound).requires_grad_()
    off = distance(MultiScale(), drawn, wanted)
    torch.testing.assert_close(off, distance(MultiScale(), bound, wanted))
    # It is led back all the same.
    assert (torch.autograd.grad(off.sum(), drawn)[0] * bound > 0).all()


@pytest.mark.parametrize("channels", [2, 4])
def test_colours_that_cannot_be_seen_count_nothing(channels):
    target = images(1, channels, 8, 8)
    target[:, -1] = -1
    other = target.clone()
    other[:, :-1] = 0.3
    for loss in (MultiScale(), NetworkLoss("none", lambda x: torch.zeros(len(x), 1))):
        assert distance(loss, other, Target(loss, target)) == 0
        seen = other.clone()
        seen[:, -1] = 1
        assert distance(loss, seen, Target(loss, target)) > 0.2


def test_a_network_sees_at_most_256_px():
    shapes = []

    def embed(x):
        shapes.append(tuple(x.shape[2:]))
        return x.flatten(1)

    loss = NetworkLoss("planted", embed)
    for size in ((256, 256), (512, 256), (64, 64)):
        loss.embedding(images(1, 3, *size))
    assert shapes == [(256, 256), (256, 128), (64, 64)]


def test_auto_takes_what_is_there(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert open_loss(size=(32, 32)).name == "multiscale"
    assert open_loss(size=(256, 256)).name == "multiscale"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"name": "vgg"}, "loss must be one of"),
        ({"name": "multiscale", "path": "x.pth"}, "loss_path is given"),
        ({"name": "lpips", "size": (8, 8)}, "at least 32 px"),
        ({"name": "stlpips", "path": "nothing.pth"}, "there is no file nothing.pth"),
    ],
)
def test_what_cannot_be_is_one_line(asked, words):
    with pytest.raises(ValueError, match=words) as caught:
        open_loss(**{"size": (64, 64), **asked})
    assert "\n" not in str(caught.value)
