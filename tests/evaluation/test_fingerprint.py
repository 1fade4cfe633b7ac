"""The fingerprint of weights: another one for any change, the same for a copy and after a trip through a file."""

import pytest
import torch
from torch import nn

from stylegan import load_generator
from stylegan.evaluation.fingerprint import weights_sha256
from stylegan.interop.checkpoint import save_generator
from tests.evaluation.pictures import small_generator


def made(**changes):
    network = nn.Module()
    network.weight = nn.Parameter(torch.arange(6.0).reshape(2, 3))
    network.register_buffer("average", torch.zeros(3))
    network.register_buffer("taps", torch.ones(2), persistent=False)
    for name, value in changes.items():
        setattr(network, name, value)
    return network


@pytest.mark.parametrize(
    "change",
    [
        {"weight": nn.Parameter(torch.arange(6.0).reshape(2, 3) + torch.eye(2, 3) * 1e-6)},
        {"weight": nn.Parameter(torch.arange(6.0).reshape(3, 2))},
        {"weight": nn.Parameter(torch.arange(6.0, dtype=torch.float64).reshape(2, 3))},
        {"average": torch.tensor([0.0, 0.0, 1.0])},
        {"average": torch.tensor([0.0, 0.0, -0.0])},
        {"taps": torch.tensor([1.0, 2.0])},
        {"other": nn.Parameter(torch.zeros(()))},
    ],
)
def test_any_change_is_another_one(change):
    assert weights_sha256(made(**change)) != weights_sha256(made())


def test_values_that_change_places_are_others():
    one, other = made(), made()
    one.average, one.more = torch.zeros(3), nn.Parameter(torch.ones(3))
    other.average, other.more = torch.ones(3), nn.Parameter(torch.zeros(3))
    assert weights_sha256(one) != weights_sha256(other)


def test_neither_the_order_nor_the_layout_in_memory_counts():
    turned = made(weight=nn.Parameter(torch.arange(6.0).reshape(2, 3).T.contiguous().T))
    assert not turned.weight.is_contiguous()
    del turned.average
    turned.register_buffer("average", torch.zeros(3))
    assert weights_sha256(turned) == weights_sha256(made())


def test_a_network_keeps_it_in_a_file(tmp_path):
    save_generator(tmp_path / "a.safetensors", small_generator())
    assert weights_sha256(load_generator(tmp_path / "a.safetensors")) == weights_sha256(small_generator())
    assert weights_sha256(small_generator(seed=1)) != weights_sha256(small_generator())
