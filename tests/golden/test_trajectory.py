"""Whole training iterations in float64 against the reference: phases, Adam, averages, p."""

import pytest
import torch
from torch import nn

from stylegan.augment import AugmentPipe
from stylegan.interop.nvidia_names import build_discriminator, build_generator
from stylegan.losses import PathLengthPenalty, R1Penalty
from stylegan.training import AdaController, AdversarialTraining
from stylegan.training.draws import Draw
from stylegan.training.ema import ema_decay
from tests.golden.golden import fixture, params, relative_error
from tests.golden.recorded import RecordedDraws

TOLERANCE = 1e-8


class PercentilePipe(nn.Module):
    """The pipe in its deterministic form, at one percentile of every distribution."""

    def __init__(self, pipe: AugmentPipe, percentile: float):
        super().__init__()
        self.pipe, self.percentile, self.p = pipe, percentile, None

    def forward(self, images, draws=None):
        return self.pipe(images, percentile=self.percentile)


def weights(z, run, place, letter):
    prefix = f"{run['id']}/{place}/{letter}/"
    return {key.removeprefix(prefix).removesuffix("_f64"): z.tensor(key) for key in z.keys(prefix)}


def draws(z, run, augment):
    def read(phase, iteration):
        root = f"{run['id']}/in/{iteration}/{phase}"
        augmentation = {} if augment is not None else None
        if phase == "Dreg":
            return Draw(augment_real=augmentation)
        return Draw(
            z=z.tensor(f"{root}/z"),
            c=z.optional(f"{root}/c") if run["G_kwargs"]["c_dim"] else None,
            path_noise=z.optional(f"{root}/pl_noise"),
            augment_fake=None if phase == "Greg" else augmentation,
            augment_real=augmentation if phase == "Dmain" else None,
        )

    return RecordedDraws(read)


def start(z, run):
    augment = None
    if run["augment"] is not None:
        pipe = AugmentPipe(**run["augment"]).double()
        pipe.Hz_geom = z.tensor(f"{run['id']}/in/Hz_geom_f64")
        augment = PercentilePipe(pipe, run["augment_percentile"])
    training = AdversarialTraining(
        generator=build_generator(run["G_kwargs"], weights(z, run, "start", "G")),
        discriminator=build_discriminator(run["D_kwargs"], weights(z, run, "start", "D")),
        augment=augment,
        ada=AdaController(
            target=run["ada_target"],
            kimg=run["ada_kimg"],
            interval_iterations=run["ada_interval"],
            p_init=run["p_init"],
            p_max=None,
        ),
        r1=R1Penalty(gamma=run["r1_gamma"]),
        path_length=PathLengthPenalty(
            weight=run["pl_weight"], decay=run["pl_decay"], batch_shrink=run["pl_batch_shrink"]
        ),
        pl_interval_iterations=run["G_reg_interval"],
        r1_interval_iterations=run["D_reg_interval"],
        style_mixing_prob=run["style_mixing_prob"],
        generator_lr=run["lr"],
        discriminator_lr=run["lr"],
        betas=run["betas"],
        eps=run["eps"],
        ema_half_life_kimg=run["ema_kimg"],
        ema_ramp_up=run["ema_rampup"],
        batch_size=run["batch_size"],
        total_kimg=1000,
    )
    training.draws = draws(z, run, augment)
    return training.double()


def assert_norms(network, expected, place):
    tensors = dict(network.named_parameters()) | dict(network.named_buffers())
    for name, (norm, projection) in expected.items():
        flat = tensors[name].detach().flatten()
        index = torch.arange(flat.numel(), dtype=torch.float64)
        scale = max(norm, 1e-12)
        assert abs(flat.norm().item() - norm) <= TOLERANCE * scale, (place, name)
        assert abs((flat * torch.cos(0.37 * index + 1)).sum().item() - projection) <= TOLERANCE * scale, (
            place,
            name,
        )


def mean_losses(training, phases):
    """Mean before the gain of each phase, from what the phases report."""
    read = training.stats.take()
    names = {"Gmain": "Loss/G/loss", "Greg": "Loss/G/reg", "Dmain": "Loss/D/loss", "Dreg": "Loss/D/reg"}
    return {phase: read[names[phase]].mean for phase in phases}


@pytest.mark.parametrize("case", params("trajectory.npz", lambda z: [(r["id"], r) for r in z.meta["runs"]]))
def test_trajectory(case):
    z, run = fixture("trajectory.npz"), case
    training = start(z, run)
    for iteration, expected in enumerate(run["after_each_iteration"]):
        images, labels = (z.tensor(f"{run['id']}/in/{iteration}/{name}") for name in ("real_img", "real_c"))
        beta = ema_decay(
            batch_size=run["batch_size"],
            half_life_kimg=run["ema_kimg"],
            ramp_up=run["ema_rampup"],
            images_seen=training.clock.images,
        )
        training.step(images, labels)
        for phase, loss in mean_losses(training, expected["phases"]).items():
            wanted = z.tensor(f"{run['id']}/out/{iteration}/{phase}/loss_f64").item()
            assert loss == pytest.approx(wanted, rel=TOLERANCE, abs=0), (iteration, phase)
        assert training.clock.images == expected["images_seen"]
        assert training.ada.p.item() == pytest.approx(expected["p"], rel=0, abs=TOLERANCE)
        if expected["sign_mean"] is not None:
            assert training.ada.sign_mean.item() == pytest.approx(expected["sign_mean"], rel=0, abs=TOLERANCE)
        assert training.path_length.mean_length.item() == pytest.approx(
            expected["pl_mean"], rel=TOLERANCE, abs=0
        )
        assert beta == pytest.approx(expected["ema_beta"], rel=0, abs=TOLERANCE)
        assert_norms(training.generator, expected["G"], (iteration, "G"))
        assert_norms(training.discriminator, expected["D"], (iteration, "D"))
        assert_norms(training.generator_ema, expected["G_ema"], (iteration, "G_ema"))
    networks = {"G": training.generator, "D": training.discriminator, "G_ema": training.generator_ema}
    for letter, network in networks.items():
        state = network.state_dict()
        end = weights(z, run, "end", letter)
        if not end:
            pytest.skip(f"{z.path.name} lacks {run['id']}/end/{letter}")
        for name, tensor in end.items():
            assert relative_error(state[name], tensor.double()) <= TOLERANCE, (letter, name)
