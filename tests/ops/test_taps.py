"""What a filter's taps become, and that it is made once."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from stylegan.ops import setup_filter, upfirdn2d
from stylegan.ops.taps import taps_of

X = torch.zeros(1, 1, 4, 4)


def of(f, **changed):
    return taps_of(f, **dict(axis=None, flip=False, gain=1.0, like=X) | changed)


def test_turned_scaled_and_rounded():
    f = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert of(f, gain=2.0).tolist() == [[2, 4], [6, 8]]
    assert of(f, flip=True).tolist() == [[4, 3], [2, 1]]
    # 1 + 2^-9 is between two numbers of bfloat16.
    rounded = of(torch.tensor([[1 + 2.0**-9]]), like=X.bfloat16(), wide=True)
    assert rounded.dtype == torch.float32 and rounded.item() == 1


def test_taps_of_one_axis_lie_along_it():
    f = torch.tensor([1.0, 2.0, 3.0])
    assert of(f, axis=3).tolist() == [[1, 2, 3]]
    assert of(f, axis=2).tolist() == [[1], [2], [3]]


def test_each_use_is_made_once():
    f = torch.rand(4, 4)
    uses = [
        dict(),
        dict(flip=True),
        dict(gain=4.0),
        dict(like=X.double()),
        dict(like=X.bfloat16(), wide=True),
    ]
    made = [of(f, **use) for use in uses]
    assert all(of(f, **use) is taps for use, taps in zip(uses, made, strict=True))
    assert len({id(taps) for taps in made}) == len(uses)


def test_a_filter_that_is_written_to_is_taken_again():
    f = torch.ones(2, 2)
    assert of(f).sum() == 4
    f.mul_(2)
    assert of(f).sum() == 8


def test_a_pass_without_gradients_leaves_nothing_that_a_later_one_cannot_use():
    f = setup_filter([1, 3, 3, 1])
    with torch.inference_mode():
        first = upfirdn2d(torch.ones(1, 1, 8, 8), f)
    x = torch.ones(1, 1, 8, 8, requires_grad=True)
    y = upfirdn2d(x, f)
    assert torch.equal(y.detach(), first)
    y.square().sum().backward()
    assert x.grad is not None


def test_a_mode_that_only_looks_at_shapes_leaves_nothing_behind():
    f = setup_filter([1, 3, 3, 1])
    with FakeTensorMode(allow_non_fake_inputs=True):
        upfirdn2d(torch.ones(1, 1, 8, 8), f)
    assert upfirdn2d(torch.ones(1, 1, 8, 8), f).mean().item() == 1
