"""Parts for trainings that are to die: named by `_target_`, found next to this file."""

import errno
import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytorch_lightning as pl
import torch

from datamodules import FlowersData, FolderData
from datamodules.datasets import FlowersDataset, FolderFiles
from stylegan.errors import BadImageError


class KillAt(pl.Callback):
    """Sends its own process a signal at the end of the iteration that reaches `at_images`, once a run.

    Args: marker: a file that remembers that it has happened. rank: of the process that gets it. number: the signal.
    """

    def __init__(self, *, at_images: int, marker: str, rank: int = 0, number: int = signal.SIGKILL) -> None:
        self.at_images, self.marker, self.rank, self.number = at_images, Path(marker), rank, number

    def on_train_batch_end(self, trainer, module, *_) -> None:
        mine = trainer.global_rank == self.rank
        if mine and module.images >= self.at_images and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), self.number)


class FailAt(pl.Callback):
    """Raises, in one process, what a full memory or an image that cannot be read raises in the middle of a run.

    Args: kind: "memory" or "image". rank: of the process that gets it.
    """

    def __init__(self, *, at_images: int, kind: str, rank: int) -> None:
        self.at_images, self.kind, self.rank = at_images, kind, rank

    def on_train_batch_end(self, trainer, module, *_) -> None:
        if trainer.global_rank == self.rank and module.images >= self.at_images:
            if self.kind == "memory":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            raise BadImageError("a.png cannot be read")


class SignalAtStart(pl.Callback):
    """Sends a process a signal before the first step. Args: rank: of the process that gets it."""

    def __init__(self, *, rank: int, number: int) -> None:
        self.rank, self.number = rank, number

    def setup(self, trainer, module, stage) -> None:
        if trainer.global_rank == self.rank:
            os.kill(os.getpid(), self.number)


class PoisonAt(pl.Callback):
    """Makes a weight NaN at the end of the iteration that reaches `at_images`, this many `times` in a process.

    Args: rank: of the process whose weight it is; None = of all. network: generator or discriminator.
    """

    def __init__(
        self, *, at_images: int, times: int, rank: int | None = None, network: str = "generator"
    ) -> None:
        self.at_images, self.rank, self.network = at_images, rank, network
        PoisonAt.left = getattr(PoisonAt, "left", times)

    def on_train_batch_end(self, trainer, module, *_) -> None:
        mine = self.rank in (None, trainer.global_rank)
        if mine and module.images >= self.at_images and PoisonAt.left:
            PoisonAt.left -= 1
            next(getattr(module, self.network).parameters()).data.fill_(float("nan"))


class Double(pl.Callback):
    """Trains in float64."""

    def setup(self, trainer, module, stage) -> None:
        module.double()


class Order(pl.Callback):
    """Appends to `<file>.<rank>` each real of this process: its position in the stream, and a digest."""

    def __init__(self, *, file: str) -> None:
        self.file = file

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        first = module.images - module.batch_size + trainer.global_rank
        with open(f"{self.file}.{trainer.global_rank}", "a") as file:
            for place, image in enumerate(batch[0]):
                digest = hashlib.sha256(image.numpy().tobytes()).hexdigest()[:16]
                file.write(f"{first + place * trainer.world_size} {digest}\n")


class DifferAt(pl.Callback):
    """Makes a weight of rank 1 slightly another one at the iteration that reaches `at_images`, once."""

    def __init__(self, *, at_images: int) -> None:
        self.at_images = at_images

    def on_train_batch_end(self, trainer, module, *_) -> None:
        if module.images == self.at_images and trainer.global_rank == 1 and not hasattr(DifferAt, "done"):
            DifferAt.done = True
            next(module.generator.parameters()).data.view(-1)[0] += 1e-6


class FullDiskAt(pl.Callback):
    """From the iteration that reaches `at_images` on rank 0 can write no file of more than some bytes."""

    def __init__(self, *, at_images: int) -> None:
        self.at_images = at_images

    def on_train_batch_end(self, trainer, module, *_) -> None:
        if module.images == self.at_images and trainer.global_rank == 0:
            import resource

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


class KillWorkerAt(pl.Callback):
    """Kills a worker of the data at the end of the iteration that reaches `at_images`, as a system short of memory."""

    def __init__(self, *, at_images: int) -> None:
        self.at_images, self.done = at_images, False

    def on_train_batch_end(self, trainer, module, *_) -> None:
        if module.images >= self.at_images and not self.done:
            self.done = True
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)


class DyingFlowers(FlowersData):
    """Flowers whose first look kills any process but the first, as a system short of memory."""

    def setup(self, stage=None) -> None:
        if os.environ.get("RANK", "0") != "0":
            os.kill(os.getpid(), signal.SIGKILL)
        super().setup(stage)


class AwayFolder(FolderData):
    """A folder of which the second process, or the only one, cannot read an image while the file `sign` is there."""

    def __init__(self, *, sign: str, away: str, **options) -> None:
        super().__init__(**options)
        self.sign, self.away = Path(sign), away

    def open_dataset(self):
        dataset = super().open_dataset()
        if os.environ.get("RANK", "1") == "1":
            dataset.files = _AwayFiles(dataset.files.root, self.sign, self.away)
        return dataset


class _AwayFiles(FolderFiles):
    def __init__(self, root: Path, sign: Path, name_away: str) -> None:
        super().__init__(root)
        self.sign, self.name_away = sign, name_away

    def read(self, name: str) -> bytes:
        if name == self.name_away and self.sign.exists():
            raise OSError(errno.EIO, "Input/output error")
        return super().read(name)


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
