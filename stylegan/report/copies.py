"""Copy test: do fakes lie nearer to single training images than images that cannot be copies?

Three values of every fake say how much its nearest real stands out: under the invariant distance, as half of a blend
of two, and in feature space. They are compared with the same values of reference images, which are not copies: those
held out of training, or each of some reals among all the others.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan.report.chance import Excess, excess
from stylegan.report.evidence import Evidence, ReportImages
from stylegan.report.findings import Verdict
from stylegan.similarity.blends import Pairs, best_pairs
from stylegan.similarity.neighbours import Neighbours, nearest, nearest_features

# Chance of a false alarm that is allowed, over all values and quantiles together.
LEVEL = 0.01
# Smaller shares of copies than these do not matter.
SHARE_BAD, SHARE_LOOK = 0.05, 0.02
# A nearest real that is not at least this much nearer than the next ones is never called the original. A feature
# detector puts a copy that was shifted or recoloured further off than pixels do.
CAPS = {"nearest": 0.75, "blend": 0.75, "features": 0.85}
FEWEST_REALS, FEWEST_HELD_OUT = 20, 50
# More reference images than these make the test finer than anybody needs.
MOST_REFERENCE = 500


@dataclass(frozen=True)
class Likeness:
    """The reals that M images are like.

    Args:
        neighbours: under the invariant distance.
        pairs: of which they may be blends.
        features: neighbours in feature space; None = there are no features.
    """

    neighbours: Neighbours
    pairs: Pairs
    features: Neighbours | None

    def values(self) -> dict[str, Tensor]:
        """Name → float [M], small where a real, or a pair of them, stands out."""
        found = {"nearest": self.neighbours.distance_ratio(), "blend": self.pairs.residual_ratio()}
        if self.features is not None:
            found["features"] = self.features.distance_ratio()
        return found

    def nearest_reals(self) -> dict[str, Tensor]:
        """Name → int64 [M], the real that each value is about."""
        found = {"nearest": self.neighbours.indices[:, 0], "blend": self.pairs.indices[:, 0]}
        if self.features is not None:
            found["features"] = self.features.indices[:, 0]
        return found


@dataclass(frozen=True)
class Reference:
    """Images that are not copies.

    Args:
        kind: "held-out" or "reals".
        values: as of `Likeness`.
        nearest_reals: as of `Likeness`.
    """

    kind: str
    values: dict[str, Tensor]
    nearest_reals: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.values["nearest"])


@dataclass(frozen=True)
class Copies:
    """The outcome of the test.

    Attributes:
        fakes: what they are like.
        reference: what they were compared with.
        p_value: corrected for all comparisons.
        share: of the fakes that are copies, beyond chance.
        by: name of a value → its own excess.
        copied: bool [M], the fakes that were counted.
        order: int64 [M], the fakes, most suspicious first.
    """

    fakes: Likeness
    reference: Reference
    p_value: float
    share: float
    by: dict[str, Excess]
    copied: Tensor
    order: Tensor

    @property
    def verdict(self) -> Verdict:
        if self.p_value >= LEVEL or self.share < SHARE_LOOK:
            return "fine"
        return "bad" if self.share >= SHARE_BAD else "look"


def find_copies(evidence: Evidence) -> Copies | None:
    """The copy test. Equal evidence gives equal results.

    Args:
        evidence: `without_repeats`, since an image that is there twice looks like a copy of itself.
    Returns: None for fewer than 20 different reals.
    """
    if len(evidence.real) < FEWEST_REALS:
        return None
    reference = reference_images(evidence.real, evidence.held_out)
    return compare(likeness(evidence.real, evidence.fake), reference)


def likeness(real: ReportImages, images: ReportImages, itself: Tensor | None = None) -> Likeness:
    """The reals that M images are like.

    Args:
        real: N images.
        images: M images.
        itself: int64 [M], the real that each of them is; None = they are not reals.
    """
    features = None
    if images.features is not None and real.features is not None:
        features = nearest_features(real.features, images.features, itself=itself)
    return Likeness(
        nearest(real.thumbnails, images.thumbnails, itself=itself),
        best_pairs(real.thumbnails, images.thumbnails, itself=itself),
        features,
    )


def reference_images(real: ReportImages, held_out: ReportImages | None) -> Reference:
    """The values without copying: of held-out images, if there are 50, else of reals among the others."""
    if held_out is not None and len(held_out) >= FEWEST_HELD_OUT:
        found = likeness(real, held_out.only(_some(len(held_out))))
        return Reference("held-out", found.values(), found.nearest_reals())
    some = _some(len(real))
    found = likeness(real, real.only(some), some)
    # Twins are nearest to each other, which is one event.
    about = {key: torch.minimum(value, some) for key, value in found.nearest_reals().items()}
    return Reference("reals", found.values(), about)


def compare(fakes: Likeness, reference: Reference) -> Copies:
    """Whether reals stand out more next to fakes than next to reference images."""
    values, nearest_reals = fakes.values(), fakes.nearest_reals()
    by = {
        key: excess(
            values[key],
            value,
            fake_like=nearest_reals[key],
            reference_like=reference.nearest_reals[key],
            cap=CAPS[key],
        )
        for key, value in reference.values.items()
        if key in values
    }
    smallest = min(found.p_value for found in by.values())
    sure = [found for found in by.values() if found.p_value * len(by) < LEVEL]
    copied = torch.stack([found.below for found in sure]).any(0) if sure else None
    return Copies(
        fakes=fakes,
        reference=reference,
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
