"""Variety of the fakes: do they repeat each other, differ as much as reals do, and change smoothly along walks?"""

import math

import torch
from torch import Tensor

from stylegan.machine.text import counted_are
from stylegan.report.chance import Excess, excess
from stylegan.report.evidence import Evidence
from stylegan.report.findings import Finding, ImageGrid, Verdict, percent
from stylegan.similarity.duplicates import closest_pairs, nearest_others
from stylegan.similarity.neighbours import Neighbours
from stylegan.similarity.thumbnails import blurred, thumbnails

# Images that are needed for an answer about repeats or diversity.
_FEWEST = 20
_IF_TRUNCATED = (
    "If you made these with truncation below 1, try truncation=1: it trades variety for neatness.",
)

# Chance of a false alarm about repeats.
_LEVEL = 0.01
# Shares of fakes with a twin.
_REPEATS_LOOK, _REPEATS_BAD = 0.05, 0.3
_PAIRS_SHOWN = 6

# Ratios of mean distances.
_DIVERSITY_LOOK, _DIVERSITY_BAD = 0.9, 0.7
_MOST_COMPARED = 500
_RESAMPLES = 200

# A jump is a step this many times the mean of its walk, and this share of the distance between unrelated fakes.
_JUMP_STEPS, _JUMP_SHARE = 3.0, 0.5
# Shares of walks with a jump.
_JUMPS_LOOK, _JUMPS_BAD = 0.1, 0.4
_FEWEST_STEPS = 5
_WALKS_SHOWN, _STEPS_SHOWN = 4, 8


def repeats_finding(evidence: Evidence) -> Finding:
    """Mode collapse: whether fakes resemble each other more than as many reals do."""
    title = "Does it repeat itself?"
    fakes = evidence.fake.thumbnails
    count = min(len(fakes), len(evidence.real))
    if count < _FEWEST:
        return Finding.unknown(
            "repeats",
            title,
            result=f"Only {counted_are(count, 'picture')} there to compare; {_FEWEST} are needed.",
            values={"fakes": count},
            what_it_means="Among so few pictures, hardly any are alike by chance.",
            what_to_try=("Make a few hundred fakes.",),
        )
    generator = torch.Generator().manual_seed(1)
    some, others = (torch.randperm(n, generator=generator)[:count] for n in (len(fakes), len(evidence.real)))
    of_fakes = nearest_others(fakes[some])
    found = _excess_of_twins(of_fakes, nearest_others(evidence.real.thumbnails[others]))
    share = found.share if found.p_value < _LEVEL else 0.0
    verdict: Verdict = "bad" if share >= _REPEATS_BAD else "look" if share >= _REPEATS_LOOK else "fine"
    if verdict == "fine":
        result = f"No. Among {count} fakes there are no more lookalikes than among {count} of your pictures."
    else:
        result = f"Yes. About {percent(share)} of the fakes have a twin among {count}, beyond what your pictures have."
    return Finding(
        key="repeats",
        title=title,
        verdict=verdict,
        result=result,
        values={"share with a twin": round(share, 4), "p value": found.p_value, "fakes": count},
        what_it_means="Fakes that are nearly the same, whatever the seed, are called mode collapse: the generator "
        "knows a few pictures and leaves out the rest.",
        what_to_try=()
        if verdict == "fine"
        else (
            *(_IF_TRUNCATED if evidence.truncation is None else ()),
            "Raise loss.r1_gamma, to 2 to 4 times what explain=true shows, and train again.",
            "Go back to an earlier checkpoint, from before it happened.",
            "Train with a larger batch_size.",
        ),
        grids=() if verdict == "fine" else (_twins(evidence, some, of_fakes),),
    )


def _excess_of_twins(fakes: Neighbours, reals: Neighbours) -> Excess:
    # Twins are nearest to each other, and a family of lookalikes is many fakes nevertheless: each counts.
    own = torch.arange(len(fakes.distances))
    return excess(fakes.distances[:, 0], reals.distances[:, 0], fake_like=own, reference_like=own, cap=0.5)


def _twins(evidence: Evidence, some: Tensor, near: Neighbours) -> ImageGrid:
    rows = [
        [evidence.fake.full(int(some[place])) for place in pair]
        for pair in closest_pairs(near, most=_PAIRS_SHOWN)
    ]
    return ImageGrid("The fakes that are most alike", ("fake", "another fake"), rows)


def diversity_finding(evidence: Evidence) -> Finding:
    """The ratio of mean distances in pixels and, where there are features, in features: the lower one decides."""
    title = "Are the fakes as varied as your pictures?"
    means = (
        "Around 100 % is as it should be. Much less means that whole kinds of pictures are missing, or that all fakes "
        "come out plain."
    )
    fewest = min(len(evidence.fake), len(evidence.real))
    if fewest < _FEWEST:
        return Finding.unknown(
            "diversity",
            title,
            result=f"Only {counted_are(fewest, 'different picture')} there to compare; {_FEWEST} are needed.",
            values={"pictures": fewest},
            what_it_means=means,
            what_to_try=("Add pictures, or make a few hundred fakes: whichever are fewer.",),
        )
    ratios = {space: mean_distance_ratio(*sides) for space, sides in _spaces(evidence).items()}
    values: dict[str, float] = {}
    for space, (ratio, low, high) in ratios.items():
        values |= {f"ratio, {space}": round(ratio, 4), f"from, {space}": round(low, 4)}
        values |= {f"to, {space}": round(high, 4)}
    if not all(math.isfinite(value) for value in values.values()):
        return Finding.unknown(
            "diversity",
            title,
            result="The distances are not numbers: features of some pictures are infinite or undefined.",
            values=values,
            what_it_means=means,
            what_to_try=("Check that the detector's weights are the right ones.",),
        )
    space, (ratio, low, high) = min(ratios.items(), key=lambda item: item[1][2])
    verdict: Verdict = "bad" if high < _DIVERSITY_BAD else "look" if high < _DIVERSITY_LOOK else "fine"
    return Finding(
        key="diversity",
        title=title,
        verdict=verdict,
        result=f"Two fakes differ {percent(ratio)} as much as two of your pictures, measured in {space} "
        f"({percent(low)} to {percent(high)}).",
        values=values,
        what_it_means=means,
        what_to_try=()
        if verdict == "fine"
        else (
            *(_IF_TRUNCATED if evidence.truncation is None else ()),
            "Train longer, if the pictures still get better: raise total_kimg.",
            "Raise loss.r1_gamma, to 2 to 4 times what explain=true shows.",
        ),
    )


def _spaces(evidence: Evidence) -> dict[str, tuple[Tensor, Tensor]]:
    """Where distances are measured: name → fakes [M,F] and reals [N,F]."""
    fake, real = evidence.fake, evidence.real
    spaces = {"pixels": (blurred(fake.thumbnails).flatten(1), blurred(real.thumbnails).flatten(1))}
    if fake.features is not None and real.features is not None:
        spaces["features"] = (fake.features, real.features)
    return spaces


def mean_distance_ratio(fake: Tensor, real: Tensor) -> tuple[float, float, float]:
    """Mean distance between two fakes over that between two reals.

    Args:
        fake: float [M,F], M of 2 or more; at most 500 are compared.
        real: float [N,F], likewise.
    Returns: the ratio, and the ends of its 95 % interval by 200 bootstrap samples with a fixed seed.
    """
    generator = torch.Generator().manual_seed(2)
    sides = []
    for points in (fake, real):
        points = points[torch.randperm(len(points), generator=generator)[:_MOST_COMPARED]].to(torch.float32)
        distances = torch.cdist(points, points).to(torch.float64)
        draws = torch.randint(len(points), (_RESAMPLES, len(points)), generator=generator)
        weights = torch.zeros(_RESAMPLES, len(points), dtype=torch.float64)
        weights.scatter_add_(1, draws, torch.ones_like(draws, dtype=torch.float64))
        # An image that is drawn twice is not a pair.
        pairs = weights.sum(1).square() - weights.square().sum(1)
        means = ((weights @ distances) * weights).sum(1) / pairs
        whole = distances.sum() / (len(points) * (len(points) - 1))
        sides.append((whole, means))
    (fakes, fake_draws), (reals, real_draws) = sides
    ends = (fake_draws / real_draws.clamp_min(1e-12)).quantile(torch.tensor([0.025, 0.975]).double())
    return float(fakes / reals.clamp_min(1e-12)), float(ends[0]), float(ends[1])


def smoothness_finding(evidence: Evidence) -> Finding:
    """The share of walks between latents with a jump."""
    title = "Do fakes change smoothly from one to the next?"
    strips = evidence.strips
    if strips is None or strips.shape[1] < _FEWEST_STEPS:
        return Finding.unknown(
            "smoothness",
            title,
            result="No walks between fakes of five steps or more were given.",
            what_it_means="A generator that knows single pictures jumps from one to the next; one that has learned "
            "what they have in common changes little by little.",
            what_to_try=("Give interpolation strips.",),
        )
    steps = steps_of(strips)
    largest, mean = steps.max(1).values, steps.mean(1)
    abruptness = largest / mean.clamp_min(1e-6)
    # Of few steps even all in one is not many times the mean.
    limit = min(_JUMP_STEPS, 0.6 * steps.shape[1])
    jumps = (abruptness >= limit) & (largest >= _JUMP_SHARE * _unrelated(evidence))
    share = float(jumps.double().mean())
    verdict: Verdict = "bad" if share >= _JUMPS_BAD else "look" if share >= _JUMPS_LOOK else "fine"
    order = abruptness.argsort(descending=True, stable=True)[:_WALKS_SHOWN].tolist()
    return Finding(
        key="smoothness",
        title=title,
        verdict=verdict,
        result=f"{percent(share)} of {len(strips)} walks between fakes jump. The largest step of a walk is typically "
        f"{float(abruptness.median()):.1f} times its mean step; at constant speed it is 1, in a single leap "
        f"{steps.shape[1]}.",
        values={
            "share of walks that jump": round(share, 4),
            "largest step over mean step": round(float(abruptness.median()), 4),
            "walks": len(strips),
            "steps": steps.shape[1],
        },
        what_it_means="Jumps are the mark of pictures learned by heart: between two of them there is nothing. "
        f"A jump is a step of {limit:.1f} mean steps that changes at least half of what two unrelated fakes differ by.",
        what_to_try=()
        if verdict == "fine"
        else (
            "Read the answer about copies; the same steps help here.",
            "Keep the path-length penalty on: loss.pl_weight=2.",
            "Go back to an earlier checkpoint.",
        ),
        grids=(_walks(strips, order),),
    )


def steps_of(strips: Tensor) -> Tensor:
    """How much the image changes from step to step: uint8 [P,T,C,H,W] → float32 [P,T-1], root mean square."""
    walks, length = strips.shape[:2]
    small = blurred(thumbnails(strips.flatten(0, 1))).flatten(1).unflatten(0, (walks, length))
    return (small[:, 1:] - small[:, :-1]).square().mean(2).sqrt()


def _unrelated(evidence: Evidence) -> float:
    """Mean distance between two fakes, root mean square of their pixels."""
    generator = torch.Generator().manual_seed(3)
    chosen = torch.randperm(len(evidence.fake), generator=generator)[:200]
    some = blurred(evidence.fake.thumbnails[chosen]).flatten(1)
    return float(torch.pdist(some).mean()) / some.shape[1] ** 0.5 if len(some) > 1 else 0.0


def _walks(strips: Tensor, order: list[int]) -> ImageGrid:
    length = strips.shape[1]
    places = torch.linspace(0, length - 1, min(length, _STEPS_SHOWN)).round().long().tolist()
    rows = [[strips[walk, place] for place in places] for walk in order]
    return ImageGrid("The most abrupt walks", [f"{place + 1}" for place in places], rows)
