"""Checkpoints named and timed by the images seen, which are whole or not there at all."""

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO

from callbacks.cadence import check_every_kimg
from callbacks.maintenance import maintenance
from stylegan.atomic import replacing, sweep_partials
from stylegan.interop.checkpoint import save_generator
from stylegan.run_folder import RunFolder, checkpoint_name


class KimgCheckpoint(pl.Callback):
    """Writes `checkpoints/kimg0000012.800.ckpt`, and beside it the EMA generator as safetensors.

    At every multiple of `every_kimg` and after the last iteration; never before the first one, and never for
    an iteration that an exception or Ctrl-C cut in two. It is no subclass of Lightning's `Checkpoint`: with
    `enable_checkpointing=false` the trainer has this one or none, never Lightning's own.

    Args: every_kimg: cadence in thousands of images, > 0. folder: the run folder.
    """

    def __init__(self, *, every_kimg: float, folder: str | os.PathLike) -> None:
        self.every_kimg = check_every_kimg("callbacks.checkpoint.every_kimg", every_kimg)
        self.folder = RunFolder(folder)

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        # Last: a checkpoint must hold what the other callbacks did at its iteration. A new list, since
        # Lightning is going through the old one.
        trainer.callbacks = [other for other in trainer.callbacks if other is not self] + [self]
        # Lightning's own writer is replaced, any other one is somebody's choice.
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        if trainer.is_global_zero:
            # A killed process cannot clean up after itself, and these are as large as checkpoints.
            sweep_partials(self.folder.checkpoints, "kimg*")

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if not module.due(self.every_kimg):
            return
        with maintenance(module):
            path = self.folder.checkpoints / checkpoint_name(module.images)
            if trainer.is_global_zero:
                path.parent.mkdir(parents=True, exist_ok=True)
                # The generator first: where there is a checkpoint, its generator is there, too.
                images = {"images": str(module.images)}
                save_generator(path.with_name(f"{path.name}.safetensors"), module.generator_ema, images)
            # weights_only=False: optimisers and callbacks, too. The file is readable with torch's
            # weights_only=True.
            trainer.save_checkpoint(path.with_name(f"{path.name}.ckpt"), weights_only=False)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its final name and renames it once it is safely on the disk.

    Lightning's own writer goes through the system's folder for temporary files. Where that is another file
    system, a kill or a full disk in the middle leaves half a file under the final name, and the file that was
    there is lost.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any | None = None
    ) -> None:
        """Saves to a local path. Raises: TypeError for storage options; OSError, RuntimeError (disk full)."""
        if storage_options is not None:
            raise TypeError("storage options are for remote files; checkpoints are written to local folders")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            torch.save(checkpoint, file)
