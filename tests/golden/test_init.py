"""Freshly made networks: every tensor's shape, kind and distribution."""

import pytest
import torch

from stylegan.interop.nvidia_names import discriminator_options, generator_options
from stylegan.networks import Discriminator, Generator
from tests.golden.golden import json_params


def cases(data):
    for i, config in enumerate(data):
        yield f"{i}-G", (Generator, generator_options(config["G"]), config["G_tensors"], 0.01)
        yield f"{i}-D", (Discriminator, discriminator_options(config["D"]), config["D_tensors"], 0.01)


@pytest.mark.parametrize("case", json_params("init.json", cases))
def test_init(case):
    build, options, expected, lr_multiplier = case
    torch.manual_seed(0)
    network = build(**options)
    parameters, buffers = dict(network.named_parameters()), dict(network.named_buffers())
    assert {*parameters, *buffers} == set(expected)
    for name, record in expected.items():
        kind = parameters if record["kind"] == "parameter" else buffers
        tensor = kind[name].detach()
        assert list(tensor.shape) == record["shape"], name
        if "values" in record:
            values = torch.tensor(record["values"], dtype=tensor.dtype).flatten()
            wanted = values.expand(tensor.numel()) if len(values) == 1 else values
            torch.testing.assert_close(tensor.flatten(), wanted, rtol=1e-6, atol=0)
        elif tensor.numel() > 1:
            # Mapping weights are stored divided by their learning rate multiplier.
            nominal = 1 / lr_multiplier if ".fc" in f".{name}" and "mapping" in name else 1.0
            allowed = 4.5 * nominal / (2 * tensor.numel()) ** 0.5
            assert abs(tensor.std(unbiased=False).item() - nominal) <= allowed, name
            assert abs(tensor.mean().item()) <= 4.5 * nominal / tensor.numel() ** 0.5, name
