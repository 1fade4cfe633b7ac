"""The progress line, by a clock that we move."""

import io
import sys
import time

import pytest

from callbacks import Progress
from callbacks.progress import duration
from tests.callbacks.callbacks_fakes import FakeModule, stub_trainer


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


def iterate(progress, module, clock, count, seconds):
    for _ in range(count):
        clock.now += seconds
        module.step()
        progress.on_train_batch_end(stub_trainer(), module, None, None, 0)


def test_plain_lines_every_so_often_and_at_the_end(clock, capsys):
    module, progress = FakeModule(total_images=6400, batch_size=64), Progress(every_seconds=30)
    progress.on_train_start(stub_trainer(), module)
    iterate(progress, module, clock, count=100, seconds=1)
    progress.on_train_end(stub_trainer(), module)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "kimg 1.920/6.400  64.0 img/s  ETA 1m 10s  p 3.000  sign +0.250",
        "kimg 3.840/6.400  64.0 img/s  ETA 40s  p 6.000  sign +0.250",
        "kimg 5.760/6.400  64.0 img/s  ETA 10s  p 9.000  sign +0.250",
        "kimg 6.400/6.400  64.0 img/s  ETA 0s  p 10.000  sign +0.250",
    ]


def test_the_device_is_asked_only_when_a_line_is_shown(clock, capsys):
    module, progress = FakeModule(total_images=10**6), Progress(every_seconds=30)
    progress.on_train_start(stub_trainer(), module)
    iterate(progress, module, clock, count=1000, seconds=0.1)
    assert module.ada.reads == len(capsys.readouterr().out.splitlines()) == 3


def test_the_rate_is_that_of_the_last_minute_and_of_this_process(clock, capsys):
    module, progress = FakeModule(total_images=10**6, batch_size=60), Progress(every_seconds=30)
    module.images_seen += 600_000  # a run that goes on
    progress.on_train_start(stub_trainer(), module)
    iterate(progress, module, clock, count=60, seconds=1)
    iterate(progress, module, clock, count=60, seconds=3)
    lines = capsys.readouterr().out.splitlines()
    assert "  60.0 img/s  " in lines[0]
    assert "  20.0 img/s  ETA 5h 27m  " in lines[-1]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(clock, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    module, progress = FakeModule(total_images=6400, batch_size=64), Progress()
    progress.on_train_start(stub_trainer(), module)
    iterate(progress, module, clock, count=50, seconds=0.25)
    assert module.ada.reads == 1 + 12  # at the start and once a second
    shown = terminal.getvalue()
    assert "kimg 3.072/6.400" in shown and "256.0 img/s" in shown
    assert "p 4.800" in shown and "sign +0.250" in shown
    assert "\x1b[?25l" in shown and "\x1b[?25h" not in shown  # cursor hidden ...
    progress.on_exception(stub_trainer(), module, KeyboardInterrupt())
    assert "\x1b[?25h" in terminal.getvalue()  # ... and given back


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0s"),
        (59.6, "1m 00s"),
        (754, "12m 34s"),
        (3720, "1h 02m"),
        (3 * 86400 + 4.9 * 3600, "3d 04h"),
        (float("inf"), "?"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_pauses_without_sense_are_refused():
    with pytest.raises(ValueError, match=r"callbacks\.progress.*0"):
        Progress(every_seconds=0)
