"""The parts of a training, built from a complete configuration, and their fit; the same in every process of a run."""

import logging
import pickle
import sys
import traceback
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hydra.utils import call, instantiate
from omegaconf import DictConfig

from stylegan.configuration.batches import count_devices
from stylegan.configuration.hydra_errors import from_input, is_bad_picture
from stylegan.distributed.processes import is_lost_connection
from stylegan.errors import EXIT_INTERRUPTED, ProcessLostError, UserError
from stylegan.machine.memory import ran_out

# What a file that cannot be read, or holds something else, makes torch and Lightning raise.
_UNUSABLE = (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile)
_READER = "pytorch_lightning.trainer.connectors.checkpoint_connector"


class Parts(NamedTuple):
    """What a training is made of, beside its data."""

    trainer: Any
    module: Any
    callbacks: list[Any]


def build(config: DictConfig) -> Parts:
    """Raises: Hydra's InstantiationException; UserError for a group's key without a `_target_`, or a precision that
    the device does not have.
    """
    # The first weights are drawn from torch's own generator, and nothing later is.
    call({"_target_": "torch.manual_seed", "seed": config.seed})
    module = call({"_target_": "stylegan.training.as_lightning"}, instantiate(config.module))
    callbacks = _instantiate_each(config.callbacks, "callbacks")
    loggers = _instantiate_each(config.logger, "logger")
    # Without a callback of this kind Lightning would add its own, with it Lightning must not be told "no".
    keeps = any(base.__name__ == "Checkpoint" for part in callbacks for base in type(part).__mro__)
    chosen = {}
    if config.trainer.strategy == "auto" and devices_of(config) > 1:
        chosen["strategy"] = instantiate({"_target_": "stylegan.distributed.strategy.FlatStrategy"})
    trainer = instantiate(
        config.trainer, callbacks=callbacks, logger=loggers or False, enable_checkpointing=keeps, **chosen
    )
    if hasattr(module, "settle_precision"):
        with from_input():
            module.settle_precision(trainer.strategy.root_device)
    return Parts(trainer, module, callbacks)


def devices_of(config: DictConfig) -> int:
    """Processes of the run, one a device."""
    return count_devices(config.trainer.devices, config.trainer.get("num_nodes", 1))


def _instantiate_each(nodes: Mapping[str, Any], group: str) -> list[Any]:
    """The parts of a group, those that are null being switched off."""
    for key, node in nodes.items():
        if node is not None and not (isinstance(node, Mapping) and "_target_" in node):
            raise UserError(f"{group}.{key} has no _target_; the keys of {group} are {', '.join(nodes)}")
    return [instantiate(node) for node in nodes.values() if node is not None]


def fit(parts: Parts, data: Any, checkpoint: Path | None, *, resume: str | None = None) -> int:
    """Trains.  Returns: the exit code; 0, or that of whoever asked to leave.

    Args: resume: the value of that key where the checkpoint is another run's; None = it is this one's.

    Raises: UserError; ProcessLostError; SystemExit where one of several processes leaves alone; trouble of the training
    itself, and what is no mistake.
    """
    trainer, module, callbacks = parts
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except Exception as error:
        if is_bad_picture(error):
            raise UserError(str(error).strip().splitlines()[-1]) from error
        if trainer.world_size > 1 and is_lost_connection(error):
            raise ProcessLostError(str(error).splitlines()[0]) from error
        if ran_out(error):
            raise UserError(_too_large(getattr(module, "micro_batch", None), error)) from error
        if checkpoint is not None and _is_of_the_checkpoint(error):
            raise UserError(_unusable(checkpoint, error, resume)) from error
        # Before the loader exists nothing is trained: a logger or a callback met a file that it cannot read or write.
        if isinstance(error, OSError) and not has_begun(parts):
            raise UserError(_no_file(error)) from error
        raise
    except SystemExit as leaving:
        # Lightning turns Ctrl-C into code 1. This early there is nothing to save.
        code = EXIT_INTERRUPTED if trainer.interrupted and leaving.code == 1 else leaving.code
        if trainer.world_size > 1:
            raise SystemExit(code) from None  # it leaves alone: only when it ends do the others notice
        return code
    finally:
        if "wandb" in sys.modules:
            # Else the next job of a sweep would write into this job's run.
            sys.modules["wandb"].finish()
    return next((part.exit_code for part in callbacks if getattr(part, "exit_code", 0)), 0)


def _too_large(micro_batch: int | None, error: Exception) -> str:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"memory ran out at micro_batch={'null' if micro_batch is None else micro_batch} ({reason[0][:160]}); a smaller"
        " one needs less, and micro_batch=auto finds the largest that fits: the result stays the same; where it is the"
        " smallest already, activation_checkpointing=true needs less. The run goes on from its newest checkpoint"
    )


def has_begun(parts: Parts) -> bool:
    """Whether a training came as far as its first step, the checkpoint being applied."""
    return parts.trainer.train_dataloader is not None


def _is_of_the_checkpoint(error: Exception) -> bool:
    """Whether reading or applying the checkpoint failed: all else that fails before training is not its fault."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return isinstance(error, _UNUSABLE) and any(
        frame.f_globals.get("__name__") == _READER for frame in frames
    )


def _no_file(error: OSError) -> str:
    place, reason = error.filename or "a file of the run", error.strerror or " ".join(str(error).split())
    return f"{place}: {reason}; nothing was trained, and once that is mended the same command goes on"


def _unusable(checkpoint: Path, error: Exception, resume: str | None) -> str:
    reason = str(error).replace("Error(s) in loading state_dict", "it does not fit").splitlines()
    # torch adds a paragraph for whoever reads its source.
    told = " ".join(reason[:2]).split(". ")[0] or type(error).__name__
    if resume is not None:
        # That run is in order: it is this one's settings that differ, or the path.
        return (
            f"resume={resume}: {checkpoint.name} cannot be continued from: {told}; set what that run's config.yaml has,"
            " name another checkpoint by resume=..., or leave it out"
        )
    return (
        f"{checkpoint} cannot be continued from: {told}; rename it to {checkpoint.name}.bad, and the same command"
        " takes the one before it, or begins"
    )


def quiet_lightning() -> None:
    """Silences what Lightning says to its own developers' users, not to ours. The only place that does so."""
    # "GPU available", "litlogger" and other tips; warnings still come.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # our own default is the right one for small pictures
        ".*Checkpoint directory .* exists and is not empty.*",  # a run that goes on
        ".*in eval mode at the start of training.*",  # the average generator, which never trains
        ".*isinstance.treespec, LeafSpec.. is deprecated.*",  # between Lightning and torch
    ):
        warnings.filterwarnings("ignore", message=message)
