"""Questions about processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stylegan.errors import UserError
from stylegan.machine.process import is_there, leaving_at_once, refuse_lost_folder, started_sec


def test_a_process_is_there_until_it_was_waited_for():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_there(process.pid)
    process.communicate(b"\n")
    assert not is_there(process.pid) and started_sec(process.pid) is None


@pytest.mark.skipif(
    not hasattr(time, "CLOCK_BOOTTIME"), reason="no clock that counts from the system's start"
)
def test_the_start_of_a_process_is_read_from_the_systems_own_clock():
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        # The start of the system is known to the second.
        assert started_sec(process.pid) == pytest.approx(before, abs=1.5)
        assert started_sec(os.getpid()) < started_sec(process.pid)
    finally:
        process.communicate(b"\n")


def test_a_clock_that_is_set_changes_no_start(monkeypatch):
    before = started_sec(os.getpid())
    boot, created = psutil.boot_time(), psutil.Process().create_time()
    monkeypatch.setattr(psutil, "boot_time", lambda: boot + 3600)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: created + 3600)
    assert started_sec(os.getpid()) == pytest.approx(before, abs=1)


def test_a_command_answers_ctrl_c_also_where_its_loading_did_not():
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), leaving_at_once():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of a job in the background
        with leaving_at_once():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
def test_ctrl_c_while_a_command_is_loading_ends_in_silence():
    body = (
        "import sys; sys.argv[0] = 'stylegan-train'; import stylegan.cli, os, signal; os.kill(os.getpid(), 2)"
    )
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")
    other = body.replace("stylegan-train", "my_program.py")
    done = subprocess.run([sys.executable, "-c", other], capture_output=True, cwd=Path(__file__).parents[2])
    assert b"KeyboardInterrupt" in done.stderr, "a program of the user's keeps its own answer"


def test_a_working_folder_that_was_deleted_is_a_line(tmp_path, monkeypatch):
    place = tmp_path / "gone"
    place.mkdir()
    monkeypatch.chdir(place)
    refuse_lost_folder()
    place.rmdir()
    with pytest.raises(
        UserError, match="the working folder cannot be used .*: it was deleted or moved; cd to another"
    ):
        refuse_lost_folder()
