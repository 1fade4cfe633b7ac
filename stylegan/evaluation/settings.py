"""Metric settings: which metrics of which fakes, by which detectors, for the evaluate command and for training.

All of it is checked before anything is drawn: a mistake must not cost hours.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stylegan.evaluation.definitions import Definition, definitions_of
from stylegan.evaluation.fakes import check_noise_mode, check_seeds, check_truncation
from stylegan.features import Detector, open_detector
from stylegan.latents.seeds import MAX_SEED

# Fakes of a report; they have the seeds of the first ones that are scored.
REPORT_FAKES = 400


@dataclass(frozen=True, kw_only=True)
class MetricSettings:
    """Metric settings.

    Args:
        metrics: a name, a list of names, or "none" = no metrics. Names as in `stylegan.evaluation.definitions`.
        detector: of the project's own metrics.
        detector_path: weights of the only detector that has any, or a folder with those of all; None = looked for
            where they usually are.
        download: whether missing published weights are fetched.
        num_fakes: images drawn for the project's own metrics.
        first_seed: of the first fake; the next ones follow.
        truncation: psi, 1 = none.
        noise_mode: "random" (each image its own), "const" or "none".
        cache_dir: folder for features of the real images; None = the user's cache folder.
    Raises: ValueError that names the argument, its value and the way out: what cannot be computed, what cannot be
        drawn, or what a published name does not allow.
    """

    # Any, so that the message about a wrong value can say what a list of names looks like.
    metrics: Any
    detector: str = "builtin"
    detector_path: str | os.PathLike | None = None
    download: bool = False
    num_fakes: int = 2000
    first_seed: int = 0
    truncation: float = 1.0
    noise_mode: str = "random"
    cache_dir: str | os.PathLike | None = None

    def __post_init__(self) -> None:
        check_noise_mode(self.noise_mode)
        check_truncation(self.truncation)
        num_seeds = [REPORT_FAKES]
        for definition in self.definitions:
            self._check_published_draws(definition)
            if definition.num_fakes > (most := (MAX_SEED + 1) // definition.seeds_each):
                raise ValueError(
                    f"num_fakes must be at most {most} for metrics={definition.name}, got {definition.num_fakes}; there"
                    " are no more seeds"
                )
            num_seeds.append(definition.num_fakes * definition.seeds_each)
        check_seeds(self.first_seed, max(num_seeds))

    @cached_property
    def definitions(self) -> tuple[Definition, ...]:
        """The metrics to compute, in the order of `metrics`, each once."""
        return definitions_of(self.metrics, detector=self.detector, num_fakes=self.num_fakes)

    def open_detectors(self) -> dict[str, Detector]:
        """Opens the detectors that the metrics need, on the CPU, by name.

        Raises: ValueError for weights that are missing, that no metric reads, or that a published name does not allow.
        """
        path = self.detector_path or None  # empty, as in `detector_path=`
        names = dict.fromkeys(definition.detector for definition in self.definitions)
        if path is not None and list(names) == ["builtin"]:
            raise ValueError(
                f"detector_path must be left out where all metrics use the detector builtin, which reads no file, got"
                f" {path}; or choose another detector, such as inception"
            )
        detectors = {}
        for name in names:
            try:
                detectors[name] = open_detector(
                    name, path=None if name == "builtin" else path, download=self.download
                )
            except ValueError as error:
                raise ValueError(
                    f"detector_path must lead to the weights of {name}, or download be true where their SHA-256 is"
                    f" known: {error}"
                ) from error
        check_published_weights(self.definitions, detectors)
        return detectors

    def _check_published_draws(self, definition: Definition) -> None:
        """A published name stands for fakes without truncation, each with noise of its own, and for nothing else."""
        if not definition.is_published:
            return
        own = f"or use metrics={definition.own_name}, which takes any"
        if self.truncation != 1:
            raise ValueError(
                f"truncation must be 1 for metrics={definition.name}, which is published without truncation, got"
                f" {self.truncation:g}; leave it at 1, {own}"
            )
        if self.noise_mode != "random":
            raise ValueError(
                f"noise_mode must be random for metrics={definition.name}, which is published so, got"
                f" {self.noise_mode}; leave it at random, {own}"
            )


def check_published_weights(definitions: Iterable[Definition], detectors: Mapping[str, Detector]) -> None:
    """A published name stands for the publisher's weights, too.

    Raises: ValueError for others.
    """
    for definition in definitions:
        if definition.is_published and not (detector := detectors[definition.detector]).published:
            raise ValueError(
                f"detector_path must lead to the published weights of {definition.detector} for"
                f" metrics={definition.name}, got others (SHA-256 {detector.checksum[:8]}...); give those, see"
                f" docs/metrics.md, or use metrics={definition.own_name}, which takes any"
            )
