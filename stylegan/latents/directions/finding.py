"""Finding: the directions of one network by a named method, with a line about each, and what they become when kept."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stylegan.latents.directions.boundary import find_boundary, read_scores
from stylegan.latents.directions.channels import rank_channels
from stylegan.latents.directions.direction import Channel, Direction
from stylegan.latents.directions.linear import closed_form_factors, principal_components, without
from stylegan.latents.directions.moments import Moments, moments_of, sampled_ws
from stylegan.latents.drawer import Drawer
from stylegan.latents.labels import ALL
from stylegan.latents.points import parse_points
from stylegan.machine.text import printable

METHODS = ("sefa", "pca", "boundary", "class_mean", "channels")
UNITS = ("sigma", "absolute")
# Images whose gradients rank the style channels.
_LOOKED_AT = 8

# A class by the name that its images have, and its label [K]; None for a network without labels.
NamedLabel = tuple[str, Tensor | None]


class Found(NamedTuple):
    """What a method found.

    Args:
        vectors: unit vectors float32 [D,W]; None for style channels.
        names: D of them, for messages.
        lines: what there is to say of each.
        moments: of w, for sigma.
        channels: with their sigmas, in place of vectors.
    """

    vectors: Tensor | None
    names: list[str]
    lines: list[str]
    moments: Moments
    channels: Sequence[tuple[Channel, float]] = ()


def find_factors(
    drawer: Drawer,
    labels: Sequence[NamedLabel],
    layers: Sequence[int],
    *,
    count: int,
    samples: int,
    variant: str = "normalised",
) -> Found:
    """The first closed-form factors of the chosen layers' styles, as in `closed_form_factors`.

    Args: labels: of the seeds that give sigma, which take them in turn. samples: how many seeds.
    Raises: ValueError as there.
    """
    vectors, values = closed_form_factors(drawer.generator, layers, count, variant=variant)
    moments = moments_of_w(drawer, labels, samples)
    lines = [
        f"eigenvalue {float(value):.4g}, sigma of w {float(sigma):.4g}"
        for value, sigma in zip(values, moments.sigma(vectors), strict=True)
    ]
    return Found(vectors, _numbered("sefa", count), lines, moments)


def find_components(drawer: Drawer, labels: Sequence[NamedLabel], *, count: int, samples: int) -> Found:
    """The first principal components of w, as in `principal_components`. Raises: ValueError as there."""
    moments = moments_of_w(drawer, labels, samples)
    vectors, sigmas = principal_components(moments, count)
    total = float(moments.covariance.trace())
    lines = [f"sigma {float(sigma):.4g}, {float(sigma) ** 2 / total:.1%} of the variance" for sigma in sigmas]
    return Found(vectors, _numbered("pca", count), lines, moments)


def find_boundary_of(
    drawer: Drawer,
    labels: Sequence[NamedLabel],
    *,
    scores: Path,
    samples: int,
    share: float | None = None,
) -> Found:
    """The direction from low scores to high ones, as in `find_boundary`, of latents and scores in a CSV.

    Args: labels: of the seeds, which take them in turn by their number.
    Raises: ValueError as `read_scores` and `find_boundary`.
    """
    labelled = read_scores(scores)
    points = labelled.points
    numbers = [place if point.seed is None else point.seed for place, point in enumerate(points)]
    own = [labels[number % len(labels)][1] for number in numbers]
    label = None if own[0] is None else torch.stack([one for one in own if one is not None])
    # Layers of a w of its own may differ; the direction is one for all of them.
    ws = drawer.raw_ws(points, label).to("cpu", torch.float64).mean(dim=1)
    found = find_boundary(ws, labelled.scores, share=share)
    line = (
        f"{found.accuracy:.1%} of {found.held_out} held-out latents are on their side; found with {found.trained},"
        f" {found.share:.1%} of {len(points):,} at each end"
    )
    if found.accuracy < 0.6:
        line += "; this is hardly better than chance: give more latents, or clearer scores"
    return Found(found.normal[None], [scores.stem], [line], moments_of_w(drawer, labels, samples))


def find_class_means(
    drawer: Drawer, pairs: Sequence[tuple[Sequence[NamedLabel], Sequence[NamedLabel]]], *, samples: int
) -> Found:
    """For each pair of classes, or of groups of them, the direction from the second one's mean w to the first one's.

    The same seeds are mapped for each class, so that what they have in common cancels.

    Args: samples: seeds of each class.
    Raises: ValueError where two means are equal.
    """
    wanted = {name: label for pair in pairs for side in pair for name, label in side}
    means = {
        name: moments_of(sampled_ws(drawer.sampler, samples, [label])).mean for name, label in wanted.items()
    }
    moments = moments_of_w(drawer, list(wanted.items()), samples)
    gaps = [
        torch.stack([means[name] for name, _ in high]).mean(dim=0)
        - torch.stack([means[name] for name, _ in low]).mean(dim=0)
        for high, low in pairs
    ]
    lengths = [float(gap.norm()) for gap in gaps]
    if not all(length > 1e-9 for length in lengths):
        raise ValueError("label: the classes have the same mean w; nothing leads from one to the other")
    vectors = torch.stack([gap / length for gap, length in zip(gaps, lengths, strict=True)]).to(torch.float32)
    lines = [
        f"the means are {length:.4g} apart, {length / float(sigma):.2f} sigma"
        for length, sigma in zip(lengths, moments.sigma(vectors), strict=True)
    ]
    return Found(vectors, ["-".join((_called(high), _called(low))) for high, low in pairs], lines, moments)


def find_channels(
    drawer: Drawer, labels: Sequence[NamedLabel], layers: Sequence[int], *, count: int, samples: int
) -> Found:
    """The style channels of the chosen layers with the largest effect times locality, as in `rank_channels`."""
    moments = moments_of_w(drawer, labels, samples)
    own = [labels[seed % len(labels)][1] for seed in range(_LOOKED_AT)]
    label = None if own[0] is None else torch.stack([one for one in own if one is not None])
    ws = drawer.raw_ws(parse_points(f"0-{_LOOKED_AT - 1}"), label)
    ranked = rank_channels(drawer.generator, ws, moments, layers, count)
    lines = [
        f"{one.channel.layer} channel {one.channel.number}: {one.effect * 127.5:.2f} grey levels for one sigma,"
        f" locality {one.locality:.2f}"
        for one in ranked
    ]
    channels = [(one.channel, one.sigma) for one in ranked]
    return Found(None, _numbered("channels", len(ranked)), lines, moments, channels)


def kept(
    found: Found,
    *,
    method: str,
    layers: Sequence[int],
    num_ws: int,
    unit: str = "sigma",
    others: Tensor | None = None,
) -> list[Direction]:
    """What was found, as directions.

    Args:
        layers: that are moved.
        unit: of strengths: sigma | absolute = distances in w, or of a style.
        others: [M,W] that are projected out of the vectors; None = none.
    Raises: ValueError as `without`, and for others besides style channels.
    """
    if found.vectors is None:
        if others is not None:
            raise ValueError("orthogonal_to: a style channel stands alone; it has no projection")
        return [
            Direction(channel=channel, sigma=sigma if unit == "sigma" else 1.0, name=name, method=method)
            for (channel, sigma), name in zip(found.channels, found.names, strict=True)
        ]
    vectors = found.vectors if others is None else without(found.vectors, others)
    sigmas = found.moments.sigma(vectors).tolist() if unit == "sigma" else [1.0] * len(vectors)
    return [
        Direction(
            vector=vector[None],
            sigma=sigma,
            layers=None if len(layers) == num_ws else tuple(layers),
            name=name,
            method=method,
        )
        for vector, sigma, name in zip(vectors, sigmas, found.names, strict=True)
    ]


def moments_of_w(drawer: Drawer, labels: Sequence[NamedLabel], samples: int) -> Moments:
    """Mean and covariance of w over the seeds 0 to `samples` - 1, which take the labels in turn."""
    return moments_of(sampled_ws(drawer.sampler, samples, [label for _, label in labels]))


def parse_classes(
    text: str | int | None, drawer: Drawer
) -> list[tuple[Sequence[NamedLabel], Sequence[NamedLabel]]]:
    """`fox-dog` → the pair (fox, dog); `all` → each class against all others.

    Raises: ValueError where the network has no classes, or the text is no pair of them.
    """
    if drawer.generator.c_dim == 0:
        raise ValueError(f"find=class_mean needs classes, and {drawer.name} was trained without labels")
    written = "" if text is None else str(text).strip()
    if written == ALL:
        every = drawer.labels(ALL)
        if len(every) > 2:
            return [([one], [other for other in every if other is not one]) for one in every]
        return [([every[1]], [every[0]])]
    # A name may hold a dash itself, so each place to divide is tried.
    places = [place for place, character in enumerate(written) if character == "-"]
    for place in places:
        sides = written[:place].strip(), written[place + 1 :].strip()
        try:
            (high,), (low,) = (drawer.labels(side) for side in sides)
        except ValueError:
            continue
        return [([high], [low])]
    if len(places) == 1:
        # Says which of the two it is.
        for side in written.split("-"):
            drawer.labels(side.strip())
    raise ValueError(
        f"label={printable(written[:60]) or 'null'}: find=class_mean takes two classes, as in label=fox-dog, or"
        " label=all"
    )


def file_name(text: str) -> str:
    """A text, such as the name of a class, as part of a file's name."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("._") or "direction"


def _called(side: Sequence[NamedLabel]) -> str:
    return side[0][0] if len(side) == 1 else "rest"


def _numbered(stem: str, count: int) -> list[str]:
    return [stem] if count == 1 else [f"{stem}-{number}" for number in range(count)]
