"""Fifty disasters to one run, and whether it ends in the bits of a run that had none.

    python tests/chaos/chaos.py [--kills 50] [--seed 0] [--place FOLDER]

Kills come at random moments, from before the first checkpoint to inside the writing of one; between two starts the
newest checkpoint is cut, flipped in one bit, emptied or lost, the times of all files are set back, and some starts
find a full disk (a limit on the size of files). Ends with code 0 where nothing was lost.
"""

import argparse
import collections
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from comparing import differences, num_compared

ROOT = Path(__file__).parents[2]
COMMAND = [
    *(sys.executable, str(ROOT / "train.py"), "preset=tiny", "resolution=16", "batch_size=8", "trainer=cpu"),
    *("augpipe=bgc", "ada.p_init=0.5", "ada.kimg=5", "data.num_items=30", "data.labels=own"),
    *("generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8", "discriminator.channel_max=8"),
    *("callbacks.snapshots=null", "callbacks.checkpoint.every_kimg=0.08", "callbacks.stats.every_kimg=0.2"),
    *("callbacks.checkpoint.keep_last=4", "callbacks.checkpoint.keep_every_kimg=1"),
    "callbacks.checkpoint.retry_every_kimg=0.04",
]
# The exit codes of a run that ended or was stopped; anything else is a defect.
EXPECTED = {0, -signal.SIGKILL, 128 + signal.SIGTERM, -signal.SIGTERM}


def start(place: Path, *arguments: str, full_disk: bool = False) -> subprocess.Popen:
    def limited() -> None:
        if full_disk:
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(place / "log.txt", "a") as log:
        return subprocess.Popen(
            [*COMMAND, *arguments], cwd=place, env=environment, stdout=log, stderr=log, preexec_fn=limited
        )


def harm(run: Path, dice: random.Random) -> str | None:
    """Does something to the newest checkpoint, or to the times of all files; what it was."""
    checkpoints = sorted((run / "checkpoints").glob("*.ckpt"))
    if len(checkpoints) < 2 or not checkpoints[-1].stat().st_size:
        return None  # the last good one is all there is
    newest, size = checkpoints[-1], checkpoints[-1].stat().st_size
    kind = dice.choice(["cut", "flipped", "emptied", "lost", "times set back", None, None])
    if kind == "cut":
        os.truncate(newest, dice.randrange(1, size))
    elif kind == "flipped":
        with open(newest, "r+b") as file:
            file.seek(dice.randrange(size))
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1 << dice.randrange(8)]))
    elif kind == "emptied":
        newest.write_bytes(b"")
    elif kind == "lost":
        newest.unlink()
    elif kind == "times set back":
        for path in run.rglob("*"):
            os.utime(path, (dice.randrange(10**9), dice.randrange(10**9)))
    return kind


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--total-kimg", type=float, default=8.0)
    parser.add_argument("--place", type=Path)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    place = options.place or Path(tempfile.mkdtemp(prefix="chaos-"))
    place.mkdir(parents=True, exist_ok=True)
    total = f"total_kimg={options.total_kimg}"
    began = time.monotonic()
    assert start(place, "name=whole", total).wait() == 0, (place / "log.txt").read_text()
    whole_sec = time.monotonic() - began
    print(f"the run without disasters took {whole_sec:.0f} s", flush=True)

    run, done = place / "runs" / "struck", collections.Counter()
    while True:
        last = done["kills"] >= options.kills
        full_disk = not last and dice.random() < 0.1
        process = start(place, "name=struck", total, full_disk=full_disk)
        done["starts"] += 1
        done["full disk"] += full_disk
        if not last:
            # Half of the time goes into starting: so some kills come before the first step.
            try:
                process.wait(timeout=dice.uniform(1, 2.2 * whole_sec / options.kills + 8))
            except subprocess.TimeoutExpired:
                number = signal.SIGTERM if dice.random() < 0.2 else signal.SIGKILL
                process.send_signal(number)
                done["kills"] += number == signal.SIGKILL
                done["SIGTERM"] += number == signal.SIGTERM
        code = process.wait()
        if code not in EXPECTED:
            print((place / "log.txt").read_text()[-3000:])
            print(f"unexpected exit code {code}")
            return 1
        if last:
            break
        if (run / "checkpoints").exists():
            done[harm(run, dice)] += 1
    del done[None]
    print(", ".join(f"{name} {count}" for name, count in sorted(done.items())), flush=True)
    found = differences(place / "runs" / "whole", run)
    print(f"{num_compared(run)} values compared, {len(found)} differ: {found[:5]}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
