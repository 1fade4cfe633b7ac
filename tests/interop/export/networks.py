"""Small networks to export: every number of them matters, as after training."""

import torch

from stylegan.networks import Generator

TINY = dict(resolution=8, z_dim=8, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8)


def make_generator(seed=0, **options):
    """Noise strengths, biases and w_avg are not zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(**(TINY | options)).eval().requires_grad_(False)
        generator.mapping.w_avg.normal_()
        for name, value in generator.state_dict().items():
            if name.endswith("noise_strength"):
                value.fill_(0.3)
            elif name.endswith("bias"):
                value.add_(torch.randn_like(value), alpha=0.2)
    return generator
