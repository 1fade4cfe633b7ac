"""`stylegan-evaluate`: finds networks and pictures, and lets `stylegan.evaluation` score the one against the other.

torchrun or Slurm may start several processes; each composes the same command line, and the first one prints.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from stylegan.cli.command import Result, exit_code_of, run_command
from stylegan.cli.generate import fetched, is_on_hub
from stylegan.configuration.complete import with_values
from stylegan.configuration.compose import Composition, composed, keys_of
from stylegan.configuration.hydra_errors import from_input, instantiate_part
from stylegan.configuration.suggestions import options_of
from stylegan.configuration.user_code import nonsense_in
from stylegan.distributed.processes import this_process
from stylegan.errors import EXIT_TRY_AGAIN, UserError
from stylegan.machine.console import say, say_error, surviving_lost_output
from stylegan.machine.files import expanded
from stylegan.machine.process import leaving_at_once, prepare_host
from stylegan.runs.folder import RunFolder
from stylegan.runs.known_networks import is_cached
from stylegan.runs.network_files import chosen_networks, folder_of, networks_named
from stylegan.runs.records import escaped
from stylegan.runs.resume import stored_config

if TYPE_CHECKING:  # loads torch
    from stylegan.evaluation.comparison import Entry

CHECKPOINTS = ("newest", "all")
# Of a run's data: images are read once here, by this process.
_READ_ONCE = {"cache": False, "workers": 0}


def main(argv: Sequence[str] | None = None) -> int:
    """Scores as the command line says.

    Returns: the exit code: 0 done, 2 user's mistake, 75 scores that could not be written, 128 + signal.
    """
    prepare_host()
    with leaving_at_once(), surviving_lost_output():
        return run_command("evaluate", evaluate, argv, program="stylegan-evaluate")


def evaluate(composition: Composition) -> Result:
    """Scores one network, all that a run has kept, or those of several runs, which it compares.  Raises: UserError."""
    config = composition.config
    _refuse_nonsense(composition)
    with from_input():
        this_process()  # raises where the surroundings contradict each other
        named = networks_named(config.network)
    if len(named) == 1:
        return Result(_evaluate_run(config, named[0], [], resume_scores=False))
    if config.report and config.out:
        raise UserError(f"report=true out={config.out}: each run has a report of its own; leave out= away")
    return Result(_evaluate_runs(config, named))


def _evaluate_runs(config: DictConfig, named: Sequence[str | None]) -> int:
    """Several runs, one after the other, and a table of their scores.

    Returns: the exit code: one that cannot be scored costs none of the others, and its code is the command's.
    """
    from stylegan.evaluation.comparison import table  # loads torch

    entries: list[Entry] = []
    codes = []
    for number, name in enumerate(named):
        if this_process().rank == 0:
            say(f"network     {name} ({number + 1} of {len(named)})")
        work = partial(_evaluate_run, config, name, entries, resume_scores=True)
        codes.append(exit_code_of(work, program="stylegan-evaluate"))
        if codes[-1] > 128:
            return codes[-1]  # a signal is meant for the command
    if this_process().rank == 0:
        for line in ["", *table(entries)]:
            say(line)
        if failed := [str(name) for name, code in zip(named, codes, strict=True) if code]:
            verb = "was" if len(failed) == 1 else "were"
            say_error(
                f"stylegan-evaluate: {len(failed)} of {len(named)} {verb} not scored: {', '.join(failed)}"
            )
    return next((code for code in codes if code), 0)


def _evaluate_run(
    config: DictConfig, network: str | None, entries: "list[Entry]", *, resume_scores: bool
) -> int:
    """Scores one run. Args: entries: gets its scores.  Returns: the exit code.  Raises: UserError."""
    from stylegan.evaluation.comparison import entries_of, short_path  # loads torch

    with from_input():
        if is_on_hub(network) and not config.out:
            raise ValueError(f"network={network}: say by out=... into which folder its scores go")
        networks = chosen_networks(fetched(network), runs_dir=config.runs_dir, checkpoints=config.checkpoints)
        folder = folder_of(networks[0])
        results = Path() if is_cached(networks[0]) else folder.path
        evaluation = instantiate_part(config, "evaluation")(
            networks=networks,
            folder=expanded(config.out, key="out") if config.out else results,
            process=this_process(),
            run=folder,
            learned_from=_learned_from(folder),
            resume_scores=resume_scores,
        )
        try:
            evaluation.run(_open_data(config, folder, evaluation.load(networks[0])))
        finally:
            for one, score in evaluation.found:
                kimg = None if one.images is None else one.images / 1000
                place = folder.path if one.images is not None else one.path
                entries += entries_of(score.results, score.protocol, kimg=kimg, place=short_path(place))
    return EXIT_TRY_AGAIN if evaluation.unrecorded else 0


def _learned_from(folder: RunFolder) -> str | None:
    """Fingerprint of the pictures that a run was trained on, None where nothing says so."""
    with suppress(ValueError):  # a lone file may be next to a config.yaml of anything
        return stored_config(folder).get("data_fingerprint")
    return None


def _open_data(config: DictConfig, folder: RunFolder, generator: Any) -> Any:
    """The data module of the command line's, or of the run's."""
    chosen = config.get("data")
    if chosen:
        size = list(generator.size) if config.resolution is None else config.resolution
        config = with_values(config, {"resolution": size})
    else:
        stored = _stored_data(folder)
        node = with_values(stored, {key: off for key, off in _READ_ONCE.items() if key in stored})
        config = OmegaConf.create({"data": node})
    data = instantiate_part(config, "data", _convert_="all")
    try:
        data.setup("fit")
    except ValueError as error:
        if chosen:
            raise
        raise ValueError(
            f"{error} (the pictures of the run; name others by data=folder data.path=...)"
        ) from error
    return data


def _stored_data(folder: RunFolder) -> DictConfig:
    """The data section that a run was trained with, safe to be built.

    A run's folder may be a stranger's, and a `_target_` can name anything that Python can call: it must be a data
    module of ours. A package's name alone would not do, for `datamodules.prepare.os.system` is in there, too.

    Raises: ValueError where there is none, or where it names anything else.
    """
    stored = stored_config(folder)
    say_which = "say which pictures to compare with: data=folder data.path=..."
    if not isinstance(stored.get("data"), dict):
        raise ValueError(f"{folder.path} does not say what pictures it was trained on; {say_which}")
    # What is checked and what is built are the same: nothing is looked up, here or in the environment.
    node = OmegaConf.create(escaped(stored["data"]))
    ours = [composed("evaluate", [f"data={option}"]).config.data._target_ for option in options_of("data")]
    targets = list(_targets_in(OmegaConf.to_container(node)))
    if len(targets) != 1 or node.get("_target_") not in ours:
        raise ValueError(
            f"{folder.config}: data names {', '.join(map(str, targets)) or 'no _target_'}; of what a run's folder names"
            f" only {' or '.join(ours)} is built; {say_which}, or for a data module of your own data=<its file> with"
            " --config-dir"
        )
    return node


def _targets_in(tree: Any) -> Iterator[Any]:
    """What every `_target_` in a tree of mappings and lists names, at any depth."""
    if isinstance(tree, Mapping):
        yield from (tree[key] for key in tree if key == "_target_")
    values = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list) else ()
    for value in values:
        yield from _targets_in(value)


def _refuse_nonsense(composition: Composition) -> None:
    """Raises: UserError, one line a fault."""
    config, data = composition.config, composition.choices.get("data")
    # A kind of data of the user's own is where --config-dir says.
    places = [word for word in composition.overrides if word.startswith("hydra.searchpath=")]
    keys = keys_of("evaluate", [*places, f"data={data}"] if data else [])
    faults = list(nonsense_in(config, keys, later={"resolution"}))
    if config.checkpoints not in CHECKPOINTS:
        faults.append(f"checkpoints={config.checkpoints}: it must be newest or all")
    if faults:
        raise UserError("\n".join(faults))


if __name__ == "__main__":
    sys.exit(main())
