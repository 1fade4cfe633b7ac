"""The report's first two answers: whether fakes are copies, and what their nearest real pictures are."""

import torch

from stylegan.report.copies import FEWEST_REALS, LEVEL, Copies
from stylegan.report.evidence import Evidence
from stylegan.report.findings import Finding, Plate, Verdict, percent
from stylegan.report.origin import known, note, ways_out

_TITLE = "Does it copy your pictures?"
_SHOWN = 8
# A set in which half of the pictures have a twin as near as a copy would be hides copies.
_HIDING = 0.35


def copies_finding(evidence: Evidence, copies: Copies | None) -> Finding:
    """Whether fakes are nearer to single reals than chance allows."""
    if copies is None:
        return Finding(
            key="copies",
            title=_TITLE,
            verdict="unknown",
            result=f"There are only {len(evidence.real)} different pictures; {FEWEST_REALS} are needed to tell.",
            values={"real pictures": len(evidence.real)},
            what_it_means="With so few pictures a generator has little choice but to learn them by heart.",
            what_to_try=("Add pictures: a hundred is little, a thousand is a good start.",),
        )
    values = {
        "share of copies": round(copies.share, 4),
        "p value": copies.p_value,
        "level": LEVEL,
        "compared with": copies.known.kind,
        "pictures compared with": len(copies.known),
    } | {f"p value, {key}": found.p_value for key, found in copies.by.items()}
    verdict = copies.verdict
    if verdict == "fine" and _hidden(copies):
        return _cannot_tell(values)
    if verdict == "fine" and not known(evidence.origin):
        return _of_others(evidence, values)
    texts = {"fine": _clear, "look": _few, "bad": _copied}[verdict](evidence, copies)
    return Finding(key="copies", title=_TITLE, verdict=verdict, values=values, **texts)


def _hidden(copies: Copies) -> bool:
    """Whether copies would not show, since the pictures of the set are as near to each other."""
    return float(copies.known.values["nearest"].median()) < _HIDING


def _cannot_tell(values: dict) -> Finding:
    return Finding(
        key="copies",
        title=_TITLE,
        verdict="unknown",
        result="Most of your pictures have a near twin among the others, so that a copy would not stand out.",
        values=values,
        what_it_means="Copies are told by lying nearer to one picture than your pictures lie to each other.",
        what_to_try=(
            "Remove near duplicates: pictures saved twice, frames of one film, crops of one photograph.",
            "Train with data.val_fraction=0.1, and compare with the pictures that are then held out.",
        ),
    )


def _of_others(evidence: Evidence, values: dict) -> Finding:
    return Finding(
        key="copies",
        title=_TITLE,
        verdict="unknown",
        result=f"It cannot be told. No copies of these {len(evidence.real):,} pictures were found, but the network was "
        "trained on others, which it may copy.",
        values=values,
        what_it_means=note(evidence.origin),
        what_to_try=ways_out(evidence.origin),
    )


def _single(evidence: Evidence) -> str:
    return "single training pictures" if known(evidence.origin) else "single ones of these pictures"


def _against(evidence: Evidence, copies: Copies) -> str:
    number = len(copies.known)
    if copies.known.kind == "held-out" and known(evidence.origin):
        return f"{number} pictures held out of training are"
    if copies.known.kind == "held-out":
        return f"{number} other pictures are"
    return f"{number} of your pictures are to the others"


def _clear(evidence: Evidence, copies: Copies) -> dict:
    return {
        "result": f"No. The {len(evidence.fake)} fakes are no nearer to {_single(evidence)} than "
        f"{_against(evidence, copies)}.",
        "what_it_means": "Mirrored, shifted, recoloured copies and blends of two pictures were looked for as well. "
        f"Copies of less than about one fake in twenty may still be missed. {note(evidence.origin)}".rstrip(),
        "what_to_try": ("Nothing. Look at the nearest pictures below all the same.",),
    }


def _few(evidence: Evidence, copies: Copies) -> dict:
    return {
        "result": f"A few are: about {percent(copies.share)} of the fakes are too near to {_single(evidence)}.",
        "what_it_means": f"Chance alone gives such a result less than once in {1 / LEVEL:.0f} reports.",
        "what_to_try": (
            "Look at the rows below: are these the same pictures?",
            "Before you publish pictures, make more of them and leave out those that are copies.",
            *_WAYS_OUT,
        ),
        "plates": _suspects(evidence, copies),
    }


_WAYS_OUT = (
    "Add pictures. Nothing helps as much; a hundred are learned by heart, thousands seldom.",
    "Train with augmentation: ada=adaptive augpipe=bgc. If it was on already, lower ada.target, as in ada.target=0.5.",
    "Set data.xflip=true if your pictures may be mirrored: it doubles the set.",
    "Go back to an earlier checkpoint: give its file in checkpoints/ as the network, and compare the two reports.",
    "Raise loss.r1_gamma, to 2 to 4 times what explain=true shows.",
)


def _copied(evidence: Evidence, copies: Copies) -> dict:
    return {
        "result": f"Yes. About {percent(copies.share)} of the fakes are nearer to {_single(evidence)} than "
        f"{_against(evidence, copies)}.",
        "what_it_means": "The generator gives back pictures of your set, perhaps mirrored, shifted, recoloured or "
        f"blended, instead of new ones. Chance alone does this less than once in {1 / LEVEL:.0f} reports.",
        "what_to_try": _WAYS_OUT,
        "plates": _suspects(evidence, copies),
    }


def _suspects(evidence: Evidence, copies: Copies) -> tuple[Plate, ...]:
    found = [index for index in copies.order.tolist() if copies.copied[index]]
    if not found:
        return ()
    sure = {key: excess.p_value for key, excess in copies.by.items()}
    if min(sure, key=sure.get) == "blend" and sure["blend"] < sure["nearest"]:
        rows = []
        for index in found[:_SHOWN]:
            one, other = copies.fakes.pairs.indices[index].tolist()
            rows.append([evidence.fake.full(index), evidence.real.full(one), evidence.real.full(other)])
        columns = ("fake", "your picture", "your other picture")
        return (Plate("Fakes that two of your pictures explain together", columns, rows),)
    return (_beside(evidence, copies, found[:_SHOWN], "The fakes that stand out most"),)


def _for_the_eye(evidence: Evidence, copies: Copies) -> Verdict:
    if copies.verdict != "fine":
        return "look"
    return "fine" if known(evidence.origin) else "unknown"


def neighbours_finding(evidence: Evidence, copies: Copies | None) -> Finding | None:
    """Fakes beside the real pictures nearest to them, for the eye; None where there are too few pictures."""
    if copies is None:
        return None
    spread = torch.linspace(0, len(evidence.fake) - 1, min(_SHOWN, len(evidence.fake))).round().long()
    values = copies.fakes.neighbours.standing_out()
    known = copies.known.values["nearest"]
    return Finding(
        key="neighbours",
        title="Which of your pictures are nearest to the fakes?",
        verdict=_for_the_eye(evidence, copies),
        result="The nearest picture is as far from a fake, compared with the next nearest, as "
        f"{float(values.median()):.2f} to 1; for pictures that are no copies it is {float(known.median()):.2f} to 1.",
        values={
            "nearest over next, fakes": round(float(values.median()), 4),
            "nearest over next, known": round(float(known.median()), 4),
            "distance of the nearest": round(float(copies.fakes.neighbours.distances[:, 0].median()), 4),
        },
        what_it_means="Both halves of a row should be of one kind, and yet different pictures. A number far below "
        "the other means that fakes stick to single pictures.",
        what_to_try=("Compare details: the outline, the place of an eye, the background.",),
        plates=(_beside(evidence, copies, spread.tolist(), "Some fakes, not chosen by how near they are"),),
    )


def _beside(evidence: Evidence, copies: Copies, fakes: list[int], title: str) -> Plate:
    """fake | nearest in pixels | nearest in features."""
    looked = copies.fakes
    columns = ["fake", "nearest by pixels"]
    nearest = [looked.neighbours.indices[:, 0]]
    if looked.features is not None:
        columns.append("nearest by features")
        nearest.append(looked.features.indices[:, 0])
    rows = [
        [evidence.fake.full(fake), *(evidence.real.full(int(indices[fake])) for indices in nearest)]
        for fake in fakes
    ]
    return Plate(title, columns, rows)
