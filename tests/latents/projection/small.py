"""Small networks and pictures that the tests of projection share."""

import torch

from stylegan.images import to_uint8
from stylegan.latents.seeds import latents_of
from stylegan.networks import Generator


def make_generator(seed=0, resolution=8, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        small = dict(z_dim=8, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8)
        generator = Generator(resolution=resolution, **{**small, **options}).eval().requires_grad_(False)
        generator.mapping.w_avg.normal_()
        for name, weight in generator.synthesis.named_parameters():
            # Fresh ones draw far beyond black and white, where a picture says nothing of the latent.
            weight *= 0.3 if name.endswith("torgb.weight") else 1
        for name, _ in generator.synthesis.noise_layers:
            generator.get_submodule(f"synthesis.{name}").noise_strength.fill_(0.05)
    return generator


@torch.no_grad()
def pictures_of(generator, seeds, label=None):
    """What a generator draws of seeds, uint8 [N,C,H,W], without noise."""
    z = latents_of(seeds, generator.z_dim)
    labels = None if label is None else label.expand(len(z), -1)
    ws = generator.mapping(z, labels, track_average=False)
    return to_uint8(generator.synthesis(ws, noise_mode="none"))
