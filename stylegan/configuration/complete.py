"""Completion: from a composed configuration to one in which nothing is open.

None of it reads the data or the run's folder: what they say comes in as arguments, and a new configuration comes out.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf

from stylegan.configuration.batches import (
    accumulation,
    count_devices,
    devices_of_run,
    images_per_device,
    refuse_more_than_there_are,
)
from stylegan.configuration.command_line import literal
from stylegan.configuration.compose import Composition, run_name, unknown_kinds
from stylegan.configuration.explain import origins, users_keys
from stylegan.configuration.presets import NULL_IS_A_VALUE, derive, names
from stylegan.configuration.presets import keys as preset_keys
from stylegan.configuration.schema import (
    AUTO,
    BY_THE_COMMAND,
    COMMAND,
    DEVICES,
    FROM_THE_DATA,
    HARMLESS,
    PRESET,
    TRAIN,
    scalar_faults,
)
from stylegan.configuration.transfer_schema import ORIGIN, transfer_faults, values_of_transfer
from stylegan.configuration.unknown_keys import schedule_faults, unknown_keys
from stylegan.configuration.user_code import mistyped
from stylegan.distributed.processes import Process
from stylegan.errors import UserError
from stylegan.machine.files import expanded
from stylegan.sizes import parse_size, plain_size

T = TypeVar("T")
_KEPT = "the run that continues"
# `micro_batch` may have been measured: it is kept while the number of devices is the same.
_DERIVED_AGAIN = {key for key in TRAIN.filled_by(PRESET) if TRAIN.resume_of(key) is HARMLESS}
_CHOOSING = ("include", "exclude", "subset", "val_fraction")  # keys of data
_FOLLOW_THE_DEVICES = TRAIN.names(lambda key: key.follows is DEVICES)


@dataclass(frozen=True)
class DataFacts:
    """What only the data know.

    Args:
        num_items: images, mirrored copies included.
        label_width: K.
        label_names: of the classes, as far as they have names.
        fingerprint: digest of the images and labels; None = the data module has none.
        num_found: of those that `data.include` and the like chose from, copies included; None = unknown.
    """

    num_items: int
    label_width: int = 0
    label_names: Sequence[str] = ()
    fingerprint: str | None = None
    num_found: int | None = None


@dataclass(frozen=True)
class Checked:
    """A composition that makes sense, as far as can be checked without the data.

    Args:
        composition: as Hydra made it.
        config: with size, devices, name and run folder in place; null where the data or the preset decide.
        devices: of the run, on all nodes.
        origins: who set what was put in place here, by dotted key.
    """

    composition: Composition
    config: DictConfig
    devices: int
    origins: Mapping[str, str]


@dataclass(frozen=True)
class Completed:
    """A complete configuration (but for what the data say), and who set each value: {dotted key: origin}."""

    config: DictConfig
    origins: Mapping[str, str]


def with_values(config: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    """A copy of a configuration with other values.  Args: values: by dotted key; the keys exist."""
    changed = deepcopy(config)
    for key, value in values.items():
        OmegaConf.update(changed, key, value, merge=False)
    return changed


def check(
    composition: Composition, process: Process | None = None, *, size: int | Sequence[int] | None = None
) -> Checked:
    """Refuses what makes no sense, and settles what needs neither the data nor the run's folder.

    Args:
        composition: what Hydra composed; it stays as it is.
        process: this one among those of the run; None = it is alone.
        size: of the data's images, for `resolution=null`.
    Raises: UserError naming the keys, one line a fault; ValueError for a name that is none.
    """
    config, process = composition.config, process or Process()
    groups = [group for group in ("data", "trainer") if "_target_" not in config[group]]
    if groups:
        raise UserError("\n".join(f"{group} is empty; choose one: {group}=..." for group in groups))
    faults = [*unknown_keys(config), *schedule_faults(config)]
    faults += [line for key, line in BY_THE_COMMAND.items() if config[key] is not None]
    if config.runs_dir == "":
        faults.append("runs_dir is empty; leave it out for runs in `runs`")
    faults += [f"{key} must be set: {key}=..." for key in sorted(OmegaConf.missing_keys(config))]
    size_values, size_faults = _tried(lambda: _settled_size(config.resolution, size), {})
    faults += size_faults
    faults += scalar_faults(
        batch_size=config.batch_size,
        micro_batch=config.micro_batch,
        total_kimg=config.total_kimg,
        seed=config.seed,
    )
    (devices, device_values), device_faults = _tried(lambda: devices_of_run(config.trainer, process), (1, {}))
    faults += device_faults
    if config.overwrite and config.resume != "never":
        faults.append(
            f"overwrite=true moves an older run aside and begins a new one, so it needs resume=never, not"
            f" {config.resume}"
        )
    faults += [*transfer_faults(config), *unknown_kinds(config)]
    config = with_values(config, home_written_out(config) | size_values | device_values)
    faults += _runs_among_images(config)
    derived = [key for key in preset_keys() if OmegaConf.select(config, key) is None]
    # `scalar_faults` has checked micro_batch.
    later = {"resolution", "micro_batch", *TRAIN.filled_by(COMMAND), *FROM_THE_DATA, *derived}
    if not size_faults and config.resolution is not None:
        later -= {"resolution"}
    faults += mistyped(config, later=later)
    if faults:
        raise UserError("\n".join(faults))
    return _named(Checked(composition, config, devices, {}), of_data=size is not None)


def _named(checked: Checked, *, of_data: bool) -> Checked:
    """With the run's name and folder, once the size is known."""
    config = checked.config
    if config.resolution is None:
        return checked
    name, origins_ = run_name(checked.composition, config.resolution)
    values = {"name": literal(name), "run_dir": literal(str(Path(config.runs_dir) / name))}
    origins_ |= {"run_dir": "formula runs_dir/name"}
    if of_data:
        origins_ |= {"resolution": "the data, for resolution=null"}
    return replace(checked, config=with_values(config, values), origins=origins_)


def complete(checked: Checked, *, stored: Mapping[str, Any] | None = None) -> Completed:
    """Fills in what is null, from the preset and the rest; what the user set stays, and so does `micro_batch=auto`.

    Args:
        checked: what `check` gave.
        stored: values of the run that continues in the same folder, by dotted key; None = none does.
    Raises: ValueError, naming the key, for values that make no sense.
    """
    config, devices = checked.config, checked.devices
    if config.resolution is None:
        raise ValueError("resolution must be set, as in resolution=64 or resolution=48x32")
    found = origins(checked.composition) | dict(checked.origins)
    found |= dict.fromkeys(checked.composition.stored, _KEPT)
    open_keys = {key for key in preset_keys() if OmegaConf.select(config, key) is None} - NULL_IS_A_VALUE
    kept = {}
    if stored and config.resume == "auto":
        kept = kept_values(stored, open_keys, devices, config.batch_size)
        config = with_values(config, kept)
        found |= dict.fromkeys(kept, _KEPT)
    users = users_keys(found) | set(kept) | set(checked.composition.stored)
    begun = values_of_transfer(config, found, users=users)
    config, found = with_values(config, begun), found | dict.fromkeys(begun, ORIGIN)
    derived = derived_values(
        config,
        checked.composition.choices.get("preset"),
        devices,
        users=users - (open_keys - set(kept) - set(checked.composition.stored)),
        rederive=config.rederive,
    )
    config = with_values(config, {key: value for key, (value, _) in derived.items()})
    found |= {key: origin for key, (_, origin) in derived.items()}
    if config.micro_batch == AUTO:
        images_per_device(batch_size=config.batch_size, devices=devices)
    else:
        accumulation(batch_size=config.batch_size, micro_batch=config.micro_batch, devices=devices)
    found |= {key: "the data" for key in FROM_THE_DATA if OmegaConf.select(config, key) is None}
    return Completed(config, found)


def home_written_out(config: DictConfig) -> dict[str, Any]:
    """`runs_dir` with `~` as the home folder: the shell leaves it in the middle of a word.  Returns: {} without one."""
    place = config.get("runs_dir")
    if isinstance(place, str) and place.startswith("~"):
        return {"runs_dir": literal(str(expanded(place, key="runs_dir")))}
    return {}


def _runs_among_images(config: DictConfig) -> Iterator[str]:
    """A run's grids would be images to train on, and the set would be another one whenever the run continues."""
    path = config.data.get("path")
    # A choice among the images may well leave the runs out.
    everything = "include" in config.data and not config.data.include and not config.data.get("exclude")
    if not everything or not isinstance(path, str) or not path:
        return
    if not expanded(path, key="data.path").is_dir():
        return
    if Path(config.runs_dir).resolve().is_relative_to(expanded(path, key="data.path").resolve()):
        yield (
            f"runs_dir={config.runs_dir} lies inside data.path={path}, so the run's own pictures would be trained on;"
            " set runs_dir=... outside of it"
        )


def derived_values(
    config: DictConfig,
    preset: str | None,
    devices: int,
    *,
    users: Collection[str] = frozenset(),
    rederive: bool = True,
) -> dict[str, tuple[Any, str]]:
    """The derived value where a key of the preset's is null, or was made for another batch.

    A preset of the user's own has no formulas; its nulls are derived as those of `auto`.

    Args:
        users: keys that the user has set; they stay.
        rederive: False = only nulls are filled in.
    Returns: {key: (value, origin)}.
    """
    known = preset if preset in names() else "auto"
    # The numbers of a preset of the user's own stand as they are written.
    rederive = rederive or known != preset
    own = derive(known, config.resolution, None, devices)
    wanted = derive(known, config.resolution, config.batch_size, devices, rederive=rederive)
    found = {}
    for key, (value, origin) in wanted.items():
        section, _, leaf = key.rpartition(".")
        node = config[section] if section else config
        # A network of the user's own need not have the reference's arguments.
        if leaf not in node:
            continue
        open_null = node[leaf] is None and key not in NULL_IS_A_VALUE
        made_for_another_batch = key not in users and node[leaf] == own[key][0] != value
        if open_null or made_for_another_batch and known == preset:
            found[key] = value, origin
    return found


def kept_values(
    stored: Mapping[str, Any], keys: Collection[str], devices: int, batch_size: int | None
) -> dict[str, Any]:
    """The values that a run which continues has for `keys`; with more devices or fewer the same run continues.

    Args:
        stored: values that it was last started with, by dotted key.
        devices: how many there are now. What was chosen for as many, perhaps by measuring, stays.
        batch_size: the requested one, None = the run's; what divides another one is of no use to it.
    """
    same = _devices_stored(stored) == devices and batch_size in (None, stored.get("batch_size"))
    again = _DERIVED_AGAIN - _FOLLOW_THE_DEVICES if same else _DERIVED_AGAIN
    return {key: stored[key] for key in keys if key not in again and stored.get(key) is not None}


def _devices_stored(stored: Mapping[str, Any]) -> int | None:
    """How many devices a run was last started with; None where its trainer does not say."""
    try:
        return count_devices(stored.get("trainer.devices"), stored.get("trainer.num_nodes") or 1)
    except ValueError:
        return None


def with_data(config: DictConfig, data: DataFacts) -> DictConfig:
    """A complete configuration with what only the data know: width and names of labels, and the fingerprint.

    Raises: ValueError where a batch would show the same image twice, or a network was built for other labels.
    """
    chosen_by = [f"data.{key}" for key in _CHOOSING if config.data.get(key)]
    refuse_more_than_there_are(config.batch_size, data.num_items, data.num_found, chosen_by)
    return with_values(config, {**label_values(config, data), "data_fingerprint": data.fingerprint})


def label_values(config: DictConfig, data: DataFacts) -> dict[str, Any]:
    """What the networks must know of the labels, by dotted key.  Raises: ValueError for another width that is set."""
    values: dict[str, Any] = {}
    if "label_names" in config.generator and config.generator.label_names is None:
        values["generator.label_names"] = [literal(name) for name in data.label_names]
    for network in ("generator", "discriminator"):
        node = config[network]
        if "c_dim" in node and node.c_dim is None:
            values[f"{network}.c_dim"] = data.label_width
        elif node.get("c_dim", data.label_width) != data.label_width:
            raise ValueError(
                f"{network}.c_dim is {node.c_dim}, the data's labels are {data.label_width} wide; let it be null"
            )
    return values


def _settled_size(asked: Any, of_data: int | Sequence[int] | None) -> dict[str, Any]:
    """The resolution as constructors take it.  Args: of_data: the size for null; None = it stays open."""
    if asked is None:
        if of_data is None:
            return {}
        asked = of_data
    plain = OmegaConf.to_container(asked) if OmegaConf.is_config(asked) else asked
    try:
        return {"resolution": plain_size(parse_size(plain))}
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith("resolution") else f"resolution: {text}") from error


def _tried(step: Callable[[], T], otherwise: T) -> tuple[T, list[str]]:
    """What a step gives, and its fault as a list of one line or none.  Args: otherwise: what counts after a fault."""
    try:
        return step(), []
    except ValueError as error:
        return otherwise, [str(error)]
