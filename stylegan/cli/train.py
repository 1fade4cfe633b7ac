"""`stylegan-train` and `python train.py`: from a command line to a trained run folder.

The order is that of what can go wrong: settings, data, players, and only then the folder is made. Everything
that does the work is named by a `_target_` in `conf/`.
"""

import logging
import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import call, instantiate
from omegaconf import DictConfig

from stylegan.cli.complete import complete, fill_label_width, refuse_other_run, write_config
from stylegan.cli.compose import Composition, run_command
from stylegan.cli.host import prepare_host
from stylegan.cli.mistakes import EXIT_INTERRUPTED, UserMistake, from_input, is_bad_picture
from stylegan.config import effective_group
from stylegan.run_folder import RunFolder, images_of

EXIT_TERMINATED = 128 + 15


def main(argv: Sequence[str] | None = None) -> int:
    """Trains as the command line says.  Returns: the exit code: 0 done, 2 user's mistake, 128 + signal."""
    prepare_host()
    return run_command("train", train, argv, program="stylegan-train")


def train(composition: Composition) -> int:
    """One run, from its configuration to its last checkpoint.  Returns: the exit code."""
    config = composition.config
    with from_input():
        folder = complete(composition)
        checkpoint = find_checkpoint(config.resume, folder)
        if checkpoint is not None:
            refuse_other_run(config, folder)
        if checkpoint is not None and _is_done(config, checkpoint):
            say(f"{folder.path} has reached total_kimg={config.total_kimg:g} already ({checkpoint.name})")
            _say_where_to_look(folder)
            return 0
        data = instantiate(config.data)
        data.setup("fit")
        fill_label_width(config, data.label_width)
    quiet_lightning()
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
    with from_input():
        write_config(config, folder)
    _say_start(composition, folder, data.num_items, checkpoint)
    return _fit(trainer, module, data, folder, checkpoint)


def find_checkpoint(resume: str, folder: RunFolder) -> Path | None:
    """The checkpoint that `resume` asks to go on from; None = begin.

    Args: resume: `auto`, `never`, or the path of a checkpoint or of a run folder.
    Raises: ValueError where the path leads to none, or where a beginning would be mixed with an older run.
    """
    newest = folder.newest_checkpoint()
    if resume == "auto":
        return newest
    if resume == "never":
        if newest is not None:
            raise ValueError(
                f"resume=never, but {folder.path} holds a run already ({newest.name}); set another name="
            )
        return None
    path = Path(resume)
    found = RunFolder(path).newest_checkpoint() if path.is_dir() else path
    if found is None or not found.exists():
        raise ValueError(f"resume={resume}: there is no such checkpoint, nor a run folder that holds one")
    if newest is not None and found.resolve().parent == newest.resolve().parent and found.name != newest.name:
        raise ValueError(
            f"resume={resume}: this run has {newest.name}, and two histories in one folder would be mixed;"
            " set another name= to branch off"
        )
    return found


def _is_done(config: DictConfig, checkpoint: Path) -> bool:
    try:
        seen = images_of(checkpoint)
    except ValueError:
        # A file that the user renamed; the module knows once it is loaded.
        return False
    return seen >= round(config.total_kimg * 1000)


def _instantiate_each(nodes: Mapping[str, Any], group: str) -> list[Any]:
    """The parts of a group, those that are null being switched off."""
    for key, node in nodes.items():
        if node is not None and "_target_" not in node:
            raise UserMistake(f"{group}.{key} has no _target_; the keys of {group} are {', '.join(nodes)}")
    return [instantiate(node) for node in nodes.values() if node is not None]


def _fit(trainer: Any, module: Any, data: Any, folder: RunFolder, checkpoint: Path | None) -> int:
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except Exception as error:
        if is_bad_picture(error):
            raise UserMistake(str(error).strip().splitlines()[-1]) from error
        # Before the loader exists nothing but the checkpoint was read; later it is a bug of ours.
        if checkpoint is not None and trainer.train_dataloader is None:
            raise UserMistake(_unusable(checkpoint, error)) from error
        raise
    except SystemExit:
        # So Lightning leaves after Ctrl-C (with code 1) and after SIGTERM (with code 0).
        if trainer.received_sigterm or trainer.interrupted:
            newest = folder.newest_checkpoint()
            rest = f"the same command goes on from {newest.name}" if newest else "there is no checkpoint yet"
            say(f"interrupted at kimg {module.kimg:.3f}; {rest}")
            return EXIT_TERMINATED if trainer.received_sigterm else EXIT_INTERRUPTED
        raise
    finally:
        if "wandb" in sys.modules:
            # Else the next job of a sweep would write into this job's run.
            sys.modules["wandb"].finish()
    say(f"done: kimg {module.kimg:.3f}")
    _say_where_to_look(folder)
    return 0


def _unusable(checkpoint: Path, error: Exception) -> str:
    reason = str(error).replace("Error(s) in loading state_dict", "it does not fit").splitlines()
    return (
        f"{checkpoint} cannot be continued from: {' '.join(reason[:2]) or type(error).__name__}; rename it to"
        f" {checkpoint.name}.bad, and the same command takes the one before it, or begins"
    )


def _say_start(composition: Composition, folder: RunFolder, num_items: int, checkpoint: Path | None) -> None:
    config, choices = composition.config, composition.choices
    say(f"run folder  {folder.path}")
    say(f"data        {choices['data']}: {num_items} images at {config.resolution}x{config.resolution}")
    say(
        f"preset      {choices.get('preset')}: batch {config.batch_size}, micro-batches of {config.micro_batch},"
        f" {config.total_kimg:g} kimg"
    )
    asked = config.discriminator.get("mbstd_group")
    group = asked and effective_group(config.micro_batch, asked)
    if group != asked:
        say(
            f"note        discriminator.mbstd_group: groups of {group}, not {asked}, to fit micro-batches of"
            f" {config.micro_batch}; the result is not quite that of other splits"
        )
    if config.ada.get("mode") == "fixed" and config.ada.get("p_init") == 0:
        say("note        ada.mode is fixed and ada.p_init 0: nothing is augmented")
    if checkpoint is not None:
        try:
            say(f"continuing from kimg {images_of(checkpoint) / 1000:.3f} ({checkpoint.name})")
        except ValueError:
            say(f"continuing from {checkpoint}")


def _say_where_to_look(folder: RunFolder) -> None:
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
        say(f"  {'next':<11} {program} {shlex.quote(f'network={folder.path}')} seeds=0-15")


def say(line: str) -> None:
    """Prints at once: into a log file, too, where Python would keep it back."""
    print(line, flush=True)


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
