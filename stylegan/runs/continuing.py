"""Continuing by name: `resume=runs/foxes` takes the configuration of that run, but for what the command line says.

A run's folder may be a stranger's. Of its `config.yaml` only plain values are taken, for keys that our files or the
command line name; what a `_target_` in it names is compared, and never built."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from stylegan.configuration.command_line import literal, refers, unescaped
from stylegan.configuration.compose import Composition, composed
from stylegan.configuration.explain import COMMAND_LINE, chosen_by, origins, users_keys
from stylegan.configuration.hydra_errors import explain
from stylegan.configuration.schema import FROM_THE_DATA, TRAIN, scalar_faults
from stylegan.configuration.suggestions import options_of
from stylegan.configuration.user_code import OURS, arguments_of, mistyped, shown
from stylegan.errors import UserError
from stylegan.machine.files import expanded
from stylegan.runs.config_diff import same_target
from stylegan.runs.folder import RunFolder
from stylegan.runs.records import last_start, starts
from stylegan.runs.resume import is_plain, of_other_kind, stored_config, written_config

GROUPS = ("preset", "data", "augpipe", "ada", "callbacks", "logger", "trainer")
# Of one start alone, or found out again by each.
_OF_A_START = {
    "name",
    "runs_dir",
    "resume",
    "overwrite",
    "allow_change",
    "explain",
    "micro_batch",
    "logger.wandb.id",
}
_NOT_TAKEN = _OF_A_START | FROM_THE_DATA | TRAIN.names(lambda key: key.internal)
_PATHS = TRAIN.names(lambda key: key.free_text and key.leaf.endswith(("path", "_dir"))) - {
    "runs_dir",
    "transfer.path",
}


def run_named(resume: str) -> RunFolder | None:
    """The run that `resume` leads to: its folder, that of its checkpoints, or one of these; None where it is none."""
    if resume in ("auto", "never"):
        return None
    path = Path(os.path.normpath(expanded(resume, key="resume")))
    for place in (path, path.parent, path.parent.parent):
        folder = RunFolder(place)
        if folder.config.is_file() and path in (place, folder.checkpoints, folder.checkpoints / path.name):
            return folder
    return None


def words_of_run(overrides: Sequence[str]) -> list[str]:
    """The groups of the run that `resume=` leads to, as words, where the command line chooses none itself.

    Without them `data.path=...` would be refused, since data=folder is chosen by that run alone.
    Args: overrides: of the command line, in Hydra's grammar.
    Raises: ValueError where the run's configuration cannot be read.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    resumed = [override.value() for override in parsed if override.key_or_group == "resume"]
    # As it was typed, and not as OmegaConf is to read it.
    folder = run_named(unescaped(resumed[-1])) if resumed and isinstance(resumed[-1], str) else None
    typed = {override.key_or_group for override in parsed}
    if folder is None or "experiment" in typed:
        return []
    return [f"{group}={option}" for group, option in groups_of(folder).items() if group not in typed]


def groups_of(folder: RunFolder) -> dict[str, str]:
    """The files of ours that a run chose, by group; of an older run, as far as its parts tell.

    Raises: ValueError where its configuration cannot be read.
    """
    recorded = last_start(folder).get("groups")
    recorded = recorded if isinstance(recorded, dict) else {}
    known = {group: recorded[group] for group in GROUPS if recorded.get(group) in options_of(group)}
    stored = stored_config(folder)
    if "data" not in known:
        target = (stored.get("data") or {}).get("_target_")
        for option in options_of("data"):
            if target == composed("train", [f"data={option}"]).config.data._target_:
                known["data"] = option
    if "logger" not in known and isinstance(stored.get("logger"), dict):
        known["logger"] = (
            "wandb" if "wandb" in stored["logger"] else "default" if stored["logger"] else "none"
        )
    return known


def with_run(composition: Composition) -> Composition:
    """A composition with the values of the run that `resume` leads to, where the command line does not set them.

    Without another `name` or `runs_dir` that run itself continues, in its folder. A new run does not begin so, but by
    `transfer.path`.

    Returns: the composition as it is, where `resume` leads to no run.
    Raises: ValueError, in one line, where the run cannot be continued by its name.
    """
    resume = composition.config.resume
    folder = run_named(resume)
    if folder is None:
        return composition
    groups = groups_of(folder)
    if missing := [word for word in words_of_run(composition.overrides) if word not in composition.overrides]:
        again = composed("train", [*missing, *composition.overrides])
        composition = replace(
            again, swept=composition.swept, config_dir=composition.config_dir, typed=composition.typed
        )
    found = origins(composition)
    own = _own_keys(composition, found, groups)
    of_the_place = {"name", "runs_dir"} & set(users_keys(found)) or set(composition.swept) - {"resume"}
    stored = stored_config(folder)
    name = str(composition.config.name or stored.get("name") or folder.path.resolve().name)
    target = RunFolder(expanded(str(composition.config.runs_dir), key="runs_dir") / name)
    in_place = not of_the_place or not composition.swept and _same(target.path, folder.path)
    # Jobs of a sweep are named later, each in a folder of its own.
    if not in_place and (composition.swept or target.newest_checkpoint() is None):
        if not composition.swept and COMMAND_LINE not in (found.get("name"), found.get("runs_dir")):
            _refuse_parts_of_others(composition, folder, groups)  # a recipe's name is no wish for a new run
        raise ValueError(
            f"resume={resume} continues that run in its own folder; a new run that begins with its weights:"
            f" transfer.path={resume}{'' if composition.swept else f' name={name}'}"
        )
    # A run that began there with an earlier version continues with its own values.
    source = folder if in_place or not target.config.exists() else target
    _refuse_parts_of_others(composition, source, groups)
    _refuse_other_shapes(OmegaConf.to_container(composition.config), stored_config(source), own, source)
    values = dict(_values(composition.config, OmegaConf.to_container(written_config(source)), own))
    values |= _where_they_are(values, source)
    if in_place:
        _refuse_older(resume, folder)
        # By its own name where the path ends in none, as in `resume=.`.
        path = folder.path if folder.path.name not in ("", "..") else folder.path.resolve()
        place = {"name": literal(path.name), "runs_dir": literal(str(path.parent)), "resume": "auto"}
    else:
        place = {"name": literal(name)}
    config = _with_stored(composition.config, values, place, source)
    return replace(composition, config=config, swept={}, stored=frozenset(values))


def _own_keys(composition: Composition, found: Mapping[str, str], groups: Mapping[str, str]) -> set[str]:
    """The keys that the command line sets, also by choosing another file of a group than the run had."""
    own = set(users_keys(found))
    for group, option in composition.choices.items():
        if group in GROUPS and chosen_by(group, composition) == COMMAND_LINE and option != groups.get(group):
            own |= {key for key, origin in found.items() if origin.startswith(f"{group} ")}
    return own


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _refuse_older(resume: str, folder: RunFolder) -> None:
    """Raises: ValueError where the run has nothing to continue from, or has come further than the file."""
    newest, path = folder.newest_checkpoint(), expanded(resume, key="resume")
    if path.is_file() and (other := of_other_kind(path)) is not None:
        raise ValueError(f"resume={resume}: {other}")
    if newest is None:
        begun = (start for start in reversed(starts(folder)) if not _continues(start, folder))
        command = next((start["command"] for start in begun), None)
        way_out = f"its command begins it again: {command}" if command else "begin it by its command"
        raise ValueError(f"resume={resume}: No checkpoint found in {folder.path}; {way_out}")
    if path.suffix and not path.is_dir() and path.name != newest.name:
        raise ValueError(
            f"resume={resume}: this run has {newest.name}, and two histories in one folder would be mixed;"
            f" a new run with those weights: transfer.path={resume} and another name="
        )


def _continues(start: Mapping[str, Any], folder: RunFolder) -> bool:
    """Whether a recorded start has no command that begins the run: its `resume` leads to the run itself, or nowhere."""
    command, place = start.get("command"), start.get("working_dir")
    try:
        words = shlex.split(command) if isinstance(command, str) else []
    except ValueError:
        words = []
    resumed = [word.removeprefix("resume=") for word in words if word.startswith("resume=")]
    if not words or not resumed or resumed[-1] in ("auto", "never"):
        return not words
    path = Path(place if isinstance(place, str) else ".", expanded(resumed[-1], key="resume")).resolve()
    return not path.exists() or folder.path.resolve() in (path, path.parent, path.parent.parent)


def _refuse_parts_of_others(composition: Composition, folder: RunFolder, groups: Mapping[str, str]) -> None:
    """Raises: ValueError where the run had parts that neither our files nor the command line name."""
    now = OmegaConf.to_container(composition.config)
    for key, target in _targets(stored_config(folder)):
        node: Any = now
        for name in key.split("."):
            node = node.get(name) if isinstance(node, dict) else None
        if (
            isinstance(node, str)
            and "${" in node
            or isinstance(node, dict)
            and same_target(target, node.get("_target_"))
        ):
            continue
        ours = isinstance(target, str) and target.partition(".")[0] in OURS
        if ours and key.partition(".")[0] in ("callbacks", "logger", "trainer"):
            continue  # another version's, or switched off now: it changes nothing that is learned
        if key in groups and groups[key] != composition.choices[key]:
            raise ValueError(_other_choice(key, groups[key], composition, folder))
        raise ValueError(
            f"{folder.config}: {key} names {target}, which a run's folder alone does not let this command build;"
            " repeat the run's own command, with its --config-dir"
        )


def _other_choice(group: str, before: str, composition: Composition, folder: RunFolder) -> str:
    """That another file of a group is chosen now than the run had, and what to do: the networks know its labels."""
    now, by = composition.choices[group], chosen_by(group, composition)
    recipe = by.replace(" ", "=") if by.startswith("experiment ") else ""
    ways_out = [f"leave {recipe or f'{group}={now}'} out"] if recipe or by == COMMAND_LINE else []
    ways_out += [] if by == COMMAND_LINE else [f"add {group}={before}"]
    return (
        f"{folder.path} was started with {group}={before}, not with {group}={now}"
        f"{f', which {recipe} chooses' if recipe else ''}: {', or '.join(ways_out)}"
    )


def _targets(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted place, name) of every `_target_`, but below what follows another key once it is resolved."""
    if not isinstance(tree, Mapping):
        return
    if prefix and "_target_" in tree:
        yield prefix, tree["_target_"]
    for name, value in tree.items():
        # What `module` holds are the parts of other sections again.
        yield from _targets(value, f"{prefix}.{name}" if prefix else str(name))


def _values(config: DictConfig, stored: Mapping[str, Any], own: set[str]) -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of what a run has and the command line does not set.

    Args: stored: as it is written, so that a text that refers to something is told from one that looks like it.
    """
    yield from _values_in(OmegaConf.to_container(config), stored, own, "")


def _values_in(
    now: Mapping[str, Any], stored: Mapping[str, Any], own: set[str], prefix: str
) -> Iterator[tuple[str, Any]]:
    taken = _taken_by_part(now)
    for name, value in stored.items():
        key = f"{prefix}{name}"
        if str(name).startswith("_") or key in _NOT_TAKEN or key in own:
            continue
        present = now.get(name)
        if isinstance(present, str) and "${" in present:
            continue  # it follows another key
        if isinstance(present, Mapping):
            if isinstance(value, Mapping):
                yield from _values_in(present, value, own, f"{key}.")
            elif value is None:
                yield key, None  # switched off
        elif (name in now or name in taken) and is_plain(value, key):
            yield key, value


def _taken_by_part(node: Mapping[str, Any]) -> set[str]:
    """Arguments of a part that our files do not set; those that `+trainer.key=value` has set."""
    target = node.get("_target_")
    return arguments_of(target) or set() if isinstance(target, str) else set()


def _where_they_are(values: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Relative paths of a run, seen from where it was started: by now all may have moved."""
    stored, found = stored_config(folder), {}
    told = Path(str(stored.get("runs_dir") or "")) / str(stored.get("name") or "")
    whole = Path(os.path.abspath(folder.path))
    places = []
    if told.parts and not told.is_absolute() and whole.parts[-len(told.parts) :] == told.parts:
        places.append(Path(*whole.parts[: -len(told.parts)]))
    if isinstance(recorded := last_start(folder).get("working_dir"), str):
        places.append(Path(recorded))
    for key in _PATHS & values.keys():
        if not isinstance(values[key], str):
            continue
        value = unescaped(values[key])
        if not value or value.startswith("~") or Path(value).is_absolute():
            continue
        place = next((place for place in places if (place / value).exists()), None)
        if place is not None and not _same(place, Path.cwd()):
            found[key] = literal(str(place / value))
    return found


def _refuse_other_shapes(
    now: Mapping[str, Any], stored: Mapping[str, Any], own: set[str], folder: RunFolder, prefix: str = ""
) -> None:
    """Raises: ValueError where a file has keys below a key that has none, or a value in place of a section."""
    for name, value in stored.items():
        key, present = f"{prefix}{name}", now.get(name)
        if str(name).startswith("_") or key in _NOT_TAKEN | own or present is None or value is None:
            continue
        if isinstance(present, str) and refers(present):
            continue  # it follows another key, which is looked at instead
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            _refuse_other_shapes(present, value, own, folder, f"{key}.")
            continue
        items = value if isinstance(value, list) else [value]
        # What a `_target_` names is looked at by itself.
        keyed = any(isinstance(item, Mapping) and "_target_" not in item for item in items)
        if keyed or isinstance(present, Mapping):
            asked = "a set of keys" if isinstance(present, Mapping) else "a value"
            raise ValueError(
                f"in {folder.config}: {key} must be {asked}, got {shown(value)}; correct it there"
            )


def _with_stored(
    config: DictConfig, values: Mapping[str, Any], place: Mapping[str, Any], folder: RunFolder
) -> DictConfig:
    """A configuration with what a run has.

    Raises: UserError for values of the run that make no sense, one line each; the user has not typed them.
    """
    try:
        changed = _with(config, {**values, **place})
        given = {key for key, value in values.items() if value is not None}
        faults = mistyped(changed, only=given)
        scalars = {key: changed[key] for key in ("batch_size", "micro_batch", "total_kimg", "seed")}
        faults += [line for line in scalar_faults(**scalars) if line.split()[0] in given]
    except OmegaConfBaseException as error:
        faults = [explain(error) or str(error)]
    if faults:
        raise UserError("\n".join(f"in {folder.config}: {line}" for line in faults))
    return changed


def _with(config: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    changed = OmegaConf.create(config)
    with open_dict(changed):
        for key, value in values.items():
            OmegaConf.update(changed, key, value, merge=False, force_add=True)
    return changed
