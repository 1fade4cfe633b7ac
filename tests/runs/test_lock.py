"""One process a run folder."""

import errno
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stylegan.errors import RunFolderLostError
from stylegan.runs import lock as run_lock
from stylegan.runs import lock_file
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


def test_a_second_process_is_refused_by_name_and_a_dead_ones_lock_is_taken_over(tmp_path):
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
        assert other["started_sec"] > 0
    finally:
        process.kill()
        process.communicate()
    other |= {"pid": os.getpid(), "started_sec": other["started_sec"] - 1000}
    lock.write_text(json.dumps(other))
    with RunLock(tmp_path) as taken:
        assert taken.taken_over


@pytest.fixture
def own_lock(tmp_path) -> Path:
    """The lock of a process of this machine that is there: this one."""
    lock = tmp_path / "run.lock"
    lock.write_text(json.dumps({"pid": os.getpid(), "host": platform.node(), "started_sec": None}))
    return lock


def test_where_nothing_says_when_a_process_began_a_lock_counts_as_long_as_it_is_renewed(
    tmp_path, own_lock, monkeypatch
):
    monkeypatch.setattr(run_lock, "started_sec", lambda pid: None)
    with pytest.raises(RunLockedError) as caught, RunLock(tmp_path):
        pass
    assert not caught.value.may_be_gone
    os.utime(own_lock, (1, 1))
    with RunLock(tmp_path) as taken:
        assert "left its lock behind" in taken.taken_over


def test_the_record_of_an_earlier_version_counts_by_its_age(tmp_path):
    """It has `began` in place of `started_sec`, and its process takes no lock of the system's."""
    lock = tmp_path / "run.lock"
    lock.write_text(json.dumps({"pid": os.getpid(), "host": platform.node(), "began": "boot:17", "key": "a"}))
    with pytest.raises(RunLockedError), RunLock(tmp_path):
        pass
    os.utime(lock, (1, 1))
    with RunLock(tmp_path) as taken:
        assert "left its lock behind" in taken.taken_over


def test_no_signal_is_sent_to_ask_for_a_process(tmp_path, monkeypatch):
    """On Windows signal 0 is Ctrl-C, and would interrupt the training that holds the lock."""
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(run_lock, "is_there", lambda pid: pid == os.getpid())
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a signal was sent"))
    own = {"pid": os.getpid(), "host": platform.node()}
    assert run_lock._lives(own, age_sec=0.0)
    assert not run_lock._lives({**own, "pid": 1}, age_sec=0.0)


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
    outcomes = races_for_a_stale_lock(tmp_path, turns=60)
    assert outcomes == [(1, ["run.lock"])] * 60, "how many got it, and what is in the folder"


def races_for_a_stale_lock(tmp_path, turns: int) -> list[tuple[int, list[str]]]:
    """Again and again, with threads that take turns as often as they can: races are rare.

    Returns: how many of eight got the lock, and which files are in the folder then.
    """
    outcomes = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for turn in range(turns):
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
                outcomes.append(
                    (sum(pool.map(attempt, range(8))), sorted(path.name for path in folder.iterdir()))
                )
    finally:
        sys.setswitchinterval(interval)
    return outcomes


def test_a_holder_that_cannot_be_seen_keeps_its_lock_as_long_as_it_lives(tmp_path, monkeypatch):
    """As in another container of the same host name, where its number means nothing here."""
    monkeypatch.setattr(run_lock, "LOOKED_AT_FOR_SEC", 0.1)
    process = holder_of(tmp_path)
    try:
        monkeypatch.setattr(run_lock, "is_there", lambda pid: False)
        with pytest.raises(RunLockedError, match=f"process {process.pid} on"), RunLock(tmp_path):
            pass
        process.kill()
        process.wait()
        with RunLock(tmp_path) as lock:
            assert f"process {process.pid}" in lock.taken_over
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes that begin as copies here")
def test_children_that_outlive_a_killed_holder_do_not_keep_its_lock(tmp_path, monkeypatch):
    """Readers of pictures may hang on a disk that is away."""
    monkeypatch.setattr(run_lock, "LOOKED_AT_FOR_SEC", 0.1)
    child = (
        "import os, sys, time; from stylegan.runs.lock import RunLock\n"
        "RunLock(sys.argv[1]).acquire()\n"
        "child = os.fork()\n"
        "if child == 0: time.sleep(60); os._exit(0)\n"
        "print(child, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", child, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    left = int(process.stdout.readline())
    try:
        process.kill()
        process.wait()
        os.kill(left, 0)  # the child is there
        with RunLock(tmp_path) as lock:
            assert f"process {process.pid}" in lock.taken_over
    finally:
        os.kill(left, signal.SIGKILL)
        process.stdin.close()
        process.stdout.close()


def test_a_record_that_was_taken_over_before_the_systems_lock_is_refused(tmp_path, monkeypatch):
    """Between the two another process may see neither: it is elsewhere in the same kernel."""
    other = json.dumps({"pid": 7, "host": "elsewhere"})
    system_lock = run_lock._system_lock

    def late(path):
        path.write_text(other)
        return system_lock(path)

    monkeypatch.setattr(run_lock, "_system_lock", late)
    with pytest.raises(RunLockedError, match="process 7 on elsewhere"), RunLock(tmp_path):
        pass
    assert (tmp_path / "run.lock").read_text() == other


def test_it_follows_a_folder_that_is_set_aside(tmp_path):
    """The folder is moved with the lock in it; a new one of the old name is held as before, the moved one no more."""
    run, aside = tmp_path / "run", tmp_path / "aside"
    with RunLock(run) as lock:
        (run / "config.yaml").touch()
        run.rename(aside)
        lock.follow(aside)
        with pytest.raises(RunLockedError), RunLock(run):
            pass
        with RunLock(aside) as other:
            assert other.taken_over is None
    assert [path.name for path in aside.iterdir()] == ["config.yaml"]


def test_a_place_that_was_taken_while_the_folder_moved_is_refused(tmp_path):
    run, aside = tmp_path / "run", tmp_path / "aside"
    with RunLock(run) as lock:
        run.rename(aside)
        with RunLock(run), pytest.raises(RunLockedError, match=f"process {os.getpid()} on"):
            lock.follow(aside)


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=errno.errorcode.get)
def mount_without_locks(request, monkeypatch):
    """Every lock of the system's fails, as on some network and cloud mounts."""
    import fcntl

    def fails(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", fails)


def test_a_folder_whose_lock_was_removed_is_not_free_while_its_process_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "LOOKED_AT_FOR_SEC", 0.1)
    process = holder_of(tmp_path)
    try:
        (tmp_path / "run.lock").unlink()
        who = rf"in use by process ({process.pid}|\?) on {platform.node()}; .*its run.lock was removed"
        with pytest.raises(RunLockedError, match=who) as caught, RunLock(tmp_path):
            pass
        assert caught.value.may_be_gone, "it ends by itself: the command is to be repeated"
        assert os.listdir(tmp_path) == []
        process.kill()
        process.wait()
        with RunLock(tmp_path) as lock:
            assert lock.taken_over is None
    finally:
        process.kill()
        process.communicate()


def harm(kind: str, folder: Path) -> str:
    """Returns: what the holder says then."""
    lock = folder / "run.lock"
    if kind == "removed":
        lock.unlink()
        return f"{lock} was removed, .*; this run stops here, .* The same command continues"
    if kind == "taken over":
        lock.write_text('{"pid": 7, "host": "elsewhere"}')
        return f"{folder} was taken over by process 7 on elsewhere"
    if kind == "deleted":
        shutil.rmtree(folder)
        return f"{folder} was deleted or moved; .* Put it back"
    if kind == "deleted and made again":
        shutil.rmtree(folder)
        folder.mkdir()
        return f"{lock} was removed"
    if kind == "a file in its place":
        shutil.rmtree(folder)
        folder.touch()
        return f"{lock} was removed"
    folder.rename(folder.with_name("moved"))
    where = str(folder.with_name("moved")) if sys.platform == "linux" else ""
    return f"{folder} was .*moved.*{where}"


@pytest.mark.parametrize(
    "kind", ["removed", "taken over", "deleted", "deleted and made again", "a file in its place", "moved"]
)
def test_a_holder_that_has_lost_its_lock_or_folder_is_told(tmp_path, kind):
    lock = RunLock(tmp_path / "run")
    lock.acquire()
    lock.verify()
    said = harm(kind, tmp_path / "run")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    for _ in range(2):
        with pytest.raises(RunFolderLostError, match=said) as caught:
            lock.verify()
    assert caught.value.exit_code == 75 and "\n" not in str(caught.value)
    lock.release()
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before, "left to the others"


def test_a_drive_that_is_away_for_a_moment_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_file, "PAUSES_SEC", (0.0, 0.0))
    failures = iter([True, False, True, True, True])
    text_of = lock_file.text_of

    def away(path):
        if next(failures):
            raise OSError(errno.EIO, "Input/output error")
        return text_of(path)

    with RunLock(tmp_path) as lock:
        monkeypatch.setattr(lock_file, "text_of", away)
        lock.verify()
        with pytest.raises(RunFolderLostError, match="cannot be read .Input/output error"):
            lock.verify()


def test_a_machine_that_slept_while_another_took_over_is_told_and_renews_no_lock_but_its_own(
    tmp_path, monkeypatch, mount_without_locks
):
    monkeypatch.setattr(run_lock, "RENEWED_EVERY_SEC", 0.01)
    slept, awake = RunLock(tmp_path), threading.Event()
    monkeypatch.setattr(slept, "_renew", lambda: awake.wait() and RunLock._renew(slept))
    slept.acquire()
    os.utime(slept.path, (1, 1))
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    other = RunLock(tmp_path)
    monkeypatch.setattr(other, "_renew", lambda: None)
    other.acquire()
    assert f"process {os.getpid()} on" in other.taken_over
    os.utime(other.path, (1, 1))
    awake.set()
    time.sleep(0.1)
    assert other.path.stat().st_mtime == 1
    with pytest.raises(
        RunFolderLostError, match="taken over by process .* on elsewhere, as from a machine that sleeps"
    ):
        slept.verify()
    slept.release()
    other.verify()
    other.release()


def in_another_container(monkeypatch) -> None:
    """From here on this process counts as one of another space of process numbers on the same kernel."""
    kernel, _ = run_lock.kernel_and_namespace()
    monkeypatch.setattr(run_lock, "kernel_and_namespace", lambda: (kernel, "pid:[1]"))


def test_numbers_of_another_container_are_not_asked_for(tmp_path, monkeypatch):
    """Both have a process 1, and one host name."""
    monkeypatch.setattr(run_lock, "LOOKED_AT_FOR_SEC", 0.1)
    process = holder_of(tmp_path)
    try:
        in_another_container(monkeypatch)
        monkeypatch.setattr(run_lock, "is_there", lambda pid: pytest.fail("that number means nothing here"))
        os.utime(tmp_path / "run.lock", (1, 1))  # as after a long sleep
        with pytest.raises(RunLockedError, match=f"process {process.pid} on"), RunLock(tmp_path):
            pass
        process.kill()
        process.wait()
        os.utime(tmp_path / "run.lock")
        with RunLock(tmp_path) as lock:  # at once: the kernel knows that it is gone
            assert f"process {process.pid}" in lock.taken_over
    finally:
        process.kill()
        process.communicate()


def test_without_locks_another_container_counts_by_age(tmp_path, monkeypatch, mount_without_locks):
    with RunLock(tmp_path) as lock:
        in_another_container(monkeypatch)
        with pytest.raises(RunLockedError) as caught, RunLock(tmp_path):
            pass
        assert caught.value.may_be_gone
        os.utime(lock.path, (1, 1))
        with RunLock(tmp_path) as other:
            assert other.taken_over


def test_a_copy_of_a_folder_in_use_is_free(tmp_path):
    with RunLock(tmp_path / "run"):
        shutil.copytree(tmp_path / "run", tmp_path / "copy")
        with RunLock(tmp_path / "copy") as copy:
            assert copy.taken_over
        with pytest.raises(RunLockedError), RunLock(tmp_path / "run"):
            pass


def test_after_a_restart_of_the_machine_no_lock_is_waited_for(tmp_path):
    before = {
        "pid": os.getpid(),
        "host": platform.node(),
        "started_sec": 1.0,
        "kernel": "earlier",
        "key": "a",
    }
    (tmp_path / "run.lock").write_text(json.dumps(before))
    with RunLock(tmp_path) as lock:
        assert lock.taken_over


def test_on_a_mount_without_locks_the_record_counts_alone(tmp_path, mount_without_locks):
    with RunLock(tmp_path / "run") as lock:
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.lock"]
        assert lock._system is None and lock._of_folder is None
        with pytest.raises(RunLockedError, match=f"process {os.getpid()} on"), RunLock(tmp_path / "run"):
            pass
    assert os.listdir(tmp_path) == []
    stale = tmp_path / "run.lock"
    stale.write_text('{"pid": 1, "host": "elsewhere"}')
    os.utime(stale, (1, 1))
    with RunLock(tmp_path) as lock:
        assert "elsewhere left its lock behind" in lock.taken_over
    assert os.listdir(tmp_path) == []


def test_on_a_mount_without_locks_too_one_of_many_gets_a_stale_lock(tmp_path, mount_without_locks):
    outcomes = races_for_a_stale_lock(tmp_path, turns=20)
    assert outcomes == [(1, ["run.lock"])] * 20


def test_a_claim_whose_maker_is_gone_is_not_an_obstacle(tmp_path, mount_without_locks):
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
