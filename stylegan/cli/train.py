"""`stylegan-train` and `python train.py`: from a command line to a trained run folder.

The order is that of what can go wrong: settings, data, players, and only then the folder is made. Everything
that does the work is named by a `_target_` in `conf/`.
"""

import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.utils import call, instantiate
from omegaconf import DictConfig

from stylegan.checkpoint_files import newest_good
from stylegan.cli.announce import say, say_finished_already, say_start, say_where_to_look, told_of_trouble
from stylegan.cli.complete import Completed, check, complete, fill_labels, refuse_too_few
from stylegan.cli.compose import Composition, run_command
from stylegan.cli.drift import refuse_drift
from stylegan.cli.explain import explained
from stylegan.cli.host import prepare_host
from stylegan.cli.log_file import outliving_its_log
from stylegan.cli.mistakes import EXIT_INTERRUPTED, UserMistake, from_input, is_bad_picture, is_trouble
from stylegan.cli.runs import (
    find_checkpoint,
    is_done,
    locked,
    record_changes,
    record_rollback,
    refuse_unwritable,
    settle_run_id,
    stored_config,
    write_config,
)
from stylegan.cli.signals import leaving_at_once
from stylegan.run_folder import RunFolder
from stylegan.run_lock import RunLock
from stylegan.sizes import parse_size, plain_size

EXIT_GIVEN_UP = 70  # of sysexits.h: something is wrong inside


def main(argv: Sequence[str] | None = None) -> int:
    """Trains as the command line says.

    Returns: the exit code: 0 done, 2 user's mistake, 128 + signal, 75 `max_time` is up, 70 trouble given up on.
    """
    prepare_host()
    with leaving_at_once(), outliving_its_log():
        return run_command("train", train, argv, program="stylegan-train")


def train(composition: Composition) -> int:
    """One run, from its configuration to its last checkpoint.  Returns: the exit code."""
    with from_input():
        completed = _complete(composition)
        if composition.config.explain:
            for line in explained(composition, completed.origins):
                say(line)
            return 0
        refuse_unwritable(completed.folder)
        lock = locked(completed.folder)
    try:
        return _train_alone(composition, completed.folder, lock)
    finally:
        lock.release()


def _train_alone(composition: Composition, folder: RunFolder, lock: RunLock) -> int:
    """The run of a folder that nobody else is writing to."""
    config = composition.config
    notes = [lock.taken_over] if lock.taken_over else []
    with from_input():
        checkpoint, said = find_checkpoint(config.resume, folder, overwrite=config.overwrite)
        notes += said
        before = stored_config(folder) if checkpoint is not None else {}
        refuse_drift(before, config, place=str(folder.path))
        if checkpoint is not None and is_done(config, checkpoint):
            say_finished_already(folder, checkpoint, config.total_kimg)
            return 0
        data = instantiate(config.data, _convert_="all")
        data.setup("fit")
        refuse_too_few(config.batch_size, data.num_items)
        fill_labels(config, data.label_width, getattr(data, "label_names", ()))
        config.data_fingerprint = getattr(data, "fingerprint", None)
        # Once more, now that the data are known.
        changes = refuse_drift(before, config, place=str(folder.path))
        settle_run_id(config, before)
        notes += getattr(data, "notes", ())
    quiet_lightning()
    parts = _build(config)
    with from_input():
        # Not before everything is built: a mistake leaves the older run where it was.
        if config.overwrite and folder.in_use:
            aside = folder.set_aside()
            lock.follow(aside)
            notes.append(f"the older run is now {aside}")
        write_config(config, folder)
        record_changes(folder, changes, checkpoint)
    notes += [f"{change}, as allow_change says" for change in changes]
    say_start(composition, folder, num_items=data.num_items, notes=notes, checkpoint=checkpoint)
    while True:
        try:
            return _fit(parts, data, folder, checkpoint)
        except Exception as error:
            if not is_trouble(error):
                raise
            rollbacks = int(parts.module.rollbacks) + 1
            checkpoint, said = newest_good(folder)
            record_rollback(folder, error.reason, parts.module.kimg, checkpoint, rollbacks)
            for line in (*said, *told_of_trouble(error, parts.module.kimg, checkpoint, rollbacks)):
                say(line)
            if rollbacks > error.max_rollbacks:
                return EXIT_GIVEN_UP
        # All anew: what a half-finished iteration left in the parts must not come along.
        parts = _build(config)
        parts.module.went_back(rollbacks)


class _Parts(NamedTuple):
    """What a training is made of, beside its data."""

    trainer: Any
    module: Any
    callbacks: list[Any]


def _build(config: DictConfig) -> _Parts:
    # The first weights are drawn from torch's own generator, and nothing later is.
    call({"_target_": "torch.manual_seed", "seed": config.seed})
    module = instantiate(config.module)
    callbacks = _instantiate_each(config.callbacks, "callbacks")
    loggers = _instantiate_each(config.logger, "logger")
    # Without a callback of this kind Lightning would add its own, with it Lightning must not be told "no".
    keeps = any(base.__name__ == "Checkpoint" for part in callbacks for base in type(part).__mro__)
    trainer = instantiate(
        config.trainer, callbacks=callbacks, logger=loggers or False, enable_checkpointing=keeps
    )
    return _Parts(trainer, module, callbacks)


def _complete(composition: Composition) -> Completed:
    """The complete configuration; where there is no `resolution` yet, the data are asked for it first."""
    config = composition.config
    if config.resolution is not None:
        return complete(composition)
    check(config)
    config.resolution = size_of_data(composition)
    completed = complete(composition)
    completed.origins["resolution"] = "the data, for resolution=null"
    return completed


def size_of_data(composition: Composition) -> int | list[int]:
    """The size that all pictures of the data have.

    Raises: ValueError where they have none of their own, or one that no network draws.
    """
    node = composition.config.data
    # The batch follows from the size; nothing is dealt before it is known.
    placeholder = {"batch_size": 1} if "batch_size" in node and node.batch_size is None else {}
    data = instantiate(node, **placeholder, _convert_="all")
    data.setup("fit")
    size = getattr(data, "size", None)
    if size is None:
        raise ValueError(
            f"resolution=null takes the size of the pictures, but data={composition.choices['data']} has none of its"
            " own; set resolution=64 or resolution=48x32"
        )
    return plain_size(parse_size(size))


def _instantiate_each(nodes: Mapping[str, Any], group: str) -> list[Any]:
    """The parts of a group, those that are null being switched off."""
    for key, node in nodes.items():
        if node is not None and not (isinstance(node, Mapping) and "_target_" in node):
            raise UserMistake(f"{group}.{key} has no _target_; the keys of {group} are {', '.join(nodes)}")
    return [instantiate(node) for node in nodes.values() if node is not None]


def _fit(parts: _Parts, data: Any, folder: RunFolder, checkpoint: Path | None) -> int:
    trainer, module, callbacks = parts
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except Exception as error:
        if is_bad_picture(error):
            raise UserMistake(str(error).strip().splitlines()[-1]) from error
        # Before the loader exists nothing but the checkpoint was read; later it is a bug of ours.
        if checkpoint is not None and trainer.train_dataloader is None:
            raise UserMistake(_unusable(checkpoint, error)) from error
        raise
    except SystemExit as leaving:
        # Lightning turns Ctrl-C into code 1. This early there is nothing to save.
        code = EXIT_INTERRUPTED if trainer.interrupted and leaving.code == 1 else leaving.code
        _say_interrupted(module, folder)
        return code
    finally:
        if "wandb" in sys.modules:
            # Else the next job of a sweep would write into this job's run.
            sys.modules["wandb"].finish()
    code = next((part.exit_code for part in callbacks if getattr(part, "exit_code", 0)), 0)
    if code:
        _say_interrupted(module, folder)
        return code
    say(f"done: kimg {module.kimg:.3f}")
    say_where_to_look(folder)
    return 0


def _say_interrupted(module: Any, folder: RunFolder) -> None:
    newest = folder.newest_checkpoint()
    rest = f"the same command goes on from {newest.name}" if newest else "there is no checkpoint yet"
    say(f"interrupted at kimg {module.kimg:.3f}; {rest}")


def _unusable(checkpoint: Path, error: Exception) -> str:
    reason = str(error).replace("Error(s) in loading state_dict", "it does not fit").splitlines()
    # torch adds a paragraph for whoever reads its source.
    told = " ".join(reason[:2]).split(". ")[0] or type(error).__name__
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


if __name__ == "__main__":
    sys.exit(main())
