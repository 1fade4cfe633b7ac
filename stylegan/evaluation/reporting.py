"""Reporting on one network: its fakes, walks and logits besides the images of its training, and the page about them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.evaluation.fakes import Fakes, LabelsOfFakes
from stylegan.evaluation.reals import EvaluationData, ImageSet
from stylegan.evaluation.settings import REPORT_FAKES, MetricSettings
from stylegan.evaluation.shared_work import Watch
from stylegan.features import Detector, open_detector
from stylegan.images import to_float, to_uint8
from stylegan.latents import Sampler, latents_of
from stylegan.machine.console import say
from stylegan.machine.devices import full_precision
from stylegan.networks.precision import precision_text
from stylegan.networks.synthesis import prepared
from stylegan.report import (
    VERDICTS,
    WORDS,
    Evidence,
    Logits,
    Provenance,
    Report,
    ReportImages,
    examine,
    report_images,
    write_report,
)
from stylegan.sizes import size_text

_WALKS, _STEPS = 8, 24
# Images of each kind that the discriminator is shown.
_DISCRIMINATED = 400
# Keeps the choice of these images apart from other draws.
_DISCRIMINATED_STREAM = int.from_bytes(b"judg", "big")


def report_on(
    generator: nn.Module,
    discriminator: nn.Module | None,
    data: EvaluationData,
    settings: MetricSettings,
    detectors: Mapping[str, Detector],
    *,
    watch: Watch,
    provenance: Provenance,
    network: str,
    images: int | None,
    precision: str,
    augment_p: float | None = None,
) -> Report:
    """A report on a network; by one process alone, with features of the builtin detector.

    Args:
        generator: in evaluation mode, on the device that draws.
        discriminator: of the same training, likewise; None = not available.
        data: to compare with.
        settings: how fakes are drawn.
        detectors: those that are open, by name.
        watch: over the work.
        provenance: whether the network was trained on the data's items to train on.
        network: its file, relative to its run.
        images: seen in its training, None = unknown.
        precision: that the generator computes in.
        augment_p: the largest probability that its training augmented with, None = unknown.
    Raises: EvaluationStoppedError.
    """
    detector = detectors.get("builtin")
    if detector is None:
        detector = open_detector("builtin").to(next(generator.parameters()).device)
    about = {
        "network": network,
        "kimg": None if images is None else images / 1000,
        "resolution": size_text(generator.size),
        "channels": generator.channels,
        "seeds": f"{settings.first_seed} to {settings.first_seed + REPORT_FAKES - 1}",
        "truncation": settings.truncation,
        "noise mode": settings.noise_mode,
        "labels": "drawn from the data's" if generator.c_dim else "none",
        "precision": precision_text(generator, precision),
        "detector": detector.name,
        "detector checksum": detector.checksum,
        "data fingerprint": data.fingerprint,
    }
    if augment_p is not None:
        about["largest p of augmentation"] = float(f"{augment_p:.4g}")  # float32 in the records
    evidence = evidence_of(
        generator,
        discriminator,
        data,
        settings,
        detector,
        watch=watch,
        provenance=provenance,
        augment_p=augment_p,
        about=about,
    )
    return examine(evidence)


def publish_report(report: Report, folder: Path, run: str) -> None:
    """Writes the page into a folder, and prints each finding in a line.

    Args:
        report: on a network.
        folder: for `report.html` and `report.json`.
        run: the name of its run, or of a lone file, for the page's title.
    Raises: OSError.
    """
    kimg = report.about.get("kimg")
    seen = "" if kimg is None else f", kimg {kimg:.3f}"
    page = write_report(report, folder, title=f"Is it learning or copying? {run}{seen}")
    for line in filter(None, (report.head, report.advice, *report.notes)):
        say(f"report      {line}")
    for finding in sorted(report.findings, key=lambda finding: VERDICTS.index(finding.verdict)):
        say(f"report      {WORDS[finding.verdict]:<13}{finding.title} {finding.result}")
    say(f"report      {page}")


def evidence_of(
    generator: nn.Module,
    discriminator: nn.Module | None,
    data: EvaluationData,
    settings: MetricSettings,
    detector: Detector,
    *,
    watch: Watch,
    provenance: Provenance = "trust",
    num_fakes: int = REPORT_FAKES,
    augment_p: float | None = None,
    about: Mapping[str, float | int | str | None] | None = None,
) -> Evidence:
    """Draws, reads and discriminates; by one process alone.

    Args:
        generator, discriminator, data, settings, watch, provenance: as in `report_on`. Walks have no noise.
        detector: for features.
        num_fakes: how many are drawn.
        augment_p: as in `report_on`.
        about: how this is made, for the head of the report.
    Raises: EvaluationStoppedError.
    """
    plain, first_seed = data.originals, settings.first_seed
    labels = LabelsOfFakes(plain, max(num_fakes, _WALKS), first_seed) if generator.c_dim else None

    def drawn_with(psi: float) -> Tensor:
        fakes = Fakes(
            generator,
            plain,
            num=num_fakes,
            first_seed=first_seed,
            truncation=psi,
            noise_mode=settings.noise_mode,
        )
        with prepared(generator.synthesis), full_precision(fakes.sampler.device):
            return torch.cat([fakes.images(numbers).cpu() for numbers in watch.chunks_alone(num_fakes)])

    drawn = drawn_with(settings.truncation)
    logits = None
    if discriminator is not None and data.validation is not None:
        # The discriminator learned from fakes without truncation.
        untruncated = drawn if settings.truncation == 1 else drawn_with(1.0)
        logits = _logits(discriminator, plain, data.validation, untruncated, labels, watch)
    held_out = None
    if data.validation is not None:
        held_out = _read(data.validation, detector, watch, "held-out pictures")
    return Evidence(
        real=_read(plain, detector, watch, "pictures for the report"),
        fake=report_images(drawn, detector),
        held_out=held_out,
        strips=_strips(generator, labels, settings, watch),
        logits=logits,
        xflip=data.xflip,
        provenance=provenance,
        truncation=settings.truncation,
        augment_p=augment_p,
        about=about or {},
    )


class _Images(Sequence):
    """The images of a set without their labels, each read on request.

    Args:
        images: the set.
        on_read: called before each image.
    """

    def __init__(self, images: ImageSet, on_read: Callable[[], None]):
        self.images, self.on_read = images, on_read

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        self.on_read()
        return self.images[int(index)][0]


def _read(images: ImageSet, detector: Detector, watch: Watch, what: str) -> ReportImages:
    rounds = watch.rounds_alone(len(images), what)
    key = getattr(images, "key", None) if getattr(images, "is_stored", False) else None
    names = None if key is None else [key(index) for index in range(len(images))]
    read = report_images(_Images(images, lambda: next(rounds, None)), detector, names)
    shown = getattr(images, "is_shown", None)
    if shown is None:
        return read
    # In the place of an image that cannot be read stands the next one, which is no duplicate.
    return read.only(torch.tensor([index for index in range(len(images)) if shown(index)], dtype=torch.int64))


def _strips(
    generator: nn.Module, labels: LabelsOfFakes | None, settings: MetricSettings, watch: Watch
) -> Tensor:
    """uint8 [P,T,C,H,W]: straight walks in w between the fakes of neighbouring seeds, without noise."""
    sampler = Sampler(generator)
    seeds = [settings.first_seed + number for number in range(2 * _WALKS)]
    c = None
    if labels is not None:
        # Both ends have one label: a walk between classes would be about something else.
        c = labels.of(range(_WALKS)).repeat_interleave(2, 0)
    ends = sampler.map(latents_of(seeds, generator.z_dim), c, truncation=settings.truncation)
    walks = []
    for first, last in ends.unflatten(0, (_WALKS, 2)):
        watch.check_alone()
        places = torch.linspace(0, 1, _STEPS, device=ends.device)[:, None, None]
        walks.append(to_uint8(sampler.draw(torch.lerp(first[None], last[None], places), "none")).cpu())
    return torch.stack(walks)


def _logits(
    discriminator: nn.Module,
    plain: ImageSet,
    held_out: ImageSet,
    fakes: Tensor,
    fake_labels: LabelsOfFakes | None,
    watch: Watch,
) -> Logits:
    count = min(_DISCRIMINATED, len(plain), len(held_out), len(fakes))
    random = np.random.default_rng(_DISCRIMINATED_STREAM)
    sides = []
    for images in (plain, held_out):
        chosen = random.choice(len(images), size=count, replace=False)
        items = [images[int(index)] for index in chosen]
        sides.append((torch.stack([image for image, _ in items]), torch.stack([label for _, label in items])))
    sides.append((fakes[:count], None if fake_labels is None else fake_labels.of(range(count))))
    return Logits(*(_discriminated(discriminator, images, labels, watch) for images, labels in sides))


@torch.no_grad()
def _discriminated(discriminator: nn.Module, images: Tensor, labels: Tensor | None, watch: Watch) -> Tensor:
    """Logits float32 [n] of uint8 [n,C,H,W]."""
    device = next(discriminator.parameters()).device
    parts = []
    for numbers in watch.chunks_alone(len(images)):
        some = slice(numbers.start, numbers.stop)
        c = labels[some].to(device) if discriminator.c_dim else None
        with full_precision(device):
            parts.append(discriminator(to_float(images[some]).to(device), c).flatten().float().cpu())
    return torch.cat(parts)
