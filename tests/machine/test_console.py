"""Lines as they are written, and a log file that is full: it costs its lines, not the run."""

import errno
import io
import logging
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from stylegan.machine.console import say, say_error, surviving_lost_file, surviving_lost_output, warn

ROOT = Path(__file__).parents[2]
ROOM_BYTES = 1000
TALK = "[print('out', n, flush=True) or print('err', n, file=sys.stderr) for n in range(500)]"
LOG = "from stylegan.machine.console import say, say_error\n"
TALKS = {"print": TALK, "log": "[say(f'out {n}') or say_error(f'err {n}') for n in range(500)]"}


def run(place: Path, body: str) -> tuple[int, str]:
    """Runs a program whose log has little room. Returns: its exit code and what it wrote elsewhere, at its end."""
    end = place / "end.txt"
    body = f"import os, signal, sys\n{body}\nopen({str(end)!r}, 'w').write('done')"
    with open(place / "log.txt", "wb") as log:
        code = subprocess.run(
            [sys.executable, "-c", body],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, ROOM_BYTES)),
        ).returncode
    return code, end.read_text() if end.exists() else ""


def test_lines_go_to_the_streams_of_the_moment(capsys):
    say("metrics     kimg 1.000  50% done, {} and %s")
    warn("two\n  lines")
    say_error("stylegan-train: what is wrong")
    assert capsys.readouterr() == (
        "metrics     kimg 1.000  50% done, {} and %s\nwarning     two lines\n",
        "stylegan-train: what is wrong\n",
    )


def test_a_root_handler_writes_no_line_twice(capsys):
    root, handler = logging.getLogger(), logging.StreamHandler(io.StringIO())
    root.addHandler(handler)
    try:
        say("once")
    finally:
        root.removeHandler(handler)
    assert capsys.readouterr().out == "once\n" and handler.stream.getvalue() == ""


def test_the_loggers_level_silences_the_lines_of_a_run(capsys):
    logger = logging.getLogger("stylegan")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        say("a line")
        warn("a warning")
    finally:
        logger.setLevel(before)
    assert capsys.readouterr().out == "warning     a warning\n"


@pytest.mark.parametrize(
    "error", [BrokenPipeError(errno.EPIPE, "Broken pipe"), ValueError("I/O on closed file")]
)
def test_a_stream_that_is_gone_costs_its_lines(monkeypatch, error):
    class Closed(io.StringIO):
        def write(self, text):
            raise error

    monkeypatch.setattr(sys, "stdout", Closed())
    monkeypatch.setattr(sys, "stderr", None)  # closed before the program began
    say("this is lost")
    warn("this as well")
    say_error("and this")
    monkeypatch.setattr(sys, "stdout", shown := io.StringIO())
    say("this is shown")
    assert shown.getvalue() == "this is shown\n"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", b"\\xe9 \\U0001f98a \\udce9\n"),
        ("cp1252", b"\xe9 \\U0001f98a \\udce9\n"),
        ("utf-8", "é 🦊 \\udce9\n".encode()),
    ],
)
def test_characters_that_the_stream_lacks_are_shown_by_escapes(monkeypatch, tmp_path, encoding, shown):
    line = "é 🦊 \udce9"
    raw = io.BytesIO()
    monkeypatch.setattr(
        sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="\n")
    )
    say(line)
    assert raw.getvalue() == shown
    for errors in ("strict", "surrogateescape"):
        with open(tmp_path / errors, "w", encoding=encoding, errors=errors, newline="\n") as file:
            monkeypatch.setattr(sys, "stdout", file)
            with surviving_lost_output():
                print(line)
                say(line)
        assert (tmp_path / errors).read_bytes() == 2 * shown


def test_a_full_disk_costs_one_thing_and_a_warning(capsys):
    with surviving_lost_file("a row"):
        raise OSError(errno.ENOSPC, "No space left on device")
    out = capsys.readouterr().out
    assert (
        out.startswith("warning     the disk is full: a row could not be written (") and out.count("\n") == 1
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "a/stats.csv"), "a/stats.csv: Permission denied"),
        (OSError(errno.EIO, "Input/output error", b"caf\xc3\xa9.csv"), "café.csv: Input/output error"),
        (OSError(errno.ESTALE, "Stale file handle"), "Stale file handle"),
        (OSError("no\nanswer"), "no answer"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_file_that_is_refused_costs_one_thing_and_a_warning(capsys, error, reason):
    with surviving_lost_file("a row"):
        raise error
    line = f"warning     a row could not be written ({reason}); the rest continues\n"
    assert capsys.readouterr().out == line


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("nan"), KeyError("x")])
def test_what_is_no_file_is_not_passed_over(error):
    with pytest.raises(type(error)), surviving_lost_file("a row"):
        raise error


def test_without_it_a_full_log_ends_a_program_that_prints(tmp_path):
    code, end = run(tmp_path, TALK)
    assert code != 0 and end == ""


SURVIVING = "from stylegan.machine.console import surviving_lost_output, say, say_error, refuse_lost_output\n"


def alone(place: Path, body: str, **streams) -> tuple[int, str]:
    """Runs a program with other streams. Returns: its exit code, and what it wrote to `end.txt`."""
    end = place / "end.txt"
    body = f"import os, sys\n{SURVIVING}{body}\nopen({str(end)!r}, 'w').write('done')"
    code = subprocess.run([sys.executable, "-c", body], cwd=ROOT, timeout=60, **streams).returncode
    return code, end.read_text() if end.exists() else ""


def closed_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def terminal_that_is_gone() -> int:
    import pty

    near, far = pty.openpty()
    os.close(near)
    return far


def pipe_that_is_full() -> int:
    """It does not wait for a reader, and there is none that reads."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(4096))
    except BlockingIOError:
        pass
    KEPT_OPEN.append(reading)
    return writing


KEPT_OPEN: list[int] = []
GONE = {
    "closed pipe": closed_pipe,
    "full disk": lambda: os.open("/dev/full", os.O_WRONLY),
    "terminal": terminal_that_is_gone,
    "full pipe": pipe_that_is_full,
}


@pytest.mark.parametrize("gone", GONE)
def test_without_a_reader_only_the_lines_are_lost(tmp_path, gone):
    stream = GONE[gone]()
    body = "with surviving_lost_output(): print('out'); say('out'); say_error('err'); print('err', file=sys.stderr)"
    try:
        assert alone(tmp_path, body, stdout=stream, stderr=stream) == (0, "done")
    finally:
        os.close(stream)


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_streams_that_are_closed_from_the_start_cost_the_lines_alone(tmp_path, closed):
    """And no file that is opened later gets their numbers, to which C libraries print."""
    file = tmp_path / "checkpoint"
    body = (
        f"with surviving_lost_output():\n print('out'); say('out'); say_error('err'); sys.stderr.write('err')\n"
        f" assert not sys.stdout.isatty()\n file = open({str(file)!r}, 'wb')\n assert file.fileno() > 2\n"
        " os.write(1, b'a library'); os.write(2, b'a library')"
    )

    def close() -> None:
        for number in closed:
            os.close(number)

    assert alone(tmp_path, body, preexec_fn=close, close_fds=False) == (0, "done")
    assert file.read_bytes() == b""


def test_a_reader_that_has_seen_enough_can_be_asked_for(tmp_path):
    body = (
        "with surviving_lost_output():\n print('out')\n"
        " try: refuse_lost_output()\n except BrokenPipeError: sys.exit(9)"
    )
    pipe = closed_pipe()
    try:
        assert alone(tmp_path, body, stdout=pipe) == (9, "")
    finally:
        os.close(pipe)
    with open(tmp_path / "log", "w") as file:
        assert alone(tmp_path, body, stdout=file) == (0, "done")


@pytest.mark.parametrize("variable", ["", "PYTHONUNBUFFERED"])
@pytest.mark.parametrize("talk", TALKS)
def test_a_full_log_costs_its_lines_alone(tmp_path, monkeypatch, variable, talk):
    if variable:
        monkeypatch.setenv(variable, "1")
    module, name = "stylegan.machine.console", "surviving_lost_output"
    inside = f"{LOG}from {module} import {name}\nwith {name}(): {TALKS[talk]}"
    assert run(tmp_path, inside) == (0, "done")
    log = (tmp_path / "log.txt").read_text()
    assert len(log) == ROOM_BYTES
    assert log.startswith("out 0\nerr 0\nout 1\nerr 1\n")


def test_the_answer_to_a_signal_needs_no_room_either(tmp_path):
    body = (
        "import pytorch_lightning as pl; from callbacks.preemption import Preemption\n"
        "Preemption().on_train_start(pl.Trainer(logger=False, accelerator='cpu'), None)\n"
        "os.write(2, b'-' * 2000)\n"
        "os.kill(os.getpid(), signal.SIGTERM)"
    )
    assert run(tmp_path, body) == (0, "done")


def test_what_is_not_a_file_is_left_as_it_is(capsys):
    before = sys.stdout
    with surviving_lost_output():
        assert sys.stdout is before
        print("heard")
    assert capsys.readouterr().out == "heard\n"


def test_the_streams_come_back(tmp_path, monkeypatch):
    with open(tmp_path / "log.txt", "w") as log:
        monkeypatch.setattr(sys, "stdout", log)
        with surviving_lost_output():
            assert sys.stdout is not log
            print("heard", end="")
        assert sys.stdout is log
        print(" and more", end="")
    assert (tmp_path / "log.txt").read_text() == "heard and more"
    assert os.stat(tmp_path / "log.txt").st_size == 14
