"""LightningModule of StyleGAN2-ADA: an adapter between Lightning's Trainer and `AdversarialTraining`."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from stylegan.distributed.collectives import rank
from stylegan.networks import Generator
from stylegan.training.ada import AdaController
from stylegan.training.batch_check import images_and_labels
from stylegan.training.stats import RunningStats
from stylegan.training.step import AdversarialTraining
from stylegan.version import FORMAT_VERSION

# Signs since the last move of p: the only buffers that differ between processes.
_PENDING = ("ada.sign_sum", "ada.sign_count")


def as_lightning(part: nn.Module) -> pl.LightningModule:
    """What a Trainer can fit: a LightningModule unchanged, an `AdversarialTraining` adapted.

    Args:
        part: what the configuration's `module` builds.
    Raises: ValueError for anything else.
    """
    if isinstance(part, pl.LightningModule):
        return part
    if isinstance(part, AdversarialTraining):
        return StyleGAN2ADA(part)
    raise ValueError(
        f"module must be a stylegan.training.AdversarialTraining or a LightningModule, got {type(part).__name__}"
    )


class StyleGAN2ADA(pl.LightningModule):
    """Lets Lightning's Trainer run an `AdversarialTraining`.

    One `training_step` is one `AdversarialTraining.step`. Lightning moves, saves and restores, and starts and ends the
    loop; its `global_step` counts optimiser steps and decides nothing.

    Callbacks may use, besides what every LightningModule has (`device`, `trainer`, ...):

    - the clock: `images`, `kimg`, `total_images`, `iteration`, `batch_size`, `is_last`, `due(every_kimg)`,
      `rollbacks`
    - the networks: `generator`, `discriminator`, `generator_ema`
    - the controller of the augmentation: `ada`
    - the running statistics: `stats`, whose values stand in the next row
    - how it is computed: `precision`, `micro_batch`, `start_lines()`
    - what changes on the way: `settings()`

    All else is `adversarial_training`'s own.

    Args:
        training: what is trained.
    """

    def __init__(self, training: AdversarialTraining):
        super().__init__()
        self.automatic_optimization = False
        self.adversarial_training = training
        self._precision_before: str | None = None

    @property
    def images(self) -> int:
        """Images seen so far."""
        return self.adversarial_training.clock.images

    @property
    def images_seen(self) -> int:
        """As `images`: the name in checkpoints, by which a data module asks where to start."""
        return self.images

    @property
    def kimg(self) -> float:
        """Thousands of images seen so far."""
        return self.adversarial_training.clock.kimg

    @property
    def total_images(self) -> int:
        """Images after which training ends."""
        return self.adversarial_training.clock.total_images

    @property
    def iteration(self) -> int:
        """Of the next step, counted from 0."""
        return self.adversarial_training.clock.iteration

    @property
    def batch_size(self) -> int:
        """Images an iteration, of all processes."""
        return self.adversarial_training.batch_size

    @property
    def micro_batch(self) -> int | None:
        """Images a forward pass; None = all of a process."""
        return self.adversarial_training.micro_batch

    @property
    def is_last(self) -> bool:
        """Whether the iteration just finished was the last."""
        return self.adversarial_training.clock.is_last

    def due(self, every_kimg: float) -> bool:
        """Whether the iteration just finished reached or passed a multiple of `every_kimg`, or was the last."""
        return self.adversarial_training.clock.due(every_kimg)

    @property
    def rollbacks(self) -> int:
        """How often the run went back to an older checkpoint."""
        return int(self.adversarial_training.clock.rollbacks)

    def went_back(self, times: int) -> None:
        """Sets `rollbacks` at the next start of training, after a checkpoint has restored its own."""
        self.adversarial_training.clock.went_back(times)

    def settle_rollbacks(self) -> int:
        """How often the run went back; to be called once everything is restored."""
        return self.adversarial_training.clock.settle_rollbacks()

    @property
    def generator(self) -> Generator:
        """The generator that learns."""
        return self.adversarial_training.generator

    @property
    def discriminator(self) -> nn.Module:
        """The discriminator that learns."""
        return self.adversarial_training.discriminator

    @property
    def generator_ema(self) -> Generator:
        """The moving average of the generator, which is sampled, scored and shipped."""
        return self.adversarial_training.generator_ema

    @property
    def ada(self) -> AdaController:
        """The controller of the augmentation, with p and the last mean sign."""
        return self.adversarial_training.ada

    @property
    def stats(self) -> RunningStats:
        """What was reported since the last tick."""
        return self.adversarial_training.stats

    @property
    def precision(self) -> str | None:
        """The precision's name on this device; None until it is settled."""
        return self.adversarial_training.precision.chosen

    def settle_precision(self, device: torch.device) -> None:
        """Chooses the precision for a device.  Raises: ValueError where that cannot compute so."""
        self.adversarial_training.settle_precision(device)

    def start_lines(self) -> Iterator[str]:
        """Lines for the start of a run: where it computes, how exactly, what follows a schedule, what is frozen."""
        training = self.adversarial_training
        yield from training.precision.start_lines(self.device, before=self._precision_before)
        yield from training.schedules.lines_at(self.images)
        yield from training.freezing.lines_at(self.images)

    def settings(self) -> dict[str, float]:
        """What follows a schedule, as the latest iteration had it, and how many parameters were frozen, by name."""
        training = self.adversarial_training
        frozen = {"frozen_parameters": training.freezing.size} if training.freezing.groups else {}
        return {**training.schedules.now, **frozen}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return self.adversarial_training.gradients.make_optimizers()

    def on_fit_start(self) -> None:
        if self.precision is None:
            self.settle_precision(self.trainer.strategy.root_device)
        # Not while the file is read: rank 0's buffers are sent to all after that.
        if rank():
            for name in _PENDING:
                self.adversarial_training.get_buffer(name).zero_()

    def on_train_start(self) -> None:
        training = self.adversarial_training
        # Lightning's own, so that its count of steps and hooks of callbacks are as in any training.
        optimizers = self.optimizers()
        training.gradients.optimizers = dict(zip(training.gradients.adam, optimizers, strict=True))
        training.backward = self.manual_backward
        training.start(getattr(self.trainer, "datamodule", None))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """One iteration on images uint8 [N,C,H,W] (or floats in [-1, 1]) and labels [N,K] of this process.

        A batch may be images alone where the networks take no labels.
        """
        self.adversarial_training.step(*images_and_labels(batch))
        if self.is_last:
            self.trainer.should_stop = True

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """That of the training, without a prefix: the names that checkpoints have had from the first one on."""
        return self.adversarial_training.state_dict(*args, **kwargs)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Undoes `state_dict`."""
        return self.adversarial_training.load_state_dict(state_dict, strict=strict, assign=assign)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what a checkpoint holds besides weights and buffers.

        Rank 0 writes the file. Its buffers are the same on all processes, but for the signs since the last move of p:
        the file holds their sums over all processes, so that they count once, however many processes continue.
        """
        checkpoint["format_version"] = FORMAT_VERSION
        checkpoint["generator"] = dict(self.generator.options)
        checkpoint["discriminator"] = dict(getattr(self.discriminator, "options", {}))
        checkpoint["precision"] = self.precision
        checkpoint["state_dict"] |= zip(_PENDING, self.ada.pending(), strict=True)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raises: ValueError for an unknown format."""
        version = checkpoint.get("format_version")
        if version != FORMAT_VERSION:
            raise ValueError(f"format_version {version} is not known here; this one reads {FORMAT_VERSION}")
        # Checkpoints without an entry were computed in float32.
        self._precision_before = checkpoint.get("precision", "fp32")
        # Older files of a run without path length lack its mean, and a run may resume without the penalty.
        name, state, own = "path_length.mean_length", checkpoint.get("state_dict", {}), self.state_dict()
        if name in own:
            state.setdefault(name, own[name])
        else:
            state.pop(name, None)
