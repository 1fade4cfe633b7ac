"""Small networks for tests of what is drawn from several of them."""

import copy

import torch

from stylegan.networks import Generator

SMALL = dict(resolution=32, z_dim=8, w_dim=8, mapping_layers=2, channel_base=256, channel_max=8)


def make_generator(seed=0, *, noise_strength=0.3, **options):
    """A network whose noise is seen, as in one that was trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(**(SMALL | options)).eval().requires_grad_(False)
        generator.mapping.w_avg.normal_()
    for name, value in generator.state_dict().items():
        if name.endswith("noise_strength"):
            value.fill_(noise_strength)
    return generator


def fine_tuned(generator, seed=1, strength=0.2):
    """A descendant: every number of it has moved a little."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        other = copy.deepcopy(generator)
        for name, value in other.state_dict().items():
            if not name.endswith("resample_filter"):
                value.add_(torch.randn_like(value), alpha=strength)
    return other
