"""The long run of disasters in small: a kill at each kind of moment, one of them on a full disk."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.long
def test_a_run_survives_its_disasters(tmp_path):
    chaos = Path(__file__).parent / "chaos.py"
    command = [sys.executable, str(chaos), "--kills=4", "--seed=3", "--total-kimg=0.7", f"--place={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^ +4 kills$", done.stdout, re.MULTILINE)
    assert re.search(r"^ +1 full disks$", done.stdout, re.MULTILINE)
    compared, differing = map(int, re.search(r"(\d+) values compared, (\d+) differ", done.stdout).groups())
    assert compared > 100 and differing == 0
