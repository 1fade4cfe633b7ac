"""Names of runs that are a little wrong: the run that is meant, for `resume=` and `network=`."""

from pathlib import Path

import pytest

from stylegan.runs.folder import RunFolder, run_meant
from stylegan.runs.network_files import find_network
from stylegan.runs.resume import find_checkpoint

WRITTEN = (
    "kimg0000001.000.ckpt",
    "checkpoints/kimg0000001.000",
    "checkpoints/kimg0000001.ckpt",
    "kimg0000001",
)
NEAR = [
    ("messy", "runs/messy"),  # there is a folder of pictures of that name, too
    ("mesy", "runs/messy"),
    ("runs/mesy", "runs/messy"),
    ("Runs/messy", "runs/messy"),
    ("runs/mesy/checkpoints/kimg0000001.000.ckpt", "runs/messy/checkpoints/kimg0000001.000.ckpt"),
    # What was deleted since, or is written without its folder or its ending.
    ("runs/messy/checkpoints/kimg0000009.000.ckpt", "runs/messy"),
    ("runs/messy/nowhere", "runs/messy"),
    ("messy/kimg0000009.000.ckpt", "runs/messy"),
    *((f"runs/messy/{name}", "runs/messy/checkpoints/kimg0000001.000.ckpt") for name in WRITTEN),
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
        ("zebras", None),
        ("../kimg0000001.000.ckpt", None),
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


def test_a_path_is_proposed_without_detours():
    said = refused(find_network, "../runs/messy", runs_dir="runs")
    assert said.endswith("; did you mean network=runs/messy?")


@pytest.mark.parametrize("name", ["config.yaml", "report.html"])
def test_a_file_of_a_run_that_is_no_checkpoint_is_said_to_be_none(name):
    Path("runs/messy", name).write_text("seed: 0")
    said = refused(find_checkpoint, f"runs/messy/{name}", RunFolder("runs/new"))
    assert said.startswith(f"resume=runs/messy/{name}: this is no checkpoint (")
    assert said.endswith("; resume= takes a run folder or a .ckpt of one; did you mean resume=runs/messy?")
