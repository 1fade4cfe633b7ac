"""From features to the numbers of a metric, each under the name that results give it."""

from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor

from stylegan.evaluation.definitions import Definition
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
    precision_recall,
)

Results = dict[str, float]


class ScoreError(ValueError):
    """What was drawn has no such score, as where path lengths are not finite. All processes say so alike."""


def score_of(definition: Definition, real: Tensor, fake: Tensor, *, seed: int) -> Results:
    """The results of a metric that compares features: real [N,F], fake [M,F].

    Args: seed: of the subsets that some metrics draw.
    Returns: {name: value}; the first one is what networks are ranked by.
    """
    return _COMPARING[definition.score](definition, real, fake, seed)


def inception_results(definition: Definition, probabilities: Tensor) -> Results:
    """Args: probabilities: of the classes, [M,K], in the order of the fakes."""
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
