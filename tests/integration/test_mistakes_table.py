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


# What these are answered is asked in a few words elsewhere, too (tests/cli/test_train_mistakes.py, tests/configuration/
# test_habits.py, tests/configuration/test_unknown_keys.py): here only the page could be out of date.
ASKED_ELSEWHERE = {
    *("train.py resolutoin=64", "train.py prest=tiny", "train.py preset=tinny", "train.py data=null"),
    *("train.py data=folder data.pth=foxes", "train.py data=foxes", "train.py kimg=1000 gamma=10"),
    *("train.py loss.r1_gamma=0,5", "train.py loss.r1_gama=0.5 total_kimg=much optim.beta=[0,0.9]"),
    *(
        "train.py ada.targt=0.5 generator.z_dim=abc data.xflip=often",
        "train.py seed=1,2",
        "train.py fp32=true",
    ),
    *("train.py aug=ada", "train.py grayscale=1", "train.py dry-run=1", "train.py epochs=10"),
    *("train.py data.xflip=2", "train.py data.channels=rgba", "train.py loss.r1_gamma=-1"),
    *("train.py data=folder data.path=foxes data.labels=1", "train.py --config-dir my_conf experiment=typo"),
    *(
        "train.py 'schedules={ema.half_life_kimg: {kind: linear, points: [[0,5],[1000,10]]}}'",
        "train.py 'schedules.ada.p_init={kind: linear, points: [[0,0],[1000,0.6]]}'",
        "train.py preset=tiny 'schedules.loss.r1_gamma={kind: steps, points: [[500,3]]}'",
    ),
    *("train.py resume=runs", "train.py resume=done", "train.py resume=ffhq.pkl name=other"),
}


def test_what_is_asked_elsewhere_is_on_the_page():
    assert ASKED_ELSEWHERE <= {mistake.command for mistake in script.MISTAKES}


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(mistake, marks=pytest.mark.long if mistake.command in ASKED_ELSEWHERE else ())
        for mistake in script.MISTAKES
    ],
    ids=lambda mistake: mistake.command[:60],
)
def test_a_mistake_is_answered_as_the_page_says(place, mistake):
    row = script.table([(mistake, script.lines_of(mistake, place))]).splitlines()[-1]
    assert row in rows_of_page()


def test_the_script_fails_where_a_command_is_not_refused(place):
    with pytest.raises(SystemExit, match="exit code 0, 1 line expected"):
        script.lines_of(script.Mistake("train.py --config-dir my_conf experiment=small name=done"), place)
    with pytest.raises(SystemExit, match="2 lines expected"):
        script.lines_of(script.Mistake("train.py resolutoin=64", faults=2), place)
