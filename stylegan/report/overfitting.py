"""Overfitting of the discriminator: does it know the training images by heart?

Its logits on images that it learned from, on held-out ones and on fakes tell.
"""

import torch
from torch import Tensor

from stylegan.report.evidence import Evidence, Logits
from stylegan.report.findings import Finding, Verdict, percent
from stylegan.report.provenance import is_known, note_on, ways_out_of

_RESAMPLES = 1000
_LOOK, _BAD = 0.25, 0.5
_FEWEST = 10
_TITLE = "Does the discriminator know your pictures by heart?"
_MEANS = (
    "The generator can only be as good as the discriminator. A discriminator that remembers single pictures takes "
    "those it has not seen for fakes, and no longer teaches the generator what pictures are like."
)


def gap(logits: Logits) -> tuple[float, float, float]:
    """Overfitting gap: (training - held out) / (training - fakes) of the mean logits.

    0: held-out images are as real as those it learned from. 1: they are as false as fakes.
    Returns: the gap, and the ends of its 95 % interval by 1,000 bootstrap samples with a fixed seed.
    """
    groups = [side.flatten().to(torch.float64) for side in (logits.training, logits.held_out, logits.fakes)]
    generator = torch.Generator().manual_seed(4)
    draws = [
        side[torch.randint(len(side), (_RESAMPLES, len(side)), generator=generator)].mean(1)
        for side in groups
    ]
    ends = _ratio(*draws).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return float(_ratio(*(side.mean() for side in groups))), float(ends[0]), float(ends[1])


def _ratio(training: Tensor, held_out: Tensor, fakes: Tensor) -> Tensor:
    return (training - held_out) / (training - fakes).clamp_min(1e-6)


def overfitting_finding(evidence: Evidence) -> Finding:
    """The gap, or how to get what it is measured with."""
    missing = _missing(evidence)
    if missing is not None:
        result, *ways = missing
        return Finding.unknown(
            "overfitting",
            _TITLE,
            result=f"This cannot be answered: {result}.",
            what_it_means=_with_note(evidence),
            what_to_try=tuple(ways),
        )
    logits = evidence.logits
    assert logits is not None, "else they are missing"
    middle, low, high = gap(logits)
    apart = float(logits.training.mean() - logits.fakes.mean())
    if apart <= 0:
        verdict: Verdict = "fine"
        result = "No. It cannot even tell training pictures from fakes."
    else:
        verdict = "bad" if low > _BAD else "look" if low > _LOOK else "fine"
        result = (
            f"{'No' if verdict == 'fine' else 'Yes'}. For the discriminator, held-out pictures lie "
            f"{percent(middle)} of the way from training pictures to fakes ({percent(low)} to {percent(high)})."
        )
    return Finding(
        key="overfitting",
        title=_TITLE,
        verdict=verdict,
        result=result,
        values={
            "gap": round(middle, 4),
            "from": round(low, 4),
            "to": round(high, 4),
            "mean logit, training": round(float(logits.training.mean()), 4),
            "mean logit, held out": round(float(logits.held_out.mean()), 4),
            "mean logit, fakes": round(float(logits.fakes.mean()), 4),
        },
        what_it_means=_with_note(evidence),
        what_to_try=()
        if verdict == "fine"
        else (
            "Train with augmentation: ada=adaptive augpipe=bgc; with it on, lower ada.target, as in ada.target=0.5.",
            "Add pictures, or double them with data.xflip=true.",
            "Raise loss.r1_gamma, to 2 to 4 times what explain=true shows.",
            "Take the checkpoint from before the gap opened.",
        ),
    )


def _with_note(evidence: Evidence) -> str:
    return f"{_MEANS} {note_on(evidence.provenance)}".rstrip()


def _missing(evidence: Evidence) -> tuple[str, ...] | None:
    """What is missing to measure the gap, then ways to get it; None where nothing is."""
    logits = evidence.logits
    if not is_known(evidence.provenance):
        return ("which pictures the network has not seen is not known", *ways_out_of(evidence.provenance))
    if evidence.held_out is None and logits is None:
        return (
            "no pictures were held out of training",
            "Train with data.val_fraction=0.1, which holds out every tenth picture.",
        )
    if logits is None:
        return (
            "there is no discriminator. A .safetensors file holds the generator alone",
            "Give the run folder, or a .ckpt in its checkpoints/, as the network.",
        )
    fewest = min(len(side) for side in (logits.training, logits.held_out, logits.fakes))
    if fewest < _FEWEST:
        return (
            f"{_FEWEST} pictures of each kind are needed, and of one there are only {fewest}",
            "Add pictures, or hold out more of them: data.val_fraction=0.2.",
        )
    if not all(bool(torch.isfinite(side).all()) for side in (logits.training, logits.held_out, logits.fakes)):
        return ("the discriminator's logits are not finite", "Go back to an earlier checkpoint.")
    return None
