"""Statistics: once every few kimg, a tick, they become one row for the row files and every other logger."""

import time
from typing import Any

import pytorch_lightning as pl
import torch

from callbacks.control import MAINTENANCE, RunCallback, RunControl, check_every_kimg
from stylegan.loggers import RowLogger, define_kimg_axis, forget_after, log_means
from stylegan.machine.console import surviving_lost_file
from stylegan.machine.memory import resident_bytes
from stylegan.runs.records import needing_files
from stylegan.training.stats import Stat

GIB = 2**30


class StatsTicks(RunCallback):
    """Writes a row at every multiple of `every_kimg` and after the last iteration.

    A row has the reference's names: all that the module recorded (`Loss/...`), and single values under
        Progress/{tick,kimg,augment}    rows so far; thousands of images seen; p of the augmentation
        Schedules/{r1_gamma,pl_weight,generator_lr,discriminator_lr,p_init}    as the latest iteration had them; those
            that follow a schedule
        Schedules/frozen_parameters    how many did not learn in it; where some are ever frozen
        Timing/{total_sec,total_hours,total_days}    in training, over all restarts
        Timing/{sec_per_tick,sec_per_kimg,maintenance_sec}    since the last row; the first two less the third
        Resources/{cpu_mem_gb,peak_gpu_mem_gb}    in 2^30 bytes; the second with CUDA only
    `RowLogger`s get rows with num, mean and std, all other loggers the means.

    The open sums and times are part of every checkpoint, and at the start rows past it are dropped: an
    interrupted run ends with the rows of an uninterrupted one.

    Args:
        every_kimg: cadence in thousands of images, > 0.
    Raises: ValueError for a cadence out of range.
    """

    def __init__(self, *, every_kimg: float = 4.0) -> None:
        self.every_kimg = check_every_kimg("every_kimg", every_kimg)
        self._stats = None
        self._tick = 0
        self._tick_images: int | None = None  # images seen at the last row, or where counting began
        self._tick_sec = 0.0  # time spent by earlier processes: in the open tick, and in all
        self._total_sec = 0.0
        self._tick_start = self._start = time.perf_counter()

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        # Lightning restores the callbacks after this hook: load_state_dict fills these very sums.
        self._stats = module.stats

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            define_kimg_axis(trainer.loggers)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self._tick_images is None:
            self._tick_images = module.images  # not 0: the checkpoint may be of a run without ticks
        self._tick_start = self._start = time.perf_counter()
        RunControl.of(trainer).verify_folder()
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                if isinstance(logger, RowLogger):
                    with needing_files():
                        logger.truncate_after(module.images)
                else:
                    with surviving_lost_file(f"the mark of a new start in {type(logger).__name__}"):
                        forget_after(logger, module.images)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if module.due(self.every_kimg):
            RunControl.of(trainer).verify_folder()
            row = self._row(module)
            if trainer.is_global_zero:
                _hand_out(trainer.loggers, row, module.images)

    def state_dict(self) -> dict[str, Any]:
        now = time.perf_counter()
        return {
            "tick": self._tick,
            "tick_images": self._tick_images,
            "tick_sec": self._tick_sec + now - self._tick_start,
            "total_sec": self._total_sec + now - self._start,
            "stats": self._stats.state_dict() if self._stats is not None else {},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._tick = state_dict["tick"]
        self._tick_images = state_dict["tick_images"]
        self._tick_sec = state_dict["tick_sec"]
        self._total_sec = state_dict["total_sec"]
        assert self._stats is not None, "Lightning calls setup() before it restores the callbacks"
        self._stats.load_state_dict(state_dict["stats"])

    def _row(self, module: pl.LightningModule) -> dict[str, Stat]:
        """Reads and clears the sums of the tick, and starts the next one."""
        p = float(module.ada.p)
        stats = module.stats.take()
        now = time.perf_counter()  # after the reading, which waits until the device has done its work
        maintenance = stats.pop(MAINTENANCE, Stat(0, 0.0, 0.0))
        maintenance_sec = maintenance.num * maintenance.mean
        tick_sec = max(self._tick_sec + now - self._tick_start - maintenance_sec, 0.0)
        total_sec = self._total_sec + now - self._start
        kimg = (module.images - self._tick_images) / 1000
        self._tick += 1
        self._tick_images, self._tick_sec, self._tick_start = module.images, 0.0, now
        progress = {
            "Progress/tick": self._tick,
            "Progress/kimg": module.images / 1000,
            "Progress/augment": p,
        }
        # Of a module of the user's there may be none.
        settings = getattr(module, "settings", dict)()
        progress |= {f"Schedules/{name}": value for name, value in settings.items()}
        costs = {
            "Timing/total_sec": total_sec,
            "Timing/sec_per_tick": tick_sec,
            "Timing/sec_per_kimg": tick_sec / kimg,
            MAINTENANCE: maintenance_sec,
            "Timing/total_hours": total_sec / 3600,
            "Timing/total_days": total_sec / 86400,
            **_resources(module.device),
        }
        return _single(progress) | stats | _single(costs)


def _single(values: dict[str, float]) -> dict[str, Stat]:
    return {name: Stat(1, float(value), 0.0) for name, value in values.items()}


def _hand_out(loggers: list[pl.loggers.Logger], row: dict[str, Stat], images: int) -> None:
    timestamp = time.time()
    means = {name: stat.mean for name, stat in row.items()}
    for logger in loggers:
        with surviving_lost_file(f"a row of {type(logger).__name__}"):
            if isinstance(logger, RowLogger):
                logger.log_row(row, timestamp=timestamp)
            else:
                log_means(logger, means, images)


def _resources(device: torch.device) -> dict[str, float]:
    """Memory in 2^30 bytes: of this process, and the GPU's peak since the last call."""
    values = {}
    memory = resident_bytes()
    if memory is not None:
        values["Resources/cpu_mem_gb"] = memory / GIB
    if device.type == "cuda":
        values["Resources/peak_gpu_mem_gb"] = torch.cuda.max_memory_allocated(device) / GIB
        torch.cuda.reset_peak_memory_stats(device)
    return values
