"""Are fakes copies of training pictures? The test: do fakes lie nearer to single reals than pictures that cannot.

Three values of every fake say how much its nearest real stands out: under the invariant distance, as half of a blend
of two, and in feature space. They are compared with the same values of pictures that are no copies: those held out
of training, or each of some reals among all the others.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan.report.blends import Pairs, best_pairs
from stylegan.report.chance import Excess, excess
from stylegan.report.distances import Neighbours, nearest, nearest_features
from stylegan.report.evidence import Evidence, Pictures

# Chance of a false alarm that is allowed, over all values and quantiles together.
LEVEL = 0.01
# Smaller shares of copies than these do not matter.
SHARE_BAD, SHARE_LOOK = 0.05, 0.02
# A nearest real that is not at least this much nearer than the next ones is never called the original. A feature
# detector puts a copy that was shifted or coloured anew further off than pixels do.
CAPS = {"nearest": 0.75, "blend": 0.75, "features": 0.85}
FEWEST_REALS, FEWEST_HELD_OUT = 20, 50
# Reference pictures beyond these make the test finer than anybody needs.
MOST_REFERENCE = 500


@dataclass(frozen=True)
class Looked:
    """What was found about M pictures; features is None where there are none."""

    neighbours: Neighbours
    pairs: Pairs
    features: Neighbours | None

    def values(self) -> dict[str, Tensor]:
        """Name → float [M], small where a real, or a pair of them, stands out."""
        found = {"nearest": self.neighbours.standing_out(), "blend": self.pairs.standing_out()}
        if self.features is not None:
            found["features"] = self.features.standing_out()
        return found

    def likest(self) -> dict[str, Tensor]:
        """Name → int64 [M], the real that each value is about."""
        found = {"nearest": self.neighbours.indices[:, 0], "blend": self.pairs.indices[:, 0]}
        if self.features is not None:
            found["features"] = self.features.indices[:, 0]
        return found


@dataclass(frozen=True)
class Copies:
    """The outcome of the test.

    p_value: corrected for all that was looked at. share: of the fakes that are copies, beyond chance. by: name of a
    value → its own excess. copied: bool [M], the fakes that were counted. order: int64 [M], the fakes, most
    suspicious first.
    """

    fakes: Looked
    known: "Known"
    p_value: float
    share: float
    by: dict[str, Excess]
    copied: Tensor
    order: Tensor

    @property
    def verdict(self) -> str:
        if self.p_value >= LEVEL or self.share < SHARE_LOOK:
            return "fine"
        return "bad" if self.share >= SHARE_BAD else "look"


@dataclass(frozen=True)
class Known:
    """Pictures that are no copies: kind "held-out" or "reals"; values and the reals they are about, as of `Looked`."""

    kind: str
    values: dict[str, Tensor]
    likest: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.values["nearest"])


def look_for_copies(evidence: Evidence) -> Copies | None:
    """The test; None for fewer than 20 different reals. Equal evidence gives equal results.

    Args: evidence: `without_repeats`: a picture that is there twice looks like a copy of itself.
    """
    if len(evidence.real) < FEWEST_REALS:
        return None
    known = known_pictures(evidence.real, evidence.held_out)
    return judge(look(evidence.real, evidence.fake), known)


def look(real: Pictures, pictures: Pictures, itself: Tensor | None = None) -> Looked:
    """The reals that M pictures look like; itself: int64 [M], the real that each of them is, or None."""
    near = None
    if pictures.features is not None and real.features is not None:
        near = nearest_features(real.features, pictures.features, itself=itself)
    return Looked(
        nearest(real.small, pictures.small, itself=itself),
        best_pairs(real.small, pictures.small, itself=itself),
        near,
    )


def known_pictures(real: Pictures, held_out: Pictures | None) -> Known:
    """What the values are without copying: of held-out pictures, if there are 50, else of reals among the others."""
    if held_out is not None and len(held_out) >= FEWEST_HELD_OUT:
        found = look(real, held_out.only(_some(len(held_out))))
        return Known("held-out", found.values(), found.likest())
    some = _some(len(real))
    found = look(real, real.only(some), some)
    # Twins are nearest to each other, which is one event.
    about = {key: torch.minimum(value, some) for key, value in found.likest().items()}
    return Known("reals", found.values(), about)


def judge(fakes: Looked, known: Known) -> Copies:
    """Whether fakes stand out more than known pictures do."""
    values, likest = fakes.values(), fakes.likest()
    by = {
        key: excess(
            values[key], value, fake_like=likest[key], reference_like=known.likest[key], cap=CAPS[key]
        )
        for key, value in known.values.items()
        if key in values
    }
    smallest = min(found.p_value for found in by.values())
    sure = [found for found in by.values() if found.p_value * len(by) < LEVEL]
    copied = torch.stack([found.below for found in sure]).any(0) if sure else None
    return Copies(
        fakes=fakes,
        known=known,
        p_value=min(1.0, smallest * len(by)),
        share=max((found.share for found in sure), default=0.0),
        by=by,
        copied=torch.zeros_like(values["nearest"], dtype=torch.bool) if copied is None else copied,
        order=torch.minimum(values["nearest"], values["blend"]).argsort(stable=True),
    )


def _some(count: int) -> Tensor:
    """At most 500 of them, always the same ones."""
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(count, generator=generator)[:MOST_REFERENCE].sort().values
