"""Config diff: what has changed since a run was last started, and whether a resumed run may change it.

The schema says of every key which of three kinds it is (`stylegan.configuration.keys.Resume`). Harmless keys change
nothing that the next step computes, or are meant to be changed. Risky keys change what is learned: the run resumes with
them only where `allow_change` names them. No run can change fixed keys, since the weights in its checkpoint would mean
something else."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from stylegan.configuration.command_line import refers
from stylegan.configuration.explain import written
from stylegan.configuration.keys import Command, Resume
from stylegan.configuration.schema import FROM_THE_DATA, TRAIN
from stylegan.errors import UserError
from stylegan.sizes import size_text

# Null where a run has no line of them.
_NONE_BEFORE = ("schedules.", "transfer.freeze")
# Runs of version 0.1 name the adapter to Lightning, of what is the same training.
_ADAPTER, _TRAINING = "stylegan.training.StyleGAN2ADA", "stylegan.training.AdversarialTraining"


def same_target(before: Any, now: Any) -> bool:
    """Whether two `_target_`s name the same part."""
    return before == now or (before, now) == (_ADAPTER, _TRAINING)


class Change(NamedTuple):
    """A value that differs from before."""

    key: str
    before: Any
    now: Any

    def __str__(self) -> str:
        if self.key == "data_fingerprint":
            return "other images or labels than there are now (data.path, and what chooses among them)"
        return f"{self.key}={_shown(self.key, self.before)}, not {_shown(self.key, self.now)}"

    def note(self) -> str:
        """The change in one line, where it is allowed."""
        if self.key == "data_fingerprint":
            return "the images or labels have changed"
        return f"{self.key} is {_shown(self.key, self.now)} now and was {_shown(self.key, self.before)}"

    @property
    def way_back(self) -> str:
        """What the user does to undo it."""
        return "put them back" if self.key == "data_fingerprint" else "set it back"


def changes(before: Mapping[str, Any], config: DictConfig, command: Command = TRAIN) -> list[Change]:
    """Config diff: the values that differ between a stored and a complete configuration, harmless ones left out.

    A value that follows another key (`${...}`) is compared where it is set. Keys that are new are not compared, nor are
    those that the data have yet to fill in; but a run from before there were schedules had none.
    """
    now = dict(_flat(OmegaConf.to_container(config, resolve=True), command))
    unresolved = _flat(OmegaConf.to_container(config), command)
    followers = {key for key, value in unresolved if isinstance(value, str) and refers(value)}
    old = dict(_flat(before, command))
    if old:
        old = {key: None for key in now if key.startswith(_NONE_BEFORE) and key in command.keys} | old
    if old.get("module._target_") == _ADAPTER:
        old["module._target_"] = _TRAINING
    unknown = {key for key in FROM_THE_DATA if now.get(key) is None}
    return [
        Change(key, old[key], now[key])
        for key in now
        if key in old and key not in unknown and old[key] != now[key]
        if command.resume_of(key) is not Resume.HARMLESS and not _is(key, followers)
    ]


class Forgotten(NamedTuple):
    """What the words of a run chose by groups, and those of this start do not."""

    words: str  # as in `preset=tiny`
    keys: Collection[str]  # keys, or whole sections, whose values follow from these groups
    command: str  # that continues without them


def refuse_changes(
    before: Mapping[str, Any], config: DictConfig, *, place: str, forgotten: Forgotten | None = None
) -> list[Change]:
    """Stops a run that would resume as another one.

    Args:
        before: the stored configuration; {} = none.
        config: the complete one.
        place: the run's folder, for the message.
        forgotten: what the run was started with, whose differences are one line; None = nothing.
    Returns:
        The risky changes, all of which `allow_change` names.
    Raises:
        UserError: the changes that are not allowed, one a line.
    """
    found = changes(before, config)
    fixed = [change for change in found if TRAIN.resume_of(change.key) is Resume.FIXED]
    refused = [change for change in found if change in fixed or not _is(change.key, config.allow_change)]
    faults = []
    if forgotten is not None and any(_is(change.key, forgotten.keys) for change in refused):
        faults.append(
            f"{place} was started with {forgotten.words}: add {forgotten.words}, or give {forgotten.command}"
        )
        refused = [change for change in refused if not _is(change.key, forgotten.keys)]
    faults += [
        f"{place} was started with {change}, which no run can change; set it back, or set another name=..."
        for change in refused
        if change in fixed
    ]
    faults += [
        f"{place} was last started with {change}; {change.way_back}, set another name=..., or resume with the change:"
        f" 'allow_change=[{change.key}]'"
        for change in refused
        if change not in fixed
    ]
    if faults:
        raise UserError("\n".join(faults))
    return found


def _is(key: str, kinds: Collection[str]) -> bool:
    return any(_within(key, kind) for kind in kinds)


def _within(key: str, other: str) -> bool:
    return key == other or key.startswith(f"{other}.")


def _flat(tree: Mapping[str, Any], command: Command, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        # The value of a key that has a line may be a mapping: a schedule.
        if isinstance(value, Mapping) and value and f"{prefix}{name}" not in command.keys:
            yield from _flat(value, command, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shown(key: str, value: Any) -> str:
    if key.endswith("resolution") and isinstance(value, list) and len(value) == 2:
        return size_text((value[0], value[1]))
    text = written(value) if value is None or "{" in str(value) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
