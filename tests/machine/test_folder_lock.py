"""The kernel's lock of a folder."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stylegan.machine.folder_lock import lock_folder, pid_of_holder

ROOT = Path(__file__).parents[2]


def test_one_holds_it_until_it_is_given_back(tmp_path):
    lock = lock_folder(tmp_path)
    with pytest.raises(BlockingIOError):
        lock_folder(tmp_path)
    assert os.listdir(tmp_path) == []
    lock.release()
    lock.release()
    lock_folder(tmp_path).release()


def test_a_folder_that_takes_the_place_of_a_locked_one_is_free(tmp_path):
    folder, moved = tmp_path / "run", tmp_path / "moved"
    folder.mkdir()
    lock = lock_folder(folder)
    folder.rename(moved)
    folder.mkdir()
    other = lock_folder(folder)
    with pytest.raises(BlockingIOError):
        lock_folder(moved)
    if sys.platform == "linux":
        assert lock.place() == moved
        shutil.rmtree(moved)
        assert lock.place() is None
    lock.release()
    assert lock.place() is None
    other.release()


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        lock_folder(tmp_path / "none")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EBADF], ids=errno.errorcode.get)
def test_where_folders_have_no_locks_there_is_none(tmp_path, monkeypatch, number):
    def fails(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fails)
    open_before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    assert lock_folder(tmp_path) is None
    assert (len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0) == open_before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes that begin as copies here")
def test_a_child_of_the_holder_does_not_keep_it(tmp_path):
    body = (
        "import os, sys; from stylegan.machine.folder_lock import lock_folder\n"
        "lock = lock_folder(sys.argv[1])\n"
        "child = os.fork()\n"
        "sys.stdin.read() if child == 0 else print('held', flush=True)\n"
        "sys.stdin.readline(); os._exit(0)"
    )
    command = [sys.executable, "-c", body, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError):
            lock_folder(tmp_path)  # the child has closed what it shares, and the holder has it still
        if sys.platform == "linux":
            assert pid_of_holder(tmp_path) == process.pid
        process.kill()
        process.wait()
        lock_folder(tmp_path).release()  # the child is there, and reads
    finally:
        process.kill()
        process.communicate()


def test_a_folder_that_is_free_has_no_holder(tmp_path):
    assert pid_of_holder(tmp_path) is None
    assert pid_of_holder(tmp_path / "none") is None
