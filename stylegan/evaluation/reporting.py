"""The report on one network, from its pictures to the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from stylegan.evaluation.gathering import evidence_of
from stylegan.evaluation.watch import Watch
from stylegan.features import open_detector
from stylegan.report import Report, examine, write_report
from stylegan.report.origin import Origin


def report_on(
    generator: nn.Module,
    discriminator: nn.Module | None,
    data: Any,
    detectors: Mapping[str, Any],
    *,
    watch: Watch,
    origin: Origin,
    first_seed: int,
    truncation: float,
) -> Report:
    """Looks at a network's pictures; by one process alone. The features are those of the builtin detector.

    Args: generator, discriminator, data, origin: as in `evidence_of`. detectors: those that are open, by name.
      first_seed: of the first fake. truncation: psi.
    Raises: BrokenOff.
    """
    device = next(generator.parameters()).device
    detector = detectors.get("builtin") or open_detector("builtin").to(device)
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
