"""The progress line, by a clock that we move; and what a run that continues elsewhere reports."""

import io
import sys
import time

import pytest
import torch

from callbacks import KimgCheckpoint, Progress
from callbacks.progress import Machine, duration
from tests.callbacks.tiny_run import fit, idle_module, iterate, tiny_trainer


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def reads(monkeypatch) -> list:
    """The tensors whose number the host requested."""
    asked, read = [], torch.Tensor.__float__
    monkeypatch.setattr(torch.Tensor, "__float__", lambda tensor: asked.append(tensor) or read(tensor))
    return asked


def started(progress, capsys=None, *, trained=0, **options):
    """A module whose training starts, with p = 0.25 and a sign statistic of 0.25."""
    module = idle_module(**options)
    module.ada.sign_mean.fill_(0.25)
    iterate(module, trained)
    progress.on_train_start(tiny_trainer(), module)
    if capsys:
        assert capsys.readouterr().out.startswith("device ")
    return module


def train_on(progress, module, clock, count, seconds):
    trainer = tiny_trainer()
    for _ in range(count):
        clock.now += seconds
        iterate(module)
        progress.on_train_batch_end(trainer, module, None, None, 0)


def test_plain_lines_every_so_often_and_at_the_end(clock, capsys):
    progress = Progress(every_seconds=30)
    module = started(progress, capsys, total_images=6400, batch_size=64)
    train_on(progress, module, clock, count=100, seconds=1)
    progress.on_train_end(tiny_trainer(), module)
    assert capsys.readouterr().out.splitlines() == [
        "kimg 1.920/6.400  64.0 img/s  ETA 1m 10s  p 0.250  sign +0.250",
        "kimg 3.840/6.400  64.0 img/s  ETA 40s  p 0.250  sign +0.250",
        "kimg 5.760/6.400  64.0 img/s  ETA 10s  p 0.250  sign +0.250",
        "kimg 6.400/6.400  64.0 img/s  ETA 0s  p 0.250  sign +0.250",
    ]


def test_the_device_is_asked_only_when_a_line_is_shown(clock, capsys, reads):
    progress = Progress(every_seconds=30)
    module = started(progress, capsys, total_images=10**6)
    train_on(progress, module, clock, count=1000, seconds=0.1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and len(reads) == 2 * 3  # p and the sign


def test_the_rate_is_that_of_the_last_minute_and_of_this_process(clock, capsys):
    progress = Progress(every_seconds=30)
    module = started(
        progress, capsys, trained=10_000, total_images=10**6, batch_size=60
    )  # a run that continues
    train_on(progress, module, clock, count=60, seconds=1)
    train_on(progress, module, clock, count=60, seconds=3)
    lines = capsys.readouterr().out.splitlines()
    assert "  60.0 img/s  " in lines[0]
    assert "  20.0 img/s  ETA 5h 27m  " in lines[-1]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(clock, monkeypatch, reads):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    progress = Progress()
    module = started(progress, total_images=6400, batch_size=64)
    train_on(progress, module, clock, count=50, seconds=0.25)
    assert len(reads) == 2 * (1 + 12)  # at the start and once a second
    shown = terminal.getvalue()
    assert "kimg 3.072/6.400" in shown and "256.0 img/s" in shown
    assert "p 0.250" in shown and "sign +0.250" in shown
    assert "\x1b[?25l" in shown and "\x1b[?25h" not in shown  # cursor hidden ...
    progress.on_exception(tiny_trainer(), module, KeyboardInterrupt())
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


@pytest.mark.parametrize("name", ["refresh_seconds", "every_seconds"])
def test_pauses_without_sense_are_refused(name):
    with pytest.raises(ValueError, match=f"^{name} must be above 0, got 0"):
        Progress(**{name: 0})


def test_another_number_of_threads_is_reported_where_a_run_continues(tmp_path, capsys, monkeypatch):
    def train(total_images: int, checkpoint=None) -> str:
        callbacks = [Machine(), KimgCheckpoint(every_kimg=1, folder=tmp_path)]
        fit(idle_module(total_images=total_images), callbacks, ckpt_path=checkpoint)
        return capsys.readouterr().out

    checkpoints, threads = tmp_path / "checkpoints", torch.get_num_threads()
    assert "note" not in train(4)
    assert "note" not in train(8, checkpoints / "kimg0000000.004.ckpt")
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    said = train(12, checkpoints / "kimg0000000.008.ckpt")
    assert f"threads {threads} -> {threads + 1}: the last bits will differ" in said
    stored = torch.load(checkpoints / "kimg0000000.012.ckpt", weights_only=True)["callbacks"]["Machine"]
    assert stored["threads"] == threads + 1 and stored["torch"] == torch.__version__
