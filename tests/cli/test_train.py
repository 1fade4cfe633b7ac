"""Real trainings of a few images through the command: what they leave behind, and how they continue."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from stylegan.cli.generate import main as generate
from stylegan.cli.train import main
from stylegan.cli.train import train as run_of
from stylegan.configuration.compose import composed
from stylegan.distributed.launch import RunProcesses
from stylegan.distributed.processes import Process
from stylegan.runs.lock import RunLock

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
    assert files == {
        *(
            "config.yaml",
            "checkpoints",
            "snapshots",
            "stats.jsonl",
            "stats.csv",
            "tensorboard",
            "events.jsonl",
        )
    }
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


def test_a_run_continues_as_if_it_had_not_stopped(here, run, capfd):
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
    assert str(halves["optimizer_states"]) == str(whole["optimizer_states"])
    for mine, other in zip(halves["optimizer_states"], whole["optimizer_states"], strict=True):
        for key, state in mine["state"].items():
            assert all(value.equal(other["state"][key][name]) for name, value in state.items()), key


def test_what_was_trained_can_be_drawn(here, run, tmp_path):
    """From training to pictures through the two commands."""
    assert generate([f"network={run}", "seeds=3,5", f"out={tmp_path}"]) == 0
    images = ("seed0003.png", "seed0005.png", "grid.png")
    assert {path.name for path in tmp_path.iterdir()} == {*images, *(f"{name}.json" for name in images)}
    # The grid of the run's end shows the same seeds: cell 3 is row 1, column 1 of 2 x 2 cells of 8 px.
    snapshot = np.asarray(Image.open(run / "snapshots" / "fakes_kimg0000000.016.png"))
    assert (snapshot[8:, 8:] == np.asarray(Image.open(tmp_path / "seed0003.png"))).all()


@pytest.mark.long
def test_the_networks_of_the_paper_at_256_px(here):
    arguments = [
        "preset=paper256",
        "resolution=256",
        "batch_size=2",
        "total_kimg=0.004",
        "name=paper",
        "trainer=cpu",
    ]
    assert (
        main([*arguments, "data.num_items=10", "callbacks.snapshots.columns=1", "callbacks.snapshots.rows=1"])
        == 0
    )
    run = here / "runs" / "paper"
    last = json.loads((run / "stats.jsonl").read_text().splitlines()[-1])
    losses = {name: stat["mean"] for name, stat in last.items() if name.startswith("Loss/")}
    assert len(losses) >= 9 and all(math.isfinite(value) for value in losses.values())
    assert generate([f"network={run}", "seeds=0"]) == 0
    assert Image.open(run / "generated" / "seed0000.png").size == (256, 256)


def test_a_run_can_begin_from_a_checkpoint_that_is_alone(here, run, capfd):
    alone = here / "alone.ckpt"
    shutil.copy(run / "checkpoints" / "kimg0000000.016.ckpt", alone)
    train("name=other", f"resume={alone}", "total_kimg=0.02")
    assert "and the clock are taken over, so kimg continues from 0.016" in capfd.readouterr().out
    assert checkpoints(here / "runs" / "other") == ["kimg0000000.020"]
    train("name=other", f"resume={alone}", "total_kimg=0.024")
    assert "continuing from kimg 0.020" in capfd.readouterr().out


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
    shutil.copy(run / "checkpoints" / "kimg0000000.016.ckpt", "alone.ckpt")
    assert main([*SMALL, "name=wide", "resume=alone.ckpt", "generator.z_dim=16", "total_kimg=1"]) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_a_smaller_minibatch_std_group_is_announced(here, capfd):
    train("name=note", "total_kimg=0.004")
    assert "discriminator.mbstd_group is 2, not 4" in capfd.readouterr().out


def test_each_job_of_a_sweep_has_a_folder(here):
    before = sorted(here.iterdir())
    train("--multirun", "name=sweep", "total_kimg=0.004", "seed=1,2", "logger=none")
    for seed in (1, 2):
        job = here / "runs" / f"sweep-seed={seed}"
        assert checkpoints(job) == ["kimg0000000.004"]
        assert OmegaConf.load(job / "config.yaml").seed == seed
    assert sorted(here.iterdir()) == before


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
        pytest.param(signal.SIGUSR1, 138, marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, -9, marks=pytest.mark.long),
    ],
    ids=["int", "term", "usr1", "kill"],
)
def test_a_run_that_is_stopped_continues_by_the_same_command(tmp_path, monkeypatch, capfd, number, code):
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
        assert f"the same command continues from {newest}.ckpt" in out.splitlines()[-1]
    monkeypatch.chdir(tmp_path)
    kimg = float(newest.removeprefix("kimg"))
    assert main([*arguments, f"total_kimg={kimg + 0.004}"]) == 0
    assert f"continuing from kimg {kimg:.3f} ({newest}.ckpt)" in capfd.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        (signal.SIGINT, 130),
        # As the others, by the same way.
        pytest.param(signal.SIGUSR1, 138, marks=pytest.mark.long),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.long),
    ],
)
def test_a_signal_before_the_first_step_leaves_at_once_and_nothing_behind(
    tmp_path, monkeypatch, number, code
):
    monkeypatch.chdir(tmp_path)

    def signalled(*_, **__):
        os.kill(os.getpid(), number)
        time.sleep(10)  # the handler does not come back here

    monkeypatch.setattr("stylegan.cli.train.build", signalled)
    before = signal.getsignal(number)
    assert main([*SMALL, "name=early"]) == code
    assert os.listdir(tmp_path) == []
    assert signal.getsignal(number) is before


def test_time_that_is_up_saves_and_leaves_with_its_own_code(here, capfd):
    assert main([*SMALL, "name=timed", "total_kimg=100", "max_time=0.001s"]) == 75
    assert (
        "interrupted at kimg 0.004; the same command continues from kimg0000000.004.ckpt"
        in capfd.readouterr().out
    )
    assert main([*SMALL, "name=timed", "total_kimg=0.008"]) == 0
    assert main([*SMALL, "name=timed", "max_time=soon"]) == 2
    assert "max_time must be a time above 0" in capfd.readouterr().err


def test_a_folder_that_is_in_use_is_refused_and_left_alone(here, run, capfd):
    before = sorted(os.listdir(run))
    with RunLock(run):
        assert main([*SMALL, "name=run", "total_kimg=9"]) == 2
    line = capfd.readouterr().err
    assert f"runs/run is in use by process {os.getpid()} on " in line and line.count("\n") == 1
    assert sorted(os.listdir(run)) == before


def test_a_lock_of_another_machine_is_to_be_tried_again(here, capfd):
    """That machine may have been taken away: a script that repeats the command must not stop."""
    lock = here / "runs" / "away" / "run.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text('{"pid": 77, "host": "vm-2", "began": "x", "key": "y"}')
    assert main([*SMALL, "name=away"]) == 75
    assert "runs/away is in use by process 77 on vm-2" in capfd.readouterr().err
    os.utime(lock, (time.time() - 901,) * 2)
    assert main([*SMALL, "name=away", "total_kimg=0.004"]) == 0
    assert "process 77 on vm-2 left its lock behind" in capfd.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", marks=pytest.mark.long),
        pytest.param(b"no checkpoint at all", marks=pytest.mark.long),
        None,
    ],
    ids=["empty", "text", "cut off"],
)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_taken(here, run, capfd, content):
    broken = here / "runs" / "broken"
    shutil.copytree(run, broken, dirs_exist_ok=True)
    train("name=broken", "total_kimg=0.020")
    newest = broken / "checkpoints" / "kimg0000000.020.ckpt"
    newest.write_bytes(newest.read_bytes()[:1000] if content is None else content)
    train("name=broken", "total_kimg=0.024")
    out = capfd.readouterr().out
    assert "kimg0000000.020.ckpt is set aside as kimg0000000.020.ckpt.bad" in out
    assert "continuing from kimg 0.016 (kimg0000000.016.ckpt)" in out
    assert newest.with_name(f"{newest.name}.bad").exists()
    assert checkpoints(broken)[-1] == "kimg0000000.024"
    shutil.rmtree(broken)


def test_an_image_that_cannot_be_read_is_named(here, tmp_path, capfd):
    for i in range(6):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i}.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:40])
    arguments = [argument for argument in SMALL if not argument.startswith("data.num_items")]
    command = [*arguments, "data=folder", f"data.path={tmp_path}", "name=bad", "total_kimg=0.016"]
    assert main([*command, "data.max_bad=0"]) == 2
    line = capfd.readouterr().err.strip().splitlines()[-1]
    assert "2.png" in line and "data.max_bad" in line
    assert main(command) == 0
    assert "2.png" in capfd.readouterr().out
    shutil.rmtree(here / "runs" / "bad", ignore_errors=True)


def test_an_older_checkpoint_of_the_same_run_is_refused(here, run, capfd):
    older = run / "checkpoints" / "kimg0000000.008.ckpt"
    shutil.copy(run / "checkpoints" / "kimg0000000.016.ckpt", older)
    assert main([*SMALL, "name=run", "total_kimg=0.024", f"resume={older}"]) == 2
    assert "two histories in one folder would be mixed" in capfd.readouterr().err
    older.unlink()


def test_a_batch_of_more_pictures_than_there_are_is_refused(here, capfd):
    assert main([*SMALL, "name=few", "data.num_items=3"]) == 2
    assert "batch_size=4 is more than the 3 pictures there are" in capfd.readouterr().err
    assert not (here / "runs" / "few").exists()


def test_a_result_holds_the_best_scores(here):
    words = ["name=scored", "total_kimg=0.016", "callbacks.metrics.every_kimg=0.008"]
    words += ["callbacks.metrics.num_fakes=4", "callbacks.metrics.report=false"]
    result = run_of(composed("train", [*SMALL, *words]), RunProcesses(Process()))
    rows = [json.loads(line) for line in open("runs/scored/metric-kid_builtin.jsonl")]
    assert result.exit_code == 0
    assert result.scores == {"kid_builtin": min(row["results"]["kid_builtin"] for row in rows)}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["data=folder", "data.path=x", "data.labels=folder"], "did you mean data.labels=folders?"),
        (["precision=float32"], "did you mean precision=fp32?"),
        (["metrics=kid+fid"], "metrics=kid+fid: there is no such metric; did you mean kid?"),
        (["callbacks.stats.every_kimg=0"], "callbacks.stats.every_kimg must be a number of kimg above 0"),
    ],
)
def test_explaining_refuses_what_the_parts_refuse(words, line, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["explain=true", "resolution=32", "preset=tiny", *words]) == 2
    captured = capfd.readouterr()
    assert line in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert not list(tmp_path.iterdir())
