"""Where a run keeps its files, and the names of checkpoints.

A run is one folder, `runs_dir/name/`. A checkpoint's name holds the images it has seen, so the newest one is
found by name alone: copying a folder changes the times of its files, never their names."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from stylegan.machine.files import nearest_place

LOCK = "run.lock"
# With the endings of what is written under one name. A name that continues otherwise is a user's own copy.
_CHECKPOINT = re.compile(r"kimg(\d{7,})\.(\d{3})(\.ckpt|\.safetensors)?")


class RunFolder:
    """The paths of one run; knows names, and makes nothing.

    Args: path: the folder `runs_dir/name`, which need not exist yet.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    @property
    def generated(self) -> Path:
        return self.path / "generated"

    @property
    def stats_jsonl(self) -> Path:
        return self.path / "stats.jsonl"

    @property
    def stats_csv(self) -> Path:
        return self.path / "stats.csv"

    @property
    def events(self) -> Path:
        """What happened besides training, one JSON line each."""
        return self.path / "events.jsonl"

    @property
    def transfer_json(self) -> Path:
        """What a run that began by a transfer took from where: the whole table."""
        return self.path / "transfer.json"

    @property
    def transfer_text(self) -> Path:
        """The same, to read."""
        return self.path / "transfer.txt"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def in_use(self) -> bool:
        """Whether there is anything in it, but for the lock of the caller, and for hidden files.

        These are what a kill left of a lock or of a setting, or the system's own, as `.DS_Store`.
        """
        if not self.path.is_dir():
            return False
        return any(path.name != LOCK and not path.name.startswith(".") for path in self.path.iterdir())

    def set_aside(self) -> Path:
        """Moves the folder to `<name>.old-1` next to it, or the next number that is free.  Returns: the new place."""
        number = 1
        while (place := self.path.with_name(f"{self.path.name}.old-{number}")).exists():
            number += 1
        # A rename: nothing is copied or lost, however large the run.
        return self.path.rename(place)

    def remove_contents(self) -> None:
        """Deletes what `in_use` looks at: all that a start has made which was refused before it trained."""
        for path in self.path.iterdir():
            if path.name == LOCK or path.name.startswith("."):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def newest_checkpoint(self) -> Path | None:
        """The complete `.ckpt` that has seen most images, by its name; None where there is none."""
        return max(checkpoints_in(self.checkpoints), key=images_of, default=None)


def checkpoints_in(folder: Path, ending: str = ".ckpt") -> list[Path]:
    """The files of a folder that are called as training calls them, in no order; those of any other name are a user's.

    Args: ending: `.ckpt`, or `.safetensors` for their generators.
    Raises: OSError where there is such a folder, and it cannot be read: that is not a run without checkpoints.
    """
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in names if name.endswith(ending) and _CHECKPOINT.fullmatch(name)]


def checkpoint_name(images: int) -> str:
    """The stem of a checkpoint's file: 12,800 images -> `kimg0000012.800`."""
    if images < 0:
        raise ValueError(f"a checkpoint cannot have seen {images} images")
    return f"kimg{images // 1000:07d}.{images % 1000:03d}"


def images_of(name: str | Path) -> int:
    """Images seen by a checkpoint, from its name or path, with or without the ending.

    Raises: ValueError where the name is not that of a checkpoint.
    """
    match = _CHECKPOINT.fullmatch(Path(name).name)
    if match is None:
        raise ValueError(f"{name} is not called like a checkpoint, kimg0000012.800.ckpt")
    return 1000 * int(match[1]) + int(match[2])


def newest_run(runs_dir: str | Path) -> Path | None:
    """The run in `runs_dir` that was started or continued last, among those that have a checkpoint.

    Every start writes `config.yaml`, so its time is that of the last start; runs have no other order.
    """
    runs = [
        folder
        for folder in Path(runs_dir).glob("*/")
        if RunFolder(folder).config.exists() and RunFolder(folder).newest_checkpoint()
    ]
    return max(runs, key=lambda folder: RunFolder(folder).config.stat().st_mtime_ns, default=None)


def run_meant(path: Path, runs_dir: Path) -> Path | None:
    """The run that a path which leads to none may mean, or a file of it; None where no name is near.

    That is the run that the path leads into, the run of its name in `runs_dir`, the newest within a folder of runs, or
    one of a similar name. A folder of pictures may well be called as the run that learns from them.
    """
    within_runs = Path(os.path.normpath(runs_dir / path))
    with suppress(OSError):  # what cannot be read is not proposed
        if _leads_to_run(within_runs):
            return within_runs
        return (
            _run_around(path)
            or _run_around(within_runs)
            or newest_run(path)
            or nearest_place(path, fits=_leads_to_run)
            or nearest_place(within_runs, fits=_leads_to_run)
        )
    return None


def _run_around(path: Path) -> Path | None:
    """The run that a path without a network leads into, as to a checkpoint that was deleted since, or that is written
    without its folder or ending: that checkpoint where it is there, else the run.  None where no run is around it."""
    for place in path.parents:
        run = RunFolder(place)
        if place.name in ("", "..") or run.newest_checkpoint() is None:
            continue
        stem = path.name.removesuffix(".ckpt")
        named = [run.checkpoints / f"{stem}{ending}" for ending in (".ckpt", ".000.ckpt")]
        return next((file for file in named if file.exists()), place)
    return None


def _leads_to_run(path: Path) -> bool:
    """Whether a path is that of a run with a checkpoint, or of a checkpoint."""
    if path.is_dir():
        return RunFolder(path).newest_checkpoint() is not None
    return path.suffix in (".ckpt", ".safetensors") and path.exists()
