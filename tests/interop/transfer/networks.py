"""Tiny networks whose biases and noise strengths are not 0, as after training."""

import torch

from stylegan import Discriminator, Generator

WIDTHS = {"channel_base": 128, "channel_max": 16}


def generator(seed: int = 0, **options) -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = {"resolution": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2, **WIDTHS, **options}
        return _trained(Generator(**options))


def discriminator(seed: int = 0, **options) -> Discriminator:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _trained(Discriminator(**{"resolution": 16, **WIDTHS, **options}))


def _trained(network):
    for name, parameter in network.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            parameter.data += torch.randn_like(parameter) * 0.3
    if hasattr(network, "synthesis"):
        network.mapping.w_avg.normal_()
    return network.eval().requires_grad_(False)


def latents(num: int = 6) -> torch.Tensor:
    return torch.randn(num, 8, generator=torch.Generator().manual_seed(1))


def images(channels: int = 3, height: int = 16, width: int = 16, num: int = 4) -> torch.Tensor:
    return torch.rand(num, channels, height, width, generator=torch.Generator().manual_seed(2)) * 2 - 1


def flat(channels: int, side: int, num: int = 4) -> torch.Tensor:
    return images(channels, 1, 1, num).expand(-1, -1, side, side)


def one_hot(classes: int, *chosen: int) -> torch.Tensor:
    return torch.eye(classes)[list(chosen)]
