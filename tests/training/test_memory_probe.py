"""The iteration that is measured."""

from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from stylegan.losses import PathLengthPenalty, R1Penalty
from stylegan.training import AdaController, AdversarialTraining, Schedule, Schedules, StyleGAN2ADA
from stylegan.training.memory_probe import probe_memory
from tests.training.trainings import networks

N = 8


def fresh(*, c_dim=0, micro_batch=N, batch_size=N, **options):
    generator, discriminator = networks(c_dim=c_dim)
    settings = dict(ada=AdaController(mode="none"), r1=R1Penalty(gamma=0.5), path_length=PathLengthPenalty())
    sizes = dict(batch_size=batch_size, micro_batch=micro_batch, total_kimg=1, ema_half_life_kimg=0.05)
    return AdversarialTraining(generator=generator, discriminator=discriminator, **settings | sizes | options)


@pytest.mark.parametrize("c_dim", [0, 3])
def test_a_probe_meets_the_largest_tensors_of_the_run(c_dim, monkeypatch):
    """Both networks see parts of the micro-batch, the discriminator fakes and reals at once."""
    trained = fresh(c_dim=c_dim, batch_size=16, micro_batch=4)
    seen = {"generator": set(), "discriminator": set()}
    trained.generator.synthesis.register_forward_hook(lambda m, i, out: seen["generator"].add(len(out)))
    trained.discriminator.register_forward_hook(lambda m, i, out: seen["discriminator"].add(len(out)))
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    report = probe_memory(trained, trainer, processes=2)
    assert seen == {"generator": {4, 2}, "discriminator": {4, 8}}
    assert report["device_bytes"] is None and report["peak_bytes"] > 10**8


def test_a_probe_meets_what_is_off_or_frozen_at_first():
    late = Schedule(kind="steps", points=[[0, 0], [50, 2]])
    trained = fresh(
        batch_size=4, micro_batch=4, schedules=Schedules(r1_gamma=late, pl_weight=late), freeze=["generator"]
    )
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    probe_memory(trained, trainer, processes=1)
    run = {name for name in trained.stats.take() if name.startswith("Timing/")}
    assert run == {"Timing/Gmain", "Timing/Greg", "Timing/Dmain", "Timing/Dreg"}
    assert not trained.gradients.has_frozen


def test_an_adapted_training_is_measured_and_another_module_refused():
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    assert probe_memory(StyleGAN2ADA(fresh()), trainer, processes=1)["peak_bytes"] > 10**8
    with pytest.raises(ValueError, match="Linear has none; set a number"):
        probe_memory(nn.Linear(1, 1), trainer, processes=1)


def test_precision_is_that_of_the_trainer():
    trained = fresh(batch_size=4, micro_batch=4)
    dtypes = set()
    trained.generator.mapping.fc0.register_forward_hook(lambda m, i, out: dtypes.add(out.dtype))
    trainer = Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, precision="64-true"
    )
    probe_memory(trained, trainer, processes=1)
    assert dtypes == {torch.float64}


def test_another_device_is_refused():
    strategy = SimpleNamespace(root_device=torch.device("mps"))
    with pytest.raises(ValueError, match="on CPUs and CUDA GPUs, not on mps; set a number"):
        probe_memory(fresh(), SimpleNamespace(strategy=strategy), processes=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_peak_is_that_of_torch():
    trainer = Trainer(accelerator="gpu", devices=1, logger=False, enable_checkpointing=False)
    report = probe_memory(fresh(), trainer, processes=1)
    total, free = report["device_bytes"]
    assert 0 < report["peak_bytes"] < free < total
