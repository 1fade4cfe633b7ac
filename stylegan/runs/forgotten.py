"""Forgotten groups: what a run chose by `preset=` and the like, and the command that continues it leaves out."""

import shlex
from collections.abc import Iterator, Mapping

from omegaconf import DictConfig, OmegaConf

from stylegan.configuration.compose import Composition
from stylegan.configuration.explain import COMMAND_LINE, chosen_by, users_keys
from stylegan.configuration.presets import derive, names
from stylegan.configuration.presets import keys as preset_keys
from stylegan.runs.config_diff import Forgotten
from stylegan.runs.folder import RunFolder
from stylegan.runs.records import escaped, last_start
from stylegan.runs.resume import stored_config

# What `resume=` with the run's folder says already, or what would keep it from continuing.
_OF_THE_PLACE = {"name", "runs_dir", "resume", "overwrite", "explain", "logger.wandb.id"}


def forgotten_groups(
    composition: Composition, found: Mapping[str, str], folder: RunFolder
) -> Forgotten | None:
    """What the run in the folder chose by groups and the command line leaves out: forgotten, more likely than meant.

    Args: found: {dotted key: origin}, of the complete configuration.
    Returns: None where the same groups are chosen, or their row of `events.jsonl` is not there.
    """
    recorded = last_start(folder).get("groups")
    recorded = recorded if isinstance(recorded, dict) else {}
    others = {
        group: option
        for group in ("experiment", "preset", "data", "augpipe", "ada")
        if isinstance(option := recorded.get(group), str) and option != composition.choices.get(group)
        # Another preset was chosen, and its numbers were typed no more than those of the default one.
        if group == "preset" or chosen_by(group, composition) != COMMAND_LINE
    }
    if not others:
        return None
    others = {"experiment": others["experiment"]} if "experiment" in others else others
    untyped = found.keys() - users_keys(found)
    of_preset = _keys_of_preset(others["preset"], composition.config, folder) if "preset" in others else set()
    keys = {
        key for key in untyped if key in of_preset or "experiment" in others or key.split(".")[0] in others
    }
    words = shlex.join(f"{group}={option}" for group, option in others.items())
    command = shlex.join(["python", "train.py", f"resume={folder.path}", *_words_beyond(composition, folder)])
    return Forgotten(words, keys, command)


def _keys_of_preset(preset: str, config: DictConfig, folder: RunFolder) -> set[str]:
    """The keys that a preset would give back the values they have in the run; all, for a preset of the user's own."""
    if preset not in names():
        return set(preset_keys())
    stored = OmegaConf.create(escaped(stored_config(folder)))
    values = derive(preset, config.resolution, stored.get("batch_size"), devices=1)
    return {key for key, (value, _) in values.items() if OmegaConf.select(stored, key) == value}


def _words_beyond(composition: Composition, folder: RunFolder) -> Iterator[str]:
    """The words that set something else than the run has, for a command that takes the rest from the run."""
    stored = OmegaConf.create(escaped(stored_config(folder)))
    for word in composition.typed:
        key = word.partition("=")[0]
        if key in composition.choices or key in _OF_THE_PLACE or key.startswith("-"):
            continue
        if OmegaConf.select(stored, key) != OmegaConf.select(composition.config, key):
            yield word
