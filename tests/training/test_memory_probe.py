"""Phases without a Trainer, and the iteration that is measured."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_lightning import Trainer
from torch import nn

from stylegan.distributed.batch_split import Deal
from stylegan.losses import PathLengthPenalty, R1Penalty
from stylegan.training import AdaController, StyleGAN2ADA
from stylegan.training.alone import Alone
from stylegan.training.memory_probe import _work_on_few_parts, trial
from tests.training.standalone import batch, module, networks

N = 8


def fresh(*, c_dim=0, micro_batch=N, batch_size=N, **options):
    generator, discriminator = networks(c_dim=c_dim)
    settings = dict(ada=AdaController(mode="none"), r1=R1Penalty(gamma=0.5), path_length=PathLengthPenalty())
    sizes = dict(batch_size=batch_size, micro_batch=micro_batch, total_kimg=1, ema_half_life_kimg=0.05)
    return StyleGAN2ADA(generator=generator, discriminator=discriminator, **settings | sizes | options)


@pytest.mark.parametrize("micro_batch", [N, 4])
def test_phases_alone_are_those_of_an_iteration(micro_batch):
    """Oracle: `training_step`, which calls them all; the same weights bit for bit."""
    whole = module(batch_size=N, micro_batch=micro_batch, augment=None, ada=AdaController(mode="none"))
    single = Alone(fresh(micro_batch=micro_batch, r1_interval_iterations=4, pl_interval_iterations=2))
    images, labels = batch(N, 0)
    whole.training_step((images, labels), 0)
    assert single.phases == ("Gmain", "Greg", "Dmain", "Dreg")
    for phase in single.phases:
        single.run(phase, 0, images.float() / 127.5 - 1)
    single.module.update_ema()
    for name, weight in whole.named_parameters():
        torch.testing.assert_close(single.module.get_parameter(name), weight, rtol=0, atol=0)


def test_phases_that_are_switched_off_are_none():
    single = Alone(fresh(r1=None, path_length=PathLengthPenalty(weight=0)))
    assert single.phases == ("Gmain", "Dmain")
    with pytest.raises(ValueError, match="phase must be one of Gmain, Dmain, got Deg"):
        single.run("Deg", 0, torch.zeros(N, 3, 16, 16))
    with pytest.raises(ValueError, match="Linear has none"):
        Alone(nn.Linear(1, 1))


@given(
    micro_batch=st.integers(1, 8),
    rounds=st.integers(1, 6),
    processes=st.integers(1, 5),
    shrink=st.integers(1, 3),
)
def test_few_parts_are_as_large_as_those_of_the_run(micro_batch, rounds, processes, shrink):
    """Oracle: the deal of process 0 of as many."""
    batch_size = micro_batch * rounds * processes

    def deal(samples, world):
        return Deal(samples, min(batch_size // micro_batch, samples), 0, world)

    one = SimpleNamespace(batch_size=batch_size, _deal=lambda samples: deal(samples, 1))
    assert _work_on_few_parts(one, processes) == min(rounds, 2)
    for samples in {batch_size, max(1, batch_size // shrink)}:
        values = torch.zeros(samples)
        run = [len(part) for part in deal(samples, processes).share(values)]
        tried = [len(part) for part in one._deal(samples).share(values)]
        assert len(tried) == min(len(run), 2) and tried[0] == run[0]


@pytest.mark.parametrize("c_dim", [0, 3])
def test_a_trial_meets_the_largest_tensors_of_the_run(c_dim, monkeypatch):
    """Both players see parts of the micro-batch, the discriminator fakes and reals at once."""
    trained = fresh(c_dim=c_dim, batch_size=16, micro_batch=4)
    seen = {"generator": set(), "discriminator": set()}
    trained.generator.synthesis.register_forward_hook(lambda m, i, out: seen["generator"].add(len(out)))
    trained.discriminator.register_forward_hook(lambda m, i, out: seen["discriminator"].add(len(out)))
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    report = trial(trained, trainer, processes=2)
    assert seen == {"generator": {4, 2}, "discriminator": {4, 8}}
    assert report["device_bytes"] is None and report["peak_bytes"] > 10**8


def test_precision_is_that_of_the_trainer():
    trained = fresh(batch_size=4, micro_batch=4)
    dtypes = set()
    trained.generator.mapping.fc0.register_forward_hook(lambda m, i, out: dtypes.add(out.dtype))
    trainer = Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, precision="64-true"
    )
    trial(trained, trainer, processes=1)
    assert dtypes == {torch.float64}


def test_another_device_is_refused():
    strategy = SimpleNamespace(root_device=torch.device("mps"))
    with pytest.raises(ValueError, match="on CPUs and CUDA GPUs, not on mps; set a number"):
        trial(fresh(), SimpleNamespace(strategy=strategy), processes=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_peak_is_that_of_torch():
    trainer = Trainer(accelerator="gpu", devices=1, logger=False, enable_checkpointing=False)
    report = trial(fresh(), trainer, processes=1)
    total, free = report["device_bytes"]
    assert 0 < report["peak_bytes"] < free < total
