"""A run that goes bad goes back, with other random numbers; and is given up in the end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

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
    *("data.num_items=30", "callbacks.snapshots=null", "callbacks.trouble.every_kimg=0.016"),
    *("callbacks.checkpoint.every_kimg=0.04", "callbacks.stats.every_kimg=0.04"),
    "+callbacks.poison._target_=killing.PoisonAt",
]


def train(place: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, str(ROOT / "train.py"), *SMALL, *arguments]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=120)


def events(place: Path) -> list[dict]:
    return [json.loads(line) for line in (place / "runs/run/events.jsonl").read_text().splitlines()]


def test_it_goes_back_to_the_last_good_checkpoint_and_draws_anew(tmp_path):
    done = train(tmp_path, "+callbacks.poison.at_images=64", "+callbacks.poison.times=1")
    assert done.returncode == 0, done.stderr
    assert "weights are not finite" in done.stdout
    assert "on from kimg0000000.040.ckpt with other random numbers (time 1 of 3)" in done.stdout
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
    # The same run without trouble has the same first checkpoint and another end.
    calm = tmp_path / "calm"
    calm.mkdir()
    assert train(calm, "+callbacks.poison.at_images=64", "+callbacks.poison.times=0").returncode == 0
    whole = torch.load(calm / "runs/run/checkpoints/kimg0000000.120.ckpt", weights_only=True)["state_dict"]
    name = "generator.synthesis.b8.conv0.weight"
    assert not torch.equal(whole[name], last[name])


def test_it_is_given_up_with_advice(tmp_path):
    poison = ["+callbacks.poison.at_images=16", "+callbacks.poison.times=99"]
    done = train(tmp_path, *poison, "callbacks.trouble.max_rollbacks=2")
    assert done.returncode == 70
    assert "from the beginning with other random numbers (time 2 of 2)" in done.stdout
    assert "given up; what helps: a larger loss.r1_gamma" in done.stdout
    assert [event["rollbacks"] for event in events(tmp_path)] == [1, 2, 3]
    assert not list((tmp_path / "runs/run").glob("checkpoints/*.ckpt"))
