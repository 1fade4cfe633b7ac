"""The same picture twice: among the fakes, and in the user's own set."""

import torch
from torch import Tensor

from stylegan.report.chance import Excess, excess
from stylegan.report.distances import Neighbours, nearest
from stylegan.report.evidence import Evidence
from stylegan.report.findings import Finding, Plate, percent

LEVEL = 0.01
_LOOK, _BAD = 0.05, 0.3
_FEWEST = 20
_SHOWN = 6
# Two pictures of which one explains all but this of the other are one picture, at two qualities.
_SAME = 0.1


def among_fakes_finding(evidence: Evidence) -> Finding:
    """Whether fakes resemble each other more than as many reals do."""
    fakes = evidence.fake.small
    count = min(len(fakes), len(evidence.real))
    if count < _FEWEST:
        return _unknown(count)
    generator = torch.Generator().manual_seed(1)
    some, others = (torch.randperm(n, generator=generator)[:count] for n in (len(fakes), len(evidence.real)))
    of_fakes, of_reals = _within(fakes[some]), _within(evidence.real.small[others])
    found = _alike(of_fakes, of_reals)
    share = found.share if found.p_value < LEVEL else 0.0
    verdict = "bad" if share >= _BAD else "look" if share >= _LOOK else "fine"
    result = f"No. Among {count} fakes there are no more lookalikes than among {count} of your pictures."
    if verdict != "fine":
        result = f"Yes. About {percent(share)} of the fakes have a twin among {count}, beyond what your pictures have."
    return Finding(
        key="repeats",
        title="Does it repeat itself?",
        verdict=verdict,
        result=result,
        values={"share with a twin": round(share, 4), "p value": found.p_value, "fakes": count},
        what_it_means="Fakes that are nearly the same, whatever the seed, are called mode collapse: the generator "
        "knows a few pictures and leaves out the rest.",
        what_to_try=()
        if verdict == "fine"
        else (*(_IF_TRUNCATED if evidence.truncation is None else ()), *_WAYS_OUT),
        plates=() if verdict == "fine" else (_twins(evidence, some, of_fakes),),
    )


_IF_TRUNCATED = ("If you made these with truncation below 1, try truncation=1.",)
_WAYS_OUT = (
    "Raise loss.r1_gamma, to 2 to 4 times what explain=true shows, and train anew.",
    "Go back to an earlier checkpoint, from before it happened.",
    "Train with a larger batch_size.",
)


def _unknown(count: int) -> Finding:
    return Finding(
        key="repeats",
        title="Does it repeat itself?",
        verdict="unknown",
        result=f"There are only {count} pictures to compare; {_FEWEST} are needed.",
        values={"fakes": count},
        what_it_means="Few pictures are seldom alike.",
        what_to_try=("Make a few hundred fakes.",),
    )


def _within(small: Tensor) -> Neighbours:
    return nearest(small, small, itself=torch.arange(len(small)), count=2)


def _alike(fakes: Neighbours, reals: Neighbours) -> Excess:
    # Twins are nearest to each other, and a family of lookalikes is many fakes all the same: each counts.
    count = len(fakes.distances)
    own = torch.arange(count)
    return excess(fakes.distances[:, 0], reals.distances[:, 0], fake_like=own, reference_like=own, cap=0.5)


def _twins(evidence: Evidence, some: Tensor, found: Neighbours) -> Plate:
    rows = []
    shown: set[int] = set()
    for place in found.distances[:, 0].argsort(stable=True).tolist():
        twin = int(found.indices[place, 0])
        if not shown & {place, twin} and len(rows) < _SHOWN:
            rows.append([evidence.fake.full(int(some[place])), evidence.fake.full(int(some[twin]))])
            shown |= {place, twin}
    return Plate("The fakes that are most alike", ("fake", "another fake"), rows)


_TITLE_OF_SET = "Are there duplicates among your own pictures?"


def _too_few(count: int) -> Finding:
    return Finding(
        key="your-set",
        title=_TITLE_OF_SET,
        verdict="unknown",
        result=f"There are only {count} different pictures; {_FEWEST} are needed to tell.",
        values={"different pictures": count},
        what_it_means="A network learns so few pictures by heart, each of them.",
        what_to_try=("Add pictures: a hundred is little, a thousand is a good start.",),
    )


def in_the_set_finding(
    before: Evidence, evidence: Evidence, near: Neighbours | None, rows: Tensor
) -> Finding:
    """Pictures that the user's set holds more than once.

    Args: before: with repeats; evidence: without; near: neighbours of the reals `rows` among the others, None = there
      are too few.
    """
    if before.xflip:
        # A picture may be there with its mirror image; that is no mistake.
        exact = len(before.real) - len({picture.numpy().tobytes() for picture in before.real.small})
    else:
        exact = len(before.real) - len(evidence.real)
    same = torch.zeros(0, dtype=torch.bool) if near is None else near.distances[:, 0] < _SAME
    share = float(same.double().mean()) if len(same) else 0.0
    exact_share = exact / len(before.real)
    verdict = "bad" if max(share, exact_share) > 0.3 else "look" if max(share, exact_share) > 0.02 else "fine"
    if verdict == "fine" and len(evidence.real) < _FEWEST:
        return _too_few(len(evidence.real))
    plates = []
    if bool(same.any()) and verdict != "fine":
        order = near.distances[:, 0].argsort(stable=True)[: min(_SHOWN, int(same.sum()))].tolist()
        pairs = [
            [evidence.real.full(int(rows[place])), evidence.real.full(int(near.indices[place, 0]))]
            for place in order
        ]
        plates.append(Plate("Your pictures that are most alike", ("one", "the other"), pairs))
    many = f"{exact:,} of your {len(before.real):,} pictures are exact repeats, and about {percent(share)} "
    many += "of the different ones have a twin"
    return Finding(
        key="your-set",
        title=_TITLE_OF_SET,
        verdict=verdict,
        result=("Hardly: " if verdict == "fine" else "Yes: ")
        + many
        + " but for colour, direction or a small shift.",
        values={"exact repeats": exact, "share with a twin": round(share, 4)},
        what_it_means="What is there twice is learned by heart sooner, and the set is smaller than it looks. Exact "
        "repeats were left out of everything else here.",
        what_to_try=()
        if verdict == "fine"
        else ("Remove repeats from the folder, or name them in data.exclude.",),
        plates=plates,
    )
