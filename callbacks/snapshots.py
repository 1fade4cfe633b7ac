"""Snapshots: grids of images in the run folder, the reals once, and over time the fakes of the same latents."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from callbacks.control import RunCallback, RunControl, TrainingModule, check_every_kimg, maintenance
from stylegan.images import save_png, tile, to_uint8, visible
from stylegan.latents import Sampler, latents_of
from stylegan.loggers import define_kimg_axis, log_image
from stylegan.machine.console import surviving_lost_file
from stylegan.runs.folder import RunFolder, checkpoint_name

# Rows of a grid of classes, unless `rows` is larger: it must still be seen on a screen, and drawn in seconds.
MOST_CLASS_ROWS = 32


class SnapshotGrid(RunCallback):
    """Writes `snapshots/reals.png` once and `snapshots/fakes_kimg0000012.800.png` of the EMA generator.

    Fakes: before training, at every multiple of `every_kimg`, and after the last iteration. Cell i, counted
    along the rows, has seed `seed + i` and constant noise, as the generate command draws it from a checkpoint.

    In a conditional run there is a row a class, of the reals as of the fakes: all classes up to 32, or up to `rows`
    where that is more. Column j then has seed `seed + j` in every row, as with `label=all`. Labels that are not one
    class each are those of the reals: fake i has the label of real i.

    Training notices nothing: no global random number is drawn, and modes, gradients and buffers stay as they are.

    Args:
        every_kimg: cadence in thousands of images, > 0.
        folder: the run folder.
        columns, rows: of the grid, at least 1.
        seed: of the first cell, from 0 to 2^32 - cells.
        truncation: psi; 1 = the distribution as it is learned.
    Raises: ValueError for values out of range.
    """

    def __init__(
        self,
        *,
        every_kimg: float,
        folder: str | os.PathLike,
        columns: int = 8,
        rows: int = 8,
        seed: int = 0,
        truncation: float = 1.0,
    ) -> None:
        self.every_kimg = check_every_kimg("every_kimg", every_kimg)
        for name, number in (("columns", columns), ("rows", rows)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        largest = 2**32 - columns * rows
        if not 0 <= seed <= largest:
            raise ValueError(f"seed must be between 0 and {largest}, for {columns * rows} cells; got {seed}")
        self.folder = RunFolder(folder)
        self.columns, self.rows, self.seed, self.truncation = columns, rows, seed, truncation
        self.count = columns * rows
        self._labels: Tensor | None = None  # of the reals

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            define_kimg_axis(trainer.loggers)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        RunControl.of(trainer).verify_folder()
        if not trainer.is_global_zero:
            return
        with maintenance(module):
            fresh = module.images == 0
            if trainer.datamodule is not None:
                reals, self._labels = trainer.datamodule.preview(self.count)
                classes = self._classes(module)
                if fresh or not (self.folder.snapshots / "reals.png").exists():
                    if classes and hasattr(trainer.datamodule, "preview_of_classes"):
                        reals = trainer.datamodule.preview_of_classes(classes, self.columns)
                    self._publish(trainer, module, "reals", "reals.png", reals, {})
            if fresh:
                self._fakes(trainer, module)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if not module.due(self.every_kimg):
            return
        RunControl.of(trainer).verify_folder()
        if trainer.is_global_zero:
            with maintenance(module):
                self._fakes(trainer, module)

    def _classes(self, module: TrainingModule) -> int:
        """Classes that have a row each; 0 where labels are not classes."""
        width = module.generator_ema.c_dim
        if width < 2:  # a single column of numbers is no class
            return 0
        if self._labels is not None and self._labels.shape[1] == width and not are_classes(self._labels):
            return 0
        return min(width, max(self.rows, MOST_CLASS_ROWS))

    def _fakes(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        generator, classes = module.generator_ema, self._classes(module)
        columns = range(self.seed, self.seed + self.columns)
        seeds: Sequence[int] = (
            list(columns) * classes if classes else range(self.seed, self.seed + self.count)
        )
        if classes:
            labels = torch.eye(generator.c_dim)[:classes].repeat_interleave(self.columns, dim=0)
        else:
            labels = grid_labels(self._labels, self.count, generator.c_dim)
        fakes = draw(generator, seeds, labels, truncation=self.truncation)
        text = {
            "seeds": f"{seeds[0]}-{seeds[-1]}",
            "kimg": f"{module.images / 1000:.3f}",
            "truncation": f"{self.truncation:g}",
            "noise_mode": "const",
        }
        if classes:
            names = generator.label_names or [str(number) for number in range(classes)]
            text["classes"] = json.dumps(names[:classes], ensure_ascii=False)
        elif generator.c_dim:
            text["labels"] = json.dumps(labels.tolist())
        name = f"fakes_{checkpoint_name(module.images)}.png"
        self._publish(trainer, module, "fakes", name, fakes, text)

    def _publish(
        self,
        trainer: pl.Trainer,
        module: TrainingModule,
        title: str,
        name: str,
        images: Tensor,
        text: dict[str, str],
    ) -> None:
        """Writes images, uint8 [N,C,H,W], as a grid and shows it in the loggers."""
        grid = tile(visible(images), self.columns)
        with surviving_lost_file(name):
            self.folder.snapshots.mkdir(parents=True, exist_ok=True)
            save_png(self.folder.snapshots / name, grid, text)
        for logger in trainer.loggers:
            with surviving_lost_file(f"the {title} in {type(logger).__name__}"):
                log_image(logger, title, grid, module.images)


def are_classes(labels: Tensor) -> bool:
    """Whether labels [N,K] are exactly one class each."""
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(dim=1) == 1).all())


def grid_labels(preview: Tensor | None, count: int, width: int) -> Tensor:
    """Labels [count,K] of cells that are not classes, K = width: those of the reals, `preview` [n,K], in turn.

    [count,0] where the generator takes no labels.
    """
    if preview is None or preview.shape[1] != width:
        return torch.zeros(count, width)
    return preview[torch.arange(count) % len(preview)]


def draw(generator: nn.Module, seeds: Sequence[int], labels: Tensor, *, truncation: float) -> Tensor:
    """Images uint8 [N,C,H,W], on the CPU, of N seeds with labels [N,K]."""
    sampler = Sampler(generator)
    images = []
    with undisturbed(generator):
        c = labels if labels.shape[1] else None
        ws = sampler.map(latents_of(seeds, generator.z_dim), c, truncation=truncation)
        # One chunk at a time leaves the device: a grid of large images may not fit next to the training.
        for some in ws.split(sampler.chunk):
            images.append(to_uint8(sampler.draw(some, noise_mode="const")).cpu())
    return torch.cat(images)


@contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """Inference without traces: no gradients, and eval mode, since in training the mapping moves `w_avg`.

    Afterwards every submodule is in the mode that it was in.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
