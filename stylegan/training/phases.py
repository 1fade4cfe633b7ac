"""Phases of a training iteration, as data: which network learns, what it minimises, what is drawn, how often it runs.

Gmain, Greg, Dmain and Dreg are four entries of one list, and a further loss is one more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from stylegan.distributed.batch_split import BatchSplit
from stylegan.losses import NonSaturatingLogistic, PathLengthPenalty, R1Penalty
from stylegan.training.ada import AdaController
from stylegan.training.draws import Draw, Kind
from stylegan.training.networks import Networks
from stylegan.training.stats import RunningStats


@dataclass(frozen=True)
class BatchPart:
    """What a loss works on at a time.

    Args:
        draw: the random numbers of the part's n samples.
        reals: [n,C,H,W] in [-1, 1]; [0,C,H,W] where the phase takes only some samples of the batch.
        labels: of the reals [n,K]; None where the discriminator takes none.
    """

    draw: Draw
    reals: Tensor
    labels: Tensor | None = None

    @classmethod
    def of_draws(
        cls, draws: Sequence[Draw], reals: Tensor, labels: Tensor | None, *, whole: bool
    ) -> "list[BatchPart]":
        """The parts of a process; its k-th of n has its reals k, k + n, ...

        Args:
            draws: of its parts.
            reals: of the process.
            labels: of the reals.
            whole: whether the phase takes all samples of a batch.
        """
        if not whole:
            return [cls(draw, reals[:0]) for draw in draws]
        rows = [slice(k, None, len(draws)) for k in range(len(draws))]
        return [
            cls(draw, reals[own], None if labels is None else labels[own])
            for draw, own in zip(draws, rows, strict=True)
        ]


class Reports:
    """Where losses report to: the running statistics, and the ADA controller, which gets the signs of real logits.

    Args:
        stats: of the tick.
        ada: the controller of the augmentation.
    """

    def __init__(self, stats: RunningStats, ada: AdaController):
        self.stats, self.ada = stats, ada

    def add(self, name: str, values: Tensor) -> None:
        """Adds values, any shape, to the statistic `name`."""
        self.stats.add(name, values)

    def logits(self, kind: Literal["fake", "real"], logits: Tensor) -> None:
        """Reports logits [n,1] and their signs."""
        signs = logits.detach().sign()
        self.stats.add(f"Loss/scores/{kind}", logits)
        self.stats.add(f"Loss/signs/{kind}", signs)
        if kind == "real":
            self.ada.update(signs)


class LossTerm(nn.Module):
    """What one phase minimises: the mean over the batch of a loss [n] of each part, times `weight`.

    A loss of your own overrides `forward`, and what else it needs. Its parameters learn with the phase's network; its
    parameters and buffers are saved with the run.

    Attributes: `weight`: what the loss counts for; 0 = its phase does not run. The interval is made up for elsewhere.
    """

    weight: float = 1.0

    def samples_of(self, batch_size: int) -> int:
        """On how many samples of a batch the loss is taken; of another number than the batch, there are no reals."""
        return batch_size

    def draw(
        self, n: int, image_shape: Sequence[int], generator: torch.Generator
    ) -> dict[str, Tensor] | None:
        """Random numbers of the loss's own, found as `part.draw.own`.

        Args:
            n: samples of the whole batch, the first dimension of each tensor.
            image_shape: [C,H,W].
            generator: on the CPU; the only one to draw from.
        """
        return None

    def forward(self, networks: Networks, part: BatchPart, reports: Reports) -> Tensor:
        """Loss [n] of one part, before the weight."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def losses(
        self, networks: Networks, parts: Sequence[BatchPart], split: BatchSplit, reports: Reports
    ) -> Iterator[Tensor]:
        """0-d losses to be back-propagated one by one; their sum over all processes is the mean over the batch.

        Args:
            networks: their forward passes.
            parts: of this process; there may be none.
            split: of the whole batch.
            reports: where statistics go.
        """
        for part in parts:
            yield self(networks, part, reports).sum() / split.samples


class GeneratorLoss(LossTerm):
    """Gmain: the generator learns that its images are taken for real."""

    def __init__(self, adversarial_loss: NonSaturatingLogistic):
        super().__init__()
        self.adversarial_loss = adversarial_loss

    def forward(self, networks: Networks, part: BatchPart, reports: Reports) -> Tensor:
        draw = part.draw
        logits = networks.discriminate(networks.fakes(draw), draw.c, draw.augment_fake)
        loss = self.adversarial_loss.generator(logits)
        reports.logits("fake", logits)
        reports.add("Loss/G/loss", loss)
        return loss


class PathLengthTerm(LossTerm):
    """Greg: path length, on a part of the batch.

    The running mean ties all samples together: first all lengths are computed, then their gradients part by part.
    A single part keeps its graph; of several only one fits into memory at a time.
    """

    def __init__(self, penalty: PathLengthPenalty):
        super().__init__()
        self.penalty = penalty

    @property
    def weight(self) -> float:
        return self.penalty.weight

    def samples_of(self, batch_size: int) -> int:
        return self.penalty.samples_of(batch_size)

    def losses(
        self, networks: Networks, parts: Sequence[BatchPart], split: BatchSplit, reports: Reports
    ) -> Iterator[Tensor]:
        single = len(parts) == 1
        lengths = [self._lengths(networks, part.draw, first=True, create_graph=single) for part in parts]
        weights, penalty = self.penalty.coefficients(split.gather(lengths, like=networks.weight))
        for k, (part, weight) in enumerate(zip(parts, split.split(weights), strict=True)):
            again = (
                lengths[k] if single else self._lengths(networks, part.draw, first=False, create_graph=True)
            )
            yield (weight * again).sum()
        for values in split.split(penalty):
            reports.add("Loss/pl_penalty", values)
            reports.add("Loss/G/reg", values * self.weight)

    def _lengths(self, networks: Networks, draw: Draw, *, first: bool, create_graph: bool) -> Tensor:
        ws = networks.latents(draw, track=first)
        if not ws.requires_grad:  # the mapping network is frozen
            ws.requires_grad_()
        fakes = networks.synthesize(ws, draw.noise)
        return self.penalty.lengths(fakes, ws, draw.path_noise, create_graph=create_graph)


class DiscriminatorLoss(LossTerm):
    """Dmain: the discriminator learns to tell reals from fakes."""

    def __init__(self, adversarial_loss: NonSaturatingLogistic):
        super().__init__()
        self.adversarial_loss = adversarial_loss

    def forward(self, networks: Networks, part: BatchPart, reports: Reports) -> Tensor:
        draw = part.draw
        with torch.no_grad():
            fakes = networks.fakes(draw)
        fake_logits, real_logits = networks.discriminate_both(
            (fakes, draw.c, draw.augment_fake), (part.reals, part.labels, draw.augment_real)
        )
        loss = self.adversarial_loss.discriminator(real_logits, fake_logits)
        reports.logits("fake", fake_logits)
        reports.add("Loss/D/loss", loss)
        reports.logits("real", real_logits)
        return loss


class R1Term(LossTerm):
    """Dreg: R1, with respect to the reals before augmentation."""

    def __init__(self, penalty: R1Penalty):
        super().__init__()
        self.penalty = penalty

    @property
    def weight(self) -> float:
        return self.penalty.weight

    def forward(self, networks: Networks, part: BatchPart, reports: Reports) -> Tensor:
        reals = part.reals.detach().requires_grad_()
        logits = networks.discriminate(reals, part.labels, part.draw.augment_real)
        penalty = self.penalty(logits, reals)
        reports.logits("real", logits)
        reports.add("Loss/r1_penalty", penalty)
        reports.add("Loss/D/reg", penalty * self.weight)
        return penalty


@dataclass(frozen=True)
class Phase:
    """One optimiser step of an iteration, as data.

    Args:
        name: of its draws and statistics; no other phase has it. Letters, digits and underscores.
        learns: the network whose weights move.
        loss: what is minimised.
        draws: which random numbers the loss needs, besides its own: latents, path_noise, augment_fake, augment_real.
        interval_iterations: it runs in iterations 0, interval, 2·interval, ..., and counts for as many.
        second_order: whether the loss differentiates a gradient. It then runs on the plain networks, in the
            precision of the regularisers.
    Raises: ValueError for a value out of range.
    """

    name: str
    learns: Literal["generator", "discriminator"]
    loss: LossTerm
    draws: Sequence[Kind] = ()
    interval_iterations: int = 1
    second_order: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"name must be letters, digits and underscores, got {self.name!r}")
        if self.learns not in ("generator", "discriminator"):
            raise ValueError(f"learns must be generator or discriminator, got {self.learns}")
        if unknown := set(self.draws) - set(get_args(Kind)):
            raise ValueError(
                f"draws must be some of {', '.join(get_args(Kind))}, got {', '.join(sorted(unknown))}"
            )
        if self.interval_iterations < 1:
            raise ValueError(f"interval_iterations must be at least 1, got {self.interval_iterations}")

    @property
    def gain(self) -> float:
        """Factor on the loss. Lazy regularisation: it runs once in `interval`, so it pulls `interval` times harder."""
        return self.interval_iterations * self.loss.weight

    @property
    def is_on(self) -> bool:
        """Whether it runs at all; at weight 0, which may follow a schedule, it does not."""
        return bool(self.loss.weight)

    def runs_at(self, iteration: int) -> bool:
        """Whether it runs in an iteration, counted from 0."""
        return self.is_on and iteration % self.interval_iterations == 0


def phases_of(
    *,
    adversarial_loss: NonSaturatingLogistic,
    r1: R1Penalty | None,
    path_length: PathLengthPenalty | None,
    r1_interval_iterations: int,
    pl_interval_iterations: int,
    further: Sequence[Phase] = (),
) -> tuple[Phase, ...]:
    """Phases of an iteration, in their order: those of StyleGAN2-ADA, then further ones.

    Args:
        adversarial_loss: of both main phases.
        r1: None = no Dreg.
        path_length: None = no Greg.
        r1_interval_iterations: of Dreg.
        pl_interval_iterations: of Greg.
        further: the user's.
    Raises: ValueError where two have one name.
    Source: Karras et al. 2020 (StyleGAN2), appendix B.
    """
    generator_loss, discriminator_loss = GeneratorLoss(adversarial_loss), DiscriminatorLoss(adversarial_loss)
    phases = [Phase("Gmain", "generator", generator_loss, ("latents", "augment_fake"))]
    if path_length is not None:
        greg = PathLengthTerm(path_length)
        drawn: tuple[Kind, ...] = ("latents", "path_noise")
        phases += [Phase("Greg", "generator", greg, drawn, pl_interval_iterations, second_order=True)]
    drawn = ("latents", "augment_fake", "augment_real")
    phases += [Phase("Dmain", "discriminator", discriminator_loss, drawn)]
    if r1 is not None:
        drawn, dreg = ("augment_real",), R1Term(r1)
        phases += [Phase("Dreg", "discriminator", dreg, drawn, r1_interval_iterations, second_order=True)]
    for phase in further:
        # The losses are kept under these names in a checkpoint.
        if hasattr(nn.ModuleDict(), phase.name):
            raise ValueError(
                f"further_phases: a phase cannot be called {phase.name!r}; take another name, as in my_loss"
            )
        if phase.name in {other.name for other in phases}:
            raise ValueError(f"further_phases must have names of their own, got {phase.name} again")
        phases += [phase]
    return tuple(phases)
