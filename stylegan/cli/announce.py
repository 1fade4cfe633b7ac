"""What the train command says before and after the training itself."""

import glob
import logging
import os
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stylegan.configuration.batches import effective_group
from stylegan.errors import TrainingUnstableError
from stylegan.machine.console import say
from stylegan.machine.text import counted, printable
from stylegan.runs.folder import RunFolder, checkpoint_name, images_of
from stylegan.runs.resume import stored_config
from stylegan.sizes import parse_size, size_text

if TYPE_CHECKING:  # the plan measures memory, and says so with `say`
    from stylegan.cli.command import Result
    from stylegan.cli.plan import Plan


def say_start(plan: "Plan", choices: Mapping[str, str | None], notes: Iterable[str]) -> None:
    """Which run, on what, how, and what the user should know about it."""
    from stylegan.training.memory_estimate import memory_line  # loads torch

    config, checkpoint = plan.config, plan.checkpoint
    say(f"run folder  {plan.folder.path}")
    size, channels = size_text(parse_size(config.resolution)), channels_text(config.data.get("channels"))
    say(f"data        {choices['data']}: {counted(plan.num_items, 'image')} at {size}{channels}")
    say(
        f"preset      {choices.get('preset')}: batch {config.batch_size}, micro-batches of {config.micro_batch},"
        f" {config.total_kimg:g} kimg"
    )
    say(f"memory      {memory_line(config)}")
    for note in (*notes, *_notes_on_settings(config)):
        say(f"note        {note}")
    if checkpoint is not None:
        try:
            say(f"continuing from kimg {images_of(checkpoint) / 1000:.3f} ({checkpoint.name})")
        except ValueError:
            say(f"continuing from {checkpoint}")


def channels_text(channels: Any) -> str:
    """What the channels of the data are, after a comma; "" where the data module has no such option."""
    names = {1: "grey", 2: "grey and alpha", 3: "RGB", 4: "RGB and alpha"}
    return "" if channels is None else f", {names.get(channels, f'{channels} channels')}"


def _notes_on_settings(config: DictConfig) -> Iterator[str]:
    asked = config.discriminator.get("mbstd_group")
    group = asked and effective_group(config.micro_batch, asked)
    if group != asked:
        yield (
            f"discriminator.mbstd_group is {group}, not {asked}, to fit micro-batches of {config.micro_batch};"
            " another split of the batch would give a slightly different result"
        )
    if config.ada.get("mode") == "fixed" and config.ada.get("p_init") == 0:
        yield "nothing is augmented: ada.mode is fixed and ada.p_init is 0"


def lines_about_instability(
    error: TrainingUnstableError, kimg: float, checkpoint: Path | None, rollbacks: int
) -> Iterator[str]:
    """What a run that has become unstable does next."""
    yield f"unstable    at kimg {kimg:.3f}: {error.reason}"
    if rollbacks <= error.max_rollbacks:
        place = f"continuing from {checkpoint.name}" if checkpoint else "beginning again"
        yield f"unstable    {place} with other random numbers (time {rollbacks} of {error.max_rollbacks})"
        return
    yield (
        "unstable    given up; what helps: a larger loss.r1_gamma, lower optim.generator_lr and"
        " optim.discriminator_lr, a weaker augpipe. Set one of them with 'allow_change=[loss,optim,augpipe]', and the"
        " run continues from its newest checkpoint"
    )


def say_interrupted(module: Any, folder: RunFolder, *, resume: str) -> None:
    """Where a run that was asked to leave continues."""
    newest = folder.newest_checkpoint()
    command = "the command with resume=auto" if resume == "never" else "the same command"
    rest = f"{command} continues from {newest.name}" if newest else "there is no checkpoint yet"
    say(f"interrupted at kimg {module.kimg:.3f}; {rest}")


def say_finished_already(folder: RunFolder, checkpoint: Path, total_kimg: float) -> None:
    say(
        f"{folder.path} has reached total_kimg={total_kimg:g} already ({checkpoint.name}); a larger total_kimg"
        " continues from there"
    )
    say_where_to_look(folder)


def say_where_to_look(folder: RunFolder) -> None:
    """The files that a run leaves, and the command that draws from it."""
    program = _beside_this_one("generate")
    newest = folder.newest_checkpoint()
    report = folder.path / "report.html"
    grids = sorted(folder.snapshots.glob("fakes_*.png"))
    for title, path in {
        "pictures": grids[-1] if grids else None,
        "checkpoint": newest,
        "report": report if report.exists() else None,
        "statistics": folder.stats_csv if folder.stats_csv.exists() else None,
    }.items():
        if path is not None:
            say(f"  {title:<11} {path}")
    for line in _lines_about_scores(folder):
        say(line)
    if newest is not None:
        words = [f"network={folder.path}", "seeds=0-15", *_label_of(folder)]
        say(f"  {'next':<11} {program} {' '.join(map(shlex.quote, words))}")


def say_scores_of_sweep(results: Sequence["Result"]) -> None:
    """The best scores that the runs of a sweep have recorded, in one table; or the way to some."""
    from stylegan.evaluation.comparison import best_recorded, table  # loads torch

    folders = list(dict.fromkeys(result.folder for result in results if result.folder is not None))
    lines = table(entry for folder in folders for entry in best_recorded(folder))
    lines = lines or list(_lines_without_scores(results, folders))
    for line in ["", *lines] if lines else []:
        say(line)


def _lines_without_scores(results: Sequence["Result"], folders: Sequence[Path]) -> Iterator[str]:
    trained = [folder for folder in folders if RunFolder(folder).newest_checkpoint() is not None]
    if not trained:
        return
    why = ""
    asked = {_asked_for_scores(RunFolder(folder)) for folder in trained}
    if asked == {False}:
        why = ": none were asked for"
    elif asked == {True} and not any(result.exit_code for result in results):
        why = ": the runs were too short for one"
    word = shlex.quote(f"network={_named_together(trained)}")
    yield f"no scores to compare{why}; {_beside_this_one('evaluate')} {word} gives them"


def _asked_for_scores(folder: RunFolder) -> bool | None:
    """Whether its settings name metrics; None = they cannot be read."""
    with suppress(ValueError):
        metrics = (stored_config(folder).get("callbacks") or {}).get("metrics") or {}
        return metrics.get("names") not in (None, "none")
    return None


def _named_together(folders: Sequence[Path]) -> str:
    """The runs as `network=` takes them: a glob, or with commas where it would fit others, too."""
    from stylegan.evaluation.comparison import short_path  # loads torch

    paths = [short_path(folder) for folder in folders]
    pattern = f"{glob.escape(os.path.commonprefix(paths))}*"
    if set(glob.glob(pattern)) == set(paths) or any("," in path for path in paths):
        return pattern
    return ",".join(paths)


def _beside_this_one(name: str) -> str:
    """Another of our programs as a shell takes it here, with a Python that has the packages."""
    script = Path(sys.argv[0])
    if script.name != "train.py":
        return f"stylegan-{name}"
    python = Path(sys.executable)
    found = shutil.which("python")
    if found is not None and Path(found).absolute() == python.absolute():
        return f"python {shlex.quote(str(script.with_name(f'{name}.py')))}"
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    return f"{shlex.quote(str(python))} {shlex.quote(str(script.with_name(f'{name}.py')))}"


def _lines_about_scores(folder: RunFolder) -> Iterator[str]:
    """The best of each score that a run has, with its checkpoint; or that the run was too short for any."""
    from stylegan.evaluation.comparison import best_recorded  # loads torch

    best = best_recorded(folder.path)
    names = [entry.result for entry in best]
    for entry in best:
        path = folder.checkpoints / f"{checkpoint_name(round(entry.kimg * 1000))}.ckpt"
        place = f": {path}" if path.exists() else ""
        # Each protocol has a best of its own, as in the table of a sweep.
        under = f" (protocol {entry.group[1]})" if names.count(entry.result) > 1 else ""
        yield f"  {'best':<11} {printable(entry.result)}{under} {entry.value:.4g} at kimg {entry.kimg:.3f}{place}"
    if best:
        return
    program = _beside_this_one("evaluate")
    with suppress(ValueError):
        metrics = (stored_config(folder).get("callbacks") or {}).get("metrics") or {}
        if metrics.get("names") not in (None, "none") and metrics.get("every_kimg") is not None:
            yield (
                f"  {'score':<11} none: the run was too short for one (callbacks.metrics.every_kimg is"
                f" {metrics['every_kimg']:g}); {program} network={folder.path} gives one"
            )


def _label_of(folder: RunFolder) -> Iterator[str]:
    """The word that a network with labels asks for, with its first class."""
    with suppress(ValueError):  # that file may be unreadable by now: the training is done
        generator = stored_config(folder).get("generator") or {}
        if generator.get("c_dim"):
            names = generator.get("label_names") or ()
            yield f"label={names[0] if names else 0}"


def quiet_lightning() -> None:
    """Silences what Lightning says to its own users, not to ours. The only place that does so."""
    # "GPU available", "litlogger" and other tips; warnings still come.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # our own default is the right one for small pictures
        ".*Checkpoint directory .* exists and is not empty.*",  # a resumed run
        ".*in eval mode at the start of training.*",  # the average generator, which never trains
        ".*isinstance.treespec, LeafSpec.. is deprecated.*",  # between Lightning and torch
    ):
        warnings.filterwarnings("ignore", message=message)
