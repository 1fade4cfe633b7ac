"""Questions about processes."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from stylegan.machine.process import is_there, started_sec


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
