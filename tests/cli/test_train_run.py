"""Real trainings of a few images through the command: what they leave behind, and how they go on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from stylegan.cli.train import main

ROOT = Path(__file__).parents[2]
SMALL = [
    *("preset=tiny", "resolution=8", "batch_size=4", "micro_batch=2", "trainer=cpu", "ada.p_init=0.5"),
    *("generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8", "discriminator.channel_max=8"),
    *("data.num_items=10", "callbacks.snapshots.columns=2", "callbacks.snapshots.rows=2", "augpipe=bg"),
]


def train(*arguments: str) -> None:
    assert main([*SMALL, *arguments]) == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def run(place) -> Path:
    """A finished run of 16 images: four iterations, all phases among them."""
    before = Path.cwd()
    os.chdir(place)
    try:
        train("name=run", "total_kimg=0.016")
    finally:
        os.chdir(before)
    return place / "runs" / "run"


@pytest.fixture
def here(place, run, monkeypatch) -> Path:
    monkeypatch.chdir(place)
    return place


def checkpoints(run: Path) -> list[str]:
    return sorted(path.stem for path in (run / "checkpoints").glob("*.ckpt"))


def state_of(run: Path, name: str) -> dict:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def test_a_run_leaves_its_files_in_its_folder_and_nothing_elsewhere(run):
    assert checkpoints(run) == ["kimg0000000.016"]
    assert (run / "checkpoints" / "kimg0000000.016.safetensors").exists()
    assert {path.name for path in (run / "snapshots").iterdir()} == {
        *("reals.png", "fakes_kimg0000000.000.png", "fakes_kimg0000000.016.png")
    }
    files = {path.name for path in run.iterdir()}
    assert files == {"config.yaml", "checkpoints", "snapshots", "stats.jsonl", "stats.csv", "tensorboard"}
    assert [path.name for path in run.parent.parent.iterdir()] == ["runs"]


def test_the_configuration_in_the_folder_is_complete(run):
    config = OmegaConf.load(run / "config.yaml")
    assert "${" not in (run / "config.yaml").read_text()
    assert (config.generator.c_dim, config.batch_size, config.micro_batch) == (0, 4, 2)
    assert config.loss.r1_gamma == pytest.approx(0.0002 * 64 / 4)


def test_a_finished_run_says_so(here, run, capfd):
    train("name=run", "total_kimg=0.016")
    out = capfd.readouterr().out
    assert "total_kimg=0.016 already" in out and "network=runs/run" in out
    assert checkpoints(run) == ["kimg0000000.016"]


def test_a_run_goes_on_as_if_it_had_not_stopped(here, run, capfd):
    train("name=whole", "total_kimg=0.024")
    capfd.readouterr()
    shutil.copytree(run, here / "runs" / "halves")
    train("name=halves", "total_kimg=0.024")
    lines = capfd.readouterr().out.splitlines()
    assert "continuing from kimg 0.016 (kimg0000000.016.ckpt)" in lines
    halves = state_of(here / "runs" / "halves", "kimg0000000.024")
    whole = state_of(here / "runs" / "whole", "kimg0000000.024")
    assert halves["state_dict"].keys() == whole["state_dict"].keys()
    differing = [
        key for key, value in whole["state_dict"].items() if not value.equal(halves["state_dict"][key])
    ]
    assert differing == []


def test_a_run_can_begin_from_the_checkpoint_of_another(here, run, capfd):
    train("name=other", f"resume={run}", "total_kimg=0.02")
    assert "continuing from kimg 0.016" in capfd.readouterr().out
    assert checkpoints(here / "runs" / "other") == ["kimg0000000.020"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["name=run", "resume=never"], "resume=never"),
        (["name=run", "generator.z_dim=16"], "generator.z_dim"),
        (["name=new", "resume=nowhere.ckpt"], "nowhere.ckpt"),
        (["name=new", "data=folder", "data.path=nowhere.zip"], "nowhere.zip"),
        (["name=new", "loss.r1_gamma=-1"], "loss.r1_gamma"),
        (["name=new", "callbacks.checkpoint.every_kimg=0"], "callbacks.checkpoint.every_kimg"),
        (["name=new", "+callbacks.snapshot.every_kimg=1"], "callbacks.snapshot"),
        (["name=new", "+callbacks.stats.evry_kimg=1"], "evry_kimg"),
    ],
)
def test_mistakes_are_one_line_and_leave_no_folder(here, run, capfd, arguments, word):
    small = [item for item in SMALL if not ("data=folder" in arguments and item.startswith("data."))]
    assert main([*small, "total_kimg=1", *arguments]) == 2
    streams = capfd.readouterr()
    assert word in streams.err and streams.err.count("\n") == 1
    assert not (here / "runs" / "new").exists()


def test_a_checkpoint_that_does_not_fit_is_a_mistake(here, run, capfd):
    assert main([*SMALL, "name=wide", f"resume={run}", "generator.z_dim=16", "total_kimg=1"]) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_a_smaller_minibatch_std_group_is_announced(here, capfd):
    train("name=note", "total_kimg=0.004")
    assert "groups of 2, not 4" in capfd.readouterr().out


def test_each_job_of_a_sweep_has_a_folder(here):
    train("--multirun", "name=sweep", "total_kimg=0.004", "seed=1,2", "logger=none")
    for seed in (1, 2):
        job = here / "runs" / f"sweep-seed={seed}"
        assert checkpoints(job) == ["kimg0000000.004"]
        assert OmegaConf.load(job / "config.yaml").seed == seed
    assert [path.name for path in here.iterdir()] == ["runs"]


def command(*arguments: str, root: Path = ROOT) -> list[str]:
    return [sys.executable, str(root / "train.py"), *arguments]


def test_a_typo_ends_with_code_2_and_one_line(tmp_path):
    done = subprocess.run(command("resolutoin=64"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "stylegan-train: there is no key resolutoin; did you mean resolution?\n"
    assert list(tmp_path.iterdir()) == []


def test_a_plain_copy_of_the_tree_works_from_anywhere(tmp_path):
    copy = tmp_path / "copy"
    for name in ("stylegan", "conf", "callbacks", "datamodules"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "train.py", copy)
    shown = subprocess.run(
        command("--cfg", "job", "name=a, b", root=copy), cwd=tmp_path, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    assert OmegaConf.create(shown.stdout).name == "a, b"
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, -9, marks=pytest.mark.long),
    ],
    ids=["int", "term", "kill"],
)
def test_a_run_that_is_stopped_goes_on_by_the_same_command(tmp_path, monkeypatch, capfd, number, code):
    arguments = [*SMALL, "name=stopped", "total_kimg=100", "callbacks.checkpoint.every_kimg=0.02"]
    running = subprocess.Popen(command(*arguments), cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    folder = tmp_path / "runs" / "stopped" / "checkpoints"
    while not list(folder.glob("*.ckpt")) and running.poll() is None:
        time.sleep(0.05)
    running.send_signal(number)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == code
    newest = checkpoints(folder.parent)[-1]
    if number != signal.SIGKILL:
        assert f"the same command goes on from {newest}.ckpt" in out.splitlines()[-1]
    monkeypatch.chdir(tmp_path)
    kimg = float(newest.removeprefix("kimg"))
    assert main([*arguments, f"total_kimg={kimg + 0.004}"]) == 0
    assert f"continuing from kimg {kimg:.3f} ({newest}.ckpt)" in capfd.readouterr().out
