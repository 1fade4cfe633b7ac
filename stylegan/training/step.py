"""Adversarial training: all networks and controllers, and one iteration of them in plain torch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from stylegan.augment import AugmentPipe
from stylegan.distributed.batch_split import BatchSplit
from stylegan.distributed.collectives import rank, world
from stylegan.losses import NonSaturatingLogistic, PathLengthPenalty, R1Penalty
from stylegan.machine.console import say
from stylegan.networks import Generator
from stylegan.training.ada import AdaController
from stylegan.training.batch_check import BatchCheck
from stylegan.training.clock import ImageClock, keep_clock_at_top
from stylegan.training.draws import Draws, KeyedDraws, LabelledData, key_after
from stylegan.training.ema import check_ema, ema_decay, update_average
from stylegan.training.freezing import Freezing
from stylegan.training.gradients import AdamSettings, LearningSteps, check_adam
from stylegan.training.networks import Networks
from stylegan.training.phases import BatchPart, Phase, Reports, phases_of
from stylegan.training.precision import TrainingPrecision
from stylegan.training.schedules import Schedules
from stylegan.training.stats import RunningStats


class AdversarialTraining(nn.Module):
    """Generator, discriminator, EMA generator, augmentation and its controller, and how they learn.

    `step` is one iteration on a whole batch: the phases that are due, the EMA generator, the clock, and p. Nothing
    here knows of Lightning, which `StyleGAN2ADA` adapts this to.

    Args:
        generator: its EMA begins as a copy.
        discriminator: images [n,C,H,W] and labels [n,K] or None → logits [n,1].
        augment: the pipe before the discriminator; None = none.
        ada: owns the pipe's probability p; None = no augmentation.
        adversarial_loss: object with `generator(fake_logits)` and `discriminator(real_logits, fake_logits)`.
        r1: regulariser of the discriminator; None or `weight` 0 = off.
        path_length: regulariser of the generator; None or `weight` 0 = off.
        further_phases: keys are free; they run after the four of StyleGAN2-ADA.
        schedules: settings that change in the course of the training; None = none do.
        freeze: parameters that do not learn, as in `Freezing`.
        r1_interval_iterations: iterations from one R1 phase to the next.
        pl_interval_iterations: iterations from one path-length phase to the next.
        style_mixing_prob: chance of a second latent in a phase, 0..1.
        generator_lr: of Adam, before the correction for lazy regularisation.
        discriminator_lr: likewise.
        betas: two, likewise.
        eps: of Adam.
        ema_half_life_kimg: of the EMA generator (see `ema_decay`).
        ema_ramp_up: likewise; None = no ramp-up.
        batch_size: images an iteration, of all processes.
        micro_batch: images a forward pass; None = all of a process. A batch that is split gives the same result as one
            that is not, as long as a part is a multiple of the minibatch-std group.
        total_kimg: where training ends.
        seed: of every random number.
        precision: as in `TrainingPrecision`.
        regulariser_precision: likewise.
        num_half_res: likewise.
        tf32: likewise.
        compile: as in `Networks`.
        activation_checkpointing: likewise.
    Attributes: `clock`, `stats`, `precision`, `networks`, `phases`, `schedules`, `freezing`; `gradients`, which has the
        `optimizers`; `draws`, which `start` makes unless they are set before; `backward`, which back-propagates a loss.
    Raises: ValueError for values out of range.
    Source: Karras et al. 2020 (StyleGAN2-ADA).
    """

    def __init__(
        self,
        *,
        generator: Generator,
        discriminator: nn.Module,
        augment: AugmentPipe | None = None,
        ada: AdaController | None = None,
        adversarial_loss: NonSaturatingLogistic | None = None,
        r1: R1Penalty | None = None,
        path_length: PathLengthPenalty | None = None,
        further_phases: Mapping[str, Phase] | None = None,
        schedules: Schedules | None = None,
        freeze: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | None = None,
        r1_interval_iterations: int = 16,
        pl_interval_iterations: int = 4,
        style_mixing_prob: float = 0.9,
        generator_lr: float = 0.0025,
        discriminator_lr: float = 0.0025,
        betas: Sequence[float] = (0.0, 0.99),
        eps: float = 1e-8,
        ema_half_life_kimg: float = 10.0,
        ema_ramp_up: float | None = 0.05,
        batch_size: int,
        micro_batch: int | None = None,
        total_kimg: float,
        seed: int = 0,
        precision: str = "fp32",
        regulariser_precision: str = "auto",
        num_half_res: int | None = None,
        tf32: bool = False,
        compile: str | bool = False,
        activation_checkpointing: bool = False,
    ):
        super().__init__()
        self.clock = ImageClock(batch_size=batch_size, total_kimg=total_kimg)
        if micro_batch is not None and (micro_batch < 1 or batch_size % micro_batch):
            raise ValueError(f"micro_batch must divide batch_size {batch_size}, got {micro_batch}")
        _require("r1_interval_iterations", r1_interval_iterations, r1_interval_iterations >= 1, "at least 1")
        _require("pl_interval_iterations", pl_interval_iterations, pl_interval_iterations >= 1, "at least 1")
        _require("style_mixing_prob", style_mixing_prob, 0 <= style_mixing_prob <= 1, "from 0 to 1")
        check_adam(generator_lr=generator_lr, discriminator_lr=discriminator_lr, betas=betas, eps=eps)
        check_ema(ema_half_life_kimg=ema_half_life_kimg, ema_ramp_up=ema_ramp_up)

        self.generator, self.discriminator = generator, discriminator
        self.generator_ema = deepcopy(generator).eval().requires_grad_(False)
        self.augment = augment
        self.ada = AdaController(mode="none") if ada is None else ada
        self.adversarial_loss = NonSaturatingLogistic() if adversarial_loss is None else adversarial_loss
        self.schedules = Schedules() if schedules is None else schedules
        self.schedules.check_fit(r1=r1, path_length=path_length, ada=self.ada)
        self.r1 = r1 if r1 is not None and (r1.weight or "r1_gamma" in self.schedules) else None
        self.path_length = path_length
        self.batch_size, self.micro_batch, self.seed = batch_size, micro_batch, seed
        self.style_mixing_prob = style_mixing_prob
        self.ema_half_life_kimg, self.ema_ramp_up = ema_half_life_kimg, ema_ramp_up

        self.precision = TrainingPrecision(
            precision=precision,
            regulariser_precision=regulariser_precision,
            num_half_res=num_half_res,
            tf32=tf32,
        )
        self.networks = Networks(
            generator,
            discriminator,
            augment,
            compile=compile,
            activation_checkpointing=activation_checkpointing,
        )
        further = tuple((further_phases or {}).values())
        self.phases = phases_of(
            adversarial_loss=self.adversarial_loss,
            r1=self.r1,
            path_length=path_length,
            r1_interval_iterations=r1_interval_iterations,
            pl_interval_iterations=pl_interval_iterations,
            further=further,
        )
        # Registered so that their state is saved; those of the four phases are registered above.
        self.further_losses = nn.ModuleDict({phase.name: phase.loss for phase in further})
        lazy_adam = partial(AdamSettings.lazy, betas=betas, eps=eps)
        self.gradients = LearningSteps(
            {name: self._learning(name, further) for name in ("generator", "discriminator")},
            {
                "generator": lazy_adam(lr=generator_lr, interval_iterations=pl_interval_iterations),
                "discriminator": lazy_adam(lr=discriminator_lr, interval_iterations=r1_interval_iterations),
            },
        )
        self.freezing = Freezing(freeze or (), generator=generator, discriminator=discriminator)
        self.stats = RunningStats()
        self.reports = Reports(self.stats, self.ada)
        self.check_batch = BatchCheck(generator, discriminator, batch_size)
        self.draws: Draws | None = None
        self.backward: Callable[[Tensor], None] = Tensor.backward
        self._is_started = False
        keep_clock_at_top(self)

    def _learning(self, network: str, further: Sequence[Phase]) -> Iterator[nn.Parameter]:
        """Parameters of a network, and of further losses that it learns with."""
        losses = (phase.loss for phase in further if phase.learns == network)
        return chain.from_iterable(part.parameters() for part in (self.get_submodule(network), *losses))

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.networks.weight.device

    def settle_precision(self, device: torch.device) -> None:
        """Chooses the precision for a device.  Raises: ValueError where the device does not support it."""
        self.precision.settle(
            device,
            generator=self.generator,
            discriminator=self.discriminator,
            generator_ema=self.generator_ema,
        )

    def start(self, data: LabelledData | None = None) -> None:
        """Gets ready for the first step, once everything is on its device and restored.

        What the constructor was given wins over what a checkpoint restored. The first `step` calls this by itself.

        Args:
            data: what labels of fakes are drawn from; needed where the generator takes labels.
        Raises: ValueError where a batch cannot be split among the processes, or there are no data to draw labels from.
        """
        self.ada.apply_mode()
        self.ada.hand_over(self.augment)
        if self.precision.chosen is None:
            self.settle_precision(self.device)
        self.gradients.attach()
        parts = self.batch_split(self.batch_size).count
        if parts % world():
            raise ValueError(
                f"batch_size {self.batch_size} in parts of {self.micro_batch} cannot be split among {world()}"
                f" processes; micro_batch can be {self.batch_size // world()} or what divides it"
            )
        self.generator.train()
        self.discriminator.train()
        self.generator_ema.eval()
        self._settle()
        self._compile(self.batch_size // parts)
        if self.draws is None:
            self.draws = KeyedDraws.for_networks(
                self.generator,
                seed=key_after(self.seed, self.clock.settle_rollbacks()),
                style_mixing_prob=self.style_mixing_prob,
                augment=None if self.ada.mode == "none" else self.augment,
                data=data,
            )
        self._is_started = True

    def step(self, images: Tensor, labels: Tensor | None = None) -> None:
        """One iteration.

        Args:
            images: reals [n,C,H,W], this process's part of the batch: uint8, or floats in [-1, 1]; on any device.
            labels: [n,K], unused where the discriminator takes none.
        Raises: ValueError for a batch of another size.
        """
        if len(images) * world() != self.batch_size:
            raise ValueError(f"step got {len(images)} images, not {self.batch_size // world()} of a batch")
        if not self._is_started:
            self.start()
        iteration = self.clock.iteration
        images, labels = self.networks.like_weights(images, labels)
        for line in self._settle():
            if not rank():
                say(line)
        for phase in self.phases:
            # Of a network that is frozen as a whole no phase has anything to do.
            if phase.runs_at(iteration) and self.gradients.learns(phase.learns):
                self._run(phase, iteration, images, labels)
        self.update_ema()
        self.clock.advance()
        # No signs come from a discriminator that is frozen as a whole: p stays.
        if (iteration + 1) % self.ada.interval_iterations == 0 and self.gradients.learns("discriminator"):
            self.ada.adjust(self.batch_size)
            self.ada.hand_over(self.augment)

    def _settle(self) -> list[str]:
        """Sets what follows a schedule, freezes and thaws, for the next iteration.  Returns: what froze or thawed."""
        self.schedules.set(self.schedules.values_at(self.clock.images), self)
        return self.freezing.set(self.clock.images, self.gradients)

    def run_phase(
        self,
        name: str,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        iteration: int = 0,
        narrowed: Callable[[BatchSplit], BatchSplit] | None = None,
    ) -> None:
        """One phase with its optimiser's step and nothing else, to measure or to test it.

        Args:
            name: of a phase that is on.
            images, labels: as in `step`.
            iteration: from 0; keys the draws.
            narrowed: gives the split to work on instead, for fewer parts than those of a whole batch.
        Raises: ValueError for a name that no phase has.
        """
        by_name = {phase.name: phase for phase in self.phases if phase.is_on}
        if name not in by_name:
            raise ValueError(f"name must be one of {', '.join(by_name)}, got {name}")
        if not self._is_started:
            self.start()
        self._run(by_name[name], iteration, *self.networks.like_weights(images, labels), narrowed=narrowed)

    def update_ema(self) -> None:
        """Moves the EMA generator towards the generator."""
        decay = ema_decay(
            batch_size=self.batch_size,
            half_life_kimg=self.ema_half_life_kimg,
            ramp_up=self.ema_ramp_up,
            images_seen=self.clock.images,
        )
        update_average(self.generator_ema, self.generator, decay)

    def batch_split(self, samples: int) -> BatchSplit:
        """How `samples` of a batch are split into parts and among processes."""
        parts = world() if self.micro_batch is None else self.batch_size // self.micro_batch
        return BatchSplit(samples, min(parts, samples), rank(), world())

    def _run(
        self,
        phase: Phase,
        iteration: int,
        images: Tensor,
        labels: Tensor | None,
        *,
        narrowed: Callable[[BatchSplit], BatchSplit] | None = None,
    ) -> None:
        """Splits, computes, back-propagates, gathers gradients, repairs them, and steps."""
        split = self.batch_split(phase.loss.samples_of(self.batch_size))
        split = split if narrowed is None else narrowed(split)
        parts = self._parts(phase, iteration, split, images, labels)
        self._prepare_for(phase.second_order)
        makes_fakes = "latents" in phase.draws
        with (
            self.stats.measure(f"Timing/{phase.name}", self.device),
            self.gradients.step(phase.learns, partial(self.stats.add, f"Gradients/nonfinite/{phase.name}")),
            self.networks.tracking_w_avg(split.samples) if makes_fakes else nullcontext(),
        ):
            for loss in phase.loss.losses(self.networks, parts, split, self.reports):
                # What is frozen may be all that a loss depends on.
                if loss.requires_grad or not self.gradients.has_frozen:
                    self.backward(loss * phase.gain)

    def _parts(
        self, phase: Phase, iteration: int, split: BatchSplit, images: Tensor, labels: Tensor | None
    ) -> list[BatchPart]:
        """The parts of this process; its k-th of n has its reals k, k + n, ..."""
        assert self.draws is not None, "start() makes them"
        draw = self.draws.draw(
            phase.name, iteration, split.samples, self.networks.weight, phase.draws, phase.loss.draw
        )
        own = split.own(draw.parts(split.count))
        return BatchPart.of_draws(own, images, labels, whole=split.samples == self.batch_size)

    def _prepare_for(self, second_order: bool) -> None:
        self.networks.prepare_for(second_order=second_order)
        for network in (self.generator, self.discriminator):
            self.precision.apply(network, self.device, second_order=second_order)

    def _compile(self, n: int) -> None:
        self._prepare_for(second_order=False)
        line = self.networks.compile(n, self.gradients.learning_now())
        if line is not None and not rank():
            say(line)


def _require(name: str, value: object, good: bool, allowed: str) -> None:
    if not good:
        raise ValueError(f"{name} must be {allowed}, got {value}")
