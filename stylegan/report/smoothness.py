"""Does a walk through the latents change the picture little by little, or does it jump?"""

import torch
from torch import Tensor

from stylegan.report.distances import filtered
from stylegan.report.evidence import Evidence
from stylegan.report.findings import Finding, Plate, percent
from stylegan.report.thumbnails import thumbnails

# A jump is a step so many times the mean of its walk, and this share of the distance between unrelated fakes.
JUMP_STEPS, JUMP_SHARE = 3.0, 0.5
_LOOK, _BAD = 0.1, 0.4
_SHOWN = 4
_SHOWN_STEPS = 8


def steps_of(strips: Tensor) -> Tensor:
    """How much the picture changes from step to step: uint8 [P,T,C,H,W] → float32 [P,T-1], root mean square."""
    walks, length = strips.shape[:2]
    small = filtered(thumbnails(strips.flatten(0, 1))).flatten(1).unflatten(0, (walks, length))
    return (small[:, 1:] - small[:, :-1]).square().mean(2).sqrt()


def smoothness_finding(evidence: Evidence) -> Finding:
    """The share of walks with a jump."""
    strips = evidence.strips
    if strips is None or strips.shape[1] < 5:
        return Finding(
            key="smoothness",
            title="Do fakes change smoothly from one to the next?",
            verdict="unknown",
            result="No walks between fakes of five steps or more were given.",
            values={},
            what_it_means="A generator that knows single pictures jumps from one to the next; one that has learned "
            "what they have in common changes little by little.",
            what_to_try=("Give interpolation strips.",),
        )
    steps = steps_of(strips)
    largest, mean = steps.max(1).values, steps.mean(1)
    abruptness = largest / mean.clamp_min(1e-6)
    generator = torch.Generator().manual_seed(3)
    some = filtered(
        evidence.fake.small[torch.randperm(len(evidence.fake), generator=generator)[:200]]
    ).flatten(1)
    unrelated = float(torch.pdist(some).mean()) / some.shape[1] ** 0.5 if len(some) > 1 else 0.0
    # Of few steps even all in one is not many times the mean.
    limit = min(JUMP_STEPS, 0.6 * steps.shape[1])
    jumps = (abruptness >= limit) & (largest >= JUMP_SHARE * unrelated)
    share = float(jumps.double().mean())
    verdict = "bad" if share >= _BAD else "look" if share >= _LOOK else "fine"
    order = abruptness.argsort(descending=True, stable=True)[:_SHOWN].tolist()
    return Finding(
        key="smoothness",
        title="Do fakes change smoothly from one to the next?",
        verdict=verdict,
        result=f"{percent(share)} of {len(strips)} walks jump. The largest step is {float(abruptness.median()):.1f} "
        f"times the mean step, where a walk at constant speed has 1 and one leap {steps.shape[1]}.",
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
            "Read what is said about copies above; the same steps help here.",
            "Keep the path-length penalty on: loss.pl_weight=2.",
            "Go back to an earlier checkpoint.",
        ),
        plates=(_walks(strips, order),),
    )


def _walks(strips: Tensor, order: list[int]) -> Plate:
    length = strips.shape[1]
    places = torch.linspace(0, length - 1, min(length, _SHOWN_STEPS)).round().long().tolist()
    rows = [[strips[walk, place] for place in places] for walk in order]
    return Plate("The most abrupt walks", [f"{place + 1}" for place in places], rows)
