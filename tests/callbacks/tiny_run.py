"""The smallest real training: real networks of 8 x 8 pixels, drawn flowers, and Lightning's Trainer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch

from callbacks import RunControl
from datamodules import FlowersData
from stylegan.losses import PathLengthPenalty, R1Penalty
from stylegan.networks import Discriminator, Generator
from stylegan.training import AdaController, AdversarialTraining, Schedules, StyleGAN2ADA

P = 0.25  # of the augmentation, which stays there


def tiny_generator(c_dim: int = 0) -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Generator(
            resolution=8, z_dim=8, w_dim=8, c_dim=c_dim, mapping_layers=1, channel_base=64, channel_max=8
        )


def tiny_module(
    *,
    total_images: int,
    batch_size: int = 4,
    c_dim: int = 0,
    kind: type[StyleGAN2ADA] = StyleGAN2ADA,
    schedules: Schedules | None = None,
    freeze: Sequence[str | Mapping[str, Any]] = (),
) -> StyleGAN2ADA:
    """The training module of these tests, the same at every call; the only place that knows how one is built."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        discriminator = Discriminator(resolution=8, c_dim=c_dim, channel_base=64, channel_max=8)
    training = AdversarialTraining(
        generator=tiny_generator(c_dim),
        discriminator=discriminator,
        ada=AdaController(mode="fixed", p_init=P),
        r1=R1Penalty(gamma=0.1),
        path_length=PathLengthPenalty(),
        generator_lr=0.01,
        batch_size=batch_size,
        total_kimg=total_images / 1000,
        ema_half_life_kimg=0.01,
        ema_ramp_up=None,
        schedules=schedules,
        freeze=freeze,
    )
    return kind(training)


class Idle(StyleGAN2ADA):
    """Counts images and learns nothing, in a hundredth of the time: for tests of when something happens."""

    def training_step(self, batch, batch_idx) -> None:
        self.adversarial_training.clock.advance()
        if self.is_last:
            self.trainer.should_stop = True


def idle_module(*, total_images: int, batch_size: int = 4) -> StyleGAN2ADA:
    return tiny_module(total_images=total_images, batch_size=batch_size, kind=Idle)


def iterate(module: StyleGAN2ADA, times: int = 1) -> None:
    """Moves the clock by whole iterations that train nothing, where a test only waits for time to pass."""
    for _ in range(times):
        module.adversarial_training.clock.advance()


def tiny_data(*, c_dim: int = 0, num_items: int = 40) -> FlowersData:
    """Args: c_dim: 0, or 6, the classes of flowers."""
    labels = "own" if c_dim else "none"
    return FlowersData(resolution=8, batch_size=4, num_items=num_items, labels=labels, workers=0)


def tiny_trainer(
    callbacks: Iterable[pl.Callback] = (), loggers: Iterable[pl.loggers.Logger] = ()
) -> pl.Trainer:
    """As the command line has it, in the smallest way."""
    callbacks = list(callbacks)
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=-1,
        max_steps=-1,
        callbacks=callbacks,
        logger=list(loggers),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(one, pl.callbacks.Checkpoint) for one in callbacks),
    )


def fit(
    module: pl.LightningModule,
    callbacks: Iterable[pl.Callback],
    loggers: Iterable[pl.loggers.Logger] = (),
    ckpt_path=None,
    data: pl.LightningDataModule | None = None,
) -> RunControl:
    """Trains. Args: data: None = flowers, which have a batch of 4 images."""
    torch.manual_seed(1)
    trainer = tiny_trainer(callbacks, loggers)
    if data is None:
        data = tiny_data(c_dim=module.generator.c_dim)
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return RunControl.of(trainer)


class CallAfter(pl.Callback):
    """Calls `act(trainer, module)` at the end of each iteration: what a test, or a user, does besides the training."""

    def __init__(self, act) -> None:
        self.act = act

    def on_train_batch_end(self, trainer, module, *_):
        self.act(trainer, module)


def failing_in(module: StyleGAN2ADA, *, iteration: int, error: BaseException) -> StyleGAN2ADA:
    """The module, which raises `error` within an iteration, the generator having learned and the clock not moved."""

    def fail(discriminator, arguments):
        if module.iteration == iteration and next(discriminator.parameters()).requires_grad:
            raise error

    module.discriminator.register_forward_pre_hook(fail)
    return module
