"""Leaving between two iterations, with a checkpoint."""

import contextlib
import os
import signal
import sys
import time

import pytest
import pytorch_lightning as pl
from hypothesis import given
from hypothesis import strategies as st

from callbacks.checkpoint import KimgCheckpoint
from callbacks.control import Deadline, RunControl, seconds_of
from callbacks.preemption import Preemption
from stylegan.errors import EXIT_TRY_AGAIN
from stylegan.runs.folder import RunFolder
from tests.callbacks.tiny_run import CallAfter, fit, idle_module, tiny_trainer
from tests.forked import run_command


class Signalling(pl.Callback):
    """Sends this process a signal while an iteration runs."""

    def __init__(self, number, at_images: int) -> None:
        self.number, self.at_images = number, at_images

    def on_train_batch_start(self, trainer, module, *_):
        if module.images == self.at_images:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_the_running_iteration_ends_and_is_saved(tmp_path, number):
    before = signal.getsignal(number)
    module = idle_module(total_images=400)
    callbacks = [KimgCheckpoint(every_kimg=1, folder=tmp_path), Signalling(number, 12), Preemption()]
    assert fit(module, callbacks).exit_code == 128 + number
    assert module.images == 16
    assert RunFolder(tmp_path).newest_checkpoint().name == "kimg0000000.016.ckpt"
    assert signal.getsignal(number) is before


def closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


def pipe_without_room():
    """A write to it would wait for a reader, and none reads."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    KEPT_OPEN.append(reading)
    return os.fdopen(writing, "w")


def closed_file():
    file = open(os.devnull, "w")
    file.close()
    return file


KEPT_OPEN: list[int] = []


@pytest.mark.parametrize("stderr", [lambda: None, closed_file, closed_pipe, pipe_without_room])
def test_the_answer_needs_no_reader(tmp_path, monkeypatch, stderr):
    stream = stderr()
    monkeypatch.setattr(sys, "__stderr__", stream)
    module = idle_module(total_images=400)
    callbacks = [KimgCheckpoint(every_kimg=1, folder=tmp_path), Signalling(signal.SIGTERM, 12), Preemption()]
    assert fit(module, callbacks).exit_code == 143
    assert RunFolder(tmp_path).newest_checkpoint().name == "kimg0000000.016.ckpt"
    if stream is not None:
        with contextlib.suppress(BrokenPipeError):
            stream.close()


def test_a_signal_in_the_last_iteration_is_not_an_interruption(tmp_path):
    module = idle_module(total_images=16)
    callbacks = [KimgCheckpoint(every_kimg=1, folder=tmp_path), Signalling(signal.SIGTERM, 12), Preemption()]
    assert fit(module, callbacks).exit_code == 0 and module.images == 16


def test_time_that_is_up_ends_training_likewise(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def wait(trainer, module):
        clock[0] += 1000

    module = idle_module(total_images=400)
    callbacks = [CallAfter(wait), KimgCheckpoint(every_kimg=1, folder=tmp_path), Preemption(max_time="1h")]
    assert fit(module, callbacks).exit_code == EXIT_TRY_AGAIN
    assert module.images == 16  # after 4000 s
    assert RunFolder(tmp_path).newest_checkpoint().name == "kimg0000000.016.ckpt"


def test_a_run_that_goes_back_keeps_its_deadline_and_another_run_has_its_own(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def control_of(deadline: Deadline | None = None) -> RunControl:
        """Of parts that are built again, as the train command builds them."""
        trainer, leaving = tiny_trainer(), Preemption(max_time="2h")
        RunControl.of(trainer).deadline = deadline
        leaving.setup(trainer, None, "fit")
        return RunControl.of(trainer)

    first = control_of()
    clock[0] += 3600
    second, other = control_of(first.deadline), control_of()
    clock[0] += 3599
    assert not second.asked_to_leave
    clock[0] += 1
    assert second.asked_to_leave and not other.asked_to_leave


def interrupted_twice(words):
    Preemption().on_train_start(tiny_trainer(), None)
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
        print("still here", flush=True)


def test_a_second_ctrl_c_leaves_at_once(tmp_path):
    done = run_command(interrupted_twice, [], tmp_path)
    assert done.returncode == 130
    assert done.stdout == "still here\n"
    # Before it is what Lightning reports of a new Trainer.
    assert done.stderr.endswith("\nSIGINT: saving after this step (once more to leave at once)\n")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("1d", 86400), ("11h30m", 41400), ("90m", 5400), ("45s", 45), ("1.5h", 5400)),
        *(("2min", 120), ("2mins", 120), ("1hour", 3600), ("2hours30minutes", 9000), ("3days", 259200)),
        *(("1hr30min5sec", 5405), ("2H", 7200), ("7Seconds", 7)),
    ],
)
def test_times(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "90", "h", "0m", "-1h", "1h 30m", "1:30:00", "1w", "5ms", "2minu", "2min3", "١h"]
)
def test_what_is_not_a_time_is_refused(text):
    with pytest.raises(ValueError, match="^max_time must be a time above 0, as in 11h30m"):
        Preemption(max_time=text)


@given(st.text())
def test_any_text_is_a_time_or_a_named_mistake(text):
    try:
        assert seconds_of(text) > 0
    except ValueError as error:
        assert str(error).startswith("max_time must be")


def test_lightning_is_kept_from_telling_other_processes_of_a_signal():
    """By names of its own that it might change."""
    trainer = tiny_trainer()
    epoch_loop, signals = trainer.fit_loop.epoch_loop, trainer._signal_connector
    assert callable(epoch_loop._broadcast_sigterm_tensor) and callable(signals._sigterm_notifier_fn)
    Preemption().setup(trainer, None, "fit")
    assert epoch_loop._broadcast_sigterm_tensor() is None
    signals._sigterm_notifier_fn(signal.SIGTERM, None)
    assert not signals.received_sigterm
