"""Files that are whole or not there, and the cache folder."""

import io
import os
import pwd
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stylegan.machine.files import (
    append_whole,
    cache_folder,
    expanded,
    nearest_place,
    replacing,
    sweep_partials,
)


def test_a_file_takes_the_place_of_the_old_one_when_it_is_complete(tmp_path):
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
        assert [p.name for p in tmp_path.glob("*.ckpt")] == ["a.ckpt"]
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.ckpt"]


@pytest.mark.parametrize("durable", [True, False])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, durable):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="disk"), replacing(path, durable=durable) as file:
        file.write(b"half")
        raise RuntimeError("disk full")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_killed_process_leaves_a_file_that_is_swept_away(tmp_path):
    code = (
        "import os; from stylegan.machine.files import replacing\n"
        "with replacing('kimg1.ckpt') as file:\n    file.write(b'half'); file.flush(); os._exit(9)"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    environment = {**os.environ, "PYTHONPATH": root}
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment).returncode == 9
    (left_over,) = os.listdir(tmp_path)
    assert left_over.startswith(".kimg1.ckpt.") and left_over.endswith(".partial")
    sweep_partials(tmp_path, "other*")
    assert os.listdir(tmp_path) == [left_over]
    sweep_partials(tmp_path, "kimg*")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("before", ["", "whole\n", "whole\nhal", "hal", "\n"])
def test_an_unfinished_line_does_not_swallow_the_next_one(tmp_path, before):
    path = tmp_path / "lines.jsonl"
    path.write_text(before)
    append_whole(path, "first\n")
    append_whole(path, "second\n")
    end = "\n" if before and not before.endswith("\n") else ""
    assert path.read_text() == f"{before}{end}first\nsecond\n"


def test_what_another_process_added_is_not_cut_off(tmp_path, monkeypatch):
    path = tmp_path / "lines.jsonl"
    path.write_text("old\n")

    class Failing(io.FileIO):
        def write(self, data):
            if len(data) < len(b"mine\n"):
                with open(path, "a") as other:
                    other.write("\ntheirs\n")
                raise OSError(28, "No space left on device")
            return super().write(data[:2])

    monkeypatch.setattr(
        "stylegan.machine.files.open",
        lambda path, mode, **_: Failing(path, mode.replace("b", "")),
        raising=False,
    )
    with pytest.raises(OSError):
        append_whole(path, "mine\n")
    assert path.read_text() == "old\nmi\ntheirs\n"


def test_text_is_added_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "lines.jsonl"
    append_whole(path, "first\n")
    append_whole(path, "zweite, ü\n")
    assert path.read_text(encoding="utf-8") == "first\nzweite, ü\n"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, hard))
    try:
        with pytest.raises(OSError):
            append_whole(path, "more than fits\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_text(encoding="utf-8") == "first\nzweite, ü\n"


def test_the_cache_folder_is_the_users(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder("scans") == Path("/somewhere/stylegan-lightning/scans")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder("scans") == Path("/home/me/.cache/stylegan-lightning/scans")


@pytest.mark.parametrize("value", ["", None])
def test_without_a_home_there_is_no_cache_folder(monkeypatch, value):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    # A process of a user who is in no list of users, as in many containers.
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
    assert cache_folder("features") is None


def test_a_home_that_there_is_is_written_out(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/a") == Path("/home/me/a") and expanded("a~") == Path("a~")
    assert expanded(f"~{pwd.getpwuid(0).pw_name}/a") == Path(pwd.getpwuid(0).pw_dir) / "a"


@pytest.mark.parametrize("path", ["~", "~/a"])
def test_a_user_without_a_home_gets_a_line(monkeypatch, path):
    """As in a container whose user has no entry in /etc/passwd."""

    def none(number):
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", none)
    with pytest.raises(ValueError, match=f"^out={path}: this system knows no home folder of you; write"):
        expanded(path, key="out")


def test_a_home_of_an_unknown_user_is_a_line():
    with pytest.raises(
        ValueError, match=r"^~no-such-user/a: this system knows no home folder of user no-such-user; .*\./~no"
    ):
        expanded("~no-such-user/a")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("phtos", "photos"), ("Photos", "photos"), ("photos.zip", "photos"), ("flags", "flags.zip")),
        *(("flag.zip", "flags.zip"), ("photos/cat", "photos/cats"), ("phtos/cats", "photos/cats")),
        *(("dogs", None), ("photos/zebras", None), ("phtos/zebras", None), ("notes", None), ("nowhere/at/all", None)),
        ("photos", None),
    ],
)  # fmt: skip
def test_a_mistyped_place_has_a_nearest_one(tmp_path, monkeypatch, typed, meant):
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    (tmp_path / ".photo").mkdir()
    for name in ("flags.zip", "notes.txt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert nearest_place(Path(typed)) == (None if meant is None else Path(meant))
    assert nearest_place(tmp_path / typed) == (None if meant is None else tmp_path / meant)
