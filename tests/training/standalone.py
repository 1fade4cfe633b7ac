"""Small real networks and a module that trains without a Trainer, for tests of the phases."""

import torch

from stylegan.augment import AugmentPipe
from stylegan.losses import PathLengthPenalty, R1Penalty
from stylegan.networks import Discriminator, Generator
from stylegan.training import AdaController, StyleGAN2ADA
from stylegan.training.draws import KeyedDraws

BGC = (
    "xflip rotate90 xint scale rotate aniso xfrac brightness contrast lumaflip hue saturation".split()  # fmt: skip
)


class Standalone(StyleGAN2ADA):
    """Backward and optimisers without Lightning's Trainer; the phases themselves are untouched."""

    class _Trainer:
        should_stop = False

    _stand_in = _Trainer()

    @property
    def trainer(self):
        return self._stand_in

    def optimizers(self):
        return self._own_optimizers

    def manual_backward(self, loss, *args, **kwargs):
        loss.backward()


def networks(resolution=16, c_dim=0, **generator_options):
    torch.manual_seed(0)
    widths = dict(resolution=resolution, c_dim=c_dim, channel_base=128, channel_max=8)
    generator = Generator(z_dim=16, w_dim=16, mapping_layers=2, **widths, **generator_options)
    for name, parameter in generator.named_parameters():
        # Noise that is not learned yet would not be seen.
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.3)
    return generator, Discriminator(**widths)


def module(
    *, batch_size, micro_batch=None, c_dim=0, seed=0, dtype=torch.float32, p=0.5, freeze=(), **options
):
    generator, discriminator = networks(c_dim=c_dim)
    for name in freeze:
        player, _, parameter = name.partition(".")
        player = generator if player == "generator" else discriminator
        player.get_parameter(parameter).requires_grad_(False)
    pipe = AugmentPipe(**dict.fromkeys(BGC, 1))
    settings = dict(
        augment=pipe,
        ada=AdaController(p_init=p, kimg=1),
        r1=R1Penalty(gamma=0.5),
        path_length=PathLengthPenalty(),
        r1_interval_iterations=4,
        pl_interval_iterations=2,
        ema_half_life_kimg=0.05,
        total_kimg=1000,
    )
    trained = Standalone(
        generator=generator,
        discriminator=discriminator,
        batch_size=batch_size,
        micro_batch=micro_batch,
        seed=seed,
        **(settings | options),
    ).to(dtype)
    trained.draws = KeyedDraws(
        seed=seed,
        z_dim=16,
        num_ws=generator.num_ws,
        noise_layers=generator.synthesis.noise_layers,
        image_shape=(3, 16, 16),
        style_mixing_prob=trained.style_mixing_prob,
        augment=trained.augment,
        labels=(lambda items: torch.eye(c_dim)[items % c_dim]) if c_dim else None,
        label_items=torch.arange(100),
    )
    trained._own_optimizers = trained.configure_optimizers()
    trained.on_train_start()
    return trained


def batch(n, iteration, c_dim=0, size=16):
    """Reals that are a function of the iteration alone."""
    generator = torch.Generator().manual_seed(iteration)
    images = torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=generator)
    labels = torch.eye(c_dim)[torch.randint(c_dim, (n,), generator=generator)] if c_dim else torch.zeros(n, 0)
    return images, labels
