"""Do fakes differ from each other as much as reals do?"""

import math

import torch
from torch import Tensor

from stylegan.report.distances import filtered
from stylegan.report.evidence import Evidence
from stylegan.report.findings import Finding, percent

_MOST = 500
_RESAMPLES = 200
_LOOK, _BAD = 0.9, 0.7
_FEWEST = 20
_TITLE = "Are the fakes as varied as your pictures?"
_MEANS = (
    "Around 100 % is as it should be. Much less means that whole kinds of pictures are missing, or that all fakes "
    "come out plain."
)
_IF_TRUNCATED = (
    "If you made these with truncation below 1, try truncation=1: it trades variety for neatness.",
)


def mean_distance_ratio(fake: Tensor, real: Tensor) -> tuple[float, float, float]:
    """Mean distance between two fakes over that between two reals, and the ends of its 95 % interval.

    Args: fake: float [M,F]; real: float [N,F], two or more of each; at most 500 are looked at.
    The interval is that of 200 bootstrap samples of pictures, with a fixed seed.
    """
    generator = torch.Generator().manual_seed(2)
    sides = []
    for points in (fake, real):
        points = points[torch.randperm(len(points), generator=generator)[:_MOST]].to(torch.float32)
        distances = torch.cdist(points, points).to(torch.float64)
        draws = torch.randint(len(points), (_RESAMPLES, len(points)), generator=generator)
        weights = torch.zeros(_RESAMPLES, len(points), dtype=torch.float64)
        weights.scatter_add_(1, draws, torch.ones_like(draws, dtype=torch.float64))
        # A picture that is drawn twice is no pair of its own.
        pairs = weights.sum(1).square() - weights.square().sum(1)
        means = ((weights @ distances) * weights).sum(1) / pairs
        whole = distances.sum() / (len(points) * (len(points) - 1))
        sides.append((whole, means))
    (fakes, fake_draws), (reals, real_draws) = sides
    ends = (fake_draws / real_draws.clamp_min(1e-12)).quantile(torch.tensor([0.025, 0.975]).double())
    return float(fakes / reals.clamp_min(1e-12)), float(ends[0]), float(ends[1])


def diversity_finding(evidence: Evidence) -> Finding:
    """The ratio in pixels and, where there are features, in features: the lower one decides."""
    fewest = min(len(evidence.fake), len(evidence.real))
    if fewest < _FEWEST:
        return _unknown(
            f"There are only {fewest} different pictures to compare; {_FEWEST} are needed.",
            {"pictures": fewest},
            "Add pictures, or make a few hundred fakes: whichever are fewer.",
        )
    spaces = {"pixels": tuple(filtered(side.small).flatten(1) for side in (evidence.fake, evidence.real))}
    if evidence.fake.features is not None and evidence.real.features is not None:
        spaces["features"] = (evidence.fake.features, evidence.real.features)
    ratios = {space: mean_distance_ratio(*points) for space, points in spaces.items()}
    values = {}
    for name, three in ratios.items():
        values |= {f"ratio, {name}": round(three[0], 4), f"from, {name}": round(three[1], 4)}
        values |= {f"to, {name}": round(three[2], 4)}
    if not all(math.isfinite(value) for value in values.values()):
        return _unknown(
            "The distances are no numbers: features of some pictures are infinite or undefined.",
            values,
            "Look whether the detector's weights are the right ones.",
        )
    space, (ratio, low, high) = min(ratios.items(), key=lambda item: item[1][2])
    verdict = "bad" if high < _BAD else "look" if high < _LOOK else "fine"
    return Finding(
        key="diversity",
        title=_TITLE,
        verdict=verdict,
        result=f"Two fakes differ by {percent(ratio)} of what two of your pictures differ by, in {space} "
        f"({percent(low)} to {percent(high)}).",
        values=values,
        what_it_means=_MEANS,
        what_to_try=()
        if verdict == "fine"
        else (
            *(_IF_TRUNCATED if evidence.truncation is None else ()),
            "Train longer, if the pictures still get better: raise total_kimg.",
            "Raise loss.r1_gamma, to 2 to 4 times what explain=true shows.",
        ),
    )


def _unknown(result: str, values: dict, way_out: str) -> Finding:
    return Finding(
        key="diversity",
        title=_TITLE,
        verdict="unknown",
        result=result,
        values=values,
        what_it_means=_MEANS,
        what_to_try=(way_out,),
    )
