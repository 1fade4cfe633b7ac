"""All metrics of one network in one pass over its pictures, by all processes together."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stylegan.distributed.collectives import on_rank_zero
from stylegan.evaluation.definitions import Definition, fewest_pictures
from stylegan.evaluation.fakes import Fakes, Labelled
from stylegan.evaluation.fingerprint import weights_sha256
from stylegan.evaluation.paths import path_results
from stylegan.evaluation.protocol import PROTOCOL_VERSION
from stylegan.evaluation.published import check_published
from stylegan.evaluation.reals import Reals
from stylegan.evaluation.records import Score
from stylegan.evaluation.scores import Results, ScoreError, inception_results, score_of
from stylegan.evaluation.sharing import Rows, rows_of_all
from stylegan.evaluation.watch import Watch
from stylegan.machine.devices import full_precision
from stylegan.networks.precision import precision_text
from stylegan.networks.synthesis import prepared
from stylegan.sizes import size_text


class Evaluator:
    """Scores networks against one set of pictures.

    The same weights give the same numbers: pictures, labels and subsets are functions of `seed`, and neither the
    number of processes nor what was computed before plays a part.

    Args: definitions: what to compute. detectors: by name, those that the definitions need. reals: the pictures.
      data_fingerprint: of the data, for the protocol. seed: of the first fake. truncation, noise_mode: as in `Fakes`.
    Raises: ValueError where there are too few real pictures for a metric, or a published name is not for this.
    """

    def __init__(
        self,
        definitions: Sequence[Definition],
        detectors: Mapping[str, Any],
        reals: Reals,
        *,
        data_fingerprint: str | None,
        seed: int = 0,
        truncation: float = 1.0,
        noise_mode: str = "random",
    ):
        self.definitions = list(definitions)
        self.detectors = detectors
        self.reals = reals
        self.data_fingerprint = data_fingerprint
        # 1 and 1.0 are one protocol.
        self.seed, self.truncation, self.noise_mode = seed, float(truncation), noise_mode
        check_published(self.definitions, truncation=truncation, noise_mode=noise_mode, detectors=detectors)
        for definition in self.definitions:
            self._check_reals(definition)

    def _check_reals(self, definition: Definition) -> None:
        fewest = fewest_pictures(definition)
        if definition.max_reals != 0 and self._num_reals(definition) < fewest:
            raise ValueError(
                f"metrics={definition.name} needs at least {fewest} real pictures, and there are"
                f" {self._num_reals(definition)} pictures; choose another metric, or none"
            )

    def prepare(self, watch: Watch) -> None:
        """Computes the features of the real pictures, if they are not known; `scores` does so by itself.

        Raises: EvaluationStoppedError.
        """
        for definition in self.definitions:
            self._real_features(definition, watch)

    def scores(self, generator: nn.Module, *, precision: str, watch: Watch) -> list[Score]:
        """One score a definition, in their order; the same on all processes.

        Args: generator: in evaluation mode, on the device that draws, as `precision` says.
        Raises: EvaluationStoppedError, ScoreError, on all processes; nothing was recorded then.
        """
        began = time.monotonic()
        self.prepare(watch)
        drawn = self._drawn(generator, watch)
        drawn_sec = time.monotonic() - began
        paths = {
            definition.name: path_results(
                definition,
                generator,
                self.detectors[definition.detector],
                self._labelled(generator),
                seed=self.seed,
                watch=watch,
            )
            for definition in self.definitions
            if definition.score == "ppl"
        }

        def compute() -> list[Score]:
            found = []
            weights = weights_sha256(generator) if self.definitions else None
            for definition in self.definitions:
                watch.check_alone()
                since = time.monotonic()
                try:
                    results = paths.get(definition.name) or self._results(definition, drawn, watch)
                except ValueError as error:
                    raise ScoreError(f"{definition.name}: {error}") from error
                seconds = drawn_sec + time.monotonic() - since
                protocol = self.protocol(definition, generator, precision)
                found.append(Score(definition.name, results, protocol, seconds, weights))
            return found

        # The others wait: what they have to give is here.
        return on_rank_zero(compute)

    def protocol(self, definition: Definition, generator: nn.Module, precision: str) -> dict[str, Any]:
        """Everything that decides about a score; by the first process, which may have to look at all pictures."""
        detector = self.detectors[definition.detector]
        needs_reals = definition.max_reals != 0
        return {
            "version": PROTOCOL_VERSION,
            "metric": definition.name,
            "detector": detector.name,
            "detector_checksum": detector.checksum,
            "resize": detector.resize,
            "resolution": size_text(generator.size),
            "channels": generator.channels,
            "num_reals": self._num_reals(definition) if needs_reals else 0,
            "num_fakes": definition.num_fakes,
            "seed": self.seed,
            "precision": "fp32" if definition.score == "ppl" else precision_text(generator, precision),
            "truncation": self.truncation if definition.score != "ppl" else 1.0,
            # Of a path each step has noise of its own, whatever is asked for: its definition says so.
            "noise_mode": self.noise_mode if definition.score != "ppl" else "random",
            "labels": "drawn from the data's" if generator.c_dim else "none",
            "data_fingerprint": self.data_fingerprint if needs_reals or generator.c_dim else None,
            # A fingerprint may look at some of the pictures only, or rest on what was known of their files.
            "data_content": self.reals.digest(with_flips=False) if needs_reals else None,
            "xflip": definition.with_flips,
            **definition.options,
        }

    def _num_reals(self, definition: Definition) -> int:
        return self.reals.count(definition.max_reals, with_flips=definition.with_flips)

    def _real_features(self, definition: Definition, watch: Watch) -> Tensor | None:
        if definition.max_reals == 0:
            return None
        detector = self.detectors[definition.detector]
        return self.reals.features(
            detector, definition.max_reals, with_flips=definition.with_flips, watch=watch
        )

    def _labelled(self, generator: nn.Module) -> Labelled | None:
        return self.reals.sets[False] if generator.c_dim else None

    def _drawn(self, generator: nn.Module, watch: Watch) -> Rows | None:
        """Features of all fakes by detector, on the first process. Each picture is drawn once for all metrics."""
        wanted = [definition for definition in self.definitions if definition.score != "ppl"]
        num = max((definition.num_fakes for definition in wanted), default=0)
        if not num:
            return {}
        fakes = Fakes(
            generator,
            self._labelled(generator),
            num=num,
            seed=self.seed,
            truncation=self.truncation,
            noise_mode=self.noise_mode,
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
        return score_of(definition, self._real_features(definition, watch), rows, seed=self.seed)


def _output(definition: Definition) -> str:
    return "probabilities" if definition.score == "is" else "features"


def _rows(detector: Any, asked: set[str], images: Tensor) -> Rows:
    """What a detector says of images, by output; the network runs once."""
    if asked == {"features", "probabilities"}:
        both = detector.features_and_probabilities(images)
        found = dict(zip(("features", "probabilities"), both, strict=True))
    else:
        found = {output: getattr(detector, output)(images) for output in asked}
    return {output: rows.to("cpu", torch.float32) for output, rows in found.items()}
