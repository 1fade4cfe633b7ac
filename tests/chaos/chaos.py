"""Fifty disasters to one run, and whether it ends in the bits of a run that had none.

    python tests/chaos/chaos.py [--kills 50] [--seed 0] [--place FOLDER]

Half of the kills aim at the writing of a checkpoint, a quarter at the start, a quarter at training. While the run is
down its newest checkpoint is cut, flipped in one bit, emptied or lost, half a row is added to the statistics, or the
times of all files are set back. Some starts find a full disk (a limit on the size of files, which the log has
reached, too), by others the clock is set back while they train, and some are asked to leave by SIGTERM.

Ends with code 0 where every start continued from the newest good checkpoint and the last one ended in the same bits.
"""

import argparse
import collections
import itertools
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.chaos.comparing import differences, num_compared
from tests.chaos.harms import Harms, partials, unfinished

ROOT = Path(__file__).parents[2]
COMMAND = [
    *(sys.executable, str(ROOT / "train.py"), "preset=tiny", "resolution=16", "batch_size=8", "trainer=cpu"),
    *("augpipe=bgc", "ada.p_init=0.5", "ada.kimg=5", "data.num_items=30", "data.labels=own"),
    *("generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8", "discriminator.channel_max=8"),
    *("callbacks.snapshots=null", "callbacks.checkpoint.every_kimg=0.08", "callbacks.stats.every_kimg=0.2"),
    *("callbacks.checkpoint.keep_last=4", "callbacks.checkpoint.keep_every_kimg=1"),
    *("callbacks.checkpoint.retry_every_kimg=0.04", "logger.tensorboard=null"),
]
# Equal bits are promised for one number of threads.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
# A checkpoint of this run is four times as large, its generator less than half.
FULL_DISK_BYTES = 60_000
# Longer than any wait here takes: a run that needs it hangs.
PATIENCE_SEC = 120.0


class Defect(Exception):
    """What the run did wrong."""


@dataclass(frozen=True)
class Life:
    """One start of the run. Args: ends: at the "start", while "training" or "writing", at a "full disk", or of itself
    at the "end"; clock_back: whether the clock is set back meanwhile."""

    ends: str
    signal: int = signal.SIGKILL
    clock_back: bool = False


def planned(kills: int, dice: random.Random) -> list[Life]:
    """So many kills, and some SIGTERMs, in any order; each kind has its share, so that a few kills have all."""
    lives = [Life(ends) for ends in shuffled(("writing", "start", "writing", "training"), kills, dice)]
    training = [place for place, life in enumerate(lives) if life.ends == "training"]
    for place in dice.sample(training, -(-len(training) // 3)):
        lives[place] = Life("full disk")
    lives += [Life(ends, signal.SIGTERM) for ends in shuffled(("training", "start"), kills // 5, dice)]
    dice.shuffle(lives)
    for place in dice.sample(range(len(lives)), -(-len(lives) // 4)):
        lives[place] = replace(lives[place], clock_back=True)
    return [*lives, Life("end")]


def shuffled(kinds: Sequence[Any], count: int, dice: random.Random) -> list[Any]:
    """So many, each kind as often as the others, in any order."""
    cards = list(itertools.islice(itertools.cycle(kinds), count))
    return dice.sample(cards, count)


class Struck:
    """The run that is struck. Args: place: its working folder. `done` counts what happened to it."""

    def __init__(self, command: Sequence[str], place: Path, dice: random.Random):
        self.command, self.place, self.dice = command, place, dice
        self.folder = place / "runs" / "struck"
        self.harms = Harms(self.folder, dice)
        self.done: collections.Counter[str] = collections.Counter()

    def live(self, life: Life) -> None:
        """Starts the run, ends it as planned, and judges what it did; then does harm. Raises: Defect."""
        self.done["starts"] += 1
        self.done["clock set back"] += life.clock_back
        log = self.place / f"struck-{self.done['starts']:03d}.txt"
        newest, before = self.harms.newest_good(), unfinished(self.folder)
        leftovers = partials(self.folder)
        process = self._start(life, log)
        try:
            self._wait_for_the_moment(life, process, leftovers)
            if life.ends != "end":
                process.send_signal(life.signal)
            code = process.wait(PATIENCE_SEC)
            self._check_life(life, code, newest, log.read_text(errors="replace"))
        except subprocess.TimeoutExpired as late:
            raise Defect(f"{log}: it does not end") from late
        except Defect as defect:
            raise Defect(f"{log}: {defect}\n{log.read_text(errors='replace').strip()[-3000:]}") from defect
        finally:
            process.kill()
        if life.ends != "end":
            self._count(life, newest, unfinished(self.folder) - before)
            harm = self.harms.do() if self.folder.exists() else "no harm"
            self.done[f"newest {harm}" if harm in ("cut", "lost", "emptied") else harm] += 1

    def _start(self, life: Life, log: Path) -> subprocess.Popen:
        environment = dict(ENVIRONMENT)
        if life.clock_back:
            environment["PYTHONPATH"] = str(Path(__file__).parent / "clock")
            environment["CLOCK_BACK"] = f"{self.dice.uniform(0, 6)},{self.dice.uniform(60, 1e8)}"

        def limit() -> None:
            if life.ends == "full disk":
                resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_DISK_BYTES, FULL_DISK_BYTES))

        log.write_bytes(b" " * FULL_DISK_BYTES if life.ends == "full disk" else b"")
        with open(log, "ab") as out:
            return subprocess.Popen(
                self.command, cwd=self.place, env=environment, stdout=out, stderr=out, preexec_fn=limit
            )

    def _wait_for_the_moment(self, life: Life, process: subprocess.Popen, leftovers: set[str]) -> None:
        if life.ends == "start":
            time.sleep(self.dice.uniform(0.2, 5))
        elif life.ends == "writing":
            # Of the three files of a checkpoint the checksum is the smallest target.
            file = self.dice.choice([".ckpt.", ".ckpt.", ".safetensors.", ".sha256."])
            self._wait_for_files(process, leftovers, file, self.dice.choice([1, 1, 2, 3]))
            time.sleep(self.dice.choice([0, self.dice.uniform(0, 0.003)]))
        elif life.ends == "training":
            self._wait_for_files(process, leftovers, ".ckpt.", 1)
            time.sleep(self.dice.uniform(0, 1))
        elif life.ends == "full disk":
            # It is begun once more: so the training continued without the first.
            self._wait_for_files(process, leftovers, ".ckpt.", 2)
            time.sleep(self.dice.uniform(0, 1))

    def _wait_for_files(self, process: subprocess.Popen, leftovers: set[str], part: str, count: int) -> None:
        """Until so many files of a kind have been begun. Raises: Defect where the run ends before."""
        begun: set[str] = set()
        until = time.monotonic() + PATIENCE_SEC
        while len(begun) < count:
            begun |= {name for name in partials(self.folder) - leftovers if part in name}
            if process.poll() is not None:
                raise Defect("it was over too soon; where it is done, give a larger --total-kimg")
            if time.monotonic() > until:
                raise Defect("it does not train")
            time.sleep(0.0003)

    def _check_life(self, life: Life, code: int, newest: Path | None, log: str) -> None:
        # A signal may come before Python answers signals.
        expected = {0} if life.ends == "end" else {-life.signal, 128 + life.signal} - {128 + signal.SIGKILL}
        if code not in expected:
            raise Defect(f"exit code {code}, not {expected}")
        continued = re.search(r"continuing from kimg \S+ \((\S+)\)", log)
        trained = life.ends in ("training", "writing", "end")
        if (trained or continued) and (continued and continued[1]) != (newest and newest.name):
            raise Defect(
                f"it continued from {continued and continued[1]}; the newest good checkpoint was {newest}"
            )
        left = re.search(r"interrupted at kimg (\S+); the same command continues from kimg0*(\S+)\.ckpt", log)
        if "saving after this step" in log and (not left or float(left[1]) != float(left[2])):
            raise Defect("it was asked to leave, and did not save where it was")

    def _count(self, life: Life, newest: Path | None, begun: set[tuple[str, str]]) -> None:
        kind = "kills" if life.signal == signal.SIGKILL else "SIGTERMs"
        self.done[kind] += 1
        self.done[f"{kind} without a checkpoint before"] += newest is None
        self.done["full disks"] += life.ends == "full disk"
        for where, _ in begun:
            # A SIGTERM or a full disk that leaves half a checkpoint would be counted, too, and be seen.
            self.done[f"{kind} inside the writing of a checkpoint: {where}"] += 1


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--total-kimg", type=float, default=8.0)
    parser.add_argument("--place", type=Path)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    place = options.place or Path(tempfile.mkdtemp(prefix="chaos-"))
    shutil.rmtree(place / "runs", ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    command = [*COMMAND, f"total_kimg={options.total_kimg}"]
    with open(place / "whole.txt", "wb") as log:
        subprocess.run(
            [*command, "name=whole"], cwd=place, env=ENVIRONMENT, stdout=log, stderr=log, check=True
        )
    print(f"the run without disasters took {time.monotonic() - began:.0f} s", flush=True)

    struck = Struck([*command, "name=struck"], place, dice)
    try:
        for life in planned(options.kills, dice):
            struck.live(life)
    except Defect as defect:
        print(f"DEFECT {defect}")
        return 1
    finally:
        for name, count in sorted((+struck.done).items()):
            print(f"{count:5} {name}")
    whole, run = place / "runs" / "whole", struck.folder
    found = differences(whole, run)
    found += [f"left behind: {path.name}" for path in run.rglob("*.partial")]
    found += [f"left behind: {path.name}" for path in run.glob("run.lock")]
    print(f"{num_compared(run)} values compared, {len(found)} differ {found[:5]}")
    print(f"{time.monotonic() - began:.0f} s in all")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
