"""The x-axis of Lightning's loggers: images seen.

Lightning's own axes count optimiser steps or batches; a GAN takes two to four steps a batch. All loggers get the images
seen as the step. TensorBoard shows whole numbers alone, so that kimg would put rows less than one kimg apart in one
place; its chart `Progress/kimg` has them. All other loggers also get a field `kimg`."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger
from torch import Tensor

from stylegan.images import on_white
from stylegan.loggers.tensorboard_events import TensorBoardEvents
from stylegan.loggers.wandb_run import WandbRun

# Dashboards are for a glance; the full grid is in the run folder.
LONGEST_SIDE_PX = 1024


def define_kimg_axis(loggers: Iterable[Logger]) -> None:
    """Makes `kimg` the x-axis of all charts of W&B; harmless when repeated.

    Lightning's axis there is the field `trainer/global_step`, and W&B's own counter starts at 0 again when an
    offline run is resumed, so neither may be plotted against.
    """
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            with _forgiving(logger):
                logger.experiment.define_metric("kimg")
                logger.experiment.define_metric("*", step_metric="kimg")


def forget_after(logger: Logger, images: int) -> None:
    """Hides in TensorBoard what a process before this one logged past `images` images seen; others keep all.

    Event files cannot be cut, but TensorBoard follows the mark of a new start.
    """
    if isinstance(logger, TensorBoardLogger):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # few programs write events

        first = images + 1 if images else 0
        mark = Event(step=first, session_log=SessionLog(status=SessionLog.START))
        with _forgiving(logger):
            logger.experiment.file_writer.add_event(mark)


def log_means(logger: Logger, means: Mapping[str, float], images: int) -> None:
    """Hands one row of means, taken after `images` images, to any Lightning logger, and lets it write."""
    if isinstance(logger, TensorBoardLogger):
        logger.log_metrics(dict(means), step=images)
    else:
        logger.log_metrics({**means, "kimg": images / 1000}, step=images)
    logger.save()


def log_image(logger: Logger, name: str, image: Tensor, images: int) -> None:
    """Shows an image, uint8 [C,H,W] of 1 to 4 channels, in loggers that can; others are passed over.

    These are TensorBoard and W&B. Alpha is shown on white, which TensorBoard has no better idea of.
    """
    image = on_white(image)
    if isinstance(logger, TensorBoardLogger):
        with _forgiving(logger):
            logger.experiment.add_image(name, _shrunk(image), images)
    elif isinstance(logger, WandbLogger):
        import wandb  # takes a second and is needed by few runs

        with _forgiving(logger):
            shown = wandb.Image(_shrunk(image).movedim(0, -1).numpy())
            logger.log_metrics({name: shown, "kimg": images / 1000}, step=images)


def _forgiving(logger: Logger) -> AbstractContextManager[None]:
    return logger.forgiving() if isinstance(logger, TensorBoardEvents | WandbRun) else nullcontext()


def _shrunk(image: Tensor) -> Tensor:
    """The image, uint8 [C,H,W], averaged down by the smallest whole factor to at most LONGEST_SIDE_PX."""
    factor = -(-max(image.shape[1:]) // LONGEST_SIDE_PX)
    if factor == 1:
        return image
    return (
        torch.nn.functional.avg_pool2d(image[None].float(), factor, ceil_mode=True)[0].round().to(torch.uint8)
    )
