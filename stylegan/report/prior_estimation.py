"""Prior estimation: which shares of images were changed in which way, given a classifier that makes mistakes.

A kernel ridge classifier learns from half of the reals, each changed in every way, to tell the change from an
image's low-level description. On the other half its confusions are counted. The shares of the changes among the
fakes are those that make the observed decisions likeliest (expectation maximisation for a mixture of known columns),
so that no single fake needs a right decision.

Legend: N images, D values of a description, W ways, the first of which is "as it is".

Source: Saerens, Latinne and Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori
probabilities".
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_MOST_LEARNED, _MOST_TRIED = 250, 250
_RIDGE = 0.3
_EM_STEPS = 300
_RESAMPLES = 400
# Belief that nothing was changed, as a share of the decisions: where ways look alike, it decides.
_BELIEF = 0.05
_START = 0.9
# Ways whose decisions are not at least so far from those about unchanged images (total variation) are left out.
_FARTHEST_ALIKE = 0.4


@dataclass(frozen=True)
class Shares:
    """Estimated shares among M fakes.

    Attributes:
        shares: float64 [W], in sum 1.
        unchanged: float64 [S,W], the shares that S draws of as many unchanged images give.
        seen: bool [W], the ways that change a real image visibly; the others have no share, nor has the first.
    """

    shares: Tensor
    unchanged: Tensor
    seen: Tensor

    @property
    def changed(self) -> float:
        """Share of changed fakes beyond what unchanged images give, 0 to 1: the leak score."""
        return self.changed_in(self._all)

    @property
    def surely(self) -> bool:
        """Whether chance gives this less than once in 200 cases."""
        return self.surely_in(self._all)

    @property
    def by_chance(self) -> float:
        """The share of changed ones that unchanged images give in one case of 200; 1 where no way is seen."""
        return self._by_chance_in(self._all) if bool(self.seen.any()) else 1.0

    def changed_in(self, ways: Tensor) -> float:
        """`changed`, of some of the ways alone, bool [W]."""
        usual = float(self.unchanged[:, ways].sum(1).median())
        return max(0.0, (float(self.shares[ways].sum()) - usual) / (1 - usual))

    def surely_in(self, ways: Tensor) -> bool:
        """`surely`, of some of the ways alone, bool [W]."""
        return float(self.shares[ways].sum()) > self._by_chance_in(ways)

    def _by_chance_in(self, ways: Tensor) -> float:
        return float(self.unchanged[:, ways].sum(1).quantile(0.995))

    @property
    def _all(self) -> Tensor:
        """Every way but the first, "as it is"."""
        return torch.arange(len(self.shares)) > 0


def shares_of(reals: Tensor, fakes: Tensor) -> Shares:
    """Estimates the shares of the ways among the fakes.

    Args:
        reals: float [W,N,D], the descriptions of the reals, changed in each way.
        fakes: float [M,D].
    """
    ways, count = reals.shape[:2]
    generator = torch.Generator().manual_seed(5)
    order = torch.randperm(count, generator=generator)
    half = count // 2
    learned = reals[:, order[:half][:_MOST_LEARNED]]
    tried = reals[:, order[half:][:_MOST_TRIED]]
    classify = _fitted(learned)
    decided = torch.stack([classify(some) for some in tried], dim=1)  # [images, W]
    confusion = _confusion(decided)
    seen = (confusion - confusion[:, :1]).abs().sum(0) / 2 >= _FARTHEST_ALIKE
    kept = seen.clone()
    kept[0] = True
    if not bool(seen.any()):
        nothing = kept.to(torch.float64)
        return Shares(nothing, nothing[None], seen)
    shares = torch.zeros(ways, dtype=torch.float64)
    shares[kept] = likeliest_shares(confusion[:, kept], _counts(classify(fakes), ways)[None])[0]
    unchanged = []
    for _ in range(_RESAMPLES):
        # Both the images that were tried and the fakes might have been others.
        others = _confusion(decided[torch.randint(len(decided), (len(decided),), generator=generator)])
        picked = torch.multinomial(confusion[:, 0], len(fakes), replacement=True, generator=generator)
        unchanged.append((others[:, kept], _counts(picked, ways)))
    drawn = torch.zeros(_RESAMPLES, ways, dtype=torch.float64)
    drawn[:, kept] = likeliest_shares(*(torch.stack(part) for part in zip(*unchanged, strict=True)))
    return Shares(shares, drawn, seen)


def _confusion(decided: Tensor) -> Tensor:
    """P(decided | true) [W,W] from decisions [n,W] about n images changed in every way."""
    ways = decided.shape[1]
    counts = torch.stack([_counts(some, ways) for some in decided.T], dim=1) + 0.5
    return counts / counts.sum(0)


def likeliest_shares(confusion: Tensor, counts: Tensor) -> Tensor:
    """Likeliest shares, by expectation maximisation.

    Args:
        confusion: P(decided | true), [V,W] or [S,V,W].
        counts: of the decisions, [S,V].
    Returns: [S,W].
    """
    ways = confusion.shape[-1]
    confusion = confusion.expand(len(counts), counts.shape[1], ways)
    shares = counts.new_full((len(counts), ways), (1 - _START) / (ways - 1))
    shares[:, 0] = _START
    total = counts.sum(1, keepdim=True)
    for _ in range(_EM_STEPS):
        expected = (confusion @ shares[:, :, None]).clamp_min(1e-12)
        shares = shares * (confusion.transpose(1, 2) @ (counts[:, :, None] / expected))[..., 0]
        shares[:, 0] += _BELIEF * total[:, 0]
        shares = shares / (total * (1 + _BELIEF))
    return shares


def _counts(decisions: Tensor, ways: int) -> Tensor:
    return torch.bincount(decisions, minlength=ways).to(torch.float64)


def _fitted(learned: Tensor):
    """A function from descriptions [n,D] to decisions [n]."""
    ways, count = learned.shape[:2]
    points = learned.flatten(0, 1)
    mean, spread = points.mean(0), points.std(0).clamp_min(1e-6)
    points = (points - mean) / spread
    scale = torch.cdist(points[::7], points[::7]).square().mean()
    target = torch.eye(ways, dtype=points.dtype).repeat_interleave(count, 0) - 1 / ways
    kernel = _kernel(points, points, scale)
    weights = torch.linalg.solve(kernel + _RIDGE * torch.eye(len(points), dtype=points.dtype), target)

    def classify(some: Tensor) -> Tensor:
        return (_kernel((some - mean) / spread, points, scale) @ weights).argmax(1)

    return classify


def _kernel(one: Tensor, other: Tensor, scale: Tensor) -> Tensor:
    return torch.exp(-2 * torch.cdist(one, other).square() / scale)
