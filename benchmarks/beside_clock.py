"""A callback that notes when the first step is done, and how long a checkpoint and a grid take."""

import time
from pathlib import Path

import pytorch_lightning as pl

from callbacks.checkpoint import KimgCheckpoint
from callbacks.snapshots import SnapshotGrid


class Clock(pl.Callback):
    """Args: file: gets a line `name seconds` a measurement; `first_step_sec` as the time of day."""

    def __init__(self, *, file: str) -> None:
        self.file = Path(file)

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        for callback in trainer.callbacks:
            if isinstance(callback, KimgCheckpoint):
                self._measure(callback, "_save", "checkpoint_sec")
            if isinstance(callback, SnapshotGrid):
                self._measure(callback, "_fakes", "grid_sec")

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_) -> None:
        if module.images == module.batch_size:
            self._note("first_step_sec", time.time())

    def _measure(self, callback: pl.Callback, method: str, name: str) -> None:
        work = getattr(callback, method)

        def timed(*arguments):
            start = time.perf_counter()
            result = work(*arguments)
            self._note(name, time.perf_counter() - start)
            return result

        setattr(callback, method, timed)

    def _note(self, name: str, seconds: float) -> None:
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(f"{name} {seconds}\n")
