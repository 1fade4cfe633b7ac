"""Progress on the console: a bar on a terminal, plain lines elsewhere; and what changed where a run continues."""

import math
import sys
import time
from collections import deque
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress

from callbacks.control import RunCallback, TrainingModule
from stylegan.distributed.collectives import world
from stylegan.machine.console import say

RATE_WINDOW_SEC = 60.0


class Progress(RunCallback):
    """Shows kimg, images per second (of the last minute), time left, p and the sign statistic.

    p and the sign statistic are on the device; they are read only when the line is shown, so that training does not
    wait for them at every iteration.

    Args:
        refresh_seconds: from one update of the bar to the next, on a terminal; above 0.
        every_seconds: from one line to the next, where there is no terminal (log files, batch systems); above 0.
    Raises: ValueError for values out of range.
    """

    def __init__(self, *, refresh_seconds: float = 1.0, every_seconds: float = 30.0) -> None:
        for name, seconds in (("refresh_seconds", refresh_seconds), ("every_seconds", every_seconds)):
            if not seconds > 0:
                raise ValueError(
                    f"{name} must be above 0, got {seconds}; callbacks.progress=null shows no progress"
                )
        self.refresh_seconds, self.every_seconds = refresh_seconds, every_seconds
        self._bar: RichProgress | None = None
        self._seen: deque[tuple[float, int]] = deque()  # (time, images seen)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._seen = deque([(time.monotonic(), module.images)])
        if trainer.is_global_zero:
            for line in getattr(module, "start_lines", tuple)():
                say(line)
        if trainer.is_global_zero and sys.stdout is not None and sys.stdout.isatty():
            text = TextColumn("{task.description}", markup=False)
            self._bar = RichProgress(BarColumn(bar_width=20), text, console=Console(), auto_refresh=False)
            self._bar.add_task(_line(module, 0.0), total=module.total_images, completed=module.images)
            self._bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if not trainer.is_global_zero:
            return
        now = time.monotonic()
        pause = self.refresh_seconds if self._bar else self.every_seconds
        if now - self._seen[-1][0] < pause and not module.is_last:
            return
        self._seen.append((now, module.images))
        while len(self._seen) > 2 and now - self._seen[0][0] > RATE_WINDOW_SEC:
            self._seen.popleft()
        (then, before), (now, images) = self._seen[0], self._seen[-1]
        line = _line(module, (images - before) / max(now - then, 1e-9))
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=images, description=line, refresh=True)
        else:
            say(line)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()  # gives the terminal its cursor back

    def _stop(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def _line(module: TrainingModule, images_per_sec: float) -> str:
    left = (module.total_images - module.images) / images_per_sec if images_per_sec > 0 else math.inf
    return "  ".join(
        [
            f"kimg {module.images / 1000:.3f}/{module.total_images / 1000:.3f}",
            f"{images_per_sec:.1f} img/s",
            f"ETA {duration(left)}",
            f"p {float(module.ada.p):.3f}",
            f"sign {float(module.ada.sign_mean):+.3f}",
        ]
    )


def duration(seconds: float) -> str:
    """Time in words: 3d 04h, 1h 02m, 12m 34s, 56s; ? where it is not known."""
    if not math.isfinite(seconds):
        return "?"
    minutes, sec = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02d}h"
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {sec:02d}s" if minutes else f"{sec}s"


class Machine(RunCallback):
    """Keeps what the bits of a run depend on besides its settings in the checkpoint, and reports where it changed.

    That is the numbers of processes and threads, the kind of device, and torch's version. Another number of threads or
    processes adds sums in another order, and so rounds otherwise: such a run is as good as before, and no longer the
    same in its last bits.
    """

    def __init__(self) -> None:
        self._before: dict[str, Any] = {}
        self._now: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        # A new dictionary: the checkpoint keeps what is handed over.
        return dict(self._now)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = dict(state_dict)

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._now = {
            "processes": world(),
            "threads": torch.get_num_threads(),
            "device": module.device.type,
            "torch": str(torch.__version__),
        }

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        changed = [
            f"{name} {self._before[name]} -> {value}"
            for name, value in self._now.items()
            if name in self._before and self._before[name] != value
        ]
        if changed and trainer.is_global_zero:
            say(f"note        {', '.join(changed)}: the last bits will differ from before")
