"""Checkpoints: named and timed by the images seen, complete or absent."""

import errno
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint

from callbacks.control import RunControl, TrainingModule, check_every_kimg, maintenance
from stylegan.distributed.collectives import on_rank_zero
from stylegan.errors import EXIT_TRY_AGAIN
from stylegan.interop.checkpoint import save_generator
from stylegan.machine.console import warn
from stylegan.machine.files import is_full_disk, sweep_partials
from stylegan.runs.checkpoints import delete, expendable, write_checkpoint
from stylegan.runs.folder import RunFolder, checkpoint_name, checkpoints_in, images_of


class KimgCheckpoint(Checkpoint):
    """Writes `checkpoints/kimg0000012.800.ckpt`, and next to it the EMA generator as safetensors and a checksum.

    At every multiple of `every_kimg`, after the last iteration, when training is asked to stop, and where another
    callback asks for one (`RunControl.want_checkpoint`); never before the first iteration, and never for one that an
    exception cut in two. Older ones are deleted as the policy says, except those that a callback keeps
    (`RunControl.keep`). Where the disk has no room, a line reports it, training continues, and the checkpoint is tried
    again every `retry_every_kimg`; where the last one found no room, the run's exit code is 75.

    Being one of Lightning's `Checkpoint`s it acts after all other callbacks, in any order of the list, and
    takes the place of Lightning's own; a Trainer that has it does not take `enable_checkpointing=False`.

    Args:
        every_kimg, retry_every_kimg: cadences in thousands of images, > 0.
        folder: the run folder.
        keep_last, keep_every_kimg: as in `stylegan.runs.checkpoints.expendable`.
    Raises: ValueError for values out of range.
    """

    def __init__(
        self,
        *,
        every_kimg: float,
        folder: str | os.PathLike,
        keep_last: int | None = 3,
        keep_every_kimg: float | None = 200.0,
        retry_every_kimg: float = 4.0,
    ) -> None:
        self.every_kimg = check_every_kimg("every_kimg", every_kimg)
        self.retry_every_kimg = check_every_kimg("retry_every_kimg", retry_every_kimg)
        if keep_every_kimg is not None:
            check_every_kimg("keep_every_kimg", keep_every_kimg)
        if keep_last is not None and keep_last < 1:
            raise ValueError(f"keep_last must be at least 1, or null for all; got {keep_last}")
        self.keep_last, self.keep_every_kimg = keep_last, keep_every_kimg
        self.folder = RunFolder(folder)
        self._owed = False  # a checkpoint that found no room

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        control = RunControl.of(trainer)
        control.writes(self._is_due)
        # Here and not among the Trainer's plugins, so that a script which lists this callback has it, too. Lightning's
        # own writer is replaced; any other one was chosen.
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = AtomicCheckpointIO(control)
        if trainer.is_global_zero:
            # A killed process cannot clean up after itself, and these are as large as checkpoints.
            sweep_partials(self.folder.checkpoints, "kimg*")

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        control = RunControl.of(trainer)
        if control.is_checkpoint_wanted(module) or self._is_due(module):
            # Also where the guard has had its turn: the scores, which came later, may have requested this checkpoint.
            control.verify_before_saving(module)
            with maintenance(module):
                self._owed = not self._save(trainer, module)
        if self._owed and trainer.should_stop:
            control.stop(EXIT_TRY_AGAIN)

    def _is_due(self, module: TrainingModule) -> bool:
        """Whether a checkpoint is due by the cadence, or one that found no room has to be tried again."""
        due = module.due(self.every_kimg) or (self._owed and module.due(self.retry_every_kimg))
        return bool(module.images) and due

    def _save(self, trainer: pl.Trainer, module: pl.LightningModule) -> bool:
        """Returns: whether the checkpoint is on the disk."""
        path = self.folder.checkpoints / f"{checkpoint_name(module.images)}.ckpt"
        try:
            # The generator first: where there is a checkpoint, its generator is there, too.
            on_rank_zero(partial(self._save_generator, trainer, module, path))
            # weights_only=False: optimisers and callbacks, too. The file is readable with torch's
            # weights_only=True. All processes take part: some of the state is theirs.
            trainer.save_checkpoint(path, weights_only=False)
        except (OSError, RuntimeError) as error:
            if not is_full_disk(error):
                raise
            if trainer.is_global_zero:
                if not path.exists():
                    path.with_suffix(".safetensors").unlink(missing_ok=True)
                warn(f"no checkpoint at kimg {module.kimg:.3f}: {error}; free some space; it is tried again")
            return False
        if trainer.is_global_zero:
            self._thin(trainer)
        return True

    def _save_generator(self, trainer: pl.Trainer, module: pl.LightningModule, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._make_room(path, _bytes_of(module), trainer)
        images = {"images": str(module.images)}
        save_generator(path.with_suffix(".safetensors"), module.generator_ema, images)

    def _make_room(self, coming: Path, need_bytes: int, trainer: pl.Trainer) -> None:
        """Raises: OSError (ENOSPC) where the checkpoint to come does not fit, also after thinning."""
        if shutil.disk_usage(coming.parent).free < need_bytes:
            # By what is there alone: the one to come may yet fail, and replaces none until it is there.
            self._thin(trainer)
        free = shutil.disk_usage(coming.parent).free
        if free < need_bytes:
            room = f"{need_bytes / 2**20:.0f} MiB are needed, {free / 2**20:.0f} MiB are free in"
            raise OSError(errno.ENOSPC, f"{room} {coming.parent}")

    def _thin(self, trainer: pl.Trainer) -> None:
        there = checkpoints_in(self.folder.checkpoints)
        kept = RunControl.of(trainer).kept_images
        for path in expendable(there, keep_last=self.keep_last, keep_every_kimg=self.keep_every_kimg):
            if images_of(path) not in kept:
                delete(path)


def _bytes_of(module: pl.LightningModule) -> int:
    """What a checkpoint and its generator take: all tensors, Adam's two moments of those that learn, a margin."""
    state = sum(tensor.nbytes for tensor in module.state_dict().values())
    moments = sum(
        2 * parameter.nbytes
        for optimizer in module.trainer.optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    )
    return int(1.5 * state + moments) + 2**20


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint next to its final name and renames it once it is safely on the disk.

    Lightning's own writer goes through the system's folder for temporary files. Where that is another file
    system, a kill or a full disk in the middle leaves half a file under the final name, and the file that was
    there is lost.

    Args: control: of the run, whose folder is verified again before the rename; None = it is not.
    """

    def __init__(self, control: RunControl | None = None) -> None:
        self._control = control

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any | None = None
    ) -> None:
        """Saves to a local path. Raises: TypeError for storage options; OSError, RuntimeError (disk full)."""
        if storage_options is not None:
            raise TypeError("storage options are for remote files; checkpoints are written to local folders")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)

        def write(file: BinaryIO) -> None:
            torch.save(checkpoint, file)
            if self._control is not None:
                # A checkpoint takes long to write, and another process may have taken the folder over since.
                self._control.folder_guard()

        write_checkpoint(path, write)
