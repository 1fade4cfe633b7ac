"""Parts for trainings that are to die: named by `_target_`, found beside this file."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytorch_lightning as pl

from datamodules import FlowersData
from datamodules.datasets import FlowersDataset


class KillAt(pl.Callback):
    """Kills its own process at the end of the iteration that reaches `at_images`, once a run.

    Args: marker: a file that remembers that it has happened.
    """

    def __init__(self, *, at_images: int, marker: str) -> None:
        self.at_images, self.marker = at_images, Path(marker)

    def on_train_batch_end(self, trainer, module, *_) -> None:
        if module.images >= self.at_images and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class PoisonAt(pl.Callback):
    """Makes a weight NaN at the end of the iteration that reaches `at_images`, so many `times` in a process."""

    def __init__(self, *, at_images: int, times: int) -> None:
        self.at_images = at_images
        PoisonAt.left = getattr(PoisonAt, "left", times)

    def on_train_batch_end(self, trainer, module, *_) -> None:
        if module.images >= self.at_images and PoisonAt.left:
            PoisonAt.left -= 1
            next(module.generator.parameters()).data.fill_(float("nan"))


class KillWorkerAt(pl.Callback):
    """Kills a worker of the data at the end of the iteration that reaches `at_images`, as a system short of memory."""

    def __init__(self, *, at_images: int) -> None:
        self.at_images, self.done = at_images, False

    def on_train_batch_end(self, trainer, module, *_) -> None:
        if module.images >= self.at_images and not self.done:
            self.done = True
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)


class HangingFlowers(FlowersData):
    """Flowers of which one is never there, as on a network disk that is away."""

    def open_dataset(self):
        dataset = super().open_dataset()
        dataset.image = lambda index: (
            time.sleep(1000) if index == 13 else FlowersDataset.image(dataset, index)
        )
        return dataset


class NoteTime(pl.Callback):
    """Writes when each iteration has ended, on the clock that counts since the boot, before any other callback acts."""

    def __init__(self, *, notes: str) -> None:
        self.notes = Path(notes)

    def setup(self, trainer, module, stage) -> None:
        trainer.callbacks = [self, *(other for other in trainer.callbacks if other is not self)]

    def on_train_batch_end(self, trainer, module, *_) -> None:
        with open(self.notes, "a") as file:
            file.write(f"{time.monotonic()}\n")
