"""What a report is made from: a network's fakes, the pictures of its training, walks, and its judge's logits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.evaluation.fakes import NUM_FAKES, Fakes, LabelsOfFakes
from stylegan.evaluation.sharing import CHUNK
from stylegan.evaluation.watch import Watch
from stylegan.images import to_float, to_uint8
from stylegan.latents import Sampler, latents_of
from stylegan.machine.devices import full_precision
from stylegan.networks.synthesis import prepared
from stylegan.report import Evidence, Logits, Pictures, pictures_of
from stylegan.report.origin import Origin

_WALKS, _STEPS = 8, 24
_JUDGED = 400
# Keeps the choice of pictures that are judged apart from other draws.
_JUDGED_STREAM = int.from_bytes(b"judg", "big")


def evidence_of(
    generator: nn.Module,
    discriminator: nn.Module | None,
    data: Any,
    detector: Any,
    *,
    watch: Watch,
    origin: Origin = "trust",
    seed: int = 0,
    truncation: float = 1.0,
    noise_mode: str = "random",
    num_fakes: int = NUM_FAKES,
    about: Mapping[str, float | int | str | None] | None = None,
) -> Evidence:
    """Draws, reads and judges; by one process alone.

    Args: generator: in evaluation mode, on the device that draws. discriminator: of the same training, likewise; None
      = not at hand. data: a data module that is set up. detector: as `stylegan.features.Detector`. origin: whether
      the network was trained on the data's items to train on. seed: of the first fake. truncation: psi.
      noise_mode: as in `Fakes`; walks have no noise. about: how this is made, for the head of the report.
    Raises: EvaluationStoppedError.
    """
    plain = getattr(data, "originals", data.dataset)
    labels = LabelsOfFakes(plain, max(num_fakes, _WALKS), seed) if generator.c_dim else None

    def drawn_with(psi: float) -> Tensor:
        fakes = Fakes(generator, plain, num=num_fakes, seed=seed, truncation=psi, noise_mode=noise_mode)
        with prepared(generator.synthesis), full_precision(fakes.sampler.device):
            return torch.cat([fakes.images(numbers).cpu() for numbers in _chunks(num_fakes, watch)])

    drawn = drawn_with(truncation)
    held_out = getattr(data, "validation", None)
    logits = None
    if discriminator is not None and held_out is not None:
        # The judge learned from fakes without truncation.
        judged = drawn if truncation == 1 else drawn_with(1.0)
        logits = _logits(discriminator, plain, held_out, judged, labels, watch)
    return Evidence(
        real=_looked_at(plain, detector, watch, "pictures for the report"),
        fake=pictures_of(drawn, detector),
        held_out=None if held_out is None else _looked_at(held_out, detector, watch, "held-out pictures"),
        strips=_strips(generator, labels, seed, truncation, watch),
        logits=logits,
        xflip=bool(getattr(data, "xflip", False)),
        origin=origin,
        truncation=truncation,
        about=about or {},
    )


class _Images(Sequence):
    """The images of a set without their labels, each read when it is asked for, under a watch."""

    def __init__(self, pictures: Any, seen: Callable[[], None]):
        self.pictures, self.seen = pictures, seen

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        self.seen()
        return self.pictures[int(index)][0]


def _looked_at(pictures: Any, detector: Any, watch: Watch, what: str) -> Pictures:
    rounds = watch.rounds_alone(len(pictures), what)
    images = _Images(pictures, lambda: next(rounds, None))
    names = [pictures.key(index) for index in range(len(pictures))] if hasattr(pictures, "key") else None
    return pictures_of(images, detector, names)


def _strips(
    generator: nn.Module, labels: LabelsOfFakes | None, seed: int, truncation: float, watch: Watch
) -> Tensor:
    """uint8 [P,T,C,H,W]: straight walks in w between the fakes of neighbouring seeds, without noise."""
    sampler = Sampler(generator)
    seeds = [seed + number for number in range(2 * _WALKS)]
    c = None
    if labels is not None:
        # Both ends have one label: a walk between classes would be about something else.
        c = labels.of(range(_WALKS)).repeat_interleave(2, 0)
    ends = sampler.map(latents_of(seeds, generator.z_dim), c, truncation=truncation)
    walks = []
    for first, last in ends.unflatten(0, (_WALKS, 2)):
        watch.check_alone()
        places = torch.linspace(0, 1, _STEPS, device=ends.device)[:, None, None]
        walks.append(to_uint8(sampler.draw(torch.lerp(first[None], last[None], places), "none")).cpu())
    return torch.stack(walks)


def _logits(
    discriminator: nn.Module,
    plain: Any,
    held_out: Any,
    fakes: Tensor,
    fake_labels: LabelsOfFakes | None,
    watch: Watch,
) -> Logits:
    count = min(_JUDGED, len(plain), len(held_out), len(fakes))
    random = np.random.default_rng(_JUDGED_STREAM)
    sides = []
    for pictures in (plain, held_out):
        chosen = random.choice(len(pictures), size=count, replace=False)
        items = [pictures[int(index)] for index in chosen]
        sides.append((torch.stack([image for image, _ in items]), torch.stack([label for _, label in items])))
    sides.append((fakes[:count], None if fake_labels is None else fake_labels.of(range(count))))
    return Logits(*(_judged(discriminator, images, labels, watch) for images, labels in sides))


@torch.no_grad()
def _judged(discriminator: nn.Module, images: Tensor, labels: Tensor | None, watch: Watch) -> Tensor:
    device = next(discriminator.parameters()).device
    parts = []
    for numbers in _chunks(len(images), watch):
        some = slice(numbers.start, numbers.stop)
        c = labels[some].to(device) if discriminator.c_dim else None
        with full_precision(device):
            parts.append(discriminator(to_float(images[some]).to(device), c).flatten().float().cpu())
    return torch.cat(parts)


def _chunks(num: int, watch: Watch) -> Iterator[range]:
    for first in range(0, num, CHUNK):
        watch.check_alone()
        yield range(first, min(first + CHUNK, num))
