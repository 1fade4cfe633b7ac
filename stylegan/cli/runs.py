"""A run's folder before the training: whether it can be written, what it goes on from, what is moved aside."""

import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from stylegan.atomic import replacing
from stylegan.cli.free_text import literal
from stylegan.run_folder import RunFolder, images_of


def find_checkpoint(resume: str, folder: RunFolder, *, overwrite: bool = False) -> Path | None:
    """The checkpoint that `resume` asks to go on from; None = begin.

    Args: resume: `auto`, `never`, or the path of a checkpoint or of a run folder. overwrite: the folder will be
        moved aside before the run begins.
    Raises: ValueError where the path leads to none, or where a beginning would be mixed with an older run.
    """
    newest = folder.newest_checkpoint()
    if resume == "auto":
        return newest
    if resume == "never":
        if folder.in_use and not overwrite:
            holds = f" ({newest.name})" if newest else ""
            raise ValueError(
                f"resume=never, but {folder.path} holds a run already{holds}; set another name=..., or"
                " overwrite=true, which moves it aside"
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


def is_done(config: DictConfig, checkpoint: Path) -> bool:
    """Whether the checkpoint has seen all images that `total_kimg` asks for."""
    try:
        seen = images_of(checkpoint)
    except ValueError:
        # A file that the user renamed; the module knows once it is loaded.
        return False
    return seen >= round(config.total_kimg * 1000)


def refuse_unwritable(folder: RunFolder) -> None:
    """Raises: ValueError where the run folder cannot be made or written, which would show only after minutes."""
    place = next(path for path in (folder.path, *folder.path.absolute().parents) if path.exists())
    if not place.is_dir():
        raise ValueError(f"{folder.path} cannot be made, for {place} is a file; set runs_dir=... or name=...")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ValueError(f"{folder.path} cannot be written: {place} is read-only to you; set runs_dir=...")


def stored_config(folder: RunFolder) -> dict[str, Any]:
    """The values that the folder's run was last started with; none where there are none.

    Raises: ValueError where `config.yaml` cannot be read.
    """
    if not folder.config.exists():
        return {}
    try:
        stored = OmegaConf.to_container(OmegaConf.load(folder.config))
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        raise ValueError(_unreadable(folder, str(error).splitlines()[0])) from error
    if not isinstance(stored, dict) or "generator" not in stored:
        raise ValueError(_unreadable(folder, "it is not that of a run"))
    return stored


def _unreadable(folder: RunFolder, reason: str) -> str:
    return (
        f"{folder.config} cannot be read ({reason}); mend it, or remove it, and the run goes on with what is"
        " configured now"
    )


def refuse_other_run(config: DictConfig, folder: RunFolder) -> None:
    """A run goes on with the players and the data it began with.

    Raises: ValueError naming the first value that differs from the folder's `config.yaml`.
    """
    before = stored_config(folder)
    if not before:
        return
    now = _resolved(config)
    for section, keys in {
        "generator": None,
        "discriminator": None,
        "data": ("_target_", "path", "labels"),
    }.items():
        old, new = before.get(section) or {}, now[section]
        # The labels are not known before the data are read.
        for key in keys or sorted((old.keys() | new.keys()) - {"c_dim", "label_names"}):
            if _comparable(key, old.get(key)) != _comparable(key, new.get(key)):
                raise ValueError(
                    f"{folder.path} was begun with {section}.{key}={old.get(key)}, not {new.get(key)};"
                    " give this run another name=..."
                )


def write_config(config: DictConfig, folder: RunFolder) -> None:
    """Writes `config.yaml`: every value resolved, for OmegaConf to read back as it is.

    Raises: ValueError where the folder cannot be written.
    """
    text = OmegaConf.to_yaml(OmegaConf.create(_resolved(config)))
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        with replacing(folder.config) as file:
            file.write(text.encode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"{folder.path} cannot be written ({reason}); set runs_dir=...") from error


def _comparable(key: str, value: Any) -> Any:
    return os.path.abspath(value) if key == "path" and value is not None else value


def _resolved(config: DictConfig) -> Any:
    def escaped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: escaped(item) for key, item in value.items()}
        if isinstance(value, list):
            return [escaped(item) for item in value]
        return literal(value) if isinstance(value, str) else value

    return escaped(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
