"""docs/mistakes.md shows what the commands answer today."""

import sys
from pathlib import Path

import pytest

from benchmarks.studies import make_mistakes as script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the script's alarm needs a Unix")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("place").resolve()
    script.prepare(folder)
    return folder


def rows_of_page() -> list[str]:
    return [line for line in script.PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")][
        1:
    ]


def test_the_page_has_all_mistakes_of_the_script_in_order():
    assert len(script.MISTAKES) >= 40
    commands = [row.split("`")[1] for row in rows_of_page()]
    assert commands == [mistake.command for mistake in script.MISTAKES]


@pytest.mark.parametrize("mistake", script.MISTAKES, ids=lambda mistake: mistake.command[:60])
def test_a_mistake_is_answered_as_the_page_says(place, mistake):
    row = script.table([(mistake, script.lines_of(mistake, place))]).splitlines()[-1]
    assert row in rows_of_page()


def test_the_script_fails_where_a_command_is_not_refused(place):
    with pytest.raises(SystemExit, match="exit code 0, 1 line expected"):
        script.lines_of(script.Mistake("train.py --config-dir my_conf experiment=small name=done"), place)
    with pytest.raises(SystemExit, match="2 lines expected"):
        script.lines_of(script.Mistake("train.py resolutoin=64", faults=2), place)
