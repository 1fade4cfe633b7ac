"""The report on one network, from its pictures to the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from stylegan.evaluation.fakes import NUM_FAKES
from stylegan.evaluation.gathering import evidence_of
from stylegan.evaluation.watch import Watch
from stylegan.features import open_detector
from stylegan.networks.precision import precision_text
from stylegan.report import Report, examine, write_report
from stylegan.report.origin import Origin
from stylegan.sizes import size_text


def report_on(
    generator: nn.Module,
    discriminator: nn.Module | None,
    data: Any,
    detectors: Mapping[str, Any],
    *,
    watch: Watch,
    origin: Origin,
    network: str,
    images: int | None,
    first_seed: int,
    truncation: float,
    noise_mode: str = "random",
    precision: str,
) -> Report:
    """Looks at a network's pictures; by one process alone. The features are those of the builtin detector.

    Args: generator, discriminator, data, origin: as in `evidence_of`. detectors: those that are open, by name.
      network: its file, relative to its run. images: seen in its training, None = unknown. first_seed: of the first
      fake. truncation: psi. noise_mode: as in `Fakes`. precision: that the generator computes in.
    Raises: EvaluationStoppedError.
    """
    device = next(generator.parameters()).device
    detector = detectors.get("builtin") or open_detector("builtin").to(device)
    about = {
        "network": network,
        "kimg": None if images is None else images / 1000,
        "resolution": size_text(generator.size),
        "channels": generator.channels,
        "seeds": f"{first_seed} to {first_seed + NUM_FAKES - 1}",
        "truncation": truncation,
        "noise mode": noise_mode,
        "labels": "drawn from the data's" if generator.c_dim else "none",
        "precision": precision_text(generator, precision),
        "detector": detector.name,
        "detector checksum": detector.checksum,
        "data fingerprint": getattr(data, "fingerprint", None),
    }
    return examine(
        evidence_of(
            generator,
            discriminator,
            data,
            detector,
            watch=watch,
            origin=origin,
            seed=first_seed,
            truncation=truncation,
            noise_mode=noise_mode,
            about=about,
        )
    )


def say_report(report: Report, folder: Path, network: str) -> None:
    """Writes the page into a folder, and says each finding in a line.  Raises: OSError."""
    page = write_report(report, folder, title=f"Is it learning or copying? {network}")
    for note in report.notes:
        print(f"report      {note}", flush=True)
    for finding in report.findings:
        print(f"report      {finding.verdict:<8}{finding.title} {finding.result}", flush=True)
    print(f"report      {page}", flush=True)
