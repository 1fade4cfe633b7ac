"""Changes that a run which goes on is given leave for: they work, or leave the run as it was."""

import json
import shutil
from pathlib import Path

import pytest
import torch

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
    assert [(change["key"], change["now"]) for change in changed] == [
        ("loss.pl_weight", 0.0),
        ("loss.pl_weight", 2.0),
    ]
