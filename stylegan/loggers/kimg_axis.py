"""The kimg axis of Lightning's loggers, TensorBoard among them.

Lightning's own axes count optimiser steps or batches; a GAN takes two to four steps a batch.
TensorBoard's axis shows whole numbers as they are: it gets kimg, rounded. Rows less than one kimg apart then
share a place; the row files have the exact numbers. All other loggers get the images seen as the step, and a
field `kimg`."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger
from torch import Tensor

from stylegan.images import on_white
from stylegan.machine.console import warn

# Dashboards are for a glance; the full grid is in the run folder.
LONGEST_SIDE_PX = 1024


def define_kimg_axis(loggers: Iterable[Logger]) -> None:
    """Makes `kimg` the x-axis of all charts of W&B; harmless when repeated.

    Lightning's axis there is the field `trainer/global_step`, and W&B's own counter starts at 0 again when an
    offline run is resumed, so neither may be plotted against.
    """
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.define_metric("kimg")
            logger.experiment.define_metric("*", step_metric="kimg")


def forget_after(logger: Logger, images: int) -> None:
    """Hides in TensorBoard what a process before this one logged past `images` images seen; others keep all.

    Event files cannot be cut, but TensorBoard follows the mark of a new start.
    """
    if isinstance(logger, TensorBoardLogger):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # few programs write events

        first = _tensorboard_step(images) + 1 if images else 0
        mark = Event(step=first, session_log=SessionLog(status=SessionLog.START))
        logger.experiment.file_writer.add_event(mark)


def log_means(logger: Logger, means: Mapping[str, float], images: int) -> None:
    """Hands one row of means, taken after `images` images, to any Lightning logger, and lets it write."""
    if isinstance(logger, TensorBoardLogger):
        logger.log_metrics(dict(means), step=_tensorboard_step(images))
    else:
        logger.log_metrics({**means, "kimg": images / 1000}, step=images)
    logger.save()


def log_image(logger: Logger, name: str, image: Tensor, images: int) -> None:
    """Shows an image, uint8 [C,H,W] of 1 to 4 channels, in loggers that can; others are passed over.

    These are TensorBoard and W&B. Alpha is shown on white, which TensorBoard has no better idea of.
    """
    image = on_white(image)
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(name, _shrunk(image), _tensorboard_step(images))
    elif isinstance(logger, WandbLogger):
        import wandb  # takes a second and is needed by few runs

        shown = wandb.Image(_shrunk(image).movedim(0, -1).numpy())
        logger.log_metrics({name: shown, "kimg": images / 1000}, step=images)


def _tensorboard_step(images: int) -> int:
    return round(images / 1000)


def _shrunk(image: Tensor) -> Tensor:
    """The image, uint8 [C,H,W], averaged down by the smallest whole factor to at most LONGEST_SIDE_PX."""
    factor = -(-max(image.shape[1:]) // LONGEST_SIDE_PX)
    if factor == 1:
        return image
    return (
        torch.nn.functional.avg_pool2d(image[None].float(), factor, ceil_mode=True)[0].round().to(torch.uint8)
    )


class TensorBoardEvents(TensorBoardLogger):
    """Lightning's logger, but that events which cannot be written are lost, and nothing else is.

    Its thread dies of a full disk, and every later call raises, also those by which Lightning flushes and ends its
    loggers. Here one line says so, and each next row tries a new file of events.

    Its arguments are those of Lightning's.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failing = False
        _silence_writers()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with self._forgiving():
            super().log_metrics(metrics, step)

    def save(self) -> None:
        if self._failing and self._experiment is None:
            return  # Lightning flushes far more often than there are rows
        with self._forgiving():
            super().save()
            self._failing = False

    def finalize(self, status: str) -> None:
        with self._forgiving():
            super().finalize(status)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            # Lightning makes a ValueError of any failure in log_metrics.
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError):
                raise
            self._experiment = None
            if not self._failing:
                warn(f"events of TensorBoard could not be written ({cause}); the rest continues")
            self._failing = True


def _silence_writers() -> None:
    """No tracebacks of TensorBoard's threads: what they die of is raised again by the next call."""
    before = threading.excepthook
    if getattr(before, "silences_writers", False):
        return

    def hook(failure: threading.ExceptHookArgs) -> None:
        written = type(failure.thread).__module__ == "tensorboard.summary.writer.event_file_writer"
        if not (written and isinstance(failure.exc_value, OSError)):
            before(failure)

    hook.silences_writers = True
    threading.excepthook = hook
