"""Leaving in good order: between two iterations, with a checkpoint, when a signal or the clock asks for it."""

import os
import re
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from stylegan.distributed.collectives import largest_over_ranks, rank
from stylegan.errors import TrainingUnstableError

# Of sysexits.h: a temporary failure, to be tried again; the same command goes on.
EXIT_TIME_IS_UP = 75

# Ctrl-C; `kill` and preempted machines; Slurm's `--signal=USR1@120`; a terminal that closes. Windows lacks two.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name)
)

_UNITS_SEC = {"d": 86400, "h": 3600, "m": 60, "s": 1}


class Preemption(pl.Callback):
    """Ends training after the running iteration, which `KimgCheckpoint` then saves.

    From the first step on it answers SIGINT, SIGTERM, SIGUSR1 and SIGHUP in Lightning's place, whose own answer loses
    the iterations since the last checkpoint. A second SIGINT ends the process at once; nothing saved is harmed.

    Args: max_time: how long this process may train a run, as in `11h30m`, `90m`, `1d`; None = for ever. Where the run
      goes back to an older checkpoint the time goes on, though its parts are built anew.
    After training: `exit_code`, 0 where nothing asked to leave, 128 + signal, or 75 where time was up.
    Raises: ValueError for a time that cannot be read.
    """

    # Of a run that is about to go back: its max_time, and when that is up. The next one built takes it over; a run that
    # ends in any other way leaves nothing, so that each job of a sweep has its own time.
    _going_back: tuple[str, float] | None = None

    def __init__(self, *, max_time: str | None = None) -> None:
        self._max_time = max_time
        self._end = None if max_time is None else time.monotonic() + seconds_of(max_time)
        left, Preemption._going_back = Preemption._going_back, None
        if left is not None and left[0] == max_time:
            self._end = left[1]
        self._signal: int | None = None
        self.exit_code = 0

    @property
    def asked(self) -> bool:
        """Whether the process is to leave after the running iteration: what takes long need not begin."""
        return self._signal is not None or (self._end is not None and time.monotonic() >= self._end)

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        # Of several processes Lightning lets the first tell the others of SIGTERM: within the handler, where nobody
        # may be listening, and at every iteration, for which the host waits for the device. The vote below does it.
        trainer._signal_connector._sigterm_notifier_fn = _nothing
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # Lightning gives the older handlers back when it is done.
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # One that is ignored already stays so: `nohup` means it.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, self._asked)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if module.is_last:
            return
        asked = 0
        if self._signal is not None:
            asked = 128 + self._signal
        elif self._end is not None and time.monotonic() >= self._end:
            asked = EXIT_TIME_IS_UP
        # A signal may reach one process alone; all leave after the same iteration.
        self.exit_code = largest_over_ranks(asked)
        if self.exit_code:
            trainer.should_stop = True

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        goes_back = isinstance(exception, TrainingUnstableError) and (
            int(getattr(module, "rollbacks", 0)) < exception.max_rollbacks
        )
        if goes_back and self._end is not None:
            Preemption._going_back = self._max_time, self._end

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._signal is not None:
            os._exit(128 + number)
        self._signal = number
        if rank():
            return
        # Not print: the signal may have come while something else was being printed.
        more = " (once more to leave at once)" if number == signal.SIGINT else ""
        with suppress(OSError):  # a log file on a full disk must not end the iteration
            os.write(
                sys.__stderr__.fileno(),
                f"{signal.Signals(number).name}: saving after this step{more}\n".encode(),
            )


def _nothing(*_: Any) -> None:
    pass


def seconds_of(text: str) -> float:
    """`1d`, `11h30m`, `90m`, `45s` → seconds.  Raises: ValueError for anything else, and for no time at all."""
    parts = re.findall(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([dhms])", str(text))
    seconds = sum(float(number) * _UNITS_SEC[unit] for number, unit in parts)
    if "".join(map("".join, parts)) != str(text) or seconds <= 0:
        raise ValueError(f"max_time={text}: it must be a time above 0, as in 11h30m, 90m or 1d")
    return seconds
