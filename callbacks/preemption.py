"""Preemption: leaving between two iterations, with a checkpoint, when a signal or the clock asks for it."""

import os
import select
import signal
import sys
import threading
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from callbacks.control import Deadline, Place, RunCallback, RunControl
from stylegan.distributed.collectives import rank

# Ctrl-C; `kill` and preempted machines; Slurm's `--signal=USR1@120`; a terminal that closes. Windows lacks two.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name)
)


class Preemption(RunCallback):
    """Ends training after the running iteration, which `KimgCheckpoint` then saves.

    From the first step on it answers SIGINT, SIGTERM, SIGUSR1 and SIGHUP in Lightning's place, whose own answer loses
    the iterations since the last checkpoint. A second SIGINT ends the process at once; nothing saved is harmed.
    After training `RunControl.of(trainer).exit_code` is 0 where nothing asked to leave, 128 + signal, or 75 where time
    was up.

    Args:
        max_time: how long a run may be trained from now on, as in `11h30m`, `90m`, `1d`; None = no limit. It does not
            begin again where `RunControl` already has the deadline of a run that goes back to an older checkpoint.
    Raises: ValueError for a time that cannot be read.
    """

    place = Place.VOTE

    def __init__(self, *, max_time: str | None = None) -> None:
        self._deadline = None if max_time is None else Deadline(max_time)

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        control = RunControl.of(trainer)
        control.deadline = control.deadline or self._deadline
        # Of several processes Lightning lets the first send SIGTERM on to the others: within the handler, where none
        # of them may be listening, and at every iteration, for which the host waits for the device. Here they vote.
        trainer._signal_connector._sigterm_notifier_fn = _nothing
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # Lightning gives the older handlers back when it is done.
        if threading.current_thread() is threading.main_thread():
            answer = partial(_answer, RunControl.of(trainer))
            for number in SIGNALS:
                # One that is ignored already stays so: `nohup` means it.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, answer)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        # A run that is done was not interrupted.
        if not module.is_last:
            RunControl.of(trainer).vote_to_leave()


def _answer(control: RunControl, number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT and control.signal is not None:
        os._exit(128 + number)
    control.signal = number
    if rank():
        return
    # Not print: the signal may have come while something else was being printed.
    more = " (once more to leave at once)" if number == signal.SIGINT else ""
    # A log file on a full disk, a reader that is gone or none at all must not end the iteration, nor must one that
    # reads no more, as a pager, hold it up.
    with suppress(OSError, ValueError, AttributeError):
        stream = sys.__stderr__.fileno()
        if os.name == "nt" or select.select([], [stream], [], 0)[1]:
            os.write(stream, f"{signal.Signals(number).name}: saving after this step{more}\n".encode())


def _nothing(*_: Any) -> None:
    pass
