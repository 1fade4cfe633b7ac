"""The processes that the command starts itself."""

import os
import subprocess
import sys

from stylegan.distributed import launch
from stylegan.distributed.processes import LOOPBACK
from tests.together import listening_at


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
