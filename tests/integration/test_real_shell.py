"""The two commands through a real shell, with names as people give them."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

ROOT = Path(__file__).parents[2]
SMALL = (
    "preset=tiny resolution=8 batch_size=4 total_kimg=0.004 trainer=cpu generator.channel_max=8"
    " discriminator.channel_max=8 callbacks.snapshots.columns=2 callbacks.snapshots.rows=2"
)
NAME = "Füchse im Schnee, [2] = schön (v1) 狐"


def in_shell(line: str, folder: Path) -> subprocess.CompletedProcess:
    """Runs one line of bash in `folder`; the words `train.py` and `generate.py` are ours."""
    python = shlex.quote(sys.executable)
    for program in ("train.py", "generate.py"):
        line = line.replace(f"python {program}", f"{python} {shlex.quote(str(ROOT / program))}")
    # The encoding is Python's own choice in UTF-8 mode, in any locale of the machine.
    environment = os.environ | {"PYTHONUTF8": "1"}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8"
    )


@pytest.mark.long
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_names_with_blanks_and_any_script_come_through_a_shell(tmp_path):
    pictures = tmp_path / "meine Bilder, ß"
    shutil.copytree(ROOT / "tests" / "datamodules" / "emoji", pictures)
    trained = in_shell(
        f"python train.py {SMALL} data=folder data.path='meine Bilder, ß' \"name={NAME}\" 'runs_dir=alle Läufe'",
        tmp_path,
    )
    assert trained.returncode == 0, trained.stderr
    run = tmp_path / "alle Läufe" / NAME
    config = OmegaConf.load(run / "config.yaml")
    assert (config.name, config.data.path, config.runs_dir) == (NAME, "meine Bilder, ß", "alle Läufe")
    # What the command says comes next is a line that a shell takes.
    (hint,) = (line.strip() for line in trained.stdout.splitlines() if line.strip().startswith("next "))
    # With the Python and the place of the program that has just run.
    drawn = in_shell(f"{hint.removeprefix('next').strip()} 'out=neue Bilder/ä, b=c'", tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    out = tmp_path / "neue Bilder" / "ä, b=c"
    images = {"grid.png", *(f"seed{i:04d}.png" for i in range(16))}
    assert {path.name for path in out.iterdir()} == images | {f"{name}.json" for name in images}
    assert {path.name for path in tmp_path.iterdir()} == {"meine Bilder, ß", "alle Läufe", "neue Bilder"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_the_programs_that_tests_start_leave_the_users_cache_alone(tmp_path, tmp_path_factory):
    python = shlex.quote(sys.executable)
    asked = "from stylegan.machine.files import cache_folder; print(cache_folder('scans'))"
    reported = in_shell(f"PYTHONPATH={shlex.quote(str(ROOT))} {python} -c {shlex.quote(asked)}", tmp_path)
    assert Path(reported.stdout.strip()).is_relative_to(tmp_path_factory.getbasetemp()), reported.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_a_mistake_in_a_shell_is_one_line_that_names_it(tmp_path):
    failed = in_shell(
        "python train.py data=folder 'data.path=keine Füchse, [1]' name=x trainer=cpu", tmp_path
    )
    assert (failed.returncode, failed.stdout) == (2, "")
    (line,) = failed.stderr.splitlines()
    assert line.startswith("stylegan-train: ") and "keine Füchse, [1]" in line
    assert list(tmp_path.iterdir()) == []
