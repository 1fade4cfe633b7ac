"""The nearest right thing to a word that is none: keys, groups and the files of groups."""

import difflib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import yaml

MOST_LISTED = 16
# What users of other programs, and of papers, call them.
_BY_OTHER_NAMES = {
    "aug": ["ada.mode"],
    "augment": ["ada.mode"],
    "batch": ["batch_size"],
    "batch_gpu": ["micro_batch"],
    "callbacks.trouble": ["callbacks.non_finite_guard"],
    "callbacks.trouble.every_kimg": ["callbacks.non_finite_guard.every_kimg"],
    "callbacks.trouble.max_rollbacks": ["callbacks.non_finite_guard.max_rollbacks"],
    "cfg": ["preset"],
    "class": ["label"],
    "cond": ["data.labels"],
    "epochs": ["total_kimg"],
    "freezed": ["discriminator.freeze_layers"],
    "gamma": ["loss.r1_gamma"],
    "gpus": ["trainer.devices"],
    "iterations": ["total_kimg"],
    "kimg": ["total_kimg"],
    "lr": ["optim.generator_lr", "optim.discriminator_lr"],
    "learning_rate": ["optim.generator_lr", "optim.discriminator_lr"],
    "max_epochs": ["total_kimg"],
    "mirror": ["data.xflip"],
    "outdir": ["out", "runs_dir"],
    "psi": ["truncation"],
    "snap": ["callbacks.checkpoint.every_kimg", "callbacks.snapshots.every_kimg"],
    "steps": ["total_kimg"],
    "target": ["ada.target"],
    "trunc": ["truncation"],
    "truncation_psi": ["truncation"],
}


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean ...?`, or nothing where no word is near."""
    close = _close(word, words)
    return f"; did you mean {close}?" if close else ""


def nearest_key(key: str, keys: Iterable[str]) -> str:
    """What to say after `there is no key <key>`, from the keys that there are."""
    keys = list(keys)
    section, _, name = key.rpartition(".")
    group = key.partition(".")[0]
    elsewhere = {f"{group}.{leaf}": option for option, leaves in _leaves(group) for leaf in leaves}
    if key in elsewhere:
        options = [f"{group}={option}" for option, leaves in _leaves(group) if name in leaves]
        return f" here; it comes with {' or '.join(options)}"
    if key in keys:
        return " among what was chosen"
    here = [known for known in _BY_OTHER_NAMES.get(key, ()) if known in keys]
    if here:
        return f"; here it is {' and '.join(here)}"
    siblings = [known for known in keys if known.rpartition(".")[0] == section]
    if section and siblings:
        known = dict.fromkeys(siblings) | (elsewhere if section == group else {})
        # The section is right, so it is the last word that is wrong.
        close = _close(name, [sibling.rpartition(".")[2] for sibling in known])
        if close is None:
            leaves = sorted(sibling.rpartition(".")[2] for sibling in siblings)
            return f"; {section} has {', '.join([leaf for leaf in leaves if leaf[0] != '_'][:MOST_LISTED])}"
        found = f"{section}.{close}"
        comes_with = f", which comes with {group}={elsewhere[found]}" if found not in siblings else ""
        return f"; did you mean {found}{comes_with}?"
    return nearest(key, keys) or nearest_leaf(name, keys)


def nearest_leaf(name: str, keys: Iterable[str]) -> str:
    """For a key without its section: `r1_gamma` → `loss.r1_gamma`."""
    full = {key.rpartition(".")[2]: key for key in reversed(list(keys))}
    close = _close(name, full)
    return f"; did you mean {full[close]}?" if close else ""


def options_of(group: str) -> list[str]:
    """The files of a group of ours, by name; none for a word that is no group."""
    folder = resources.files("conf").joinpath(group)
    if not group.isidentifier() or not folder.is_dir():
        return []
    return sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml"))


def _leaves(group: str) -> list[tuple[str, list[str]]]:
    """The files of a group of ours and the keys in them; none for groups that set keys elsewhere."""
    found = []
    for option in options_of(group):
        text = resources.files("conf").joinpath(group, f"{option}.yaml").read_text(encoding="utf-8")
        if not text.startswith("# @package _global_"):
            found.append((option, [key for key in yaml.safe_load(text) or {} if key != "defaults"]))
    return found


def _close(word: str, words: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)), None)
