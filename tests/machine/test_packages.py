"""A Python without the packages is answered in one line, by the scripts of the root."""

import re
import runpy
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from stylegan.machine import packages

ROOT = Path(__file__).parents[2]


def test_those_that_are_needed_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {re.match(r"[\w-]+", line)[0].lower() for line in project["dependencies"]}
    homes = {name: {home.lower() for home in homes} for name, homes in packages_distributions().items()}
    # Loaded with logger=wandb alone.
    assert set().union(*(homes[name] & asked for name in packages.NEEDED)) == asked - {"wandb"}
    assert project["requires-python"] == ">={}.{}".format(*packages.OLDEST)


@pytest.fixture
def script(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "train.py"


def test_missing_packages_are_one_line_with_the_python_that_has_them(script, monkeypatch, capsys):
    python = script.parent / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None if name == "torch" else name)
    with pytest.raises(SystemExit) as left:
        packages.refuse_without_packages(str(script))
    line = capsys.readouterr().err
    assert left.value.code == 2 and line.count("\n") == 1
    assert line.startswith("train.py: torch is not installed for ")
    assert line.endswith("run .venv/bin/python train.py ..., or first: source .venv/bin/activate\n")


def test_without_a_venv_the_line_says_how_to_make_one(script, monkeypatch, capsys):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        packages.refuse_without_packages(str(script))
    line = capsys.readouterr().err
    assert f"torch and {len(packages.NEEDED) - 1} more packages are not installed" in line
    assert "`make .venv/installed`" in line


def test_an_old_python_is_one_line(script, monkeypatch, capsys):
    monkeypatch.setattr(packages.sys, "version_info", (3, 9, 2, "final", 0))
    with pytest.raises(SystemExit):
        packages.refuse_without_packages(str(script))
    assert "Python 3.11 or newer is needed, and " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["train", "generate", "evaluate"])
def test_each_script_asks_before_it_loads_anything(name, monkeypatch, capsys):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(ROOT / f"{name}.py"), run_name="__main__")
    assert left.value.code == 2 and capsys.readouterr().err.startswith(f"{name}.py: torch and ")
