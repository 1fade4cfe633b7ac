"""The processes that the command starts itself."""

import os
import subprocess
import sys

from stylegan.distributed import launch
from stylegan.distributed.processes import LOOPBACK
from stylegan.machine.process import environment_of_child
from tests.together import listening_at


def test_an_interface_to_other_machines_is_none_of_those_on_this_one(monkeypatch):
    seen = []

    def ending(process, words):
        seen.append(environment_of_child().get("GLOO_SOCKET_IFNAME"))
        return subprocess.Popen([sys.executable, "-c", ""])

    monkeypatch.setattr(launch, "_start", ending)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth9")
    started = launch.StartedProcesses(2, [])
    try:
        assert seen == [None] and "GLOO_SOCKET_IFNAME" not in os.environ
    finally:
        started.kill()
    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth9"


def test_the_processes_of_one_machine_meet_where_no_other_can_reach_them(monkeypatch):
    def waiting(process, words):
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    monkeypatch.setattr(launch, "_start", waiting)
    started = launch.StartedProcesses(2, ["seed=1"])
    try:
        assert listening_at(int(os.environ["MASTER_PORT"])) == {LOOPBACK}
        assert started.decide(lambda: {"seed": 1}) == {"seed": 1}
        assert started._get("message/0") == {"decided": {"seed": 1}}
    finally:
        started.kill()
    assert "MASTER_PORT" not in os.environ
