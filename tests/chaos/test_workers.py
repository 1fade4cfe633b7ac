"""A training whose data workers die or hang: the same bits, or one line that says what hangs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.comparing import differences, num_compared

ROOT = Path(__file__).parents[2]
SMALL = [
    *(
        "preset=tiny",
        "resolution=8",
        "batch_size=8",
        "trainer=cpu",
        "total_kimg=0.24",
        "logger.tensorboard=null",
    ),
    *("generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8", "discriminator.channel_max=8"),
    *("data.num_items=30", "callbacks.snapshots=null", "callbacks.stats.every_kimg=0.04", "data.workers=2"),
]


def train(place: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, str(ROOT / "train.py"), *SMALL, *arguments]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=120)


def programs_in(place: Path) -> list[str]:
    """What runs with a working folder: workers have that of the run that started them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == place.resolve():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # ended in the meantime
    return found


@pytest.mark.long
def test_a_killed_worker_changes_no_bit(tmp_path):
    kill = ["+callbacks.kill._target_=killing.KillWorkerAt", "+callbacks.kill.at_images=96"]
    whole, struck = train(tmp_path, "name=whole"), train(tmp_path, "name=struck", *kill)
    assert (whole.returncode, struck.returncode) == (0, 0), whole.stderr + struck.stderr
    assert "warning" not in whole.stdout
    assert struck.stdout.count("started again at the batch that is missing (time 1 of 3)") == 1
    runs = tmp_path / "runs"
    assert num_compared(runs / "whole") > 100
    assert differences(runs / "whole", runs / "struck") == []
    assert programs_in(tmp_path) == []


@pytest.mark.long
def test_what_hangs_for_ever_is_named_in_one_line(tmp_path):
    hanging = ["data._target_=killing.HangingFlowers", "data.worker_timeout_sec=0.5"]
    done = train(tmp_path, "name=hanging", *hanging)
    assert done.returncode == 2, done.stderr
    assert "time 3 of 3" in done.stdout and "time 4" not in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("stylegan-train: data worker ") and "hangs reading 13: no batch in 0.5 s" in line
    assert "4 times in a row" in line and "data.workers=0" in line
    assert programs_in(tmp_path) == []
