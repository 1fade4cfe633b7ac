"""Trainings whose output has no reader any more: what is trained is saved anyway."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [
    *(sys.executable, str(ROOT / "train.py"), "preset=tiny", "resolution=16", "batch_size=4", "trainer=cpu"),
    *("generator.channel_max=8", "discriminator.channel_max=8", "name=unread", "total_kimg=400"),
    *("callbacks.stats.every_kimg=0.02", "callbacks.progress.every_seconds=0.2"),
]
LIMIT_SEC = 300.0


def start(place: Path, *words: str, **streams) -> subprocess.Popen:
    # A cache of its own: the line that tells of an evaluation is printed while features are computed, not found.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(place / "cache")}
    return subprocess.Popen([*COMMAND, *words], cwd=place, env=environment, **streams)


def wait_until(process: subprocess.Popen, done: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_SEC
    while not done():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)


def has_rows(place: Path) -> bool:
    path = place / "runs/unread/stats.jsonl"
    return path.exists() and path.read_text().count("\n") >= 2


def has_checkpoint(place: Path) -> bool:
    return any((place / "runs/unread/checkpoints").glob("*.ckpt"))


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
@pytest.mark.parametrize("during", ["training", "evaluation"])
def test_a_reader_that_ends_first_as_tee_does(tmp_path, during, number):
    words = ["metrics=none"]
    if during == "evaluation":
        words = ["metrics=kid", "callbacks.metrics.every_kimg=0.04", "callbacks.metrics.num_fakes=20000"]
    process = start(tmp_path, *words, stdout=subprocess.PIPE, text=True)
    try:
        if during == "evaluation":
            too_late = threading.Timer(LIMIT_SEC, process.kill)
            too_late.start()
            assert any("features of" in line for line in process.stdout)
            too_late.cancel()
        else:
            wait_until(process, lambda: has_rows(tmp_path))
        process.stdout.close()
        process.send_signal(number)
        assert process.wait(LIMIT_SEC) == 128 + number
    finally:
        process.kill()
    assert has_checkpoint(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_streams_that_are_closed_from_the_start(tmp_path, closed):
    def close() -> None:
        for number in closed:
            os.close(number)

    process = start(tmp_path, "metrics=none", preexec_fn=close)
    try:
        wait_until(process, lambda: has_rows(tmp_path))
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_SEC) == 143
    finally:
        process.kill()
    assert has_checkpoint(tmp_path)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="no such terminals there")
def test_a_terminal_that_is_gone(tmp_path):
    import fcntl
    import pty
    import termios

    near, far = pty.openpty()

    def own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(far, termios.TIOCSCTTY, 0)

    process = start(tmp_path, "metrics=none", stdin=far, stdout=far, stderr=far, preexec_fn=own_terminal)
    os.close(far)

    def read() -> None:
        while reads.is_set():
            os.read(near, 65536)

    reads = threading.Event()
    reads.set()
    reader = threading.Thread(target=read)
    reader.start()
    try:
        wait_until(process, lambda: has_rows(tmp_path))
        reads.clear()
        reader.join()
        os.close(near)
        assert process.wait(LIMIT_SEC) == 129
    finally:
        process.kill()
    assert has_checkpoint(tmp_path)
