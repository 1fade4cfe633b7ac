"""Network files: which file `network=` means."""

from pathlib import Path

from stylegan.runs.folder import RunFolder, newest_run


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
    return (
        f"it is not a run folder: there is no {RunFolder(path).checkpoints}/kimg*.ckpt; name a run, or a file"
    )
