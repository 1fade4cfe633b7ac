"""Each program and file of ours that a page names is there, and the three programs in the root are the commands."""

import importlib.util
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What a page asks the reader to write, or to have.
OF_THE_READER = {"pip", "venv", "pytest", "my_training.py"}

_STARTED = re.compile(r"python3? (?:-m (?P<module>[\w.]+)|(?P<file>[\w./]+\.py))")

_TEXTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "conf").rglob("*.yaml")]
PAGES = sorted(path for path in _TEXTS if _STARTED.search(path.read_text(encoding="utf-8")))


def missing(text: str) -> list[str]:
    """The programs that a text starts, and that are not there."""
    names = []
    for match in _STARTED.finditer(text):
        module, file = match["module"], match["file"]
        if (module or file) in OF_THE_READER:
            continue
        there = (ROOT / file).is_file() if file else importlib.util.find_spec(module.rstrip(".")) is not None
        names += [] if there else [module or file]
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_programs_of_a_page_are_there(page):
    assert missing(page.read_text(encoding="utf-8")) == []


# The changelog names what there was.
NAMING = [path for path in _TEXTS if path.suffix == ".md" and path.name != "CHANGELOG.md"]
_FILE = re.compile(r"(?<![\w/])(?:tests|stylegan|callbacks|datamodules|benchmarks|conf|docs)/[\w./]*\w")


def missing_files(text: str) -> list[str]:
    return [name for name in _FILE.findall(text) if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", NAMING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_files_that_a_page_names_are_there(page):
    assert missing_files(page.read_text(encoding="utf-8")) == []


def test_a_file_that_has_moved_is_found():
    assert missing_files("`tests/golden`, [a](docs/judging.md), stylegan/training.") == ["docs/judging.md"]


def test_a_program_that_has_moved_is_found():
    text = "`python docs/plot.py`, `python -m stylegan.judge`, `python train.py`, `python -m benchmarks`"
    assert missing(text) == ["docs/plot.py", "stylegan.judge"]


@pytest.mark.parametrize("name", ["train", "generate", "evaluate"])
def test_a_script_in_the_root_is_the_command(name, monkeypatch):
    called = []
    monkeypatch.setattr(f"stylegan.cli.{name}.main", lambda: called.append(name) or 3)
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(ROOT / f"{name}.py"), run_name="__main__")
    assert called == [name] and left.value.code == 3
