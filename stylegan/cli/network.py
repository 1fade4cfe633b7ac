"""Which network a command is about, and what the commands that take one refuse alike."""

from collections.abc import Collection, Iterator
from pathlib import Path

from omegaconf import DictConfig

from stylegan.cli.arguments import mistyped, shown
from stylegan.cli.nearest import nearest_key
from stylegan.run_folder import RunFolder, newest_run


def nonsense_in(config: DictConfig, keys: Collection[str], *, later: Collection[str] = ()) -> Iterator[str]:
    """What is wrong with the values of a command that takes `network` and `runs_dir`, one line a fault.

    Args: keys: that there are; `+key=value` adds any key, the misspelt too. later: as in `mistyped`.
    """
    for key in config:
        if key not in keys:
            yield f"there is no key {key}" + nearest_key(key, keys)
    if not isinstance(config.runs_dir, str) or config.runs_dir == "":
        yield f"runs_dir must be a folder, got {shown(config.runs_dir)}; leave it out for runs in `runs`"
    if config.network == "":
        yield "network is empty; leave it out for the newest run"
    yield from mistyped(config, later=later)


def find_network(network: str | None, *, runs_dir: str) -> Path:
    """The file that holds the network: the newest checkpoint of a run, or the file that is named.

    Args: network: a run folder or a file; None = the newest run in `runs_dir`.
    Raises: ValueError where there is none.
    """
    path = newest_run(Path(runs_dir).expanduser()) if network is None else Path(network).expanduser()
    if path is None:
        raise ValueError(
            f"no run in {runs_dir} has a checkpoint yet: train first (python train.py), or say network=..."
        )
    if path.is_dir():
        run = RunFolder(path)
        if path.name == run.checkpoints.name and not run.checkpoints.exists():
            run = RunFolder(path.parent)  # the folder of the checkpoints is as good as the run's
        newest = run.newest_checkpoint()
        if newest is None:
            raise ValueError(f"network={path}: {_why_none(path)}")
        return newest
    if not path.exists():
        run = Path(runs_dir).expanduser() / path
        hint = f"did you mean network={run}?" if run.is_dir() else "a run folder, a .ckpt or a .safetensors"
        raise ValueError(f"network={path}: there is no such file or folder; {hint}")
    return path


def _why_none(path: Path) -> str:
    """Why a folder has no network to give, and what has one."""
    if (run := newest_run(path)) is not None:
        return f"this is a folder of runs; the newest with a checkpoint is network={run}"
    if RunFolder(path).config.exists():
        return (
            "this run has saved no checkpoint yet; it saves every callbacks.checkpoint.every_kimg, and where it is"
            " stopped with Ctrl-C"
        )
    return f"it is no run folder, for there is no {RunFolder(path).checkpoints}/kimg*.ckpt; name a run, or a file"
