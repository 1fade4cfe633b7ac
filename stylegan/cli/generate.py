"""`stylegan-generate` and `python generate.py`: finds the network and the place for the pictures.

All that draws is named by a `_target_` in `conf/task/`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from stylegan.cli.arguments import mistyped, shown
from stylegan.cli.compose import Composition, keys_of, run_command
from stylegan.cli.host import prepare_host
from stylegan.cli.mistakes import UserMistake, from_input
from stylegan.cli.nearest import nearest_key
from stylegan.run_folder import RunFolder, images_of, newest_run
from stylegan.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Draws as the command line says.  Returns: the exit code: 0 done, 2 user's mistake, 128 + signal."""
    prepare_host()
    return run_command("generate", generate, argv, program="stylegan-generate")


def generate(composition: Composition) -> int:
    """Runs the chosen task on one network.  Returns: the exit code.  Raises: UserMistake."""
    config = composition.config
    _refuse_nonsense(config)
    with from_input():
        network = find_network(config.network, runs_dir=config.runs_dir)
        out = default_out(network) if config.out is None else Path(config.out)
        out = out / folder_of_job(composition.swept)
        print(f"network: {network}", flush=True)
        # By Python, not by interpolation: a path that holds `${` would be looked up a second time.
        task = instantiate(config.task)(
            network=network,
            out=out,
            seeds=config.seeds,
            label=config.label,
            provenance=provenance_of(network),
        )
    try:
        task.run()
    except OSError as error:
        raise UserMistake(
            f"the pictures cannot be written: {error}; set out=... for another folder"
        ) from error
    return 0


def _refuse_nonsense(config: DictConfig) -> None:
    """Raises: UserMistake, one line a fault. `+key=value` adds any key, the misspelt too."""
    known = keys_of("generate")
    faults = [f"there is no key {key}" + nearest_key(key, known) for key in config if key not in known]
    if not isinstance(config.runs_dir, str) or config.runs_dir == "":
        faults.append(
            f"runs_dir must be a folder, got {shown(config.runs_dir)}; leave it out for runs in `runs`"
        )
    if config.network == "":
        faults.append("network is empty; leave it out for the newest run")
    faults += mistyped(config)
    if faults:
        raise UserMistake("\n".join(faults))


def find_network(network: str | None, *, runs_dir: str) -> Path:
    """The file that holds the network: the newest checkpoint of a run, or the file that is named.

    Args: network: a run folder or a file; None = the newest run in `runs_dir`.
    Raises: ValueError where there is none.
    """
    path = newest_run(runs_dir) if network is None else Path(network)
    if path is None:
        raise ValueError(
            f"no run in {runs_dir} has a checkpoint yet: train first (python train.py), or say network=..."
        )
    if path.is_dir():
        newest = RunFolder(path).newest_checkpoint()
        if newest is None:
            raise ValueError(f"network={path}: there is no .ckpt in {RunFolder(path).checkpoints}")
        return newest
    if not path.exists():
        run = Path(runs_dir) / path
        hint = f"did you mean network={run}?" if run.is_dir() else "a run folder, a .ckpt or a .safetensors"
        raise ValueError(f"network={path}: there is no such file or folder; {hint}")
    return path


def default_out(network: Path) -> Path:
    """`generated` in the run that a file belongs to, or beside a lone file."""
    # A relative path is kept where it leads through the run's folder: it is the shorter one to print.
    folder = network.parent if network.parent.name not in ("", "..") else network.absolute().parent.resolve()
    run = RunFolder(folder.parent)
    in_run = run.checkpoints == folder and run.config.exists()
    return run.generated if in_run else network.parent / "generated"


def folder_of_job(swept: Mapping[str, str]) -> str:
    """A folder for each job of a sweep, as in `truncation=0.5`; empty without a sweep.

    Files are named by their seeds alone, so each job would replace the pictures of the one before.
    """
    told = [f"{key}={value}" for key, value in swept.items() if key != "out"]
    return ",".join(told).replace("/", "_")


def provenance_of(network: Path) -> dict[str, str]:
    """What a picture tells of its origin: the file, its kimg where the name has it, and our version."""
    provenance = {"network": network.name, "version": __version__}
    try:
        provenance["kimg"] = f"{images_of(network) / 1000:.3f}"
    except ValueError:
        pass  # A file that was given another name does not tell how long it was trained.
    return provenance
