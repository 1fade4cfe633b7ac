"""Evaluator: all metrics of one network in one pass over its images, by all processes together."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from stylegan.distributed.collectives import on_rank_zero
from stylegan.evaluation.definitions import Definition
from stylegan.evaluation.fakes import Fakes, Labelled
from stylegan.evaluation.protocol import protocol_of, weights_sha256
from stylegan.evaluation.reals import EvaluationData, RealFeatures, Reals
from stylegan.evaluation.records import Score
from stylegan.evaluation.scores import Results, ScoreError, inception_results, path_results, score_of
from stylegan.evaluation.settings import MetricSettings, check_published_weights
from stylegan.evaluation.shared_work import Rows, Watch, rows_of_all
from stylegan.features import Detector
from stylegan.machine.devices import full_precision
from stylegan.machine.text import counted_are
from stylegan.networks.synthesis import prepared


class Evaluator:
    """Scores networks against one set of images.

    The same weights give the same numbers: images, labels and subsets are functions of the first seed, and neither the
    number of processes nor what was computed before plays a part.

    Args:
        settings: what to compute, of which fakes.
        detectors: by name, those that the metrics need, on the device that computes.
        reals: the real images.
        data_fingerprint: of the data, for the protocol; None = unknown.
    Raises: ValueError where there are too few real images for a metric, or the weights of a detector are not those
        that a published name stands for.
    """

    def __init__(
        self,
        settings: MetricSettings,
        detectors: Mapping[str, Detector],
        reals: Reals,
        *,
        data_fingerprint: str | None,
    ):
        self.settings, self.detectors, self.reals = settings, detectors, reals
        self.data_fingerprint = data_fingerprint
        check_published_weights(settings.definitions, detectors)
        for definition in settings.definitions:
            self._check_reals(definition)

    @classmethod
    def of(cls, settings: MetricSettings, detectors: Mapping[str, Detector], data: EvaluationData) -> Self:
        """An evaluator against the images of a data module.  Raises: as the constructor."""
        reals = Reals.of(data, cache_dir=settings.cache_dir)
        return cls(settings, detectors, reals, data_fingerprint=data.fingerprint)

    def _check_reals(self, definition: Definition) -> None:
        there = self._num_reals(definition)
        if definition.max_reals != 0 and there < definition.fewest_images:
            raise ValueError(
                f"metrics={definition.name} needs at least {definition.fewest_images} real pictures, and"
                f" {counted_are(there, 'picture')} there; choose another metric, or none"
            )

    def prepare(self, watch: Watch) -> None:
        """Computes the features of the real images, if they are not known; `scores` does so by itself.

        Raises: EvaluationStoppedError.
        """
        for definition in self.settings.definitions:
            self._reals_of(definition, watch)

    def scores(
        self,
        generator: nn.Module,
        *,
        precision: str,
        watch: Watch,
        definitions: Sequence[Definition] | None = None,
    ) -> list[Score]:
        """One score a metric, in their order; the same on all processes.

        Args:
            generator: in evaluation mode, on the device that draws.
            precision: that it computes in.
            watch: over the work.
            definitions: of the settings' metrics those to compute; None = all.
        Raises: EvaluationStoppedError, ScoreError, on all processes; nothing was recorded then.
        """
        definitions = self.settings.definitions if definitions is None else definitions
        began = time.monotonic()
        for definition in definitions:
            self._reals_of(definition, watch)
        drawn = self._drawn(generator, definitions, watch)
        drawn_sec = time.monotonic() - began
        paths = self._paths(generator, definitions, watch)

        def compute() -> list[Score]:
            found = []
            weights = weights_sha256(generator) if definitions else None
            for definition in definitions:
                watch.check_alone()
                since = time.monotonic()
                try:
                    results = paths.get(definition.name) or self._results(definition, drawn, watch)
                except ValueError as error:
                    raise ScoreError(f"{definition.name}: {error}") from error
                seconds = drawn_sec + time.monotonic() - since
                protocol = self.protocol(definition, generator, precision)
                left_out = self.left_out(definition)
                found.append(Score(definition.name, results, protocol, seconds, weights, left_out))
            return found

        # The others wait: what they have to give is here.
        return on_rank_zero(compute)

    def protocol(self, definition: Definition, generator: nn.Module, precision: str) -> dict[str, Any]:
        """Everything that decides about a score; by rank 0, after `prepare`: what was read is part of it."""
        reals = self._reals_of(definition, Watch())
        return protocol_of(
            definition,
            self.settings,
            detector=self.detectors[definition.detector],
            generator=generator,
            precision=precision,
            num_reals=0 if reals is None else len(reals.features),
            num_unreadable=0 if reals is None else reals.num_unreadable,
            data_fingerprint=self.data_fingerprint,
            data_content=None if reals is None else reals.content,
        )

    def _num_reals(self, definition: Definition) -> int:
        return self.reals.count(definition.max_reals, with_flips=definition.with_flips)

    def left_out(self, definition: Definition) -> int:
        """Real images that a score is not about, since they could not be read; by rank 0, after `prepare`."""
        reals = self._reals_of(definition, Watch())
        return 0 if reals is None else self.reals.left_out + reals.num_unreadable

    def _reals_of(self, definition: Definition, watch: Watch) -> RealFeatures | None:
        """What a metric compares with; None where it compares with nothing."""
        if definition.max_reals == 0:
            return None
        detector = self.detectors[definition.detector]
        return self.reals.features(
            detector, definition.max_reals, with_flips=definition.with_flips, watch=watch
        )

    def _labelled(self, generator: nn.Module) -> Labelled | None:
        return self.reals.plain if generator.c_dim else None

    def _paths(
        self, generator: nn.Module, definitions: Sequence[Definition], watch: Watch
    ) -> dict[str, Results]:
        """Path lengths, by the name of their metric."""
        return {
            definition.name: path_results(
                definition,
                generator,
                self.detectors[definition.detector],
                self._labelled(generator),
                first_seed=self.settings.first_seed,
                watch=watch,
            )
            for definition in definitions
            if definition.score == "ppl"
        }

    def _drawn(self, generator: nn.Module, definitions: Sequence[Definition], watch: Watch) -> Rows | None:
        """Features of all fakes by detector, on rank 0. Each image is drawn once for all metrics."""
        wanted = [definition for definition in definitions if definition.score != "ppl"]
        num = max((definition.num_fakes for definition in wanted), default=0)
        if not num:
            return {}
        fakes = Fakes(
            generator,
            self._labelled(generator),
            num=num,
            first_seed=self.settings.first_seed,
            truncation=self.settings.truncation,
            noise_mode=self.settings.noise_mode,
        )
        outputs: dict[str, set[str]] = {}
        for definition in wanted:
            outputs.setdefault(definition.detector, set()).add(_output(definition))

        def compute(numbers: range) -> Rows:
            with full_precision(fakes.sampler.device):
                images = fakes.images(numbers)
            return {
                f"{name}.{output}": rows
                for name, asked in outputs.items()
                for output, rows in _rows(self.detectors[name], asked, images).items()
            }

        with prepared(generator.synthesis):
            return rows_of_all(num, compute, watch, f"{num:,} fakes")

    def _results(self, definition: Definition, drawn: Rows, watch: Watch) -> Results:
        rows = drawn[f"{definition.detector}.{_output(definition)}"][: definition.num_fakes]
        if definition.score == "is":
            return inception_results(definition, rows)
        real = self._reals_of(definition, watch)
        return score_of(definition, real.features, rows, seed=self.settings.first_seed)


def _output(definition: Definition) -> str:
    return "probabilities" if definition.score == "is" else "features"


def _rows(detector: Any, asked: set[str], images: Tensor) -> Rows:
    """What a detector gives for images, by output; the network runs once."""
    if asked == {"features", "probabilities"}:
        both = detector.features_and_probabilities(images)
        rows = dict(zip(("features", "probabilities"), both, strict=True))
    elif asked == {"probabilities"}:
        rows = {"probabilities": detector.probabilities(images)}
    else:
        rows = {"features": detector.features(images)}
    return {output: found.to("cpu", torch.float32) for output, found in rows.items()}
