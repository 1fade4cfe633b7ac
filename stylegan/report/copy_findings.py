"""Findings about copies: training images among the fakes, reals nearest to fakes, and duplicates among the reals."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

import torch

from stylegan.machine.text import counted_are, printable
from stylegan.report.copies import FEWEST_REALS, LEVEL, Copies
from stylegan.report.evidence import Evidence, ReportImages
from stylegan.report.findings import Finding, ImageGrid, Value, Verdict, percent
from stylegan.report.provenance import is_known, note_on, ways_out_of
from stylegan.similarity.duplicates import (
    are_twins,
    closest_pairs,
    groups_of_equals,
    groups_of_twins,
    nearest_others,
)
from stylegan.similarity.neighbours import Neighbours

_TITLE = "Does it copy your pictures?"
_SHOWN = 8
# A set in which half of the images have a twin as near as a copy would be hides copies.
_HIDING = 0.35
_WAYS_OUT = (
    "Add pictures. Nothing helps as much; a hundred are learned by heart, thousands seldom.",
    "Train with augmentation: ada=adaptive augpipe=bgc. If it was on already, lower ada.target, as in ada.target=0.5.",
    "Set data.xflip=true if your pictures may be mirrored: it doubles the set.",
    "Go back to an earlier checkpoint: give its file in checkpoints/ as the network, and compare the two reports.",
    "Raise loss.r1_gamma, to 2 to 4 times what explain=true shows.",
)
_ADD_IMAGES = "Add pictures: a hundred is little, a thousand is a good start."

# Of the user's own set: images that are looked at, those that an answer needs, pairs that are shown.
_MOST_OF_SET, _FEWEST_OF_SET, _PAIRS_SHOWN = 300, 20, 6
# Shares of exact repeats; the first one also of images with a twin.
_OWN_SET_LOOK, _OWN_SET_BAD = 0.02, 0.3


def copies_finding(evidence: Evidence, copies: Copies | None) -> Finding:
    """Whether fakes are nearer to single reals than chance allows; copies: None = there are too few reals."""
    if copies is None:
        return Finding.unknown(
            "copies",
            _TITLE,
            result=f"Only {counted_are(len(evidence.real), 'different picture')} there; {FEWEST_REALS} are needed.",
            values={"real pictures": len(evidence.real)},
            what_it_means="With so few pictures a generator has little choice but to learn them by heart.",
            what_to_try=(_ADD_IMAGES,),
        )
    values: dict[str, Value] = {
        "share of copies": round(copies.share, 4),
        "p value": copies.p_value,
        "level": LEVEL,
        "compared with": copies.reference.kind,
        "pictures compared with": len(copies.reference),
    } | {f"p value, {key}": found.p_value for key, found in copies.by.items()}
    match copies.verdict:
        case "bad":
            return _many_copies(evidence, copies, values)
        case "look":
            return _few_copies(evidence, copies, values)
    # Copies would not show where the images of the set are as near to each other.
    if float(copies.reference.values["nearest"].median()) < _HIDING:
        return _hidden_copies(values)
    if not is_known(evidence.provenance):
        return _copies_of_others(evidence, values)
    return _no_copies(evidence, copies, values)


def _many_copies(evidence: Evidence, copies: Copies, values: dict[str, Value]) -> Finding:
    return Finding(
        key="copies",
        title=_TITLE,
        verdict="bad",
        result=f"Yes. About {percent(copies.share)} of the fakes are nearer to {_single(evidence)} than "
        f"{_against(evidence, copies)}.",
        values=values,
        what_it_means="The generator repeats pictures of your set, perhaps mirrored, shifted, recoloured or "
        f"blended, instead of new ones. Chance alone does this less than once in {1 / LEVEL:.0f} reports.",
        what_to_try=_WAYS_OUT,
        grids=_suspects(evidence, copies),
    )


def _few_copies(evidence: Evidence, copies: Copies, values: dict[str, Value]) -> Finding:
    return Finding(
        key="copies",
        title=_TITLE,
        verdict="look",
        result=f"A few are: about {percent(copies.share)} of the fakes are too near to {_single(evidence)}.",
        values=values,
        what_it_means=f"Chance alone gives such a result less than once in {1 / LEVEL:.0f} reports.",
        what_to_try=(
            "Look at the rows below: are these the same pictures?",
            "Before you publish pictures, make more of them and leave out those that are copies.",
            *_WAYS_OUT,
        ),
        grids=_suspects(evidence, copies),
    )


def _no_copies(evidence: Evidence, copies: Copies, values: dict[str, Value]) -> Finding:
    means = (
        "Mirrored, shifted, recoloured copies and blends of two pictures were looked for as well. Copies of less than "
        "about one fake in twenty may still be missed."
    )
    return Finding(
        key="copies",
        title=_TITLE,
        verdict="fine",
        result=f"No. The {len(evidence.fake)} fakes are no nearer to {_single(evidence)} than "
        f"{_against(evidence, copies)}.",
        values=values,
        what_it_means=f"{means} {note_on(evidence.provenance)}".rstrip(),
        what_to_try=("Nothing. Look at the nearest pictures anyway.",),
    )


def _hidden_copies(values: dict[str, Value]) -> Finding:
    return Finding.unknown(
        "copies",
        _TITLE,
        result="Most of your pictures have a near twin among the others, so that a copy would not stand out.",
        values=values,
        what_it_means="A copy is found by lying nearer to one picture than your pictures lie to each other.",
        what_to_try=(
            "Remove what you do not want twice: pictures saved twice, frames of one film, crops of one photograph.",
            "Train with data.val_fraction=0.1, and compare with the pictures that are then held out.",
        ),
    )


def _copies_of_others(evidence: Evidence, values: dict[str, Value]) -> Finding:
    return Finding.unknown(
        "copies",
        _TITLE,
        result=f"This cannot be answered. No copies of these {len(evidence.real):,} pictures were found, but the "
        "network was trained on others, which it may copy.",
        values=values,
        what_it_means=note_on(evidence.provenance),
        what_to_try=ways_out_of(evidence.provenance),
    )


def _single(evidence: Evidence) -> str:
    return "single training pictures" if is_known(evidence.provenance) else "single ones of these pictures"


def _against(evidence: Evidence, copies: Copies) -> str:
    number = len(copies.reference)
    if copies.reference.kind == "held-out" and is_known(evidence.provenance):
        return f"{number} pictures held out of training are"
    if copies.reference.kind == "held-out":
        return f"{number} other pictures are"
    return f"{number} of your pictures are to the others"


def _suspects(evidence: Evidence, copies: Copies) -> tuple[ImageGrid, ...]:
    found = [index for index in copies.order.tolist() if copies.copied[index]]
    if not found:
        return ()
    p_values = {key: excess.p_value for key, excess in copies.by.items()}
    if min(p_values, key=p_values.__getitem__) == "blend" and p_values["blend"] < p_values["nearest"]:
        rows = []
        for index in found[:_SHOWN]:
            one, other = copies.fakes.pairs.indices[index].tolist()
            rows.append([evidence.fake.full(index), evidence.real.full(one), evidence.real.full(other)])
        columns = ("fake", "your picture", "your other picture")
        return (ImageGrid("Fakes that two of your pictures explain together", columns, rows),)
    return (_beside_nearest(evidence, copies, found[:_SHOWN], "The fakes that stand out most"),)


def neighbours_finding(evidence: Evidence, copies: Copies | None) -> Finding | None:
    """Fakes next to the reals nearest to them, for the eye; None where there are too few reals."""
    if copies is None:
        return None
    if copies.verdict != "fine":
        verdict: Verdict = "look"
    else:
        verdict = "fine" if is_known(evidence.provenance) else "unknown"
    spread = torch.linspace(0, len(evidence.fake) - 1, min(_SHOWN, len(evidence.fake))).round().long()
    of_fakes = float(copies.fakes.neighbours.distance_ratio().median())
    of_reference = float(copies.reference.values["nearest"].median())
    return Finding(
        key="neighbours",
        title="Which of your pictures are nearest to the fakes?",
        verdict=verdict,
        result=f"The nearest picture is {of_fakes:.0%} as far from a fake as the five after it. From a picture that "
        f"cannot be a copy it is {of_reference:.0%}.".replace("%", " %"),
        values={
            "nearest over next, fakes": round(of_fakes, 4),
            "nearest over next, known": round(of_reference, 4),
            "distance of the nearest": round(float(copies.fakes.neighbours.distances[:, 0].median()), 4),
        },
        what_it_means="The pictures of a row should be of one kind, and yet different ones. A number for fakes far "
        "below the other means that fakes stick to single pictures of yours.",
        what_to_try=("Compare details: the outline, the place of an eye, the background.",),
        grids=(
            _beside_nearest(evidence, copies, spread.tolist(), "Some fakes, not chosen by how near they are"),
        ),
    )


def _beside_nearest(evidence: Evidence, copies: Copies, fakes: list[int], title: str) -> ImageGrid:
    """fake | nearest in pixels | nearest in features."""
    columns = ["fake", "nearest by pixels"]
    nearest = [copies.fakes.neighbours.indices[:, 0]]
    if copies.fakes.features is not None:
        columns.append("nearest by features")
        nearest.append(copies.fakes.features.indices[:, 0])
    rows = [
        [evidence.fake.full(fake), *(evidence.real.full(int(indices[fake])) for indices in nearest)]
        for fake in fakes
    ]
    return ImageGrid(title, columns, rows)


def own_set_finding(before: Evidence, evidence: Evidence) -> Finding:
    """Images that the user's set holds more than once, and those that are only nearly the same.

    Args:
        before: with repeats.
        evidence: without them, and without mirror images.
    """
    title = "Are there duplicates among your own pictures?"
    groups = _exact_repeats(before.real)
    exact = sum(len(group) - 1 for group in groups)
    # Where mirror images are wanted, an image may be there with its own: that is no twin to look at.
    different = evidence if before.xflip else _without_later_ones(before, groups)
    near, rows = _nearest_of_set(different)
    twins = int(are_twins(near).sum()) if near is not None else 0
    share = twins / max(1, len(rows))
    repeated = exact / len(before.real)
    # Twins may be there on purpose, as flags that differ in their colours are.
    is_bad, is_look = repeated > _OWN_SET_BAD, max(repeated, share) > _OWN_SET_LOOK
    verdict: Verdict = "bad" if is_bad else "look" if is_look else "fine"
    if verdict == "fine" and len(evidence.real) < _FEWEST_OF_SET:
        count = len(evidence.real)
        return Finding.unknown(
            "your-set",
            title,
            result=f"Only {counted_are(count, 'different picture')} there; {_FEWEST_OF_SET} are needed for an answer.",
            values={"different pictures": count},
            what_it_means="A network learns so few pictures by heart, each of them.",
            what_to_try=(_ADD_IMAGES,),
        )
    files = _named(before, groups)
    pairs = _twin_pairs(near, rows)
    return Finding(
        key="your-set",
        title=title,
        verdict=verdict,
        result=f"{_counted(exact, len(before.real), repeated)} {_counted_twins(twins, len(rows), len(different.real))}",
        values={
            "exact repeats": exact,
            "share with a twin": round(share, 4),
            "pictures looked at for twins": len(rows),
        },
        what_it_means="What is there twice is learned by heart sooner, and the set is smaller than it looks. Exact "
        "repeats and mirror images count once in everything else here.",
        what_to_try=() if verdict == "fine" else _ways_out_of_repeats(exact, bool(files), bool(pairs)),
        grids=_twins_of_set(different, pairs) if verdict != "fine" else (),
        files=files,
        twins=_named(different, groups_of_twins(near, rows) if near is not None else []),
    )


def _exact_repeats(images: ReportImages) -> list[list[int]]:
    groups = []
    for alike in groups_of_equals(images.thumbnails, mirrored=False):
        # Details that a thumbnail lacks may differ.
        equal: dict[bytes, list[int]] = {}
        for index in alike:
            content = images.full(index).contiguous().numpy().tobytes()
            equal.setdefault(blake2b(content).digest(), []).append(index)
        groups += [group for group in equal.values() if len(group) > 1]
    return groups


def _without_later_ones(evidence: Evidence, groups: Sequence[Sequence[int]]) -> Evidence:
    later = {index for group in groups for index in group[1:]}
    kept = torch.tensor([index for index in range(len(evidence.real)) if index not in later])
    return replace(evidence, real=evidence.real.only(kept))


def _counted(exact: int, total: int, repeated: float) -> str:
    """How many exact repeats there are; twins alone are no yes."""
    if not exact:
        return f"No. None of your {total:,} pictures is an exact repeat of another."
    word = "Yes." if repeated > _OWN_SET_LOOK else "One." if exact == 1 else "A few."
    what = "is an exact repeat" if exact == 1 else "are exact repeats"
    return f"{word} {exact:,} of your {total:,} pictures {what}."


def _counted_twins(twins: int, looked_at: int, different: int) -> str:
    if not twins:
        return "None has a twin that differs in colour, direction or a small shift only."
    some = "the" if looked_at == different else "a sample of"
    has = "has" if twins == 1 else "have"
    return (
        f"Of {some} {looked_at:,} different ones {twins:,} {has} a twin, which differs in colour, direction or a small "
        "shift only."
    )


def _ways_out_of_repeats(exact: int, has_names: bool, has_twins: bool) -> tuple[str, ...]:
    """Only exact repeats are to be removed; only the user knows what twins are for."""
    listed = " Files lists them." if has_names else ""
    repeats = (
        f"Remove all but one of each exact repeat from the folder, or name them in data.exclude.{listed}"
    )
    twins = (
        "Look at the pictures that are alike but for colour, direction or a small shift: keep what you want to have "
        "twice."
    )
    return (*((repeats,) if exact else ()), *((twins,) if has_twins else ()))


def _named(evidence: Evidence, groups: Sequence[Sequence[int]]) -> list[list[str]]:
    """The files of the groups; none where they have no names."""
    names = evidence.real.names
    return [] if names is None else [[printable(names[index]) for index in group] for group in groups]


def _nearest_of_set(evidence: Evidence) -> tuple[Neighbours | None, torch.Tensor]:
    """Nearest neighbours of some reals among the others, None where there are too few; and which reals these are."""
    if len(evidence.real) < 3:
        return None, torch.arange(0)
    generator = torch.Generator().manual_seed(7)
    rows = torch.randperm(len(evidence.real), generator=generator)[:_MOST_OF_SET]
    return nearest_others(evidence.real.thumbnails, rows), rows


def _twin_pairs(near: Neighbours | None, rows: torch.Tensor) -> list[tuple[int, int]]:
    """Pairs of twins among the reals, nearest first, as far as they were looked at."""
    if near is None:
        return []
    twins = are_twins(near)
    alike = Neighbours(near.distances[twins], near.indices[twins])
    return closest_pairs(alike, rows[twins], most=len(rows))


def _twins_of_set(evidence: Evidence, pairs: Sequence[tuple[int, int]]) -> tuple[ImageGrid, ...]:
    images = [[evidence.real.full(index) for index in pair] for pair in pairs[:_PAIRS_SHOWN]]
    title = "Your pictures that are alike but for colour, direction or a small shift"
    return (ImageGrid(title, ("one", "the other"), images),) if images else ()
