"""Flat gradients, their repair, and the settings of Adam."""

import pytest
import torch

from stylegan.training.gradients import AdamSettings, FlatGradients, LearningSteps


def test_broken_gradients_are_repaired_and_counted():
    weights = [torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(3))]
    gradients = FlatGradients(weights)
    inf = float("inf")
    weights[0].grad += torch.tensor([[1.0, float("nan")], [inf, -2.0]])
    weights[1].grad += torch.tensor([-inf, 0.0, 5.0])
    assert gradients.repair().item() == 3
    assert weights[0].grad.tolist() == [[1.0, 0.0], [1e5, -2.0]]
    assert weights[1].grad.tolist() == [-1e5, 0.0, 5.0]
    gradients.zero()
    assert all((w.grad == 0).all() for w in weights)


def test_gradients_accumulate_in_the_flat_vector_also_after_set_to_none():
    weight = torch.nn.Parameter(torch.ones(3))
    gradients = FlatGradients([weight])
    weight.grad = None
    gradients.zero()
    (weight * 2).sum().backward()
    (weight * 3).sum().backward()
    assert gradients.vector.tolist() == [5.0, 5.0, 5.0]


def test_settings_win_over_what_a_checkpoint_restored():
    settings = AdamSettings.lazy(lr=0.0025, betas=(0.0, 0.99), eps=1e-8, interval_iterations=4)
    steps = LearningSteps({"one": [torch.nn.Parameter(torch.ones(3))]}, {"one": settings})
    (adam,) = steps.make_optimizers()
    adam.param_groups[0].update(lr=7.0, betas=(0.5, 0.5), eps=1.0)
    steps.attach()
    assert adam.param_groups[0]["lr"] == pytest.approx(0.0025 * 4 / 5)
    assert adam.param_groups[0]["betas"] == pytest.approx((0.0, 0.99 ** (4 / 5)))
    assert adam.param_groups[0]["eps"] == 1e-8
