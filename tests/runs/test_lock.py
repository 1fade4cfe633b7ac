"""One process a run folder."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from stylegan.runs import lock as run_lock
from stylegan.runs.lock import RunLock, RunLockedError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
HOLD = (
    "import sys, time; from stylegan.runs.lock import RunLock\n"
    "with RunLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
)


def holder_of(folder) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_it_is_there_while_it_is_held_and_gone_afterwards(tmp_path):
    with RunLock(tmp_path / "run") as lock:
        assert json.loads(lock.path.read_text())["pid"] == os.getpid()
        assert lock.taken_over is None
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.lock"]
    assert os.listdir(tmp_path) == []  # the folder was made for the lock alone


def test_a_folder_that_holds_anything_stays(tmp_path):
    with RunLock(tmp_path / "runs" / "run") as lock:
        (lock.path.parent / "config.yaml").touch()
    assert os.listdir(tmp_path / "runs" / "run") == ["config.yaml"]


def test_a_second_process_is_told_who_holds_it_and_a_dead_ones_lock_is_taken_over(tmp_path):
    process = holder_of(tmp_path)
    try:
        who = rf"in use by process {process.pid} on {platform.node()}; .*another name="
        with pytest.raises(RunLockedError, match=who), RunLock(tmp_path):
            pass
        process.kill()
        process.wait()
        assert (tmp_path / "run.lock").exists()
        with RunLock(tmp_path) as lock:
            assert f"process {process.pid}" in lock.taken_over
    finally:
        process.kill()
        process.communicate()
    assert os.listdir(tmp_path) == []


def test_a_process_that_got_a_dead_ones_number_does_not_hold_its_lock(tmp_path):
    process = holder_of(tmp_path)
    try:
        lock = tmp_path / "run.lock"
        other = json.loads(lock.read_text())
        assert other["began"] is not None
        other["began"] = "another boot:1"
        lock.write_text(json.dumps(other))
        with RunLock(tmp_path) as taken:
            assert taken.taken_over
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def own_lock(tmp_path) -> Path:
    """The lock of a process of this machine that is there: this one."""
    lock = tmp_path / "run.lock"
    lock.write_text(json.dumps({"pid": os.getpid(), "host": platform.node(), "began": None}))
    return lock


def test_where_nothing_says_when_a_process_began_a_lock_counts_as_long_as_it_is_renewed(
    tmp_path, own_lock, monkeypatch
):
    monkeypatch.setattr(run_lock, "_began", lambda pid: None)
    with pytest.raises(RunLockedError) as caught, RunLock(tmp_path):
        pass
    assert not caught.value.may_be_gone
    os.utime(own_lock, (1, 1))
    with RunLock(tmp_path) as taken:
        assert "left its lock behind" in taken.taken_over


def test_on_windows_no_signal_is_sent_and_age_decides(tmp_path, own_lock, monkeypatch):
    """There signal 0 is Ctrl-C."""
    monkeypatch.setattr(run_lock, "_lives", partial(on_windows, run_lock._lives))
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a signal was sent"))
    with pytest.raises(RunLockedError), RunLock(tmp_path):
        pass
    os.utime(own_lock, (1, 1))
    with RunLock(tmp_path) as taken:
        assert "left its lock behind" in taken.taken_over


def on_windows(question, *arguments):
    # For this question alone: pathlib and pytest, too, ask where they are.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "name", "nt")
        return question(*arguments)


@pytest.mark.parametrize("text", ['{"pid": 1, "host": "elsewhere"}', "", "[]", "nonsense"])
def test_another_machines_lock_counts_as_long_as_it_is_renewed(tmp_path, text):
    lock = tmp_path / "run.lock"
    lock.write_text(text)
    with pytest.raises(RunLockedError, match="in use by process"), RunLock(tmp_path):
        pass
    future = time.time() + 10**6  # a clock that was set back
    os.utime(lock, (future, future))
    with pytest.raises(RunLockedError), RunLock(tmp_path):
        pass
    past = time.time() - run_lock.STALE_AFTER_SEC - 5
    os.utime(lock, (past, past))
    with RunLock(tmp_path) as taken:
        assert "left its lock behind" in taken.taken_over


def test_it_is_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "RENEWED_EVERY_SEC", 0.01)
    with RunLock(tmp_path) as lock:
        os.utime(lock.path, (1, 1))
        deadline = time.monotonic() + 5
        while lock.path.stat().st_mtime < 10 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lock.path.stat().st_mtime > 10


def test_of_many_that_find_a_stale_lock_one_gets_it(tmp_path):
    """Again and again, with threads that take turns as often as they can: races are rare."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for turn in range(60):
            folder = tmp_path / str(turn)
            folder.mkdir()
            (folder / "run.lock").write_text('{"pid": 1, "host": "elsewhere"}')
            os.utime(folder / "run.lock", (1, 1))
            together = threading.Barrier(8)

            def attempt(_, folder=folder, together=together) -> bool:
                together.wait()
                try:
                    RunLock(folder).acquire()
                except RunLockedError:
                    return False
                return True

            with ThreadPoolExecutor(8) as pool:
                assert sum(pool.map(attempt, range(8))) == 1
            assert [path.name for path in folder.iterdir()] == ["run.lock"], "nothing else is left"
    finally:
        sys.setswitchinterval(interval)


def test_a_claim_whose_maker_is_gone_is_no_obstacle(tmp_path):
    stale = '{"pid": 1, "host": "elsewhere"}'
    (tmp_path / "run.lock").write_text(stale)
    os.utime(tmp_path / "run.lock", (1, 1))
    claim = tmp_path / f".run.lock.{hashlib.sha256(stale.encode()).hexdigest()[:12]}.partial"
    claim.touch()
    os.utime(claim, (1, 1))
    with RunLock(tmp_path) as lock:
        assert "elsewhere left its lock behind" in lock.taken_over
    assert list(tmp_path.iterdir()) == []


def test_without_hard_links_it_works_too(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError("this file system has none")

    monkeypatch.setattr(os, "link", no_links)
    with RunLock(tmp_path), pytest.raises(RunLockedError), RunLock(tmp_path):
        pass
