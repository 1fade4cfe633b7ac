"""What the train command says before and after the training itself."""

import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from stylegan.configuration.batches import effective_group
from stylegan.configuration.compose import Composition
from stylegan.runs.folder import RunFolder, images_of
from stylegan.runs.resume import stored_config
from stylegan.sizes import parse_size, size_text


def say(line: str) -> None:
    """Prints at once: into a log file, too, where Python would keep it back."""
    print(line, flush=True)


def say_start(
    composition: Composition,
    folder: RunFolder,
    *,
    num_items: int,
    notes: Iterable[str],
    checkpoint: Path | None,
) -> None:
    """Which run, on what, how, and what is to be known about it."""
    from stylegan.training.memory_estimate import memory_line  # loads torch

    config, choices = composition.config, composition.choices
    say(f"run folder  {folder.path}")
    say(f"data        {choices['data']}: {num_items} images at {size_text(parse_size(config.resolution))}")
    say(
        f"preset      {choices.get('preset')}: batch {config.batch_size}, micro-batches of {config.micro_batch},"
        f" {config.total_kimg:g} kimg"
    )
    say(f"memory      {memory_line(config)}")
    for note in (*notes, *_notes_on_settings(composition)):
        say(f"note        {note}")
    if checkpoint is not None:
        try:
            say(f"continuing from kimg {images_of(checkpoint) / 1000:.3f} ({checkpoint.name})")
        except ValueError:
            say(f"continuing from {checkpoint}")


def _notes_on_settings(composition: Composition) -> Iterator[str]:
    config = composition.config
    asked = config.discriminator.get("mbstd_group")
    group = asked and effective_group(config.micro_batch, asked)
    if group != asked:
        yield (
            f"discriminator.mbstd_group: groups of {group}, not {asked}, to fit micro-batches of"
            f" {config.micro_batch}; the result is not quite that of other splits"
        )
    if config.ada.get("mode") == "fixed" and config.ada.get("p_init") == 0:
        yield "ada.mode is fixed and ada.p_init 0: nothing is augmented"


def told_of_trouble(error: Any, kimg: float, checkpoint: Path | None, rollbacks: int) -> Iterator[str]:
    """What a run that has gone bad does next. Args: error: has `reason` and `max_rollbacks`."""
    yield f"trouble     at kimg {kimg:.3f}: {error.reason}"
    if rollbacks <= error.max_rollbacks:
        place = f"on from {checkpoint.name}" if checkpoint else "from the beginning"
        yield f"trouble     {place} with other random numbers (time {rollbacks} of {error.max_rollbacks})"
        return
    yield (
        "trouble     given up; what helps: a larger loss.r1_gamma, lower optim.generator_lr and"
        " optim.discriminator_lr, a weaker augpipe. Set one of them with allow_change=[loss,optim,augpipe], and the"
        " run goes on from its newest checkpoint"
    )


def say_finished_already(folder: RunFolder, checkpoint: Path, total_kimg: float) -> None:
    say(
        f"{folder.path} has reached total_kimg={total_kimg:g} already ({checkpoint.name}); a larger total_kimg"
        " goes on from there"
    )
    say_where_to_look(folder)


def say_where_to_look(folder: RunFolder) -> None:
    """The files that a run leaves, and the command that draws from it."""
    program = "python generate.py" if Path(sys.argv[0]).name == "train.py" else "stylegan-generate"
    newest = folder.newest_checkpoint()
    grids = sorted(folder.snapshots.glob("fakes_*.png"))
    for title, path in {
        "pictures": grids[-1] if grids else None,
        "checkpoint": newest,
        "statistics": folder.stats_csv if folder.stats_csv.exists() else None,
    }.items():
        if path is not None:
            say(f"  {title:<11} {path}")
    if newest is not None:
        words = [f"network={folder.path}", "seeds=0-15", *_label_of(folder)]
        say(f"  {'next':<11} {program} {' '.join(map(shlex.quote, words))}")


def _label_of(folder: RunFolder) -> Iterator[str]:
    """The word that a network with labels asks for, with its first class."""
    with suppress(ValueError):  # whatever became of that file: the training is done
        generator = stored_config(folder).get("generator") or {}
        if generator.get("c_dim"):
            names = generator.get("label_names") or ()
            yield f"label={names[0] if names else 0}"
