"""A run that goes bad goes back, with other random numbers; and is given up in the end."""

import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import torch

from stylegan.cli.train import main
from tests.forked import run_command

ROOT = Path(__file__).parents[2]
SMALL = [
    *(
        "preset=tiny",
        "resolution=8",
        "batch_size=8",
        "trainer=cpu",
        "augpipe=bg",
        "name=run",
        "total_kimg=0.12",
    ),
    *("generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8", "discriminator.channel_max=8"),
    *("data.num_items=30", "callbacks.snapshots=null", "callbacks.non_finite_guard.every_kimg=0.016"),
    *("callbacks.checkpoint.every_kimg=0.04", "callbacks.stats.every_kimg=0.04"),
    "+callbacks.poison._target_=killing.PoisonAt",
]


POISON_NONE = ["+callbacks.poison.at_images=0", "+callbacks.poison.times=0"]


def train(place: Path, *arguments: str) -> subprocess.CompletedProcess:
    return run_command(main, [*SMALL, *arguments], place, path=[Path(__file__).parent])


def events(place: Path) -> list[dict]:
    found = [json.loads(line) for line in (place / "runs/run/events.jsonl").read_text().splitlines()]
    return [event for event in found if event["event"] != "start"]


def test_it_goes_back_to_the_last_good_checkpoint_and_draws_again(tmp_path):
    done = train(tmp_path, "+callbacks.poison.at_images=64", "+callbacks.poison.times=1")
    assert done.returncode == 0, done.stderr
    assert "weights are not finite" in done.stdout
    assert "continuing from kimg0000000.040.ckpt with other random numbers (time 1 of 3)" in done.stdout
    (event,) = events(tmp_path)
    assert (event["event"], event["checkpoint"], event["rollbacks"]) == (
        "rollback",
        "kimg0000000.040.ckpt",
        1,
    )
    checkpoints = tmp_path / "runs/run/checkpoints"
    last = torch.load(checkpoints / "kimg0000000.120.ckpt", weights_only=True)["state_dict"]
    assert last["rollbacks"] == 1 and last["images_seen"] == 120
    assert all(value.isfinite().all() for value in last.values() if value.is_floating_point())
    rows = (tmp_path / "runs/run/stats.jsonl").read_text().splitlines()
    assert [json.loads(row)["Progress/kimg"]["mean"] for row in rows] == [0.04, 0.08, 0.12]
    # The same run without this fault has the same first checkpoint and another end.
    calm = tmp_path / "calm"
    calm.mkdir()
    assert train(calm, "+callbacks.poison.at_images=64", "+callbacks.poison.times=0").returncode == 0
    whole = torch.load(calm / "runs/run/checkpoints/kimg0000000.120.ckpt", weights_only=True)["state_dict"]
    name = "generator.synthesis.b8.conv0.weight"
    assert not torch.equal(whole[name], last[name])


@pytest.mark.long
def test_a_branch_goes_back_to_where_it_began(tmp_path):
    """It has no checkpoint of its own yet."""
    assert train(tmp_path, "+callbacks.poison.at_images=64", "+callbacks.poison.times=0").returncode == 0
    poison = ["+callbacks.poison.at_images=128", "+callbacks.poison.times=1"]
    shutil.copy(tmp_path / "runs/run/checkpoints/kimg0000000.120.ckpt", tmp_path / "kimg0000000.120.ckpt")
    branch = [*poison, "name=branch", "resume=kimg0000000.120.ckpt", "total_kimg=0.2"]
    done = train(tmp_path, *branch)
    assert done.returncode == 0, done.stderr
    assert "continuing from kimg0000000.120.ckpt with other random numbers (time 1 of 3)" in done.stdout


@pytest.mark.long
def test_a_run_without_a_checkpoint_begins_by_the_transfer_again(tmp_path):
    assert train(tmp_path, *POISON_NONE).returncode == 0
    still = ["optim.generator_lr=1e-30", "optim.discriminator_lr=1e-30", "total_kimg=0.032"]
    poison = ["+callbacks.poison.at_images=16", "+callbacks.poison.times=1"]
    done = train(tmp_path, *poison, *still, "name=new", "transfer.path=runs/run")
    assert done.returncode == 0, done.stderr
    assert "beginning again with other random numbers (time 1 of 3)" in done.stdout
    old, new = (
        torch.load(tmp_path / "runs" / f"{place}.ckpt", weights_only=True)["state_dict"]
        for place in ("run/checkpoints/kimg0000000.120", "new/checkpoints/kimg0000000.032")
    )
    assert torch.equal(old["generator.synthesis.b4.const"], new["generator.synthesis.b4.const"])


def test_a_last_checkpoint_without_room_is_not_a_success(tmp_path):
    full = ["+callbacks.full._target_=killing.FullDiskAt", "+callbacks.full.at_images=48"]
    done = train(tmp_path, *POISON_NONE, *full, "logger=none")
    assert done.returncode == 75, done.stderr
    assert "interrupted at kimg 0.120; the same command continues from kimg0000000.040.ckpt" in done.stdout
    assert train(tmp_path, *POISON_NONE, "logger=none").returncode == 0


@pytest.mark.long
def test_a_terminal_that_closes_is_answered_as_a_signal(tmp_path):
    """The window or the connection is gone, and with it the place where lines are printed."""
    terminal, inside = pty.openpty()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *SMALL, *POISON_NONE, "total_kimg=9"],
        **dict(cwd=tmp_path, env=environment, stdin=inside, stdout=inside, stderr=inside),
        **dict(start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
    )
    os.close(inside)
    said = b""
    while b"kimg 0.0" not in said:
        said += os.read(terminal, 1000)
    while not list(tmp_path.glob("runs/run/checkpoints/*.ckpt")):
        os.read(terminal, 1000)
    os.close(terminal)
    assert process.wait(60) == 128 + signal.SIGHUP
    newest = max((tmp_path / "runs/run/checkpoints").glob("*.ckpt")).stem
    done = train(tmp_path, *POISON_NONE, "total_kimg=0.001")
    assert f"has reached total_kimg=0.001 already ({newest}.ckpt)" in done.stdout


@pytest.mark.long
def test_it_is_given_up_with_advice(tmp_path):
    poison = ["+callbacks.poison.at_images=16", "+callbacks.poison.times=99"]
    done = train(tmp_path, *poison, "callbacks.non_finite_guard.max_rollbacks=2")
    assert done.returncode == 70
    assert "beginning again with other random numbers (time 2 of 2)" in done.stdout
    assert "given up; what helps: a larger loss.r1_gamma" in done.stdout
    assert [event["rollbacks"] for event in events(tmp_path)] == [1, 2, 3]
    assert not list((tmp_path / "runs/run").glob("checkpoints/*.ckpt"))
