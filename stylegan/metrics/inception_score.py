"""Inception score: how sure a classifier is of each picture, and how much its answers differ."""

import numpy as np

from stylegan.metrics.features import Features, feature_matrix


def inception_score(probabilities: Features, *, splits: int = 10) -> tuple[float, float]:
    """exp of the mean KL divergence of p(class | picture) from p(class), over consecutive parts of the rows.

    Args: probabilities [N,K], rows summing to 1. splits: parts, from 1 to N.
    Returns: (mean, standard deviation) over the parts; the mean is in [1, K].
    Raises: ValueError for rows that are no probabilities, or splits out of range.
    Source: Salimans et al. 2016, section 4.
    """
    p = feature_matrix("probabilities", probabilities).astype(np.float64)
    if not 1 <= splits <= len(p):
        raise ValueError(f"splits must be from 1 to the number of rows, {len(p)}; got {splits}")
    wrong = (p < 0).any(axis=1) | (np.abs(p.sum(axis=1) - 1) > 1e-3)
    if wrong.any():
        raise ValueError(
            f"probabilities: {wrong.sum()} of {len(p)} rows are negative somewhere or do not sum to 1,"
            f" first row {wrong.argmax()}; are these logits?"
        )
    edges = [i * len(p) // splits for i in range(splits + 1)]
    scores = [_score(p[first:last]) for first, last in zip(edges, edges[1:], strict=False)]
    return float(np.mean(scores)), float(np.std(scores))


def _score(p: np.ndarray) -> float:
    # What has probability 0 adds nothing; where p is above 0 so is the mean.
    ratio = np.divide(p, p.mean(axis=0), out=np.ones_like(p), where=p > 0)
    return float(np.exp((p * np.log(ratio)).sum(axis=1).mean()))
