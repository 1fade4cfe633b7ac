"""Examination: every question of a report, asked in turn, and what each answer is worth.

An answer is worth less where fakes were not drawn as in training (truncation), or where the images next to them are
not those of the training (data provenance).
"""

from dataclasses import replace

import torch

from stylegan.report.copies import find_copies
from stylegan.report.copy_findings import copies_finding, neighbours_finding, own_set_finding
from stylegan.report.evidence import Evidence
from stylegan.report.findings import FEWEST_IMAGES, Finding, Report, Value
from stylegan.report.leaks import colour_finding, orientation_finding
from stylegan.report.overfitting import overfitting_finding
from stylegan.report.provenance import note_on
from stylegan.report.resemblance import resembles
from stylegan.report.variety import diversity_finding, repeats_finding, smoothness_finding

# Key of a finding that truncation changes by itself → how it does below 1.
_TRUNCATED = {
    "repeats": "makes fakes more alike",
    "diversity": "makes fakes more alike",
    "smoothness": "makes fakes more alike, and walks between them shorter",
    "orientation": "leaves out what is unusual",
    "colour": "leaves out what is unusual, and moves colours to their mean",
}
# Findings about fakes compared with real images, which mean little with other real images.
_COMPARED = ("repeats", "diversity", "orientation", "colour")
# Findings that any network has which has not learned what the images look like.
_OF_A_LEARNER = ("repeats", "diversity", "smoothness", "overfitting", "orientation", "colour")


@torch.no_grad()
def examine(evidence: Evidence) -> Report:
    """Everything that the evidence shows. Equal evidence gives an equal report.

    Takes about 10 s on one core for 2,000 reals and 500 fakes of 32 px, and grows with (500 + fakes) x reals.
    """
    once = evidence.without_repeats()
    copies = find_copies(once)
    findings = [
        copies_finding(once, copies),
        neighbours_finding(once, copies),
        repeats_finding(once),
        diversity_finding(once),
        smoothness_finding(once),
        overfitting_finding(once),
        orientation_finding(once),
        colour_finding(once),
        own_set_finding(evidence, once),
    ]
    # Copies resemble the images that they are copies of, whatever the other fakes are like.
    is_early = resembles(once) is False and (copies is None or copies.verdict != "bad")
    answers = [with_caveats(finding, evidence) for finding in findings if finding is not None]
    if is_early:
        answers = [before_its_time(finding) for finding in answers]
    notes = [note for note in (note_on(evidence.provenance), _truncation_note(evidence)) if note]
    few = [
        name
        for name, images in (("pictures", once.real), ("fakes", once.fake))
        if len(images) < FEWEST_IMAGES
    ]
    return Report(answers, _about(evidence), notes, is_early, too_few=few[0] if few else None)


def _about(evidence: Evidence) -> dict[str, Value]:
    counts = {
        "real pictures": len(evidence.real),
        "fakes": len(evidence.fake),
        "held-out pictures": 0 if evidence.held_out is None else len(evidence.held_out),
    }
    always = {
        "resolution": "x".join(str(side) for side in evidence.fake.full(0).shape[1:]),
        "truncation": evidence.truncation,
        "origin of the pictures": evidence.provenance,
    }
    return counts | dict(evidence.about) | always


def _truncation_note(evidence: Evidence) -> str:
    """One line for the head of the page; "" for psi = 1, or an unknown one."""
    if not evidence.is_truncated:
        return ""
    return (
        f"The fakes were drawn with truncation {evidence.truncation:g}. What that changes by itself is not "
        "answered here; truncation=1 shows what the network has learned."
    )


def before_its_time(finding: Finding) -> Finding:
    """What is left of a finding where the fakes do not look like the images of the training yet: nothing to act on."""
    if finding.key in _OF_A_LEARNER and finding.verdict in ("bad", "look"):
        return replace(
            finding,
            verdict="unknown",
            result=f"Too early to tell. At this point: {finding.result}",
            what_to_try=("Train longer, and make the report again.",),
        )
    return replace(finding, verdict="look") if finding.verdict == "bad" else finding


def with_caveats(finding: Finding, evidence: Evidence) -> Finding:
    """The finding, or what is left of it: unknown where truncation decides, no alarm next to images of another set."""
    if evidence.is_truncated and finding.key in _TRUNCATED:
        return _decided_by_truncation(finding, evidence.truncation)
    if evidence.is_truncated and finding.key == "copies" and finding.verdict == "fine":
        psi = f"{evidence.truncation:g}"
        more = f"This is about fakes of truncation {psi}; at truncation=1 there may be copies."
        return replace(finding, what_it_means=f"{finding.what_it_means} {more}")
    if evidence.provenance == "other" and finding.key in _COMPARED:
        return replace(
            finding,
            verdict="look" if finding.verdict == "bad" else finding.verdict,
            what_it_means=f"{finding.what_it_means} {note_on(evidence.provenance)}",
        )
    return finding


def _decided_by_truncation(finding: Finding, truncation: float) -> Finding:
    # Psi above 1 drives fakes apart instead.
    effect = _TRUNCATED[finding.key] if abs(truncation) < 1 else "spoils fakes, and drives them apart"
    return replace(
        finding,
        verdict="unknown",
        result=f"This cannot be answered: the fakes were drawn with truncation {truncation:g}, which itself {effect}.",
        what_to_try=("Make the report with truncation=1.",),
    )
