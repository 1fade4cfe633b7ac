"""Changes that a resumed run is allowed: they work, or leave the run as it was."""

import errno
import json
import shutil
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from stylegan.cli.train import main

SMALL = [
    *("preset=tiny", "resolution=8", "batch_size=4", "trainer=cpu", "augpipe=blit", "metrics=none"),
    *("generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8", "discriminator.channel_max=8"),
    *("data.num_items=10", "callbacks.snapshots=null", "logger=none", "loss.pl_interval_iterations=1"),
]


def train(*arguments: str) -> int:
    return main([*SMALL, *arguments])


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("place")
    assert train("name=run", "total_kimg=0.004", f"runs_dir={place}") == 0
    return place / "run"


@pytest.fixture
def run(begun, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(begun, tmp_path / "runs" / "run"))


def mean_length(run: Path, kimg: str) -> float:
    state = torch.load(run / "checkpoints" / f"kimg0000000.{kimg}.ckpt", weights_only=True)["state_dict"]
    return state["path_length.mean_length"].item()


def test_path_length_can_be_switched_off_and_on(run):
    leave = "allow_change=[loss.pl_weight]"
    assert train("name=run", "total_kimg=0.008", "loss.pl_weight=0", leave) == 0
    assert mean_length(run, "004") == mean_length(run, "008") > 0
    assert train("name=run", "total_kimg=0.012", leave) == 0
    assert mean_length(run, "012") != mean_length(run, "008")
    changed = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    changed = [event for event in changed if event["event"] == "allow_change"]
    assert [(change["key"], change["now"]) for change in changed] == [
        ("loss.pl_weight", 0.0),
        ("loss.pl_weight", 2.0),
    ]


def test_a_change_that_came_to_nothing_leaves_the_run_as_it_was(run, capfd):
    """Here the file of another's run: without a checksum, and with a network of another size."""
    path = run / "checkpoints" / "kimg0000000.004.ckpt"
    good, before = path.read_bytes(), (run / "config.yaml").read_bytes()
    events = (run / "events.jsonl").read_bytes()
    content = torch.load(path, weights_only=True)
    content["state_dict"]["generator.mapping.fc0.weight"] = torch.zeros(3, 3)
    torch.save(content, path)
    path.with_name(f"{path.name}.sha256").unlink()
    change = ("loss.r1_gamma=9", "allow_change=[loss.r1_gamma]")
    assert train("name=run", "total_kimg=0.008", *change) == 2
    err = capfd.readouterr().err
    assert "size mismatch for generator.mapping.fc0.weight" in err and f"rename it to {path.name}.bad" in err
    assert (run / "config.yaml").read_bytes() == before and (run / "events.jsonl").read_bytes() == events
    path.write_bytes(good)
    assert train("name=run", "total_kimg=0.008") == 0


def no_semaphores(self):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_workers_that_cannot_be_started_leave_nothing_of_a_new_run(tmp_path, monkeypatch, capfd):
    """As where /dev/shm is missing: by then the loggers have written their files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DataLoader, "__iter__", no_semaphores)
    words = [word for word in SMALL if word != "logger=none"]
    assert main([*words, "name=new", "total_kimg=0.004", "data.workers=1"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "data workers cannot be started" in line and "/dev/shm" in line
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "runs"]) and not (tmp_path / "runs" / "new").exists()


def test_workers_that_cannot_be_started_leave_a_run_as_it_was(run, monkeypatch):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    change = ("loss.r1_gamma=9", "allow_change=[loss.r1_gamma]", "data.workers=1")
    with monkeypatch.context() as patch:
        patch.setattr(DataLoader, "__iter__", no_semaphores)
        assert train("name=run", "total_kimg=0.008", *change) == 2
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert train("name=run", "total_kimg=0.008") == 0


def test_another_run_is_not_continued_under_another_name(run, capfd):
    assert train("name=wide", f"resume={run}", "generator.w_dim=16", "total_kimg=0.008") == 2
    err = capfd.readouterr().err
    assert f"a new run that begins with its weights: transfer.path={run} name=wide" in err
    assert "rename" not in err and err.count("\n") == 1
