"""Whether the pictures beside the fakes are those that the network learned from: if not, nothing can be cleared."""

from typing import Literal, get_args

# training: by the run's own record, they are. trust: nothing beside the network tells. other: by the run's record
# they are not. changed: they are, but it learned from other ones before.
Origin = Literal["training", "trust", "other", "changed"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)

_NOTES: dict[Origin, str] = {
    "trust": "It is taken on trust that the network was trained on these pictures, and on none that were held out: "
    "nothing beside it tells.",
    "other": "These are not the pictures that the network was trained on (by the run's config.yaml): other ones, "
    "another choice or order of them, or other labels.",
    "changed": "The network was trained on other pictures before these (by the run's events.jsonl), and what is held "
    "out now may have been among them.",
}
_WAYS_OUT: dict[Origin, tuple[str, ...]] = {
    "other": (
        "Leave out what was said of the data: the pictures are then those of the run, chosen as in its training.",
        "If the folder was changed since, look at the pictures as they were.",
        "For pictures to be held out, train with data.val_fraction=0.1: afterwards none can be.",
    ),
    "changed": ("Train a new run with data.val_fraction=0.1 on all of the pictures.",),
}


def known(origin: Origin) -> bool:
    """Whether pictures may be called those of the training, on trust at least."""
    return origin not in _WAYS_OUT


def note(origin: Origin) -> str:
    """What a reader must know of where the pictures come from; "" where all is as it should be."""
    return _NOTES.get(origin, "")


def ways_out(origin: Origin) -> tuple[str, ...]:
    """What to do where nothing can be cleared."""
    return _WAYS_OUT.get(origin, ())
