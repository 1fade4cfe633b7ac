"""`stylegan-train` and `python train.py`: from a command line to a trained run folder.

The order is that of what can go wrong: settings, data, players, and only then the folder is made. Everything
that does the work is named by a `_target_` in `conf/`.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stylegan.cli.announce import say, say_finished_already, say_start, say_where_to_look, told_of_trouble
from stylegan.cli.command import exit_code_of, run_command
from stylegan.cli.complete import Completed, check, complete, fill_labels, refuse_too_few
from stylegan.cli.fitting import Parts, build, devices_of, fit, has_begun, quiet_lightning
from stylegan.cli.follow import follow
from stylegan.cli.memory_probe import measured_micro_batch
from stylegan.configuration.compose import Composition
from stylegan.configuration.explain import explained
from stylegan.configuration.hydra_errors import from_input, instantiate_part
from stylegan.configuration.schema import AUTO
from stylegan.distributed.launch import Team, team_of
from stylegan.distributed.processes import this_process
from stylegan.errors import ProcessLostError, TrainingUnstableError, UserError
from stylegan.machine.console import outliving_its_log
from stylegan.machine.process import leaving_at_once, prepare_host
from stylegan.runs.config_diff import Change, refuse_changes
from stylegan.runs.folder import RunFolder
from stylegan.runs.lock import RunLock
from stylegan.runs.records import (
    locked,
    put_back_unless,
    record_changes,
    record_rollback,
    refuse_unwritable,
    resolved_text,
    settle_run_id,
    write_config,
)
from stylegan.runs.resume import find_checkpoint, is_done, last_good, stored_config
from stylegan.sizes import parse_size, plain_size

EXIT_GIVEN_UP = 70  # of sysexits.h: something is wrong inside


def main(argv: Sequence[str] | None = None) -> int:
    """Trains as the command line says; one of several processes does its share.

    Returns: the exit code: 0 done, 2 user's mistake, 128 + signal, 75 `max_time` is up, another process is gone or
    a checkpoint cannot be read now, 70 trouble given up on.
    """
    prepare_host()
    with leaving_at_once(), outliving_its_log():
        return exit_code_of(lambda: _lead_or_follow(argv), program="stylegan-train")


def _lead_or_follow(argv: Sequence[str] | None) -> int:
    with from_input():
        process = this_process()
    if process.rank:
        return follow(process, sys.argv[1:] if argv is None else argv)
    started = Team(process)
    code = run_command("train", partial(train, started=started), argv, program="stylegan-train")
    started.close(code)
    return code


def train(composition: Composition, started: Team) -> int:
    """One run, from its configuration to its last checkpoint.

    Args: started: the processes that there are.  Returns: the exit code.
    """
    with from_input():
        completed = _complete(composition)
        if composition.config.explain:
            if composition.config.micro_batch == AUTO:
                completed.origins["micro_batch"] = _measure_to_explain(composition.config)
            for line in explained(composition, completed.origins):
                say(line)
            return 0
        refuse_unwritable(completed.folder)
        lock = locked(completed.folder)
    try:
        return _train_alone(composition, completed.folder, lock, started)
    finally:
        lock.release()


def _train_alone(composition: Composition, folder: RunFolder, lock: RunLock, started: Team) -> int:
    """The run of a folder that nobody else is writing to."""
    config = composition.config
    notes = [lock.taken_over] if lock.taken_over else []
    with from_input():
        checkpoint, said = find_checkpoint(config.resume, folder, overwrite=config.overwrite)
        notes += said
        before = stored_config(folder) if checkpoint is not None else {}
        refuse_changes(before, config, place=str(folder.path))
        if checkpoint is not None and is_done(config, checkpoint):
            say_finished_already(folder, checkpoint, config.total_kimg)
            return 0
        data = instantiate_part(config, "data", _convert_="all")
        data.setup("fit")
        refuse_too_few(config.batch_size, data.num_items)
        fill_labels(config, data.label_width, getattr(data, "label_names", ()))
        config.data_fingerprint = getattr(data, "fingerprint", None)
        # Once more, now that the data are known.
        changes = refuse_changes(before, config, place=str(folder.path))
        settle_run_id(config, before)
        notes += getattr(data, "notes", ())
    if config.micro_batch == AUTO:
        config.micro_batch, _ = measured_micro_batch(config)
    quiet_lightning()
    with team_of(started, devices_of(config)) as team:
        team.tell({"config": resolved_text(config), **_from(checkpoint, None)})
        parts = build(config)
        try:
            faults = team.faults()
        except ProcessLostError as lost:
            say(f"trouble     {lost}")
            raise SystemExit(team.what_became()) from lost
        team.tell({"go": not faults})
        if faults:
            raise UserError("\n".join(faults))
        with ExitStack() as stack:
            if checkpoint is not None:
                stack.enter_context(put_back_unless(lambda: has_begun(parts), folder))
            notes += _settle_folder(composition, folder, lock, changes, checkpoint)
            say_start(composition, folder, num_items=data.num_items, notes=notes, checkpoint=checkpoint)
            return _fit_until_done(composition, folder, parts, data, checkpoint, team)


def _settle_folder(
    composition: Composition,
    folder: RunFolder,
    lock: RunLock,
    changes: Sequence[Change],
    checkpoint: Path | None,
) -> list[str]:
    """Makes the folder this run's, now that everything is built: a mistake leaves an older run where it was.

    Returns: what is to be said about it.
    """
    notes = []
    with from_input():
        if composition.config.overwrite and folder.in_use:
            aside = folder.set_aside()
            lock.follow(aside)
            notes.append(f"the older run is now {aside}")
        write_config(composition.config, folder)
        record_changes(folder, changes, checkpoint)
    return notes + [f"{change.note()}, as allow_change says" for change in changes]


def _fit_until_done(
    composition: Composition, folder: RunFolder, parts: Parts, data: Any, checkpoint: Path | None, team: Team
) -> int:
    """Trains, and where the training goes bad, from an older checkpoint on.  Returns: the exit code."""
    began = checkpoint
    while True:
        try:
            code = fit(parts, data, checkpoint, resume=_other_run(checkpoint, folder, composition))
            break
        except SystemExit:
            _say_interrupted(parts.module, folder, resume=composition.config.resume)
            raise
        except ProcessLostError as lost:
            say(f"trouble     another process of the run is gone ({lost})")
            code = team.what_became()
            break
        except Exception as error:
            if not isinstance(error, TrainingUnstableError):
                raise
            rollbacks = int(parts.module.rollbacks) + 1
            checkpoint, said = last_good(folder)
            # A run that began from another one's checkpoint may have none of its own yet.
            checkpoint = checkpoint or began
            record_rollback(folder, error.reason, parts.module.kimg, checkpoint, rollbacks)
            for line in (*said, *told_of_trouble(error, parts.module.kimg, checkpoint, rollbacks)):
                say(line)
            if rollbacks > error.max_rollbacks:
                return EXIT_GIVEN_UP
        team.tell(_from(checkpoint, rollbacks))
        # All anew: what a half-finished iteration left in the parts must not come along.
        parts = build(composition.config)
        parts.module.went_back(rollbacks)
    if code:
        _say_interrupted(parts.module, folder, resume=composition.config.resume)
    else:
        say(f"done: kimg {parts.module.kimg:.3f}")
        say_where_to_look(folder)
    return code


def _other_run(checkpoint: Path | None, folder: RunFolder, composition: Composition) -> str | None:
    """What `resume` names, where that is a checkpoint of another run; None where the run goes on from its own."""
    own = checkpoint is None or checkpoint.resolve().parent == folder.checkpoints.resolve()
    return None if own else composition.config.resume


def _from(checkpoint: Path | None, rollbacks: int | None) -> dict[str, Any]:
    """What the other processes are told about where to begin; `rollbacks` None = as the checkpoint says."""
    return {"checkpoint": None if checkpoint is None else str(checkpoint.absolute()), "rollbacks": rollbacks}


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


def _measure_to_explain(config: DictConfig) -> str:
    """Writes the micro-batch that `auto` is; nothing else of what the data tell.  Returns: its origin."""
    data = instantiate_part(config, "data", _convert_="all")
    data.setup("fit")
    tried = deepcopy(config)
    fill_labels(tried, data.label_width, getattr(data, "label_names", ()))
    config.micro_batch, origin = measured_micro_batch(tried)
    return origin


def size_of_data(composition: Composition) -> int | list[int]:
    """The size that all pictures of the data have.

    Raises: ValueError where they have none of their own, or one that no network draws.
    """
    node = composition.config.data
    # The batch follows from the size; nothing is dealt before it is known.
    placeholder = {"batch_size": 1} if "batch_size" in node and node.batch_size is None else {}
    data = instantiate_part(composition.config, "data", **placeholder, _convert_="all")
    data.setup("fit")
    size = getattr(data, "size", None)
    if size is None:
        raise ValueError(
            f"resolution=null takes the size of the pictures, but data={composition.choices['data']} has none of its"
            " own; set resolution=64 or resolution=48x32"
        )
    return plain_size(parse_size(size))


def _say_interrupted(module: Any, folder: RunFolder, *, resume: str) -> None:
    newest = folder.newest_checkpoint()
    command = "the command with resume=auto" if resume == "never" else "the same command"
    rest = f"{command} goes on from {newest.name}" if newest else "there is no checkpoint yet"
    say(f"interrupted at kimg {module.kimg:.3f}; {rest}")


if __name__ == "__main__":
    sys.exit(main())
