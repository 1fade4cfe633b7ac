"""Each training phase on its own: reported values, gradients, running means."""

import pytest
import torch

from stylegan.interop.nvidia_names import build_discriminator, build_generator
from stylegan.losses import PathLengthPenalty, R1Penalty
from stylegan.training import AdversarialTraining
from stylegan.training.draws import Draw
from tests.golden.golden import fixture, params
from tests.golden.recorded import RecordedDraws
from tests.training.trainings import NoStep

PHASES = {"Gboth": ("Gmain", "Greg"), "Dboth": ("Dmain", "Dreg")}
CALLS = {"Gmain": "gen", "Greg": "pl", "Dmain": "gen"}


def cases(z):
    return [
        (f"{pair['id']}-{case['id']}", (pair, case)) for pair in z.meta["pairs"] for case in pair["cases"]
    ]


def weights(z, pair, letter):
    prefix = f"{pair['id']}/weights/{letter}/"
    return {key.removeprefix(prefix): z.tensor(key) for key in z.keys(prefix)}


def draws(z, pair, case):
    root, cutoff = f"{pair['id']}/in", pair["params"]["cutoff"]

    def read(phase, iteration):
        if phase == "Dreg":
            return Draw()
        call = CALLS[phase]
        noise_prefix = f"{root}/noise/{call}/"
        mixing = case["style_mixing"]
        return Draw(
            z=z.tensor(f"{root}/gen_z"),
            c=z.optional(f"{root}/gen_c") if pair["G_kwargs"]["c_dim"] else None,
            mixing_z=z.tensor(f"{root}/z2/{call}") if mixing else None,
            mixing_cutoff=cutoff if mixing else None,
            noise={key.removeprefix(noise_prefix): z.tensor(key) for key in z.keys(noise_prefix)},
            path_noise=z.tensor(f"{root}/pl_noise") if phase == "Greg" else None,
        )

    return RecordedDraws(read)


def build(z, pair, case):
    p = pair["params"]
    training = AdversarialTraining(
        generator=build_generator(pair["G_kwargs"], weights(z, pair, "G")),
        discriminator=build_discriminator(pair["D_kwargs"], weights(z, pair, "D")),
        r1=R1Penalty(gamma=p["r1_gamma"]),
        path_length=PathLengthPenalty(
            weight=p["pl_weight"], decay=p["pl_decay"], batch_shrink=p["pl_batch_shrink"]
        ),
        pl_interval_iterations=case["gain"],
        r1_interval_iterations=case["gain"],
        batch_size=p["nb"],
        total_kimg=1,
    )
    training.draws = draws(z, pair, case)
    training.gradients.optimizers = {"generator": NoStep(), "discriminator": NoStep()}
    training.path_length.mean_length.fill_(p["pl_mean0"])
    return training


@pytest.mark.parametrize("case", params("loss.npz", cases))
def test_phase(case):
    z = fixture("loss.npz")
    pair, case = case
    training = build(z, pair, case)
    out = f"{pair['id']}/out/{case['id']}"
    letter = case["phase"][0]
    network = training.generator if letter == "G" else training.discriminator
    reals = z.tensor(f"{pair['id']}/in/real_img")
    labels = z.tensor(f"{pair['id']}/in/real_c") if pair["D_kwargs"]["c_dim"] else None
    reported: dict[str, list] = {}
    training.stats.add = lambda name, values: reported.setdefault(name, []).append(
        torch.as_tensor(values).detach()
    )

    total = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    for phase in PHASES.get(case["phase"], (case["phase"],)):
        training.run_phase(phase, reals, labels)
        for name, parameter in network.named_parameters():
            total[name] += parameter.grad

    assert z.keys(f"{out}/report/"), "a case reports something"
    for key in z.keys(f"{out}/report/"):
        expected, name = z.tensor(key), key.removeprefix(f"{out}/report/")
        # In "both" phases the reference makes one pass over the reals where ours are two equal ones.
        actual = reported[name][0].flatten()
        assert (actual - expected).abs().max() <= 1e-4 * expected.abs().max() + 1e-6, name
    norms = z.tensor(f"{out}/grad_norm")
    projections = z.tensor(f"{out}/grad_proj")
    largest = norms.max()
    for i, name in enumerate(pair[f"{letter}_param_order"]):
        gradient = total[name]
        allowed = 2e-3 * (norms[i] + 1e-4 * largest)
        assert (gradient.norm() - norms[i]).abs() <= allowed, name
        index = torch.arange(gradient.numel(), dtype=torch.float64)
        projection = (gradient.flatten().double() * torch.cos(0.37 * index + 1)).sum()
        assert (projection - projections[i]).abs() <= allowed, name
        full = z.optional(f"{out}/grad/{name}")
        if full is not None:
            assert (gradient - full).norm() <= allowed, name
    assert (training.path_length.mean_length - z.tensor(f"{out}/pl_mean_after")).abs() <= 1e-6
    assert (training.generator.mapping.w_avg - z.tensor(f"{out}/w_avg_after")).abs().max() <= 1e-5
