"""Training run: its parts are built from a plan and fitted, the same in every process of the run."""

import pickle
import sys
import traceback
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from stylegan.cli.announce import lines_about_instability, say_interrupted, say_where_to_look
from stylegan.cli.command import Result
from stylegan.cli.plan import Plan
from stylegan.cli.transfer import apply_transfer
from stylegan.configuration.batches import devices_of
from stylegan.configuration.hydra_errors import from_input, instantiate_part
from stylegan.distributed.launch import RunProcesses
from stylegan.distributed.processes import is_lost_connection, this_process
from stylegan.errors import (
    EXIT_GIVEN_UP,
    EXIT_INTERRUPTED,
    BadImageError,
    ProcessLostError,
    RunFolderLostError,
    TrainingUnstableError,
    UserError,
)
from stylegan.machine.console import say, warn
from stylegan.machine.memory import ran_out, ran_out_of_shared
from stylegan.runs.records import record_rollback, unusable_file
from stylegan.runs.resume import is_done, last_good

# What a file that cannot be read, or holds something else, makes torch and Lightning raise.
_UNUSABLE = (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile)
# Our own loader sends its batches another way.
_NO_SHARED_MEMORY = (
    "/dev/shm is full: the workers of the data module cannot send their batches; docker run --shm-size=2g (or"
    " --ipc=host) gives more, data.workers=0 needs none. The run continues from its newest checkpoint"
)
_READER = "pytorch_lightning.trainer.connectors.checkpoint_connector"


class Parts(NamedTuple):
    """What a training is made of, besides its data."""

    trainer: Any
    module: Any
    callbacks: list[Any]


def build(
    config: DictConfig, *, guard: Callable[[], None] | None = None, transfer: Any | None = None
) -> Parts:
    """The parts of a training.

    Args:
        config: complete.
        guard: of the run's folder, as `RunControl` has it; on rank 0.
        transfer: whose weights the networks begin with; None = random ones, or a checkpoint's. On rank 0: the others
            get its weights when training begins.

    Raises: Hydra's InstantiationException; UserError for a group's key without a `_target_`, or a precision that the
        device does not have.
    """
    import torch
    from pytorch_lightning.callbacks import Checkpoint
    from pytorch_lightning.utilities import rank_zero_only

    from callbacks.control import Beginning, RunControl, in_order
    from stylegan.distributed.strategy import FlatStrategy, StartedProcesses
    from stylegan.training import StyleGAN2ADA, as_lightning

    # The first weights are drawn from torch's own generator, and nothing later is.
    torch.manual_seed(config.seed)
    module = as_lightning(instantiate_part(config, "module"))
    if transfer is not None:
        with from_input():
            apply_transfer(transfer, module)
    callbacks = in_order(_instantiate_each(config, "callbacks"))
    loggers = _instantiate_each(config, "logger")
    # Without a callback of this kind Lightning would add its own, with it Lightning must not get "no".
    keeps = any(isinstance(part, Checkpoint) for part in callbacks)
    rank_zero_only.rank = (
        this_process().rank
    )  # Lightning has read RANK and the like, also those of another job
    chosen: dict[str, Any] = {}
    if config.trainer.strategy == "auto" and devices_of(config) > 1:
        chosen = {"strategy": FlatStrategy()}
    elif isinstance(config.trainer.strategy, str) and config.trainer.get("plugins") is None:
        chosen = {"plugins": [StartedProcesses()]}
    trainer = instantiate_part(
        config,
        "trainer",
        callbacks=[Beginning(), *callbacks],
        logger=loggers or False,
        enable_checkpointing=keeps,
        **chosen,
    )
    if guard is not None:
        RunControl.of(trainer).folder_guard = guard
    if isinstance(module, StyleGAN2ADA):
        with from_input():
            module.settle_precision(trainer.strategy.root_device)
    return Parts(trainer, module, callbacks)


def refuse_settings(config: DictConfig) -> None:
    """What parts refuse of their settings, without data being opened, networks made or a file written.

    Raises: as `build`.
    """
    from stylegan.training.precision import TrainingPrecision

    instantiate_part(config, "data", _convert_="all")
    _instantiate_each(config, "callbacks")
    if config.module._target_ == "stylegan.training.AdversarialTraining":
        keys = ("precision", "regulariser_precision", "num_half_res", "tf32")
        with from_input():
            TrainingPrecision(**{key: config.module[key] for key in keys if key in config.module})


def _instantiate_each(config: DictConfig, group: str) -> list[Any]:
    """The parts of a group, those that are null being switched off."""
    nodes = config[group]
    for key, node in nodes.items():
        if node is not None and not (isinstance(node, Mapping) and "_target_" in node):
            raise UserError(f"{group}.{key} has no _target_; the keys of {group} are {', '.join(nodes)}")
    return [instantiate_part(config, f"{group}.{key}") for key, node in nodes.items() if node is not None]


def fit_until_done(plan: Plan, parts: Parts, data: Any, processes: RunProcesses) -> Result:
    """Trains, and after non-finite weights again from an older checkpoint; the same on all processes of a run.

    Returns: the exit code, 0 or that of what asked to stop, and the best scores.
    Raises: UserError; RunEndedError on workers; SystemExit where one of several processes leaves alone.
    """
    from callbacks.control import RunControl

    leads, checkpoint = processes.is_rank_zero, plan.checkpoint
    while True:
        own = checkpoint is None or checkpoint.resolve().parent == plan.folder.checkpoints.resolve()
        try:
            code = fit(
                parts, data, checkpoint, resume=None if own else plan.config.resume, config=plan.config
            )
            break
        except SystemExit:
            if leads:
                _say_end(plan, parts, interrupted=True)
            raise
        except ProcessLostError as lost:
            if leads:
                say(f"processes   another process of the run is gone ({lost})")
            code = processes.exit_code_after_loss()
            break
        except TrainingUnstableError as error:
            unstable = error
        # Plain values: they are broadcast.
        decided = processes.decide(lambda: _go_back(plan, parts.module, unstable))  # noqa: B023
        if decided["gives_up"]:
            return Result(EXIT_GIVEN_UP, folder=plan.folder.path)
        checkpoint = None if decided["checkpoint"] is None else Path(decided["checkpoint"])
        # All of them again: what a half-finished iteration left in the parts must not come along.
        # A signal that came in that iteration must: the next one is the last then.
        control = RunControl.of(parts.trainer)
        parts = build(plan.config, transfer=plan.transfer if checkpoint is None else None)
        RunControl.of(parts.trainer).continue_from(control)
        parts.module.went_back(decided["rollbacks"])
    if leads:
        _say_end(plan, parts, interrupted=bool(code))
    return Result(code, _best_scores(parts.callbacks), plan.folder.path)


def _say_end(plan: Plan, parts: Parts, *, interrupted: bool) -> None:
    """The last lines of a run. One that is interrupted when all is trained and saved has nothing to continue."""
    newest = plan.folder.newest_checkpoint()
    if interrupted and not (newest is not None and is_done(plan.config, newest)):
        say_interrupted(parts.module, plan.folder, resume=plan.config.resume)
        return
    say(f"done: kimg {parts.module.kimg:.3f}")
    say_where_to_look(plan.folder)


def _best_scores(callbacks: Sequence[Any]) -> dict[str, float]:
    """The best value of each result of the run's metrics; none without them."""
    from callbacks.metrics import Metrics

    return {
        name: value
        for one in callbacks
        if isinstance(one, Metrics)
        for name, value in one.best.values().items()
    }


def _go_back(plan: Plan, module: Any, error: TrainingUnstableError) -> dict[str, Any]:
    """Where a run that has become unstable continues, said and recorded; by rank 0."""
    rollbacks = int(module.rollbacks) + 1
    checkpoint, notes = last_good(plan.folder)
    # A run that began from another one's checkpoint may have none of its own yet.
    checkpoint = checkpoint or plan.checkpoint
    record_rollback(plan.folder, error.reason, module.kimg, checkpoint, rollbacks)
    for line in (*notes, *lines_about_instability(error, module.kimg, checkpoint, rollbacks)):
        say(line)
    return {
        "checkpoint": None if checkpoint is None else str(checkpoint.absolute()),
        "rollbacks": rollbacks,
        "gives_up": rollbacks > error.max_rollbacks,
    }


def fit(
    parts: Parts,
    data: Any,
    checkpoint: Path | None,
    *,
    resume: str | None = None,
    config: DictConfig | None = None,
) -> int:
    """Trains.  Returns: the exit code; 0, or that of what asked to stop.

    Args:
        resume: the value of that key where the checkpoint is another run's; None = it is this one's.
        config: what loggers are told the run was made of; None = nothing.

    Raises: UserError; ProcessLostError; SystemExit where one of several processes leaves alone; errors of the training
    itself, and errors that are not mistakes.
    """
    from callbacks.control import RunControl

    trainer, module, _ = parts
    try:
        if config is not None and trainer.is_global_zero:
            settings = OmegaConf.to_container(config, resolve=True)
            for logger in trainer.loggers:
                logger.log_hyperparams(settings)
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except RunFolderLostError:
        raise
    except Exception as error:
        # Of a folder that is gone all kinds of errors come.
        RunControl.of(trainer).folder_guard()
        if isinstance(error, BadImageError):
            raise UserError(str(error).strip().splitlines()[-1]) from error
        if trainer.world_size > 1 and is_lost_connection(error):
            raise ProcessLostError(str(error).splitlines()[0]) from error
        if ran_out_of_shared(error):
            raise UserError(_NO_SHARED_MEMORY) from error
        if ran_out(error):
            raise UserError(_too_large(getattr(module, "micro_batch", None), error)) from error
        if checkpoint is not None and _is_of_the_checkpoint(error):
            raise UserError(_unusable(checkpoint, error, resume)) from error
        # Before the loader exists nothing is trained: a logger or a callback met a file that it cannot read or write.
        if isinstance(error, OSError) and trainer.train_dataloader is None:
            raise unusable_file(error) from error
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
            try:
                sys.modules["wandb"].finish()
            except Exception as error:  # another one may be on its way, and training is over
                warn(f"W&B could not end its run ({' '.join(str(error).split())[:200]})")
    return RunControl.of(trainer).exit_code


def _too_large(micro_batch: int | None, error: Exception) -> str:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"memory ran out at micro_batch={'null' if micro_batch is None else micro_batch} ({reason[0][:160]}); a smaller"
        " one needs less, and micro_batch=auto finds the largest that fits: the result stays the same; where it is the"
        " smallest already, activation_checkpointing=true needs less. The run continues from its newest checkpoint"
    )


def has_begun(parts: Parts) -> bool:
    """Whether a training came as far as its first step, the checkpoint being applied and the first batch read."""
    from callbacks.control import RunControl

    return RunControl.of(parts.trainer).has_begun


def _is_of_the_checkpoint(error: Exception) -> bool:
    """Whether reading or applying the checkpoint failed: all else that fails before training is not its fault."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return isinstance(error, _UNUSABLE) and any(
        frame.f_globals.get("__name__") == _READER for frame in frames
    )


def _unusable(checkpoint: Path, error: Exception, resume: str | None) -> str:
    reason = str(error).replace("Error(s) in loading state_dict", "it does not fit").splitlines()
    # torch adds a paragraph for readers of its source.
    fault = " ".join(reason[:2]).split(". ")[0] or type(error).__name__
    if resume is not None:
        # That run is in order: it is this one's settings that differ, or the path.
        return (
            f"resume={resume}: {checkpoint.name} cannot be continued from: {fault}; set what it was trained with"
            " (no config.yaml tells), name another checkpoint by resume=..., or leave it out"
        )
    return (
        f"{checkpoint} cannot be continued from: {fault}; rename it to {checkpoint.name}.bad, and the same command"
        " takes the one before it, or begins"
    )
