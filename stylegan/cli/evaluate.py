"""`stylegan-evaluate`: finds networks and pictures, and lets `stylegan.evaluation` score the one against the other.

torchrun or Slurm may start several processes; each composes the same command line, and the first one speaks.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from stylegan.cli.compose import Composition, keys_of, run_command
from stylegan.cli.host import prepare_host
from stylegan.cli.mistakes import EXIT_TRY_AGAIN, UserMistake, from_input
from stylegan.cli.network import find_network, nonsense_in
from stylegan.cli.runs import stored_config
from stylegan.processes import this_process
from stylegan.run_folder import RunFolder, checkpoints_in, images_of

CHECKPOINTS = ("newest", "all")


def main(argv: Sequence[str] | None = None) -> int:
    """Scores as the command line says.

    Returns: the exit code: 0 done, 2 user's mistake, 75 scores that could not be written, 128 + signal.
    """
    prepare_host()
    return run_command("evaluate", evaluate, argv, program="stylegan-evaluate")


def evaluate(composition: Composition) -> int:
    """Scores one network, or all that a run has kept.  Returns: the exit code.  Raises: UserMistake."""
    config = composition.config
    _refuse_nonsense(config, composition.choices.get("data"))
    with from_input():
        networks = chosen_networks(config.network, runs_dir=config.runs_dir, checkpoints=config.checkpoints)
        folder = folder_of(networks[0])
        evaluation = instantiate(config.evaluation)(
            networks=networks,
            folder=Path(config.out) if config.out else folder.path,
            process=this_process(),
            run=folder,
            learned_from=_learned_from(folder),
        )
        evaluation.run(_open_data(config, folder, evaluation.load(networks[0])))
    return EXIT_TRY_AGAIN if evaluation.unrecorded else 0


def folder_of(network: Path) -> RunFolder:
    """The run that a file belongs to, or the folder of a lone file."""
    folder = network.absolute().parent
    run = RunFolder(folder.parent)
    return run if run.checkpoints == folder else RunFolder(network.parent)


def chosen_networks(network: str | None, *, runs_dir: str, checkpoints: str) -> list[Path]:
    """The files to score, oldest first. Args: checkpoints: of a run, "newest" or "all".

    Raises: ValueError where there is none.
    """
    run = None if network is None else RunFolder(network)
    kept = generators_of(run.checkpoints) if run else []
    if not kept:
        file = find_network(network, runs_dir=runs_dir)
        kept = generators_of(file.parent) if checkpoints == "all" or network is None else [file]
        if not kept:
            raise ValueError(f"checkpoints=all: {file.parent} has none of a run; name a run by network=...")
    return kept if checkpoints == "all" else kept[-1:]


def generators_of(folder: Path) -> list[Path]:
    """The generators of all checkpoints in a folder, oldest first; of each the small file, where there is one."""
    found = {}
    for suffix in (".ckpt", ".safetensors"):
        found |= {images_of(path): path for path in checkpoints_in(folder, suffix)}
    return [found[images] for images in sorted(found)]


def _learned_from(folder: RunFolder) -> str | None:
    """Fingerprint of the pictures that a run was trained on, None where nothing tells."""
    with suppress(ValueError):  # a lone file may lie beside a config.yaml of anything
        return stored_config(folder).get("data_fingerprint")
    return None


def _open_data(config: DictConfig, folder: RunFolder, generator: Any) -> Any:
    """The data module of the command line's, or of the run's."""
    chosen = config.get("data")
    if chosen:
        config.resolution = list(generator.size) if config.resolution is None else config.resolution
        node = chosen
    else:
        stored = OmegaConf.create(stored_config(folder))
        if "data" not in stored:
            raise ValueError(
                f"{folder.path} does not tell what pictures it was trained on; say which: data=folder data.path=..."
            )
        node = stored.data
        # A data module of the user's own need not know of these.
        node.update({key: value for key, value in (("cache", False), ("workers", 0)) if key in node})
    data = instantiate(node, _convert_="all")
    try:
        data.setup("fit")
    except ValueError as error:
        if chosen:
            raise
        raise ValueError(
            f"{error} (the pictures of the run; name others by data=folder data.path=...)"
        ) from error
    return data


def _refuse_nonsense(config: DictConfig, data: str | None) -> None:
    """Raises: UserMistake, one line a fault."""
    keys = keys_of("evaluate", [f"data={data}"] if data else [])
    faults = list(nonsense_in(config, keys, later={"resolution"}))
    if config.checkpoints not in CHECKPOINTS:
        faults.append(f"checkpoints={config.checkpoints}: it must be newest or all")
    if faults:
        raise UserMistake("\n".join(faults))


if __name__ == "__main__":
    sys.exit(main())
