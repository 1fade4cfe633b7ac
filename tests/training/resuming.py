"""Trainings that are killed and continued in one process, by what a checkpoint holds."""

import io
from collections.abc import Callable

import torch

from stylegan.training import AdversarialTraining
from tests.training.trainings import batch


def continued(
    make: Callable[[], AdversarialTraining], *, stop: int, iterations: int, **changed
) -> AdversarialTraining:
    """A training of so many iterations that was killed after `stop`, and continued by a new one.

    Args:
        make: gives a fresh training; weights and buffers, and the optimisers' states, go through a file.
        changed: other arguments of `make` for the one that continues.
    """
    first = make()
    for i in range(stop):
        first.step(*batch(first.batch_size, i))
    file = io.BytesIO()
    adams = {name: adam.state_dict() for name, adam in first.gradients.optimizers.items()}
    torch.save({"training": first.state_dict(), "adams": adams}, file)
    file.seek(0)
    stored = torch.load(file, weights_only=True)
    then = make(**changed)
    then.load_state_dict(stored["training"])
    then.gradients.make_optimizers()
    for name, adam in then.gradients.optimizers.items():
        adam.load_state_dict(stored["adams"][name])
    for i in range(stop, iterations):
        then.step(*batch(then.batch_size, i))
    return then


def assert_same_training(one: AdversarialTraining, other: AdversarialTraining) -> None:
    """Weights, buffers and Adam's states are the same bits."""
    for (name, ours), theirs in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name
    for network, adam in one.gradients.optimizers.items():
        ours, theirs = adam.state_dict(), other.gradients.optimizers[network].state_dict()
        assert ours["state"].keys() == theirs["state"].keys()
        for key, state in ours["state"].items():
            for name, value in state.items():
                assert torch.equal(value, theirs["state"][key][name]), (network, key, name)
        assert ours["param_groups"] == theirs["param_groups"]
