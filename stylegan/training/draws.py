"""Draws: everything random in a training phase, drawn once for the global batch.

A draw is a function of (seed, phase, what it is for, iteration) and of nothing else: not of what was drawn before,
of worker or process counts, or of how the batch is split. So no random state need be saved, and parts of a batch
take their rows of the same numbers.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from stylegan.augment import AugmentPipe
from stylegan.machine.devices import uploaded
from stylegan.networks import Generator
from stylegan.sizes import Size


def key(*parts: object) -> int:
    """A 63-bit seed from the parts; the same on every machine and Python, unlike `hash`."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def key_after(seed: int, rollbacks: int) -> int:
    """The seed of a run that went back so often: another one, so that it does not diverge again the same way."""
    return key(seed, "rollbacks", rollbacks) if rollbacks else seed


def keyed_generator(*parts: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator whose numbers depend on the parts alone."""
    return torch.Generator(device).manual_seed(key(*parts))


# What a phase may draw: latents with labels and noise, noise of path length, and draws of the augmentation pipe.
Kind = Literal["latents", "path_noise", "augment_fake", "augment_real"]
# (n, image shape [C,H,W], generator) → what a loss draws for itself, [n,...] by name.
OwnDraw = Callable[[int, Sequence[int], torch.Generator], dict[str, Tensor] | None]


@dataclass(frozen=True)
class Draw:
    """The random numbers of one phase for N samples; None = not drawn.

    Args:
        z: [N,Z].
        c: labels of fakes [N,K].
        mixing_z: second latents [N,Z].
        mixing_cutoff: the first layer that takes them.
        noise: {layer: [N,1,r,r]}.
        path_noise: [N,C,H,W].
        augment_fake: draws of the augmentation pipe.
        augment_real: likewise.
        own: what the phase's loss draws for itself, {name: [N,...]}, on the CPU.
    """

    z: Tensor | None = None
    c: Tensor | None = None
    mixing_z: Tensor | None = None
    mixing_cutoff: int | None = None
    noise: dict[str, Tensor] | None = None
    path_noise: Tensor | None = None
    augment_fake: dict[str, Tensor] | None = None
    augment_real: dict[str, Tensor] | None = None
    own: dict[str, Tensor] | None = None

    def parts(self, count: int) -> list["Draw"]:
        """Splits the samples into `count` parts by stride: sample i goes to part i mod count.

        The groups of the minibatch standard deviation, strided too, then stay whole.
        """
        if count == 1:
            return [self]
        return [replace(self, **{n: _rows(v, k, count) for n, v in vars(self).items()}) for k in range(count)]


def _rows(value, k: int, count: int):
    if isinstance(value, Tensor):
        return value[k::count]
    if isinstance(value, dict):
        return {name: tensor[k::count] for name, tensor in value.items()}
    return value


class LabelledData(Protocol):
    """What draws of labels need of the data, such as `datamodules.ImageDataModule`.

    A third member, `label_items` [m], names the items that labels are drawn from where that is not each item once.
    """

    num_items: int

    def labels(self, items: Tensor, /) -> Tensor:
        """Indices of items [n] → labels [n,K]."""
        ...


class Draws(Protocol):
    """Where a training takes its random numbers from; `KeyedDraws`, unless a test brings recorded ones."""

    def draw(
        self,
        phase: str,
        iteration: int,
        n: int,
        like: Tensor,
        kinds: Collection[Kind],
        own: OwnDraw,
    ) -> Draw:
        """As `KeyedDraws.draw`."""
        ...


class KeyedDraws:
    """Draws the numbers of each phase from (seed, phase, purpose, iteration).

    Small draws are made on the CPU, so that their values do not depend on the device; noise of the size of images
    (path length, the synthesis layers, additive noise of the augmentation) is made where it is used.

    Args:
        seed: of the run.
        z_dim: Z.
        num_ws: L.
        noise_layers: [(layer, (height, width))].
        image_shape: [C,H,W].
        style_mixing_prob: chance of a second latent in a phase.
        augment: the pipe that will use the draws, or None.
        labels: indices [n] of the data set → labels [n,K]; None = no labels.
        label_items: indices [m] from which the items of labels are drawn, with equal chances.
    """

    def __init__(
        self,
        *,
        seed: int,
        z_dim: int,
        num_ws: int,
        noise_layers: Sequence[tuple[str, Size]],
        image_shape: Sequence[int],
        style_mixing_prob: float,
        augment: AugmentPipe | None = None,
        labels: Callable[[Tensor], Tensor] | None = None,
        label_items: Tensor | None = None,
    ):
        self.seed, self.z_dim, self.num_ws = seed, z_dim, num_ws
        self.noise_layers, self.image_shape = list(noise_layers), list(image_shape)
        self.style_mixing_prob, self.augment = style_mixing_prob, augment
        self.labels, self.label_items = labels, label_items

    @classmethod
    def for_networks(
        cls,
        generator: Generator,
        *,
        seed: int,
        style_mixing_prob: float,
        augment: AugmentPipe | None,
        data: LabelledData | None,
    ) -> "KeyedDraws":
        """The draws that a generator needs.

        Args:
            generator: with z_dim, c_dim, num_ws, channels, size and noise layers.
            seed: as above.
            style_mixing_prob: as above.
            augment: as above.
            data: needed where the generator takes labels. Fakes get labels as often as reals do.
        Raises: ValueError for a conditional generator without data.
        """
        labels = label_items = None
        if generator.c_dim > 0:
            if data is None:
                raise ValueError(
                    "a conditional generator draws its labels from the data: pass a datamodule to Trainer.fit, or the"
                    " data to start()"
                )
            labels, label_items = data.labels, _label_items(data)
        return cls(
            seed=seed,
            z_dim=generator.z_dim,
            num_ws=generator.num_ws,
            noise_layers=generator.synthesis.noise_layers,
            image_shape=(generator.channels, *generator.size),
            style_mixing_prob=style_mixing_prob,
            augment=augment,
            labels=labels,
            label_items=label_items,
        )

    def draw(
        self,
        phase: str,
        iteration: int,
        n: int,
        like: Tensor,
        kinds: Collection[Kind],
        own: OwnDraw = lambda *_: None,
    ) -> Draw:
        """All numbers of one phase.

        Args:
            phase: its name, a part of the key.
            iteration: from 0, a part of the key.
            n: samples.
            like: gives dtype and device.
            kinds: what the phase draws.
            own: draws what the phase's loss needs besides these.
        """
        draw = self._latents(phase, iteration, n, like) if "latents" in kinds else Draw()
        path_noise = fake = real = None
        if "path_noise" in kinds:
            path_noise = self._image_noise((n, *self.image_shape), like, phase, "path", iteration)
        if self.augment is not None and "augment_fake" in kinds:
            fake = self._augmentation(self.augment, phase, "fake", iteration, n, like)
        if self.augment is not None and "augment_real" in kinds:
            real = self._augmentation(self.augment, phase, "real", iteration, n, like)
        drawn = own(n, self.image_shape, keyed_generator(self.seed, phase, "own", iteration))
        return replace(draw, path_noise=path_noise, augment_fake=fake, augment_real=real, own=drawn)

    def _latents(self, phase: str, iteration: int, n: int, like: Tensor) -> Draw:
        def generator(purpose: str) -> torch.Generator:
            return keyed_generator(self.seed, phase, purpose, iteration)

        z = uploaded(_normal((n, self.z_dim), generator("z")), like)
        c = mixing_z = cutoff = None
        if self.labels is not None and self.label_items is not None:
            drawn = torch.randint(len(self.label_items), (n,), generator=generator("labels"))
            c = uploaded(self.labels(self.label_items[drawn]), like)
        chance = torch.rand([], generator=generator("mixing"), dtype=torch.float32).item()
        if chance < self.style_mixing_prob and self.num_ws > 1:
            cutoff = int(torch.randint(1, self.num_ws, [], generator=generator("cutoff")))
            mixing_z = uploaded(_normal((n, self.z_dim), generator("mixing z")), like)
        noise = {
            layer: self._image_noise((n, 1, *size), like, phase, layer, iteration)
            for layer, size in self.noise_layers
        }
        return Draw(z=z, c=c, mixing_z=mixing_z, mixing_cutoff=cutoff, noise=noise)

    def _augmentation(
        self, augment: AugmentPipe, phase: str, purpose: str, iteration: int, n: int, like: Tensor
    ) -> dict[str, Tensor]:
        key = self.seed, phase, purpose
        # Noise of the size of images would keep the host of a GPU busy for longer than the GPU is.
        image_noise = None
        if like.device.type != "cpu":
            image_noise = keyed_generator(*key, "noise", iteration, device=like.device)
        return augment.draw(n, self.image_shape, keyed_generator(*key, iteration), image_noise)

    def _image_noise(self, shape, like: Tensor, phase: str, purpose: str, iteration: int) -> Tensor:
        generator = keyed_generator(self.seed, phase, purpose, iteration, device=like.device)
        return _normal(shape, generator).to(like.dtype)


def _label_items(data: LabelledData) -> Tensor:
    # Once a run: of a million items it takes longer than the draw of a phase.
    items = getattr(data, "label_items", None)
    return torch.arange(data.num_items) if items is None else items


def _normal(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    # In float32, not in the default type: a run in float64 gets the same numbers.
    return torch.randn(*shape, generator=generator, device=generator.device, dtype=torch.float32)
