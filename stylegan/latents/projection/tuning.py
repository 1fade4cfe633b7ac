"""Pivotal tuning: the generator itself is moved a little, so that fixed latents draw their pictures better."""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.images import to_float
from stylegan.latents.projection.keys import key_of, normal_of
from stylegan.latents.projection.losses import PictureLoss, Target, distance
from stylegan.latents.projection.search import exact, group_size

# Targets whose embeddings are kept during a tuning.
_KEPT_EMBEDDED = 16


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Numbers of a tuning, those of its paper by default.

    Args:
        steps: most rounds over all pictures, at least 1.
        learning_rate: Adam's.
        target_loss: it ends where the perceptual distance of every picture is at most this; None = the distance's own.
        pixel_weight, perceptual_weight: of the mean squared error of pixels in -1..1, and of the distance.
        locality: weight of the term that keeps the rest of latent space; 0 = none.
        seed: of the latents at which that term looks.
    Raises: ValueError that names the value.
    Source: Roich et al. 2021, sections 3.2 and 3.3.
    """

    steps: int = 350
    learning_rate: float = 3e-4
    target_loss: float | None = None
    pixel_weight: float = 1.0
    perceptual_weight: float = 1.0
    locality: float = 0.1
    seed: int = 0

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"tuning_steps must be at least 1, got {self.steps}")
        for name in ("learning_rate", "locality"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number from 0, got {getattr(self, name)}")
        # NaN would be reached by no picture.
        if self.target_loss is not None and not self.target_loss >= 0:
            raise ValueError(f"target_loss must be a number from 0, got {self.target_loss}")


@dataclass(frozen=True)
class Round:
    """A round over all pictures: its number, from 1, and the distance [N] of each before the step it was in."""

    number: int
    losses: Tensor


class Tuner:
    """A copy of a generator that is tuned to pictures.

    Attributes: generator: the copy, tuned as far as `rounds` has been followed; without gradients.

    Args:
        generator: the base, which stays as it is; on the device that computes.
        targets: uint8 [N,C,H,W]. ws: their pivots [N,L,W]. noise: their maps {layer: [N,1,H,W]}; empty = none is drawn.
        masks: float [N,1,H,W] in 0..1; None = each pixel counts alike.
        spread: of w, [N], as of `WStatistics`, for the locality term. labels: [N,K], for a generator with labels.
    """

    def __init__(
        self,
        generator: nn.Module,
        targets: Tensor,
        ws: Tensor,
        noise: Mapping[str, Tensor],
        *,
        loss: PictureLoss,
        settings: Tuning,
        spread: Tensor,
        labels: Tensor | None = None,
        masks: Tensor | None = None,
    ):
        device = next(generator.parameters()).device
        self.base, self.loss, self.settings = generator, loss, settings
        self.generator = copy.deepcopy(generator).requires_grad_(False)
        self.targets, self.masks = targets, masks
        self.ws = ws.to(device)
        self.noise = {name: maps.to(device) for name, maps in noise.items()}
        self.spread = spread.to(device)
        self.labels = None if labels is None else labels.to(device)
        # The pictures in their order, and so many at a time, decide the way that the weights take.
        self.group = group_size(generator.size)
        self.key = key_of(targets)
        self.target_loss = loss.tuned_at if settings.target_loss is None else settings.target_loss
        self._targets: dict[int, Target] = {}

    def rounds(self) -> Iterator[Round]:
        """Tunes, round by round, until all pictures are as near as `target_loss` says."""
        moving = list(self.generator.synthesis.parameters())
        adam = torch.optim.Adam(moving, lr=self.settings.learning_rate, foreach=False)
        for number in range(self.settings.steps):
            firsts = range(0, len(self.targets), self.group)
            losses = torch.cat(
                [self._step(adam, moving, slice(first, first + self.group), number) for first in firsts]
            )
            yield Round(number + 1, losses)
            if bool((losses <= self.target_loss).all()):
                return

    def _step(self, adam: torch.optim.Adam, moving: list[nn.Parameter], rows: slice, number: int) -> Tensor:
        """One step of Adam for some of the pictures. Returns: their distances before it."""
        for value in moving:
            value.requires_grad_()
        try:
            with exact(self.generator):
                target = self._target(rows)
                images = self._draw(rows)
                off = distance(self.loss, images, target)
                weight = 1.0 if target.masks is None else target.masks
                pixels = (weight * (target.as_seen(images) - target.images).square()).mean((1, 2, 3))
                total = (self.settings.perceptual_weight * off + self.settings.pixel_weight * pixels).mean()
                if self.settings.locality:
                    total = total + self.settings.locality * self._change_nearby(rows, number)
                # Layers that no image of this network depends on have no gradient.
                gradients = torch.autograd.grad(total, moving, allow_unused=True)
            for value, gradient in zip(moving, gradients, strict=True):
                value.grad = gradient
            adam.step()
            adam.zero_grad(set_to_none=True)
        finally:
            for value in moving:
                value.requires_grad_(False)
        return off.detach()

    def _change_nearby(self, rows: slice, number: int) -> Tensor:
        """How much the image of one latent has changed: on the way from a pivot to a random one, as far from the
        pivot as latents are from their mean."""
        random = np.random.default_rng([number, rows.start, self.settings.seed])
        picture = rows.start + int(random.integers(len(self.ws[rows])))
        pivot, spread = self.ws[picture][None], self.spread[picture]
        z = normal_of(self.key, self.settings.seed, "locality", number, shape=(1, self.generator.z_dim))
        with torch.no_grad():
            label = None if self.labels is None else self.labels[picture][None]
            far = self.base.mapping(z.to(pivot.device), label, track_average=False)
            way = far - pivot
            nearby = pivot + way * (spread / way.square().sum(2).mean().sqrt().clamp_min(1e-12))
            with exact(self.base):
                before = self.base.synthesis(nearby, noise_mode="none")
        after = self.generator.synthesis(nearby, noise_mode="none")
        off = distance(self.loss, after, Target(self.loss, before))
        return (off + (after - before).square().mean((1, 2, 3))).mean()

    def _draw(self, rows: slice) -> Tensor:
        maps = {name: values[rows] for name, values in self.noise.items()}
        return self.generator.synthesis(
            self.ws[rows], noise_mode="random" if maps else "none", noise=maps or None
        )

    def _target(self, rows: slice) -> Target:
        if rows.start in self._targets:
            return self._targets[rows.start]
        device = self.ws.device
        masks = None if self.masks is None else self.masks[rows].to(device)
        target = Target(self.loss, to_float(self.targets[rows].to(device)), masks)
        # Embeddings are large: those of a folder of pictures are made again in each round.
        if len(self.targets) <= _KEPT_EMBEDDED:
            self._targets[rows.start] = target
        return target
