"""Scores: from features, class probabilities or paths to the numbers of a metric, each under the name of its result."""

from collections.abc import Callable, Mapping
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.distributed.collectives import on_rank_zero
from stylegan.evaluation.definitions import Definition
from stylegan.evaluation.fakes import Labelled, LabelsOfFakes, check_seeds
from stylegan.evaluation.shared_work import Rows, Watch, rows_of_all
from stylegan.features import HasEmbedding
from stylegan.latents import latents_of
from stylegan.latents.seeds import noise_of
from stylegan.machine.devices import full_precision
from stylegan.metrics import (
    density_coverage,
    fid,
    fid_bias,
    fid_infinity,
    frechet_distance,
    inception_score,
    kid,
    kid_interval,
    moments_of,
    path_distances,
    precision_recall,
    trimmed_mean,
)
from stylegan.networks.precision import compute_in

# Name → value; the first one is what networks are ranked by.
Results = dict[str, float]

# Keeps the places along the paths apart from other draws under the same seed.
_PLACE_STREAM = int.from_bytes(b"path", "big")


class ScoreError(ValueError):
    """What was drawn has no such score, as where path lengths are not finite. All processes raise it alike."""


def score_of(definition: Definition, real: Tensor, fake: Tensor, *, seed: int) -> Results:
    """The results of a metric that compares features.

    Args:
        definition: of the metric.
        real: features [N,F].
        fake: features [M,F].
        seed: of the subsets that some metrics draw.
    """
    return _COMPARING[definition.score](definition, real, fake, seed)


def inception_results(definition: Definition, probabilities: Tensor) -> Results:
    """The inception score.

    Args:
        definition: of the metric.
        probabilities: of the classes, [M,K], in the order of the fakes.
    """
    mean, std = inception_score(probabilities, splits=definition.options["splits"])
    return {f"{definition.name}_mean": mean, f"{definition.name}_std": std}


def _fid(definition: Definition, real: Tensor, fake: Tensor, seed: int) -> Results:
    return {definition.name: fid(real, fake)}


def _fid_and_bias(definition: Definition, real: Tensor, fake: Tensor, seed: int) -> Results:
    moments = moments_of(real), moments_of(fake)
    return {
        definition.name: frechet_distance(*moments),
        f"{definition.name}_bias": fid_bias(*moments),
    }


def _fid_infinity(definition: Definition, real: Tensor, fake: Tensor, seed: int) -> Results:
    return {definition.name: fid_infinity(real, fake, seed=seed)}


def _kid(definition: Definition, real: Tensor, fake: Tensor, seed: int) -> Results:
    score = kid_interval(real, fake, seed=seed, **definition.options)
    return {
        definition.name: score.value,
        f"{definition.name}_low": score.low,
        f"{definition.name}_high": score.high,
    }


def _kid_subsets(definition: Definition, real: Tensor, fake: Tensor, seed: int) -> Results:
    random = np.random.RandomState(seed)
    return {definition.name: kid(real, fake, rng=random, **definition.options)}


def _precision_recall(definition: Definition, real: Tensor, fake: Tensor, seed: int) -> Results:
    precision, recall = precision_recall(real, fake, **definition.options)
    return {f"{definition.name}_precision": precision, f"{definition.name}_recall": recall}


def _density_coverage(definition: Definition, real: Tensor, fake: Tensor, seed: int) -> Results:
    density, coverage = density_coverage(real, fake, **definition.options)
    return {f"{definition.name}_density": density, f"{definition.name}_coverage": coverage}


_COMPARING: Mapping[str, Callable[[Definition, Tensor, Tensor, int], Results]] = {
    "fid": _fid,
    "fid_and_bias": _fid_and_bias,
    "fid_infinity": _fid_infinity,
    "kid": _kid,
    "kid_subsets": _kid_subsets,
    "pr": _precision_recall,
    "dc": _density_coverage,
}


def path_results(
    definition: Definition,
    generator: nn.Module,
    detector: HasEmbedding,
    reals: Labelled | None,
    *,
    first_seed: int,
    watch: Watch,
) -> Results:
    """Perceptual path length over pairs of latents: pair i joins the seeds first_seed + 2i and first_seed + 2i + 1.

    Both ends of a step have the same fresh noise. The network computes in float32: the steps are too small for less.

    Args:
        definition: says how many pairs, and which paths.
        generator: in evaluation mode.
        detector: of the perceptual distance.
        reals: whose labels are drawn; None for a generator without.
        first_seed: of pair 0.
        watch: over the work.
    Raises: EvaluationStoppedError; ScoreError where distances are not finite; ValueError for too few seeds.
    """
    num = definition.num_fakes
    check_seeds(first_seed, definition.seeds_each * num)
    pairs = _Pairs(definition, generator, detector, reals, first_seed)
    with torch.no_grad(), full_precision(pairs.device):
        rows = rows_of_all(num, pairs.distances, watch, f"{definition.name} of {num:,} pairs")

    def mean() -> Results:
        try:
            return {definition.name: float(trimmed_mean(rows["distances"]))}
        except ValueError as error:
            raise ScoreError(f"{definition.name}: {error}") from error

    return on_rank_zero(mean)


class _Pairs:
    """Pairs of latents by their number. Args: as of `path_results`."""

    def __init__(
        self,
        definition: Definition,
        generator: nn.Module,
        detector: HasEmbedding,
        reals: Labelled | None,
        first_seed: int,
    ):
        self.generator = deepcopy(generator)
        compute_in(self.generator, None)
        self.device = next(self.generator.parameters()).device
        self.detector, self.first_seed = detector, first_seed
        self.options = dict(definition.options)
        num = definition.num_fakes
        random = np.random.default_rng([first_seed, _PLACE_STREAM])
        places = torch.from_numpy(random.random(num, dtype=np.float32))
        self.places = places * (self.options["sampling"] == "full")
        self.labels = LabelsOfFakes(reals, num, first_seed) if self.generator.c_dim else None

    def distances(self, numbers: range) -> Rows:
        """The perceptual distance over a step on the path of each pair."""
        firsts = [self.first_seed + 2 * number for number in numbers]
        ends = (latents_of([seed + end for seed in firsts], self.generator.z_dim) for end in (0, 1))
        noise = noise_of(firsts, self.generator.synthesis.noise_layers)
        found = path_distances(
            self.generator,
            *(end.to(self.device) for end in ends),
            None if self.labels is None else self.labels.of(numbers).to(self.device),
            self.places[numbers.start : numbers.stop].to(self.device),
            noise={name: values.to(self.device) for name, values in noise.items()},
            distance=self._distance,
            **{name: self.options[name] for name in ("epsilon", "space", "sampling", "crop")},
        )
        return {"distances": found.cpu()}

    def _distance(self, one: Tensor, other: Tensor) -> Tensor:
        return (self.detector.embedding(one) - self.detector.embedding(other)).square().sum(1)
