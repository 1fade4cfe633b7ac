"""Leaving between two iterations, with a checkpoint."""

import os
import signal
import time

import pytest
import pytorch_lightning as pl
from hypothesis import given
from hypothesis import strategies as st

from callbacks.checkpoint import KimgCheckpoint
from callbacks.preemption import EXIT_TIME_IS_UP, Preemption, seconds_of
from stylegan.errors import TrainingUnstableError
from stylegan.runs.folder import RunFolder
from tests.callbacks.callbacks_fakes import FakeModule, fit
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
    leaving = Preemption()
    module = FakeModule(total_images=400)
    fit(module, [KimgCheckpoint(every_kimg=1, folder=tmp_path), Signalling(number, 12), leaving])
    assert leaving.exit_code == 128 + number
    assert module.images == 16
    assert RunFolder(tmp_path).newest_checkpoint().name == "kimg0000000.016.ckpt"
    assert signal.getsignal(number) is before


def test_a_signal_in_the_last_iteration_is_no_interruption(tmp_path):
    leaving = Preemption()
    module = FakeModule(total_images=16)
    fit(module, [KimgCheckpoint(every_kimg=1, folder=tmp_path), Signalling(signal.SIGTERM, 12), leaving])
    assert leaving.exit_code == 0 and module.images == 16


def test_time_that_is_up_ends_training_likewise(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    leaving = Preemption(max_time="1h")

    class Hours(pl.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            nonlocal now
            now += 1000

    module = FakeModule(total_images=400)
    fit(module, [Hours(), KimgCheckpoint(every_kimg=1, folder=tmp_path), leaving])
    assert leaving.exit_code == EXIT_TIME_IS_UP
    assert module.images == 16  # after 4000 s
    assert RunFolder(tmp_path).newest_checkpoint().name == "kimg0000000.016.ckpt"


class Failing(pl.Callback):
    """Ends training by an error after its first iteration, an hour later."""

    def __init__(self, error, clock) -> None:
        self.error, self.clock = error, clock

    def on_train_batch_end(self, trainer, module, *_):
        self.clock[0] += 3600
        raise self.error


@pytest.mark.parametrize(
    ("error", "rollbacks", "left_sec"),
    [
        (TrainingUnstableError("weights are not finite", max_rollbacks=3), 2, 3600),
        (TrainingUnstableError("weights are not finite", max_rollbacks=3), 3, 7200),  # given up
        (OSError("no space left"), 0, 7200),
    ],
    ids=["goes back", "given up", "another error"],
)
def test_time_goes_on_where_a_run_goes_back_and_begins_with_each_other_run(
    monkeypatch, error, rollbacks, left_sec
):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    module = FakeModule(total_images=400)
    module.rollbacks = rollbacks
    with pytest.raises(type(error)):
        fit(module, [Failing(error, clock), Preemption(max_time="2h")])
    again = Preemption(max_time="2h")
    clock[0] += left_sec - 1
    assert not again.asked
    clock[0] += 1
    assert again.asked
    assert not Preemption(max_time="2h").asked  # of the next job of a sweep


def test_another_time_is_not_that_of_the_run_before(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    trouble = TrainingUnstableError("weights are not finite", max_rollbacks=3)
    with pytest.raises(TrainingUnstableError):
        fit(FakeModule(total_images=400), [Failing(trouble, clock), Preemption(max_time="1h")])
    assert not Preemption(max_time="3h").asked
    assert not Preemption(max_time="1h").asked


def interrupted_twice(words):
    Preemption().on_train_start(None, None)
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
        print("still here", flush=True)


def test_a_second_ctrl_c_leaves_at_once(tmp_path):
    done = run_command(interrupted_twice, [], tmp_path)
    assert done.returncode == 130
    assert done.stdout == "still here\n"
    assert done.stderr == "SIGINT: saving after this step (once more to leave at once)\n"


@pytest.mark.parametrize(
    ("text", "seconds"), [("1d", 86400), ("11h30m", 41400), ("90m", 5400), ("45s", 45), ("1.5h", 5400)]
)
def test_times(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "h", "0m", "-1h", "1h 30m", "1:30:00", "1w", "١h"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="^max_time=.*11h30m"):
        Preemption(max_time=text)


@given(st.text())
def test_any_text_is_a_time_or_a_named_mistake(text):
    try:
        assert seconds_of(text) > 0
    except ValueError as error:
        assert str(error).startswith("max_time=")


def test_lightning_is_kept_from_telling_other_processes_of_a_signal():
    """By names of its own that it might change."""
    trainer = pl.Trainer(
        logger=False, enable_checkpointing=False, accelerator="cpu", enable_progress_bar=False
    )
    epoch_loop, signals = trainer.fit_loop.epoch_loop, trainer._signal_connector
    assert callable(epoch_loop._broadcast_sigterm_tensor) and callable(signals._sigterm_notifier_fn)
    Preemption().setup(trainer, None, "fit")
    assert epoch_loop._broadcast_sigterm_tensor() is None
    signals._sigterm_notifier_fn(signal.SIGTERM, None)
    assert not signals.received_sigterm
