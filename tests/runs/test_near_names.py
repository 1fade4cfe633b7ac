"""Names of runs that are a little wrong: the run that is meant, for `resume=` and `network=`."""

from pathlib import Path

import pytest

from stylegan.runs.folder import RunFolder, run_meant
from stylegan.runs.network_files import find_network
from stylegan.runs.resume import find_checkpoint

NEAR = [
    ("messy", "runs/messy"),  # there is a folder of pictures of that name, too
    ("mesy", "runs/messy"),
    ("runs/mesy", "runs/messy"),
    ("Runs/messy", "runs/messy"),
    ("runs/mesy/checkpoints/kimg0000001.000.ckpt", "runs/messy/checkpoints/kimg0000001.000.ckpt"),
]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """A working folder with pictures, the run that learned from them, and another run without a checkpoint."""
    monkeypatch.chdir(tmp_path)
    for name in ("messy", "messy-empty"):
        RunFolder(Path("runs", name)).checkpoints.mkdir(parents=True)
        RunFolder(Path("runs", name)).config.touch()
    Path("runs/messy/checkpoints/kimg0000001.000.ckpt").touch()
    Path("messy").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *NEAR,
        ("runs", "runs/messy"),
        ("runs/messy-empt", "runs/messy"),  # the other one is nearer, and has no checkpoint
        *((far, None) for far in ("zebras", "runs/messy/nowhere")),
    ],
)
def test_a_run_that_is_meant_has_a_checkpoint(place, typed, meant):
    assert run_meant(Path(typed), Path("runs")) == (None if meant is None else Path(meant))
    assert run_meant(place / typed, place / "runs") in (None, place / (meant or "nowhere"))


def refused(find, *arguments, **keywords) -> str:
    with pytest.raises(ValueError) as caught:
        find(*arguments, **keywords)
    return str(caught.value)


@pytest.mark.parametrize(("typed", "meant"), NEAR)
def test_both_keys_name_it(typed, meant):
    resume = refused(find_checkpoint, typed, RunFolder("runs/new"))
    assert resume.endswith(f"nor a run folder that holds one; did you mean resume={meant}?")
    network = refused(find_network, typed, runs_dir="runs")
    assert network.startswith(f"network={typed}: ") and network.endswith(f"; did you mean network={meant}?")


@pytest.mark.parametrize("network", ["runs/messy-empty", "runs"])
def test_a_run_and_a_folder_of_runs_are_no_wrong_names(network):
    assert "did you mean" not in refused(find_network, network, runs_dir="runs")


@pytest.mark.parametrize("word", ["latest", "last", "Newest", "true"])
def test_words_for_the_newest_checkpoint_are_what_is_so_by_default(word):
    said = refused(find_checkpoint, word, RunFolder("runs/new"))
    assert said.startswith(f"resume={word}: ") and "; resume=auto, the default, does it" in said
