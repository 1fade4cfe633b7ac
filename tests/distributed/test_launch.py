"""The processes that the command starts itself."""

import os
import subprocess
import sys

from stylegan.distributed import launch as team
from stylegan.distributed.processes import LOOPBACK
from tests.together import listening_at


def test_the_processes_of_one_machine_meet_where_no_other_can_reach_them(monkeypatch):
    def waiting(process):
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    monkeypatch.setattr(team, "_start", waiting)
    started = team.StartedTeam(2)
    try:
        assert listening_at(int(os.environ["MASTER_PORT"])) == {LOOPBACK}
        started.tell({"go": True})
        assert started._get("told/0") == {"go": True}
    finally:
        started.end()
    assert "MASTER_PORT" not in os.environ
