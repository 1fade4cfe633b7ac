"""Network files: which file `network=` means, and which run a file belongs to."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from stylegan.machine.files import expanded
from stylegan.runs.folder import RunFolder, checkpoints_in, images_of, newest_run, run_meant
from stylegan.runs.known_networks import is_known, known_network

WHAT_IS_A_NETWORK = (
    "a run folder, a .ckpt, a .safetensors, a .pkl or .pt of NVIDIA's programs, or ffhq256 and the like"
)
# Endings of networks of other programs, which hold all that they hold in one file.
PICKLES = (".pkl", ".pickle", ".pt", ".pth")
_FILES = (".ckpt", ".safetensors", *PICKLES)
# Snapshots are called so, `fakes_kimg0000012.800.png`.
_FAKES = "fakes_"
# In a folder with a model card: the network that images are drawn from.
_SHARED = "generator_ema.safetensors"


def network_file(path: str | Path) -> Path:
    """The file that a path means: the newest checkpoint of a run folder, the EMA generator of a folder with a model
    card, any other path itself.

    A folder that a system has unpacked from a `.pt` while it downloaded it counts for a file.

    The name of a published network, or an address of the web, means a file of the cache folder, fetched if needed.
    Raises: ValueError, after the path, where there is none.
    """
    if is_known(path):
        return known_network(path)
    path = Path(path)
    if path.is_dir():
        if (unpacked := _unpacked(path)) is not None:
            return unpacked
        try:
            newest = _run_at(path).newest_checkpoint()
        except OSError as error:
            raise ValueError(f"{path}: its checkpoints cannot be read ({error.strerror})") from error
        if newest is None and (path / _SHARED).is_file():
            return path / _SHARED
        if newest is None:
            raise ValueError(f"{path}: {_why_none(path)}")
        return newest
    if not path.exists():
        raise ValueError(f"{path}: there is no such file or folder; a network is {WHAT_IS_A_NETWORK}")
    return path


def _unpacked(folder: Path) -> Path | None:
    """The folder with `data.pkl`, which is this one or the only one in it."""
    if (folder / "data.pkl").is_file():
        return folder
    if RunFolder(folder).config.exists():
        return None
    inner = [place for place in folder.glob("*/data.pkl") if place.is_file()]
    return inner[0].parent if len(inner) == 1 else None


def _run_at(path: Path) -> RunFolder:
    """The run of a folder: the folder of its checkpoints is as good as its own."""
    run = RunFolder(path)
    return (
        RunFolder(path.parent) if path.name == run.checkpoints.name and not run.checkpoints.exists() else run
    )


def find_network(network: str | None, *, runs_dir: str, key: str = "network") -> Path:
    """The file that `network=` means.

    Args:
        network: a run folder or a file; None = the newest run in `runs_dir`.
        key: of the configuration that names it, for messages.
    Raises: ValueError where there is none.
    """
    if is_known(network):
        try:
            return known_network(network)
        except ValueError as error:
            raise ValueError(f"{key}={error}") from error
    path = newest_run(expanded(runs_dir, key="runs_dir")) if network is None else expanded(network, key=key)
    if path is None:
        raise ValueError(
            f"no run in {runs_dir} has a checkpoint yet: train first (python train.py), or set network=..."
        )
    runs = expanded(runs_dir, key="runs_dir")
    if not path.exists() and (runs / path).is_dir():
        meant = os.path.normpath(runs / path)
        raise ValueError(f"{key}={path}: there is no such file or folder; did you mean {key}={meant}?")
    try:
        return network_file(path)
    except ValueError as error:
        run = None if _is_or_holds_run(path) else run_meant(path, runs)
        raise ValueError(f"{key}={error}{f'; did you mean {key}={run}?' if run else ''}") from error


def _is_or_holds_run(path: Path) -> bool:
    """Whether a path without a network is that of a run or of a folder of runs, and not of something else."""
    return _run_at(path).config.exists() or newest_run(path) is not None


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


def networks_named(network: str | None) -> list[str | None]:
    """The networks that `network=` names, where it may name several: paths with commas between, and globs.

    A path that is there is meant as it is, also where it has such characters in its name. Each is named once.

    Raises: ValueError where a glob fits nothing.
    """
    if network is None or _is_there(network):
        return [network]
    inner = network[1:-1] if network.startswith("[") and network.endswith("]") else network
    named = [path for part in _parts(inner.split(",")) for path in _globbed(part)]
    once: dict[Path, str] = {}
    for path in named:
        once.setdefault(expanded(path, key="network").absolute(), path)
    return list(once.values())


def _is_there(path: str) -> bool:
    return expanded(path, key="network").exists()


def _parts(words: Sequence[str]) -> list[str]:
    """The words between commas, those put together again that are one path which is there."""
    found: list[str] = []
    while words:
        joined = [",".join(words[:count]).strip() for count in range(1, len(words) + 1)]
        count = max((place + 1 for place, path in enumerate(joined) if path and _is_there(path)), default=1)
        found += [joined[count - 1]] if joined[count - 1] else []
        words = words[count:]
    return found


def _globbed(path: str) -> list[str]:
    if is_known(path) or _is_there(path) or not glob.has_magic(path):
        return [path]
    fits = sorted(glob.glob(str(expanded(path, key="network"))))
    found = [fit for fit in fits if Path(fit).is_dir() or Path(fit).suffix in _FILES]
    if not found:
        raise ValueError(f"network={path}: no run or network is called so")
    return found


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
    run = None if network is None else RunFolder(expanded(network, key="network"))
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


def kept_of_run(network: Path, what: str) -> list[tuple[float, Path]]:
    """What the run that a network belongs to has kept over its training, oldest first, as (kimg, file).

    Args: what: "all" = its generators, "snapshots" = its pictures.
    Raises: ValueError where there is nothing.
    """
    run = folder_of(network)
    files = generators_of(network.parent) if what == "all" else snapshots_in(run.snapshots)
    if not files:
        lacks = "checkpoints" if what == "all" else "snapshots"
        raise ValueError(f"checkpoints={what}: {run.path} has no {lacks} of a run; name a run by network=...")
    return [(images_of(_of_checkpoint(path)) / 1000, path) for path in files]


def snapshots_in(folder: Path) -> list[Path]:
    """The pictures of fakes in a run's folder of snapshots, oldest first."""
    found = {}
    for path in folder.glob(f"{_FAKES}*.png"):
        try:
            found[images_of(_of_checkpoint(path))] = path
        except ValueError:
            pass  # a picture of the user's
    return [found[images] for images in sorted(found)]


def _of_checkpoint(path: Path) -> str:
    """The name of the checkpoint that a picture, or a generator, belongs to."""
    return path.stem.removeprefix(_FAKES) if path.suffix == ".png" else path.name
