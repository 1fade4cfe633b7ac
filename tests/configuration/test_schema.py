"""Schema: it and `conf/` name the same keys, its types are the constructors', and a new key is one line."""

import json
import os
import shutil
import subprocess
import sys
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType

import pytest
import yaml
from omegaconf import OmegaConf

from stylegan.configuration.compose import composed
from stylegan.configuration.keys import Command, Filled, followed
from stylegan.configuration.schema import COMMANDS, TRAIN, scalar_faults
from stylegan.configuration.suggestions import options_of
from stylegan.configuration.user_code import part_named

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
commands = pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)


def leaves(tree: typing.Any, prefix: str = "") -> Iterator[tuple[str, typing.Any]]:
    """The dotted keys and values of a tree; a list, an empty mapping and a part in a list are values."""
    if not isinstance(tree, dict) or prefix and not tree:
        yield prefix, tree
        return
    for name, value in tree.items():
        yield from leaves(value, f"{prefix}.{name}" if prefix else str(name))


def _parts_of(group: str) -> list[str]:
    return [f"parts/{path.name}" for path in sorted((CONF / group / "parts").glob("*.yaml"))]


def values_in_conf(command: Command) -> dict[str, typing.Any]:
    """The values that the files of a command set, whichever options are chosen; wiring is left out."""
    tree = yaml.safe_load((CONF / f"{command.name}.yaml").read_text())
    found = {key: value for key, value in leaves(tree) if not key.startswith(("defaults", "hydra"))}
    for group in command.groups:
        # Its parts are files that several options begin with.
        files = [*(f"{option}.yaml" for option in options_of(group.name)), *_parts_of(group.name)]
        for file in files:
            text = (CONF / group.name / file).read_text()
            of_root = text.startswith("# @package _global_")
            of_file = leaves(yaml.safe_load(text) or {}, "" if of_root else group.name)
            found |= {key: value for key, value in of_file if "defaults" not in key.split(".")}
    wiring = ("_target_", "_convert_", "_partial_")
    return {key: value for key, value in found.items() if key.split(".")[-1] not in wiring}


# Options of a recipe, and what the task is handed over by the command.
NOT_KEYS = {"generator.use_noise", "logger"}


@commands
def test_every_key_of_conf_has_a_line(command):
    own = {key for key, value in values_in_conf(command).items() if followed(value) is None}
    assert own - NOT_KEYS - set(command.keys) == set()


@commands
def test_every_line_has_a_key_in_conf(command):
    own = {name for name, key in command.keys.items() if not key.internal}
    assert own - set(values_in_conf(command)) == set()


def test_internal_keys_are_stored_and_nowhere_in_conf():
    internal = {name for name, key in TRAIN.keys.items() if key.internal}
    assert internal == {"run_dir", "data_fingerprint"}
    assert not internal & set(values_in_conf(TRAIN))
    assert internal <= set(composed("train").config)


def constructors() -> Iterator[tuple[str, typing.Any]]:
    """The dotted keys of parts of ours with the annotations of their constructors, for all options."""
    trees = [OmegaConf.to_container(composed("train", words).config) for words in ([], ["data=folder"])]
    seen = set()
    for tree in trees:
        for key, target in leaves(tree):
            part, _, leaf = key.rpartition(".")
            if leaf == "_target_" and target.partition(".")[0] != "pytorch_lightning":
                found = part_named(target)
                hints = typing.get_type_hints(found.__init__ if isinstance(found, type) else found)
                for name, hint in hints.items():
                    if f"{part}.{name}" in TRAIN.keys and f"{part}.{name}" not in seen:
                        seen.add(f"{part}.{name}")
                        yield f"{part}.{name}", hint


def in_yaml(hint: typing.Any) -> set[str]:
    """What YAML can say for an annotation: a path is text, a sequence a list; a choice of words is text."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"str"}
    if inner and origin in (list, Sequence):
        return {f"list of {' or '.join(sorted(in_yaml(inner[0])))}"}
    if inner:
        return set().union(*map(in_yaml, inner))
    return {"str"} if hint in (os.PathLike, Path) else {getattr(hint, "__name__", str(hint))}


def test_types_are_those_of_the_constructors():
    # Null is filled in by the preset, the data or the command, before the constructor sees it.
    compared = 0
    for key, hint in constructors():
        filled = TRAIN.keys[key].filled or TRAIN.section_of(key).filled
        allowed = {"NoneType"} if filled is not Filled.USER else set()
        if hint is not typing.Any:
            assert in_yaml(TRAIN.keys[key].type) - allowed == in_yaml(hint) - allowed, key
            compared += 1
    assert compared > 80


@commands
def test_names_begin_as_their_section_says(command):
    for section in command.sections:
        for key in section.keys:
            assert key.name.rpartition(".")[0].partition(".")[0] == section.prefix, key.name
            assert "." in key.name or not section.prefix


@commands
def test_groups_are_those_of_the_defaults_list(command):
    defaults = yaml.safe_load((CONF / f"{command.name}.yaml").read_text())["defaults"]
    named = [next(iter(entry)) for entry in defaults if isinstance(entry, dict)]
    assert [group.name for group in command.groups] == [name for name in named if " " not in name]


@commands
def test_an_alias_leads_away_from_no_key_of_its_own(command):
    """`batch` may be called so elsewhere; `seed` is a key here, and needs no other."""
    for key in command.keys.values():
        for alias in key.alias:
            assert alias not in command.keys and key.name in command.called(alias)
            assert "-" not in alias


@commands
def test_free_text_is_text(command):
    for key in command.keys.values():
        assert not key.free_text or "str" in in_yaml(key.type), key.name


def test_a_list_that_hydra_checks_has_an_example():
    """It is shown for a single value."""
    closed = [section for section in TRAIN.sections if section.closed or not section.prefix]
    lists = [key for section in closed for key in section.keys if "list" in str(key.type)]
    assert {"allow_change", "optim.betas"} <= {key.name for key in lists}
    for key in lists:
        assert key.example.startswith("[") or key.name == "resolution", key.name


def test_null_is_none_where_null_is_a_type_and_the_preset_would_fill_it_in():
    for key in TRAIN.keys.values():
        if key.null_is_none:
            assert NoneType in typing.get_args(key.type) and key.name in TRAIN.filled_by(Filled.PRESET)


@pytest.mark.parametrize("value", [0, -3, True, 1.5, "all"])
def test_a_micro_batch_out_of_range_is_a_fault(value):
    (line,) = scalar_faults(batch_size=8, micro_batch=value, total_kimg=1.0, seed=0)
    assert line.startswith("micro_batch must be a whole number above 0, auto or null, got")
    for right in (1, "auto", None):
        assert scalar_faults(batch_size=8, micro_batch=right, total_kimg=1.0, seed=0) == []


NEW_LINE = """\
        Key("loss.hue_weight", float | None, "weight of the hue loss", "kelvin", alias=("huewt",), follows=BATCH),
"""
ASKED = """
import json
from hydra.errors import HydraException
from stylegan.configuration.command_line import CommandLine
from stylegan.configuration.compose import composed
from stylegan.configuration.help import help_lines
from stylegan.configuration.hydra_errors import explain
from stylegan.configuration.presets import FOLLOW_THE_BATCH, derive
from stylegan.configuration.schema import TRAIN
from stylegan.errors import UserError

composition = composed("train", ["loss.hue_weight=3"])

def fault(step):
    try:
        step()
    except (UserError, HydraException) as error:
        return explain(error)
print(json.dumps({
    "help": [line for line in help_lines(TRAIN, composed("train")) if "hue_weight" in line],
    "value": composition.config.loss.hue_weight,
    "type": fault(lambda: composed("train", ["loss.hue_weight=much"])),
    "flag": fault(lambda: CommandLine(["--huewt=3"], TRAIN)),
    "preset": derive("auto", 32, None, 1)["loss.hue_weight"],
    "batch": "loss.hue_weight" in FOLLOW_THE_BATCH,
    "resume": TRAIN.resume_of("loss.hue_weight").name,
}))
"""


def test_a_new_key_is_one_line_and_its_default(tmp_path):
    """A copy of the code with one line more: all that reads the table knows the key."""
    for room in ("stylegan", "conf"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    schema, train = tmp_path / "stylegan/configuration/schema.py", tmp_path / "conf/train.yaml"
    lines = schema.read_text().splitlines(keepends=True)
    (place,) = [number for number, line in enumerate(lines) if '"loss.style_mixing_prob"' in line]
    schema.write_text("".join([*lines[:place], NEW_LINE, *lines[place:]]))
    train.write_text(train.read_text().replace("\nloss:\n", "\nloss:\n  hue_weight: 1.5\n"))
    done = subprocess.run(
        [sys.executable, "-c", ASKED],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "help": ["  loss.hue_weight=1.5             weight of the hue loss [kelvin]"],
        "value": 3.0,
        "type": "loss.hue_weight must be a number, got 'much'",
        "flag": "--huewt: there is no such flag; the whole command here: python train.py loss.hue_weight=3",
        "preset": [1.5, "default"],
        "batch": True,
        "resume": "RISKY",
    }
