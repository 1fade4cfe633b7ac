"""Help: each command prints its own keys, with default, unit and meaning, and nothing is loaded for it."""

import re
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from stylegan.cli.command import run_command
from stylegan.configuration.compose import composed
from stylegan.configuration.help import help_lines
from stylegan.configuration.schema import COMMANDS, EVALUATE, GENERATE, TRAIN
from stylegan.configuration.suggestions import options_of

commands = pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)


def lines_of(command, *words, width=80) -> list[str]:
    return list(help_lines(command, composed(command.name, words), width=width))


def heads(lines) -> dict[str, str]:
    """{key: default} of the printed keys and groups."""
    found = [re.match(r"  ([\w.]+)=(\S*(?: [^ ]+)*)", line) for line in lines if re.match(r"  [\w.]+=", line)]
    return {match[1]: match[2] for match in found}


# Set by the key that they follow.
FOLLOWERS = {"data.resolution", "data.devices", "data.batch_size", "logger.wandb.name"}


@commands
def test_every_key_of_the_command_is_printed_once_and_no_other(command):
    own = {name for name, key in command.keys.items() if not key.internal} - FOLLOWERS
    printed = set()
    # A task has keys of its own, and its help prints them.
    tasks = options_of("task") if command is GENERATE else [None]
    for task in tasks:
        lines = lines_of(command, *([f"task={task}"] if task else []))
        keys = [line.split("=")[0].strip() for line in lines if re.match(r"  [\w.]+=", line)]
        assert len(keys) == len(set(keys))
        printed |= set(keys)
    assert printed == own | {group.name for group in command.groups}


@commands
@pytest.mark.parametrize(
    "width", [80, *(pytest.param(width, marks=pytest.mark.long) for width in (60, 100, 200))]
)
def test_lines_are_no_wider_than_the_terminal(command, width):
    texts = [line for line in lines_of(command, width=width) if re.match(r" {34}", line)]
    assert texts and max(map(len, texts)) <= min(width, 120)
    # More room, fewer lines.
    assert len(lines_of(command, width=200)) <= len(lines_of(command, width=width))


def test_a_line_has_default_unit_and_meaning():
    lines = lines_of(TRAIN, width=120)
    assert "  loss.r1_interval_iterations=16  from one R1 pass to the next [iterations]" in lines
    assert "  loss.r1_gamma=null              weight of the R1 penalty; null = set by the preset" in lines
    place = lines.index("  callbacks.checkpoint.every_kimg=20")
    assert lines[place + 1].strip() == "from one checkpoint to the next [kimg]"


def test_sections_and_groups_are_titled():
    lines = lines_of(TRAIN, width=120)
    for title in ("Examples", "Groups", "Losses", "EMA generator", "Flags"):
        assert lines[lines.index(title) - 1] == ""
    (ada,) = [line for line in lines if line.startswith("  ada=")]
    assert ada.endswith("how strongly: adaptive, fixed, none")
    assert any("experiment=flowers32" in line for line in lines)


def test_defaults_are_those_of_the_other_words():
    found = heads(lines_of(TRAIN, "preset=cifar", "ada=fixed", "seed=7"))
    assert (found["preset"], found["ada.mode"], found["seed"]) == ("cifar", "fixed", "7")
    assert found["loss.r1_gamma"].startswith("0.01") and found["loss.pl_weight"] == "0"


def test_a_key_of_another_option_names_it():
    text = " ".join(" ".join(lines_of(TRAIN)).split())
    assert (
        "data.path=... folder, with sub-folders, or zip of images, as in images.zip (with data=folder)"
        in text
    )
    assert "(with data=folder)" not in " ".join(lines_of(TRAIN, "data=folder"))
    assert "(with data=flowers)" in " ".join(lines_of(TRAIN, "data=folder"))
    # All kinds of data have it, and evaluate has chosen none.
    assert "true = doubles the set with mirrored images\n" in "\n".join(lines_of(EVALUATE))


def test_of_another_command_there_is_nothing():
    text = "\n".join(lines_of(GENERATE) + lines_of(EVALUATE))
    for word in ("r1_gamma", "run_dir", "data_fingerprint", "preset=", "_target_", "hydra"):
        assert word not in text
    assert "run_dir" not in "\n".join(lines_of(TRAIN)).replace("runs_dir", "")


@commands
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_command_prints_it_and_runs_nothing(command, flag, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def task(composition):
        raise AssertionError("it runs")

    assert run_command(command.name, task, [flag], program="test") == 0
    assert capsys.readouterr().out.splitlines() == lines_of(command)
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_next_to_it_is_a_mistake(capsys):
    assert run_command("train", None, ["--help", "preset=tinny"], program="test") == 2
    assert "did you mean tiny?" in capsys.readouterr().err


def test_torch_is_not_imported_for_it():
    code = (
        "import sys; from stylegan.cli.train import main; code = main(['--help']);"
        " sys.exit(code or ('torch' in sys.modules) or ('pytorch_lightning' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@commands
def test_what_is_to_be_copied_is_one_word_for_a_shell(command):
    """Brackets and stars are patterns there; zsh refuses those that fit no file."""
    text = "\n".join(lines_of(command, width=120))
    examples = text.partition("Examples")[2].partition("Groups")[0] + "\n".join(
        re.findall(r"as in\s+(\S+)", text)
    )
    assert not re.search(r"[\[\]*]", re.sub(r"'[^'\n]*'", "", examples))


@commands
def test_the_sweep_of_the_help_is_over_a_key_of_the_command(command):
    (example,) = [re.search(r"several values, as in (\S+)$", line) for line in lines_of(command, width=120)
                  if "several values" in line]  # fmt: skip
    key, _, values = example[1].partition("=")
    assert key in command.keys
    for value in values.split(","):
        assert OmegaConf.select(composed(command.name, [f"{key}={value}"]).config, key) == float(value)
