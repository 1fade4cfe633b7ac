"""Network files: which file `network=` means, and which run a file belongs to."""

from pathlib import Path

from stylegan.runs.folder import RunFolder, checkpoints_in, images_of, newest_run


def network_file(path: str | Path) -> Path:
    """The file that a path means: the newest checkpoint of a run folder, any other path itself.

    Raises: ValueError, after the path, where there is none.
    """
    path = Path(path)
    if path.is_dir():
        run = RunFolder(path)
        if path.name == run.checkpoints.name and not run.checkpoints.exists():
            run = RunFolder(path.parent)  # the folder of the checkpoints is as good as the run's
        newest = run.newest_checkpoint()
        if newest is None:
            raise ValueError(f"{path}: {_why_none(path)}")
        return newest
    if not path.exists():
        raise ValueError(
            f"{path}: there is no such file or folder; a network is a run folder, a .ckpt or a .safetensors"
        )
    return path


def find_network(network: str | None, *, runs_dir: str) -> Path:
    """The file that `network=` means.

    Args:
        network: a run folder or a file; None = the newest run in `runs_dir`.
    Raises: ValueError where there is none.
    """
    path = newest_run(Path(runs_dir).expanduser()) if network is None else Path(network).expanduser()
    if path is None:
        raise ValueError(
            f"no run in {runs_dir} has a checkpoint yet: train first (python train.py), or set network=..."
        )
    run = Path(runs_dir).expanduser() / path
    if not path.exists() and run.is_dir():
        raise ValueError(f"network={path}: there is no such file or folder; did you mean network={run}?")
    try:
        return network_file(path)
    except ValueError as error:
        raise ValueError(f"network={error}") from error


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


def folder_of(network: Path) -> RunFolder:
    """The run that a file belongs to, or the folder of a lone file."""
    folder = network.absolute().parent
    run = RunFolder(folder.parent)
    return run if run.checkpoints == folder else RunFolder(network.parent)


def chosen_networks(network: str | None, *, runs_dir: str, checkpoints: str) -> list[Path]:
    """The files to score, oldest first.

    Args:
        network, runs_dir: as in `find_network`.
        checkpoints: of a run, "newest" or "all".
    Raises: ValueError where there is none.
    """
    run = None if network is None else RunFolder(Path(network).expanduser())
    kept = generators_of(run.checkpoints) if run else []
    if not kept:
        file = find_network(network, runs_dir=runs_dir)
        kept = generators_of(file.parent) if checkpoints == "all" or network is None else [file]
        if not kept:
            raise ValueError(
                f"checkpoints=all: {file.parent} has no checkpoints of a run; name a run by network=..."
            )
    return kept if checkpoints == "all" else kept[-1:]


def generators_of(folder: Path) -> list[Path]:
    """The generators of all checkpoints in a folder, oldest first; of each the small file, where there is one."""
    found = {}
    for suffix in (".ckpt", ".safetensors"):
        found |= {images_of(path): path for path in checkpoints_in(folder, suffix)}
    return [found[images] for images in sorted(found)]
