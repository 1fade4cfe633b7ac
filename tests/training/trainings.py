"""Small real networks and a training of them, for tests of the phases."""

import torch

from stylegan.augment import AugmentPipe
from stylegan.distributed import collectives as ranks
from stylegan.losses import NonSaturatingLogistic, PathLengthPenalty, R1Penalty
from stylegan.networks import Discriminator, Generator
from stylegan.training import AdaController, AdversarialTraining
from stylegan.training.draws import KeyedDraws
from stylegan.training.phases import phases_of

BGC = (
    "xflip rotate90 xint scale rotate aniso xfrac brightness contrast lumaflip hue saturation".split()  # fmt: skip
)

# What each of the four phases draws.
KINDS = {
    phase.name: phase.draws
    for phase in phases_of(
        adversarial_loss=NonSaturatingLogistic(),
        r1=R1Penalty(gamma=1),
        path_length=PathLengthPenalty(),
        r1_interval_iterations=16,
        pl_interval_iterations=4,
    )
}

PHASES = tuple(KINDS)


def networks(resolution=16, c_dim=0, **generator_options):
    torch.manual_seed(0)
    widths = dict(resolution=resolution, c_dim=c_dim, channel_base=128, channel_max=8)
    generator = Generator(z_dim=16, w_dim=16, mapping_layers=2, **widths, **generator_options)
    for name, parameter in generator.named_parameters():
        # Noise that is not learned yet would not be seen.
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.3)
    return generator, Discriminator(**widths)


def training(
    *, batch_size, micro_batch=None, c_dim=0, seed=0, dtype=torch.float32, p=0.5, without_grad=(), **options
) -> AdversarialTraining:
    """Not started yet: its first step does so."""
    generator, discriminator = networks(c_dim=c_dim)
    for name in without_grad:
        network, _, parameter = name.partition(".")
        network = generator if network == "generator" else discriminator
        network.get_parameter(parameter).requires_grad_(False)
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
    made = AdversarialTraining(
        generator=generator,
        discriminator=discriminator,
        batch_size=batch_size,
        micro_batch=micro_batch,
        seed=seed,
        **(settings | options),
    ).to(dtype)
    made.draws = KeyedDraws(
        seed=seed,
        z_dim=16,
        num_ws=generator.num_ws,
        noise_layers=generator.synthesis.noise_layers,
        image_shape=(3, 16, 16),
        style_mixing_prob=made.style_mixing_prob,
        augment=made.augment,
        labels=(lambda items: torch.eye(c_dim)[items % c_dim]) if c_dim else None,
        label_items=torch.arange(100),
    )
    return made


def started(**options) -> AdversarialTraining:
    """As `training`, ready for one phase at a time."""
    made = training(**options)
    made.start()
    return made


def batch(n, iteration, c_dim=0, size=16):
    """Reals that are a function of the iteration alone."""
    generator = torch.Generator().manual_seed(iteration)
    images = torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=generator)
    labels = torch.eye(c_dim)[torch.randint(c_dim, (n,), generator=generator)] if c_dim else torch.zeros(n, 0)
    return images, labels


class NoStep:
    """An optimiser that leaves the weights as they are, so that the gradients of a phase can be read."""

    param_groups = ({},)

    def step(self):
        pass


def first_gradients(made: AdversarialTraining, phase: str) -> torch.Tensor:
    """Of one phase from the fresh state, of all processes."""
    made.gradients.optimizers = {"generator": NoStep(), "discriminator": NoStep()}
    reals, _ = batch(made.batch_size, 2)
    made.run_phase(phase, reals[ranks.rank() :: ranks.world()])
    network = made.generator if phase.startswith("G") else made.discriminator
    return torch.cat([p.grad.flatten() for p in network.parameters()])
