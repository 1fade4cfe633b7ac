"""Network files: which networks `network=` names, where it may name several."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.runs.network_files import find_network, networks_named


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "a,b", "sweep1", "sweep2", "x[1]", "with space, and comma"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / "sweep.csv").write_text("")
    (tmp_path / "runs" / "sweep9.ckpt").write_text("")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, [None]),
        ("runs/a", ["runs/a"]),
        ("runs/a,runs/b", ["runs/a", "runs/b"]),
        ("[runs/a, runs/b]", ["runs/a", "runs/b"]),
        ("runs/a,b", ["runs/a,b"]),
        ("runs/a,b,runs/sweep1", ["runs/a,b", "runs/sweep1"]),
        ("runs/with space, and comma,runs/a", ["runs/with space, and comma", "runs/a"]),
        ("runs/x[1]", ["runs/x[1]"]),
        ("runs/sweep*", ["runs/sweep1", "runs/sweep2", "runs/sweep9.ckpt"]),
        ("runs/sweep[12],runs/a", ["runs/sweep1", "runs/sweep2", "runs/a"]),
        ("runs/sweep*,runs/sweep2", ["runs/sweep1", "runs/sweep2", "runs/sweep9.ckpt"]),
        ("runs/nowhere", ["runs/nowhere"]),
        ("runs/a,runs/nowhere", ["runs/a", "runs/nowhere"]),
        ("runs/a,", ["runs/a"]),
    ],
)
def test_paths_commas_and_globs(text, named):
    assert networks_named(text) == named


def test_a_glob_that_fits_nothing_says_so():
    with pytest.raises(ValueError, match=r"^network=runs/none\*: no run or network is called so$"):
        networks_named("runs/a,runs/none*")


@given(
    st.lists(
        st.text("abc.", min_size=1, max_size=4).filter(lambda word: word.strip(".")), min_size=1, unique=True
    )
)
def test_names_that_are_nowhere_are_split_at_their_commas(words):
    assert networks_named(",".join(f"nowhere/{word}" for word in words)) == [
        f"nowhere/{word}" for word in words
    ]


@pytest.mark.parametrize("network", ["runs/a", "runs/a/checkpoints"])
def test_checkpoints_that_the_system_refuses_are_one_line(network, tmp_path, monkeypatch):
    (tmp_path / "runs" / "a" / "checkpoints").mkdir()

    def refused(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", refused)
    with pytest.raises(ValueError, match=rf"^network={network}: its checkpoints cannot be read \(Permission"):
        find_network(network, runs_dir="runs")
