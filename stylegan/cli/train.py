"""`stylegan-train` and `python train.py`: from a command line to a trained run folder.

compose -> check -> complete -> make_plan -> build -> fit_until_done -> Result. The order is that of what can go wrong:
settings, the folder, data, parts. Only then the run is written to its folder; before that only `run.lock` is, and
damaged checkpoints are set aside. Where there are several processes, all of them come through here; rank 0 makes the
plan, and workers receive it.
"""

import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace

from stylegan.cli.announce import quiet_lightning, say_finished_already, say_scores_of_sweep, say_start
from stylegan.cli.command import Result, exit_code_of, run_command
from stylegan.cli.plan import (
    Plan,
    completed,
    course_to_explain,
    make_plan,
    micro_batch_to_explain,
    open_data_of_worker,
)
from stylegan.cli.training_run import build, fit_until_done, has_begun, refuse_settings
from stylegan.cli.transfer import lines_to_explain, write_report
from stylegan.configuration.batches import devices_of
from stylegan.configuration.command_line import quote
from stylegan.configuration.complete import Completed, with_values
from stylegan.configuration.compose import Composition
from stylegan.configuration.explain import explained
from stylegan.configuration.hydra_errors import explain, from_input
from stylegan.configuration.schema import AUTO
from stylegan.distributed.launch import RunProcesses, processes_of_run
from stylegan.distributed.processes import is_lost_connection, this_process
from stylegan.errors import EXIT_TRY_AGAIN, ProcessLostError, RunEndedError, RunFolderLostError, UserError
from stylegan.machine.console import refuse_lost_output, say, surviving_lost_output
from stylegan.machine.process import end_with_starter, leaving_at_once, prepare_host
from stylegan.runs.continuing import with_run, words_of_run
from stylegan.runs.folder import RunFolder
from stylegan.runs.lock import RunLock
from stylegan.runs.records import (
    locked,
    put_back_unless,
    record_changes,
    record_start,
    record_transfer,
    refuse_unwritable,
    write_config,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Trains as the command line says; one of several processes does its share.

    Returns: the exit code; docs/restarts.md lists them.
    """
    prepare_host()
    with leaving_at_once(), surviving_lost_output():
        return exit_code_of(lambda: _meet_and_train(argv), program="stylegan-train")


def _meet_and_train(argv: Sequence[str] | None) -> int:
    with from_input():
        process = this_process()
    if process.rank:
        end_with_starter()
        return _work(RunProcesses(process), argv)
    processes = RunProcesses(process)

    def task(composition: Composition) -> Result:
        return train(composition, processes)

    return processes.close(
        run_command(
            "train",
            task,
            argv,
            program="stylegan-train",
            implied=_groups_of_named_run,
            closing=say_scores_of_sweep,
        )
    )


def _groups_of_named_run(overrides: Sequence[str]) -> list[str]:
    with from_input():
        return words_of_run(overrides)


def train(composition: Composition, started: RunProcesses) -> Result:
    """One run, from its configuration to its last checkpoint; by rank 0.

    Args:
        composition: as Hydra made it; it stays as it is.
        started: the processes that there are.
    """
    try:
        with from_input():
            composition = with_run(composition)
            complete = completed(composition, started.process)
            if composition.config.explain:
                return Result(started.end_run(_explain(composition, complete)))
            folder = RunFolder(complete.config.run_dir)
            refuse_unwritable(folder)
            lock = locked(folder)
        try:
            return _train_in(folder, lock, composition, complete, started)
        finally:
            lock.release()
    except UserError as error:
        started.end_run(error.exit_code)
        raise


def _train_in(
    folder: RunFolder,
    lock: RunLock,
    composition: Composition,
    complete: Completed,
    started: RunProcesses,
) -> Result:
    """The run of a folder that nothing else writes to."""
    with from_input():
        plan, data = make_plan(complete, folder, composition)
    if plan.is_done:
        say_finished_already(folder, plan.checkpoint, plan.config.total_kimg)
        return Result(started.end_run(0), folder=folder.path)
    quiet_lightning()
    with processes_of_run(started, devices_of(plan.config), _words_of(composition, plan)) as processes:
        try:
            processes.decide(plan.message)
            parts = build(plan.config, guard=lock.verify, transfer=plan.transfer)
            processes.agree()
        except ProcessLostError as lost:
            say(f"processes   {lost}")
            raise SystemExit(processes.exit_code_after_loss()) from lost
        # What was the folder's before is the older run's then, and moves aside with it.
        replaces = plan.config.overwrite and folder.in_use
        with put_back_unless(lambda: replaces or has_begun(parts) or lock.loss() is not None, folder):
            notes = _settle_folder(plan, lock, composition)
            say_start(plan, composition.choices, notes)
            result = fit_until_done(plan, parts, data, processes)
            processes.end_run(result.exit_code)
            return result


def _settle_folder(plan: Plan, lock: RunLock, composition: Composition) -> list[str]:
    """Makes the folder this run's, now that everything is built: a mistake leaves an older run where it was.

    Returns: the lines to print at the start.
    """
    lock.verify()  # large images take minutes to be looked at
    notes = [lock.taken_over] if lock.taken_over else []
    notes += plan.notes
    with from_input():
        if plan.config.overwrite and plan.folder.in_use:
            aside = plan.folder.set_aside()
            lock.follow(aside)
            notes.append(f"the older run is now {aside}")
        write_config(plan.config, plan.folder)
        words = (
            composition.typed if composition.typed and not composition.swept else _words_of(composition, plan)
        )
        record_start(
            plan.folder,
            words,
            choices=composition.choices,
            resume=plan.config.resume,
            checkpoint=plan.checkpoint,
        )
        record_changes(plan.folder, plan.changes, plan.checkpoint)
        if plan.report is not None:
            write_report(plan.report, plan.folder)
            shares = {name: round(network.share, 4) for name, network in plan.report.networks.items()}
            record_transfer(plan.folder, plan.report.path, plan.report.sha256, shares)
    return notes + [f"{change.note()}, as allow_change says" for change in plan.changes]


def _words_of(composition: Composition, plan: Plan) -> list[str]:
    """The command line of a worker of this run: that of this run alone, also where it is one of a sweep."""
    config_dir = [] if composition.config_dir is None else ["--config-dir", composition.config_dir]
    name = [f"name={quote(plan.config.name)}"] if composition.swept else []
    return [*config_dir, *composition.words, *name]


def _explain(composition: Composition, complete: Completed) -> int:
    """`explain=true`: every value with its origin.  Returns: the exit code."""
    config, origins = complete.config, dict(complete.origins)
    if config.micro_batch == AUTO:
        micro_batch, origins["micro_batch"] = micro_batch_to_explain(config)
        config = with_values(config, {"micro_batch": micro_batch})
    from stylegan.training.memory_estimate import memory_line  # loads torch

    refuse_settings(config)
    values, course = course_to_explain(config)
    memory = memory_line(config)
    config = with_values(config, {key: value for key, (value, _) in values.items()})
    origins |= {key: origin for key, (_, origin) in values.items()}
    for line in explained(replace(composition, config=config), origins, memory=memory, course=course):
        say(line)
    if config.transfer.path is not None:
        for line in ("", *lines_to_explain(config)):
            say(line)
    refuse_lost_output()
    return 0


def _work(processes: RunProcesses, argv: Sequence[str] | None) -> int:
    """A worker's part of all runs of the command: it composes as rank 0 does, and prints nothing by itself.

    Returns: the exit code, which is rank 0's, or that of a signal to this process alone.
    """
    quiet_lightning()
    faults: list[str] = []
    codes: list[int] = []

    def task(_: Composition) -> Result:
        codes.append(_work_in_run(processes))
        return Result(codes[-1])

    try:
        code = run_command(
            "train",
            task,
            argv,
            program="stylegan-train",
            report=faults.append,
            implied=_groups_of_named_run,
        )
        if code > 128 and code not in codes:
            return code  # it leaves alone: only when it ends do the others notice
        return processes.close(code, fault=" ".join(faults) or None)
    except ProcessLostError:
        return EXIT_TRY_AGAIN  # rank 0 says so, if it is there
    except RuntimeError as error:
        if is_lost_connection(error):
            return EXIT_TRY_AGAIN
        raise


def _work_in_run(processes: RunProcesses) -> int:
    """A worker's share of one run.  Returns: the exit code of the run."""
    try:
        plan = Plan.from_message(processes.decide(dict))
        try:
            data = open_data_of_worker(plan)
            parts = build(plan.config)
        except Exception as error:
            # Any error: rank 0 waits for the answer, and ends the run with it.
            processes.agree(_in_one_line(error))
            raise
        processes.agree()
        return processes.end_run(fit_until_done(plan, parts, data, processes).exit_code)
    except RunEndedError as ended:
        return ended.exit_code
    except RunFolderLostError as lost:
        return processes.end_run(lost.exit_code)  # rank 0 says so


def _in_one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, ValueError | OSError) else explain(error)
    if text is None:
        traceback.print_exc()
    return " ".join((text or repr(error)).split())


if __name__ == "__main__":
    sys.exit(main())
