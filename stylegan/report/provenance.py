"""Data provenance: whether the images next to the fakes are those that the network learned from.

If they are not, no finding can clear the network: it may copy images that are not here.
"""

import json
from pathlib import Path
from typing import Literal, get_args

# training: by the run's own record, they are. trust: no record says. other: by the run's record they are not.
# changed: they are, but the network learned from other images before.
Provenance = Literal["training", "trust", "other", "changed"]
PROVENANCES: tuple[Provenance, ...] = get_args(Provenance)

_NOTES: dict[Provenance, str] = {
    "trust": "This report takes it on trust that the network was trained on these pictures, and on none that were "
    "held out: no record next to the network says so.",
    "other": "These are not the pictures that the network was trained on (by the run's config.yaml): other ones, "
    "another choice or order of them, or other labels.",
    "changed": "The network was trained on other pictures before these (by the run's events.jsonl), and what is held "
    "out now may have been among them.",
}
_WAYS_OUT: dict[Provenance, tuple[str, ...]] = {
    "other": (
        "Leave out the data settings: the pictures are then those of the run, chosen as in its training.",
        "If the folder has changed since, compare with the pictures as they were.",
        "For pictures to be held out, train with data.val_fraction=0.1: afterwards it is too late.",
    ),
    "changed": ("Train a new run with data.val_fraction=0.1 on all of the pictures.",),
}


def provenance_of(
    fingerprint: str | None, learned_from: str | None, events: Path | None = None
) -> Provenance:
    """Data provenance by fingerprints: digests of the contents and labels of the items to train on, in order.

    Args:
        fingerprint: of the images at hand; None = they have none.
        learned_from: the fingerprint in the run's settings; None = unknown.
        events: the run's `events.jsonl`; None = there is no run.
    """
    if fingerprint is None or learned_from is None:
        return "trust"
    if fingerprint != learned_from:
        return "other"
    return "changed" if events is not None and images_were_changed(events) else "training"


def images_were_changed(events: Path) -> bool:
    """Whether a run continued with other images than before (`allow_change=[data_fingerprint]`).

    Args:
        events: the run's `events.jsonl`, which need not exist.
    """
    if not events.exists():
        return False
    for line in events.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:  # a line that a crash cut short
            continue
        if isinstance(event, dict) and event.get("key") == "data_fingerprint":
            return True
    return False


def is_known(provenance: Provenance) -> bool:
    """Whether images may be called those of the training, on trust at least."""
    return provenance not in _WAYS_OUT


def note_on(provenance: Provenance) -> str:
    """What a reader must know of where the images come from; "" where all is as it should be."""
    return _NOTES.get(provenance, "")


def ways_out_of(provenance: Provenance) -> tuple[str, ...]:
    """What to do where nothing can be cleared."""
    return _WAYS_OUT.get(provenance, ())
