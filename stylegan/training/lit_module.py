"""The training of StyleGAN2-ADA as a LightningModule: one short method a phase."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from stylegan.augment import AugmentPipe
from stylegan.distributed.batch_split import Deal
from stylegan.distributed.collectives import rank, world
from stylegan.images import to_float
from stylegan.losses import NonSaturatingLogistic, PathLengthPenalty, R1Penalty
from stylegan.training.ada import AdaController
from stylegan.training.checkpointed import Checkpointed
from stylegan.training.clock import ImageClock
from stylegan.training.draws import Draw, KeyedDraws, key_after
from stylegan.training.ema import ema_decay, tracking_w_avg, update_average
from stylegan.training.gradients import LearningSteps, lazy_adam
from stylegan.training.players import Players
from stylegan.training.ranges import check_ranges
from stylegan.training.stats import RunningStats


class StyleGAN2ADA(Checkpointed, ImageClock, Players, pl.LightningModule):
    """Generator, discriminator, average generator, augmentation and its controller, and how they learn.

    An iteration is one call of `training_step` with a whole batch of `batch_size` reals: G-main, every
    `pl_interval_iterations`-th time G-reg, D-main, every `r1_interval_iterations`-th time D-reg; then the average
    generator, the clock, and p. `images_seen` is the only clock: Lightning's `global_step` decides nothing.

    Args:
        generator, discriminator: the two players.
        augment: the pipe before the discriminator; None = none. ada: owns its probability p.
        adversarial_loss: object with `generator(fake_logits)` and `discriminator(real_logits, fake_logits)`.
        r1, path_length: the regularisers; None or `weight` 0 = off.
        r1_interval_iterations, pl_interval_iterations: how lazily. style_mixing_prob: chance of a second latent.
        generator_lr, discriminator_lr, betas, eps: of Adam, before the correction for lazy regularisation.
        ema_half_life_kimg, ema_ramp_up: of the average generator (see `ema_decay`).
        batch_size: images an iteration, of all processes. micro_batch: images a pass; None = all of a process. A
            batch that is split, among passes or processes, gives the same result as one that is not, as long as a
            part is a multiple of the minibatch-std group.
        total_kimg: where training ends. seed: of every random number.
        precision, regulariser_precision, num_half_res, tf32: as in `Players.set_precision`.
        compile, activation_checkpointing: of the main phases, as in `Players.set_compile`.
    Raises: ValueError for values out of range. Source: Karras et al. 2020 (ADA).
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        augment: AugmentPipe | None = None,
        ada: AdaController | None = None,
        adversarial_loss: NonSaturatingLogistic | None = None,
        r1: R1Penalty | None = None,
        path_length: PathLengthPenalty | None = None,
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
        self.automatic_optimization = False
        self.set_clock(batch_size=batch_size, total_kimg=total_kimg)
        check_ranges(
            batch_size=batch_size,
            micro_batch=batch_size if micro_batch is None else micro_batch,
            r1_interval_iterations=r1_interval_iterations,
            pl_interval_iterations=pl_interval_iterations,
            style_mixing_prob=style_mixing_prob,
            generator_lr=generator_lr,
            discriminator_lr=discriminator_lr,
            betas=betas,
            eps=eps,
            ema_half_life_kimg=ema_half_life_kimg,
            ema_ramp_up=ema_ramp_up,
        )
        self.generator, self.discriminator = generator, discriminator
        self.generator_ema = deepcopy(generator).eval().requires_grad_(False)
        self.augment = augment
        self.ada = AdaController(mode="none") if ada is None else ada
        self.adversarial_loss = NonSaturatingLogistic() if adversarial_loss is None else adversarial_loss
        self.r1 = r1 if r1 is not None and r1.weight else None
        self.path_length = path_length
        self.r1_interval_iterations = r1_interval_iterations
        self.pl_interval_iterations = pl_interval_iterations
        self.style_mixing_prob, self.seed = style_mixing_prob, seed
        self.generator_lr, self.discriminator_lr = generator_lr, discriminator_lr
        self.betas, self.eps = betas, eps
        self.ema_half_life_kimg, self.ema_ramp_up = ema_half_life_kimg, ema_ramp_up
        self.micro_batch = micro_batch
        self.set_precision(precision, regulariser_precision, num_half_res, tf32)
        self.set_compile(compile, activation_checkpointing)
        self.stats = RunningStats()
        self._steps = LearningSteps((generator, discriminator))
        self.draws: KeyedDraws | None = None

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        g, d = self._steps.learning.values()
        shared = dict(betas=self.betas, eps=self.eps)
        return [
            lazy_adam(g, lr=self.generator_lr, interval_iterations=self.pl_interval_iterations, **shared),
            lazy_adam(d, lr=self.discriminator_lr, interval_iterations=self.r1_interval_iterations, **shared),
        ]

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.precision is None:
            self.settle_precision(self.trainer.strategy.root_device)

    def on_train_start(self) -> None:
        # Here the parameters are on their device and restored. What the configuration sets wins over the checkpoint.
        self.ada.apply_mode()
        self.ada.hand_over(self.augment)
        for restored, fresh in zip(self.optimizers(), self.configure_optimizers(), strict=True):
            for key in ("lr", "betas", "eps"):
                restored.param_groups[0][key] = fresh.param_groups[0][key]
        self._steps.attach()
        if self._deal(self.batch_size).count % world():
            raise ValueError(
                f"batch_size {self.batch_size} in parts of {self.micro_batch} cannot be dealt to {world()} processes;"
                f" micro_batch can be {self.batch_size // world()} or what divides it"
            )
        self.generator.train()
        self.discriminator.train()
        self.generator_ema.eval()
        self.compile_players(self.batch_size // self._deal(self.batch_size).count)
        if self.draws is None:
            self.draws = KeyedDraws.for_networks(
                self.generator,
                seed=key_after(self.seed, self.settle_rollbacks()),
                style_mixing_prob=self.style_mixing_prob,
                augment=None if self.ada.mode == "none" else self.augment,
                data=getattr(self.trainer, "datamodule", None),
            )

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """One iteration on reals uint8 [N,C,H,W] (or floats in [-1, 1]) and labels [N,K], the share of this process."""
        iteration = self.iteration
        images, labels = batch
        if len(images) * world() != self.batch_size:
            raise ValueError(f"the data gave {len(images)} images, batch_size is {self.batch_size}")
        images = self._like_weights(to_float(images) if images.dtype == torch.uint8 else images)
        labels = self._like_weights(labels) if self.discriminator.c_dim else None

        self.generator_main(iteration)
        if self.has_path_length and iteration % self.pl_interval_iterations == 0:
            self.generator_regularize(iteration)
        self.discriminator_main(iteration, images, labels)
        if self.r1 is not None and iteration % self.r1_interval_iterations == 0:
            self.discriminator_regularize(iteration, images, labels)

        self.update_ema()
        self.advance()
        if (iteration + 1) % self.ada.interval_iterations == 0:
            self.ada.adjust(self.batch_size)
            self.ada.hand_over(self.augment)
        if self.is_last:
            self.trainer.should_stop = True

    def generator_main(self, iteration: int) -> None:
        """G learns to be taken for real."""
        draw = self._draw("Gmain", iteration)
        mapping = self.generator.mapping
        with self._learning_step(self.generator, "Gmain"), tracking_w_avg(mapping, self.batch_size) as track:
            for part in self._parts(draw):
                ws = track(self.latents(part))
                fakes = self.synthesize(ws, part.noise)
                logits = self.judge(fakes, part.c, part.augment_fake)
                loss = self.adversarial_loss.generator(logits)
                self._report("fake", logits, {"Loss/G/loss": loss})
                self.manual_backward(loss.sum() / self.batch_size)

    def generator_regularize(self, iteration: int) -> None:
        """Path length, on a part of the batch."""
        samples = self.path_length.samples_of(self.batch_size)
        draw = self._draw("Greg", iteration, samples)
        deal = self._deal(samples)
        parts = deal.mine(draw.parts(deal.count))
        gain = self.pl_interval_iterations * self.path_length.weight
        mapping = self.generator.mapping
        with self._learning_step(self.generator, "Greg"), tracking_w_avg(mapping, samples) as track:
            # The running mean ties all samples together: first all lengths, then their gradients part by part.
            # A single part keeps its graph, of several only one fits at a time.
            single = len(parts) == 1
            lengths = [self.path_lengths(part, track, create_graph=single) for part in parts]
            weights, penalty = self.path_length.coefficients(deal.collect(lengths, like=draw.z))
            for k, (part, weight) in enumerate(zip(parts, deal.share(weights), strict=True)):
                again = lengths[k] if single else self.path_lengths(part, None, create_graph=True)
                self.manual_backward((weight * again).sum() * gain)
        for values in deal.share(penalty):
            self.stats.add("Loss/pl_penalty", values)
            self.stats.add("Loss/G/reg", values * self.path_length.weight)

    def discriminator_main(self, iteration: int, images: Tensor, labels: Tensor | None) -> None:
        """D learns to tell reals from fakes."""
        draw = self._draw("Dmain", iteration)
        parts = self._parts(draw)
        mapping = self.generator.mapping
        with (
            self._learning_step(self.discriminator, "Dmain"),
            tracking_w_avg(mapping, self.batch_size) as track,
        ):
            for k, part in enumerate(parts):
                with torch.no_grad():
                    ws = track(self.latents(part))
                    fakes = self.synthesize(ws, part.noise)
                real_labels = None if labels is None else labels[k :: len(parts)]
                fake_logits, real_logits = self.judge_both(
                    (fakes, part.c, part.augment_fake),
                    (images[k :: len(parts)], real_labels, part.augment_real),
                )
                loss = self.adversarial_loss.discriminator(real_logits, fake_logits)
                self._report("fake", fake_logits, {"Loss/D/loss": loss})
                self._report("real", real_logits, {})
                self.manual_backward(loss.sum() / self.batch_size)

    def discriminator_regularize(self, iteration: int, images: Tensor, labels: Tensor | None) -> None:
        """R1, with respect to the reals before augmentation."""
        draw = self._draw("Dreg", iteration)
        parts = self._parts(draw)
        gain = self.r1_interval_iterations * self.r1.weight
        with self._learning_step(self.discriminator, "Dreg"):
            for k, part in enumerate(parts):
                reals = images[k :: len(parts)].detach().requires_grad_()
                real_labels = None if labels is None else labels[k :: len(parts)]
                logits = self.judge(reals, real_labels, part.augment_real)
                penalty = self.r1(logits, reals)
                self._report(
                    "real", logits, {"Loss/r1_penalty": penalty, "Loss/D/reg": penalty * self.r1.weight}
                )
                self.manual_backward(penalty.sum() / self.batch_size * gain)

    def update_ema(self) -> None:
        """Let the average generator follow."""
        decay = ema_decay(
            batch_size=self.batch_size,
            half_life_kimg=self.ema_half_life_kimg,
            ramp_up=self.ema_ramp_up,
            images_seen=self.images,
        )
        update_average(self.generator_ema, self.generator, decay)

    def _deal(self, samples: int) -> Deal:
        parts = world() if self.micro_batch is None else self.batch_size // self.micro_batch
        return Deal(samples, min(parts, samples), rank(), world())

    def _parts(self, draw: Draw) -> Sequence[Draw]:
        """The parts of a whole batch that this process works on; its k-th of n is its reals k, k + n, ..."""
        deal = self._deal(self.batch_size)
        return deal.mine(draw.parts(deal.count))

    def _draw(self, phase: str, iteration: int, n: int | None = None) -> Draw:
        n = self.batch_size if n is None else n
        return self.draws.phase(phase, iteration, n, like=self.generator.mapping.fc0.weight)

    @contextmanager
    def _learning_step(self, player: nn.Module, phase: str) -> Iterator[None]:
        """Collect gradients of `player` alone inside, and take one step of its optimiser at the end."""
        optimizer = self.optimizers()[player is self.discriminator]
        self.compute_for(phase)
        with (
            self.stats.measure(f"Timing/{phase}", self.device),
            self._steps.step(player, optimizer, partial(self.stats.add, f"Gradients/nonfinite/{phase}")),
        ):
            yield

    def _report(self, kind: str, logits: Tensor, losses: dict[str, Tensor]) -> None:
        signs = logits.detach().sign()
        self.stats.add(f"Loss/scores/{kind}", logits)
        self.stats.add(f"Loss/signs/{kind}", signs)
        for name, values in losses.items():
            self.stats.add(name, values)
        if kind == "real":
            self.ada.update(signs)

    def _like_weights(self, x: Tensor) -> Tensor:
        return x.to(device=self.device, dtype=self.generator.mapping.fc0.weight.dtype)
