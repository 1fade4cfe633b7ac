"""One line about how far a run is: a bar on a terminal, plain lines elsewhere."""

import math
import sys
import time
from collections import deque
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress

RATE_WINDOW_SEC = 60.0


class Progress(pl.Callback):
    """Shows kimg, images per second (of the last minute), time left, p and the sign statistic.

    p and the sign lie on the device; they are read only when the line is shown, so that training does not
    wait for them at every iteration.

    Args:
        refresh_seconds: pause between two updates of the bar on a terminal.
        every_seconds: pause between two lines where there is no terminal (log files, batch systems).
    """

    def __init__(self, *, refresh_seconds: float = 1.0, every_seconds: float = 30.0) -> None:
        if not (refresh_seconds > 0 and every_seconds > 0):
            raise ValueError(
                "callbacks.progress.refresh_seconds and every_seconds must be above 0, got "
                f"{refresh_seconds} and {every_seconds}; callbacks.progress=null shows no progress"
            )
        self.refresh_seconds, self.every_seconds = refresh_seconds, every_seconds
        self._bar: RichProgress | None = None
        self._seen: deque[tuple[float, int]] = deque()  # (time, images seen)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._seen = deque([(time.monotonic(), module.images)])
        if trainer.is_global_zero:
            for line in getattr(module, "start_lines", tuple)():
                print(line, flush=True)
        if trainer.is_global_zero and sys.stdout.isatty():
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
            print(line, flush=True)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()  # gives the terminal its cursor back

    def _stop(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def _line(module: pl.LightningModule, images_per_sec: float) -> str:
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
    """Time in words that sort themselves: 3d 04h, 1h 02m, 12m 34s, 56s; ? where it is not known."""
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
