"""Losses and penalties by closed form."""

import math

import pytest
import torch

from stylegan.losses import NonSaturatingLogistic, PathLengthPenalty, R1Penalty


def logit(p):
    return math.log(p / (1 - p))


def test_logistic_is_the_negative_log_likelihood():
    loss = NonSaturatingLogistic()
    real, fake = (torch.tensor([[logit(p)] for p in ps]) for ps in ((0.9, 0.2), (0.3, 0.6)))
    torch.testing.assert_close(loss.generator(fake), torch.tensor([-math.log(0.3), -math.log(0.6)]))
    expected = [-math.log(0.9) - math.log(1 - 0.3), -math.log(0.2) - math.log(1 - 0.6)]
    torch.testing.assert_close(loss.discriminator(real, fake), torch.tensor(expected))


def test_r1_of_a_linear_discriminator_is_its_squared_weight():
    weight = torch.randn(
        3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    ).requires_grad_()
    images = torch.randn(5, 3, 4, 4, dtype=torch.float64).requires_grad_()
    r1 = R1Penalty(gamma=3.0)
    penalty = r1((images * weight).sum(dim=[1, 2, 3])[:, None], images)
    torch.testing.assert_close(penalty, weight.square().sum().expand(5))
    # And it has a gradient of its own: d|w|²/dw = 2w, summed over five images.
    (gradient,) = torch.autograd.grad(penalty.sum(), weight)
    torch.testing.assert_close(gradient, 10 * weight)
    assert r1.weight == 1.5


def test_r1_needs_images_that_require_grad():
    with pytest.raises(ValueError, match="requires_grad_"):
        R1Penalty(gamma=1)(torch.zeros(1, 1), torch.zeros(1, 3, 4, 4))


def test_r1_refuses_a_negative_gamma():
    with pytest.raises(ValueError, match="^gamma must be at least 0"):
        R1Penalty(gamma=-1)


def test_path_length_of_a_linear_generator():
    """img = A w for the sum over layers: the length is |Aᵀ noise| / √(HW), the same in every layer."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(3 * 4 * 4, 6, dtype=torch.float64, generator=generator)
    ws = torch.randn(2, 5, 6, dtype=torch.float64, generator=generator).requires_grad_()
    noise = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=generator)
    images = (ws.sum(dim=1) @ a.t()).reshape(2, 3, 4, 4)
    lengths = PathLengthPenalty().lengths(images, ws, noise, create_graph=False)
    torch.testing.assert_close(lengths, (noise.flatten(1) @ a).norm(dim=1) / 4)


@pytest.mark.parametrize("decay", [0.0, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("mean0", [0.0, 0.7])
def test_coefficients_are_the_gradient_of_the_mean_penalty(decay, mean0):
    lengths = torch.rand(7, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    whole, parts = (PathLengthPenalty(decay=decay).double() for _ in range(2))
    for penalty in (whole, parts):
        penalty.mean_length.fill_(mean0)
    (expected,) = torch.autograd.grad(whole(lengths).mean(), lengths)
    coefficients, penalties = parts.coefficients(lengths.detach())
    torch.testing.assert_close(coefficients, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(penalties, (lengths.detach() - whole.mean_length).square(), rtol=0, atol=1e-14)
    torch.testing.assert_close(parts.mean_length, whole.mean_length, rtol=0, atol=0)


def test_the_running_mean_is_saved_and_moves_by_decay():
    penalty = PathLengthPenalty(decay=0.25)
    penalty(torch.tensor([2.0, 4.0]))
    assert penalty.mean_length.item() == 0.75
    restored = PathLengthPenalty()
    restored.load_state_dict(penalty.state_dict())
    assert restored.mean_length.item() == 0.75


@pytest.mark.parametrize(("batch", "shrink", "samples"), [(16, 2, 8), (5, 2, 2), (1, 2, 1), (3, 8, 1)])
def test_at_least_one_sample(batch, shrink, samples):
    assert PathLengthPenalty(batch_shrink=shrink).samples_of(batch) == samples


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(weight=-1), "weight must be at least 0, got -1"),
        (dict(decay=1.5), "decay must be from 0 to 1, got 1.5"),
        (dict(batch_shrink=0), "batch_shrink must be at least 1, got 0"),
    ],
)
def test_bad_settings_are_refused(bad, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        PathLengthPenalty(**bad)
