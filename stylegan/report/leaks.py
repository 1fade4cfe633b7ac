"""Augmentation leaks: do fakes come turned, mirrored or in other colours than the reals?

`TURNED` and `COLOURED` list the ways that are looked for, "as it is" first; `stylegan.report.prior_estimation` learns
from low-level descriptions of images changed in each way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as nn_functional

from stylegan.report.evidence import Evidence
from stylegan.report.findings import Finding, ImageGrid, Value, Verdict, percent
from stylegan.report.prior_estimation import Shares, shares_of

_FEWEST = 40
_MOST = 400
_LOOK, _BAD = 0.05, 0.2
_SHOWN = 6
# Up to this probability too few images are augmented for a share of the fakes that would count.
_ABOUT_ZERO_P = 0.05

Change = Callable[[Tensor], Tensor]
# float32 [N,C,h,w] in grey levels, square where a change turns → the same shape.
TURNED: dict[str, Change] = {
    "as it is": lambda x: x,
    "mirrored": lambda x: x.flip(-1),
    "a quarter turn": lambda x: x.rot90(1, (-2, -1)),
    "a half turn": lambda x: x.rot90(2, (-2, -1)),
    "three quarters of a turn": lambda x: x.rot90(3, (-2, -1)),
    "upside down": lambda x: x.flip(-2),
    "transposed": lambda x: x.transpose(-2, -1),
    "transposed the other way": lambda x: x.rot90(2, (-2, -1)).transpose(-2, -1),
}
COLOURED: dict[str, Change] = {
    "as it is": lambda x: x,
    "negative": lambda x: 255 - x,
    "another hue": lambda x: x.roll(1, 1),
    "yet another hue": lambda x: x.roll(2, 1),
    "without colour": lambda x: x.mean(1, keepdim=True).expand_as(x),
    "darker": lambda x: (x - 60).clamp_min(0),
    "brighter": lambda x: (x + 60).clamp_max(255),
}
# The ways that also mirror; where training saw mirror images, such fakes are as they should be.
_MIRRORED = ("mirrored", "upside down", "transposed", "transposed the other way")
_OF_GREY = ("as it is", "negative", "darker", "brighter")
# A network that has not learned the light of its images yet looks alike, without any augmentation.
_WEAK_SIGNS = ("darker", "brighter")
_NOT_DONE = "a network that is not done learning looks like this, too"


@dataclass(frozen=True, kw_only=True)
class _Question:
    """A kind of leak.

    key, title: of the finding. describe: images, float32 [N,C,h,w] in grey levels → descriptions, float32 [N,D].
    alike: what to say where the reals look the same in all ways. means: what the answer means. ways_out: what to try.
    """

    key: str
    title: str
    describe: Callable[[Tensor], Tensor]
    alike: str
    means: str
    ways_out: Sequence[str]


def orientation_finding(evidence: Evidence) -> Finding:
    """Shares of turned and mirrored fakes."""
    ways = {way: TURNED[way] for way in TURNED if not (evidence.xflip and way in _MIRRORED)}
    question = _Question(
        key="orientation",
        title="Are fakes turned or mirrored?",
        describe=layout,
        alike="Your pictures look much the same turned or mirrored, so that turned fakes would not show.",
        means="Augmentation turns and mirrors pictures during training. Where it is too strong the generator learns "
        "that pictures are turned. (Some of your own pictures may be turned, too: that is allowed for.)",
        ways_out=(
            "Limit augmentation: ada.p_max=0.6, or raise ada.target, as in ada.target=0.7.",
            "Leave the turns out: augpipe=color, or augpipe.rotate90=0 augpipe.rotate=0.",
            "Add pictures: with more of them ada=adaptive augments less by itself.",
        ),
    )
    return _answer(question, evidence, ways)


def colour_finding(evidence: Evidence) -> Finding:
    """Shares of fakes in other colours."""
    grey = evidence.real.thumbnails.shape[1] == 1
    ways = {way: COLOURED[way] for way in COLOURED if not grey or way in _OF_GREY}
    question = _Question(
        key="colour",
        title="Do fakes have other colours than your pictures?",
        describe=palette,
        alike="Your pictures have all sorts of colours, so that changed ones would not show.",
        means="Augmentation changes brightness, contrast and hue during training. Where it is too strong the "
        "generator learns colours that no picture has.",
        ways_out=(
            "Leave the colours out: augpipe=bg.",
            "Limit augmentation: ada.p_max=0.6, or raise ada.target, as in ada.target=0.7.",
            "Train longer: colours settle late.",
        ),
    )
    return _answer(question, evidence, ways)


def _not_asked(question: _Question, p: float) -> Finding:
    how = (
        "Training did not augment (p was 0)"
        if p == 0
        else f"Training hardly augmented (p was {p:.2g} at most)"
        if p >= 0.0001
        else "Training hardly augmented (p was below 0.0001)"
    )
    return Finding(
        key=question.key,
        title=question.title,
        verdict="fine",
        result=f"No. {how}, so no augmentation can have leaked.",
        values={"largest p": float(f"{p:.4g}")},
        what_it_means=question.means,
    )


def _answer(question: _Question, evidence: Evidence, ways: Mapping[str, Change]) -> Finding:
    if evidence.augment_p is not None and evidence.augment_p <= _ABOUT_ZERO_P:
        return _not_asked(question, evidence.augment_p)
    if min(len(evidence.real), len(evidence.fake)) < _FEWEST:
        return Finding.unknown(
            question.key,
            question.title,
            result=f"{_FEWEST} pictures and as many fakes are needed for an answer.",
            what_it_means=question.means,
            what_to_try=("Make a few hundred fakes.",),
        )
    found = measured(evidence.real.thumbnails, evidence.fake.thumbnails, ways, question.describe)
    values: dict[str, Value] = {
        "share changed": round(found.changed, 4),
        "by chance": round(found.by_chance, 4),
    }
    for number, way in enumerate(ways):
        seen = number == 0 or bool(found.seen[number])
        values[way] = round(float(found.shares[number]), 4) if seen else "cannot be seen"
    if not bool(found.seen.any()):
        return Finding.unknown(
            question.key,
            question.title,
            result=question.alike,
            what_it_means=question.means,
            what_to_try=("Look at the fakes yourself.",),
            values=values,
        )
    verdict, result = _verdict_on(found, list(ways))
    return Finding(
        key=question.key,
        title=question.title,
        verdict=verdict,
        result=result,
        values=values,
        what_it_means=question.means,
        what_to_try=() if verdict == "fine" else question.ways_out,
        grids=() if verdict == "fine" else (_side_by_side(evidence),),
    )


def _verdict_on(found: Shares, ways: Sequence[str]) -> tuple[Verdict, str]:
    """The verdict and its reason: weak signs count for a look, and never for more."""
    strong = torch.tensor([number > 0 and way not in _WEAK_SIGNS for number, way in enumerate(ways)])
    weak = torch.tensor([way in _WEAK_SIGNS for way in ways])
    changed, surely = found.changed_in(strong), found.surely_in(strong)
    if surely and changed >= _LOOK:
        result = f"Yes. About {percent(changed)} of the fakes look changed, most of them: {_most(found, ways, strong)}."
        if found.surely_in(weak) and found.changed_in(weak) >= _LOOK:
            result += (
                f" Another {percent(found.changed_in(weak))} are {_most(found, ways, weak)}: {_NOT_DONE}."
            )
        return ("bad" if changed >= _BAD else "look"), result
    if found.surely and found.changed >= _LOOK:
        most = _most(found, ways, strong | weak)
        result = f"Yes. About {percent(found.changed)} of the fakes look changed, most of them: {most}."
        return "look", f"{result} {_NOT_DONE[0].upper()}{_NOT_DONE[1:]}." if most in _WEAK_SIGNS else result
    result = f"No. Fewer than {percent(max(found.by_chance, _LOOK))} of the fakes could not be noticed."
    hidden = [way for number, way in enumerate(ways) if number and not found.seen[number]]
    if hidden:
        result += f" Your pictures do not show whether they are: {', '.join(hidden)}."
    return "fine", result


def _most(found: Shares, ways: Sequence[str], among: Tensor) -> str:
    return ways[int(torch.where(among, found.shares, -1.0).argmax())]


def measured(
    real: Tensor, fake: Tensor, ways: Mapping[str, Change], describe: Callable[[Tensor], Tensor]
) -> Shares:
    """Estimated shares of the ways among the fakes.

    Args:
        real: thumbnails, uint8 [N,c,h,w].
        fake: thumbnails, uint8 [M,c,h,w].
        ways: "as it is" first.
        describe: `layout` or `palette`.
    """
    generator = torch.Generator().manual_seed(6)
    sides = []
    for images in (real, fake):
        some = torch.randperm(len(images), generator=generator)[:_MOST]
        sides.append(_square(images[some].to(torch.float32)))
    return shares_of(torch.stack([describe(way(sides[0])) for way in ways.values()]), describe(sides[1]))


def _square(images: Tensor) -> Tensor:
    """The largest square in the middle: a quarter turn keeps its shape."""
    height, width = images.shape[-2:]
    side = min(height, width)
    down, across = (height - side) // 2, (width - side) // 2
    return images[..., down : down + side, across : across + side]


def layout(images: Tensor) -> Tensor:
    """What lies where: 8 x 8 colours without their mean, and the gradients down and across in 4 x 4 cells.

    Args:
        images: float32 [N,C,h,w] in grey levels.
    Returns: float32 [N,D].
    """
    size = min(8, images.shape[-1])
    cells = nn_functional.adaptive_avg_pool2d(images, size).flatten(1)
    grey = images.mean(1, keepdim=True)
    # Central differences, alike in both directions: a turned image has the turned values.
    down = (grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]).abs()
    across = (grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]).abs()
    edges = [nn_functional.adaptive_avg_pool2d(x, 4).sqrt().flatten(1) for x in (down, across)]
    return torch.cat([(cells - cells.mean(1, keepdim=True)) / 16, *edges], dim=1)


def palette(images: Tensor) -> Tensor:
    """Which colours there are: a histogram of 4 steps a channel, means, and spreads of and between channels.

    Args:
        images: float32 [N,C,h,w] in grey levels.
    Returns: float32 [N,D].
    """
    flat = images.flatten(2)
    channels = flat.shape[1]
    steps = (flat / 64).floor().clamp(0, 3).to(torch.int64)
    number = sum(steps[:, channel] * 4**channel for channel in range(channels))
    histogram = nn_functional.one_hot(number, 4**channels).to(torch.float32).mean(1).sqrt()
    centred = flat - flat.mean(2, keepdim=True)
    spread = (centred @ centred.transpose(1, 2) / flat.shape[2]).flatten(1)
    return torch.cat([histogram, flat.mean(2), spread.sign() * spread.abs().sqrt()], dim=1)


def _side_by_side(evidence: Evidence) -> ImageGrid:
    places = torch.linspace(0, len(evidence.fake) - 1, _SHOWN).round().long().tolist()
    others = torch.linspace(0, len(evidence.real) - 1, _SHOWN).round().long().tolist()
    rows = [[evidence.fake.full(f), evidence.real.full(r)] for f, r in zip(places, others, strict=True)]
    return ImageGrid("Some fakes and some of your pictures", ("fake", "your picture"), rows)
