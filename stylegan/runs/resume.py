"""Resume: the checkpoint that a run continues from, and the settings that it keeps."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from stylegan.configuration.command_line import literal, refers, unescaped
from stylegan.configuration.other_programs import BY_DEFAULT, NEWEST
from stylegan.configuration.presets import keys as preset_keys
from stylegan.errors import EXIT_TRY_AGAIN, UserError
from stylegan.machine.files import expanded
from stylegan.runs.checkpoints import damage_of, images_in, newest_good, p_in
from stylegan.runs.folder import RunFolder, images_of, run_meant
from stylegan.runs.known_networks import is_known
from stylegan.runs.records import starts, with_texts


@contextmanager
def _disk_may_answer_later() -> Iterator[None]:
    """Inside, a file that the system refuses ends the command as a temporary failure; nothing else is used instead."""
    try:
        yield
    except OSError as error:
        refused = "renamed" if error.filename2 else "read"
        raise UserError(
            f"{error.filename or 'a checkpoint'} cannot be {refused} ({error.strerror}), and no older checkpoint is"
            " used instead; repeat the command once the disk answers, or move that away by hand",
            exit_code=EXIT_TRY_AGAIN,
        ) from error


@_disk_may_answer_later()
def last_good(folder: RunFolder) -> tuple[Path | None, list[str]]:
    """As `newest_good`. Raises: UserError with the code to try again where the disk does not answer."""
    return newest_good(folder)


@_disk_may_answer_later()
def find_checkpoint(
    resume: str, folder: RunFolder, *, overwrite: bool = False
) -> tuple[Path | None, list[str]]:
    """The checkpoint that `resume` asks to continue from, None = begin; and lines to report about it.

    Of a run's folder it is the newest that is as it was written; a damaged one is set aside as `….ckpt.bad`.
    A run that began from another one continues from its own, if it has any.

    Args: resume: `auto`, `never`, or the path of a checkpoint or of a run folder. overwrite: the folder will be
        moved aside before the run begins.
    Raises: ValueError where the path leads to none, or where a beginning would be mixed with an older run;
        UserError with the code to try again where a checkpoint cannot be read now.
    """
    if resume == "auto":
        found, said = newest_good(folder)
        if said and found is None:
            said.append("there is no other checkpoint: the run begins again")
        return found, said
    newest = folder.newest_checkpoint()
    if resume == "never":
        if folder.in_use and not overwrite:
            holds = f" ({newest.name})" if newest else ""
            raise ValueError(
                f"resume=never, but {folder.path} holds a run already{holds}; set another name=..., or"
                " overwrite=true, which moves it aside"
            )
        return None, []
    return _named_checkpoint(resume, folder, newest)


def _named_checkpoint(resume: str, folder: RunFolder, newest: Path | None) -> tuple[Path, list[str]]:
    """As `find_checkpoint`, for a path. Args: newest: the run's own newest checkpoint, None = it has none."""
    if is_known(resume):
        raise ValueError(
            f"resume={resume}: this is a network alone, and resume= continues a run of this project;"
            f" transfer.path={resume} begins a new run with its weights"
        )
    path = expanded(resume, key="resume")
    if path.name == folder.checkpoints.name and path.is_dir():
        path = path.parent
    aside: list[str] = []
    other_run = newest is not None and not _holds(folder, path)
    if other_run and _began_from(folder, path):
        # The same command again, after an interruption: what was trained since the branch is not trained again.
        own, aside = newest_good(folder)
        if own is not None:
            return own, [
                *aside,
                f"resume={resume}: this run began there, and continues from its own checkpoint",
            ]
        other_run = False
    found, said = newest_good(RunFolder(path)) if path.is_dir() else (path, [])
    if found is None or not found.exists():
        raise ValueError(
            f"resume={resume}: there is no such checkpoint, nor a run folder that holds one"
            f"{_way_out(resume, path, folder)}"
        )
    if (other := of_other_kind(found)) is not None:
        raise ValueError(f"resume={resume}: {other}")
    if other_run:
        raise ValueError(
            f"resume={resume}: {folder.path} holds a run already ({newest.name}); leave resume out, and it continues"
            f" from there; a new run with those weights: transfer.path={resume} and another name="
        )
    # Asked again: of this very folder a damaged one may have been set aside just now.
    newest = folder.newest_checkpoint()
    if newest is not None and found.name != newest.name:
        raise ValueError(
            f"resume={resume}: this run has {newest.name}, and two histories in one folder would be mixed;"
            f" a new run with those weights: transfer.path={resume} and another name="
        )
    damage = damage_of(found)
    if damage is not None and found.suffix != ".ckpt":
        raise ValueError(
            f"resume={resume}: this is no checkpoint ({damage}); resume= takes a run folder or a .ckpt of one"
            f"{_way_out(resume, path, folder)}"
        )
    if damage is not None:
        raise ValueError(
            f"resume={resume}: {found.name} cannot be continued from: {damage}; name an older one"
        )
    return found, [*aside, *said]


_NOT_TO_CONTINUE = (".safetensors", ".pkl", ".pickle", ".pt", ".pth", ".npz", ".onnx")


def _way_out(resume: str, path: Path, folder: RunFolder) -> str:
    """`; did you mean resume=runs/foxes?`, or that a word such as `latest` asks for what is so by default; or ""."""
    if resume.lower() in NEWEST:
        return f"; {BY_DEFAULT}"
    run = run_meant(path, folder.path.parent)
    return f"; did you mean resume={run}?" if run else ""


def of_other_kind(path: Path) -> str | None:
    """Why a file is none that a training continues from; None for a checkpoint."""
    what = "a generator alone" if path.suffix == ".safetensors" else "a network of another kind"
    if path.suffix not in _NOT_TO_CONTINUE:
        return None
    return (
        f"this is {what}, without what a training continues from (both networks, optimisers, p); resume= takes a run"
        f" folder or a .ckpt of this project; transfer.path={path} begins a new run with its weights"
    )


def source_of(checkpoint: Path, folder: RunFolder) -> RunFolder | None:
    """The other run whose checkpoint it is; None where it is the folder's own."""
    own = checkpoint.resolve().parent == folder.checkpoints.resolve()
    return None if own else RunFolder(checkpoint.parent.parent)


def refuse_beginning(checkpoint: Path, config: DictConfig, folder: RunFolder) -> None:
    """Refuses to begin from a lone checkpoint that has no images left to train on.  Raises: UserError."""
    if is_done(config, checkpoint):
        seen = (images_in(checkpoint) or 0) / 1000
        raise UserError(
            f"resume={config.resume}: {checkpoint} has seen {seen:.3f} kimg, and total_kimg={config.total_kimg:g}"
            f" counts from the beginning of its run, so {folder.path} would have nothing to train; set a larger"
            f" total_kimg, or transfer.path={config.resume}, with which kimg begins at 0"
        )


def lines_about_beginning(checkpoint: Path, config: DictConfig) -> list[str]:
    """What a run takes from a lone checkpoint, and what it does not."""
    kimg = (images_in(checkpoint) or 0) / 1000
    p = p_in(checkpoint)
    with_p = "" if p is None else f", p ({p:.3f})"
    return [
        f"beginning from {checkpoint}: weights, optimisers, the EMA generator{with_p} and the clock are"
        f" taken over, so kimg continues from {kimg:.3f}, and total_kimg={config.total_kimg:g} counts from the"
        f" beginning of its run: {max(0.0, config.total_kimg - kimg):.3f} kimg are left to train",
        "it is no transfer: nothing begins at 0 again, and no layer is left out",
    ]


def stored_if_any(folder: RunFolder) -> dict[str, Any]:
    """As `stored_config`; {} also where a lone file lies next to a `config.yaml` of something else."""
    with suppress(ValueError):
        return stored_config(folder)
    return {}


def _holds(folder: RunFolder, path: Path) -> bool:
    """Whether a path leads to the run itself or to one of its checkpoints."""
    return path.resolve() in (folder.path.resolve(), folder.checkpoints.resolve() / path.name)


def _began_from(folder: RunFolder, path: Path) -> bool:
    """Whether the folder's run was last started with `resume` leading there."""
    before = [stored_config(folder).get("resume", "auto"), *(start.get("resume") for start in starts(folder))]
    places = [place for place in before if isinstance(place, str) and place not in ("auto", "never")]
    return any(expanded(place, key="resume").resolve() == path.resolve() for place in places)


def is_done(config: DictConfig, checkpoint: Path) -> bool:
    """Whether the checkpoint has seen all images that `total_kimg` asks for."""
    try:
        seen = images_of(checkpoint)
    except ValueError:
        # A file that the user renamed. Asked here: once it is loaded, an iteration is made before the end is noticed.
        seen = images_in(checkpoint)
    return seen is not None and seen >= round(config.total_kimg * 1000)


def stored_config(folder: RunFolder) -> dict[str, Any]:
    """The values that the folder's run was last started with; none where there are none.

    Raises: ValueError where `config.yaml` cannot be read.
    """
    written = written_config(folder)
    return {} if written is None else with_texts(OmegaConf.to_container(written), unescaped)


def written_config(folder: RunFolder) -> DictConfig | None:
    """As `stored_config`, with texts escaped as `config.yaml` has them; None where there is none."""
    if not folder.config.exists():
        return None
    try:
        written = OmegaConf.load(folder.config)
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        raise ValueError(_unreadable(folder, str(error).splitlines()[0])) from error
    if not isinstance(written, DictConfig) or "generator" not in written:
        raise ValueError(_unreadable(folder, "it is not that of a run"))
    return written


def _unreadable(folder: RunFolder, reason: str) -> str:
    return (
        f"{folder.config} cannot be read ({reason}); correct it, or remove it, and the run continues with what is"
        " configured now"
    )


# Besides the presets' keys: what decides whether a micro-batch still fits.
_OF_THE_TRAINER = ("trainer.devices", "trainer.num_nodes")


def stored_values(folder: RunFolder) -> dict[str, Any]:
    """What a folder's run was last started with, for the keys that presets stand for, by dotted key.

    Returns: {} where the folder has no checkpoint to continue from.
    Raises: ValueError for a value that is neither a number, a word or a boolean nor a list of these: the folder may
        be a stranger's, and a mapping with a `_target_` would be called when the parts are built.
    """
    if not folder.config.exists() or folder.newest_checkpoint() is None:
        return {}
    stored = stored_if_any(folder)  # a reader of all of it says what is wrong with the file
    values = {key: _at(key, stored) for key in (*preset_keys(), *_OF_THE_TRAINER)}
    return {key: _plain(value, key, folder) for key, value in values.items() if value is not None}


def _at(key: str, stored: Any) -> Any:
    """What a dotted key has, None = nothing. By hand: OmegaConf would look up `${oc.env:...}` of a stranger's file."""
    for name in key.split("."):
        stored = stored.get(name) if isinstance(stored, dict) else None
    return stored


# The only keys whose values are made of lists and mappings: schedules, and what is frozen.
_COURSES = ("schedules.", "transfer.freeze")


def is_plain(value: Any, key: str) -> bool:
    """Whether a value of a stranger's file can be taken: numbers, words, booleans, null, or a list of these.

    Of a schedule it may be a mapping, too; but nothing in it may name a part, which would be built.
    """
    nested = key.startswith(_COURSES)
    if nested and isinstance(value, dict):
        return not any(str(name).startswith("_") for name in value) and is_plain(list(value.values()), key)
    if nested and isinstance(value, list):
        return all(is_plain(item, key) for item in value)
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, str | int | float | None) for item in items) and not any(
        isinstance(item, str) and refers(item) for item in items
    )


def _plain(value: Any, key: str, folder: RunFolder) -> Any:
    items = value if isinstance(value, list) else [value]
    if any(not isinstance(item, str | int | float | None) for item in items):
        raise ValueError(
            f"{folder.config}: {key} must be a number, a word or a list of these, got {value}; correct it, or remove"
            " the file, and the run continues with what is configured now"
        )
    # A text that holds `${` stays a text, and is not looked up among the settings of this run.
    items = [literal(item) if isinstance(item, str) else item for item in items]
    return items if isinstance(value, list) else items[0]
