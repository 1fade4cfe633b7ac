"""Tiny generators in which a known direction is planted."""

import numpy as np
import torch
from torch import Tensor

from stylegan.networks import Generator

W = 8


def make_generator(seed: int = 0, **options) -> Generator:
    defaults = dict(resolution=16, z_dim=W, w_dim=W, mapping_layers=1, channel_base=64, channel_max=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Generator(**defaults | options).eval().requires_grad_(False)


def unit(seed: int = 1, width: int = W) -> Tensor:
    vector = torch.from_numpy(np.random.default_rng(seed).standard_normal(width)).to(torch.float32)
    return vector / vector.norm()


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a.flatten().double(), b.flatten().double(), dim=0))


def linear_mapping(generator: Generator, matrix: Tensor, bias: float = 0.0) -> Generator:
    """Makes w = matrix·(z normalised, then the embedded label) + bias."""
    layer = generator.mapping.fc0
    layer.weight.data.copy_(matrix / layer.weight_gain)
    layer.bias.data.fill_(bias / layer.bias_gain)
    return generator


def spread_along(vector: Tensor, **options) -> Generator:
    """w has the standard deviation 3 along `vector`, and 1 across."""
    generator = make_generator(mapping_activation="linear", **options)
    return linear_mapping(generator, torch.eye(W) + 2 * torch.outer(vector, vector), bias=5.0)


def with_styles(vector: Tensor, noise: float = 0.3, **options) -> Generator:
    """The styles of all layers change along `vector` by a weight of either sign, and by noise."""
    generator = make_generator(**options)
    random = np.random.default_rng(5)
    for module in generator.synthesis.modules():
        if hasattr(module, "affine"):
            rows = module.affine.weight
            signs = torch.from_numpy(random.choice([-1.0, 1.0], len(rows)))[:, None].to(torch.float32)
            rough = torch.from_numpy(random.standard_normal(tuple(rows.shape))).to(torch.float32)
            rows.copy_(signs * vector + noise * rough)
    return generator
