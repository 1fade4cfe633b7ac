"""From a composed configuration to a complete one: nonsense refused, nulls derived, name settled."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from hashlib import blake2b
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from stylegan.configuration.batches import accumulation, settle_devices, share_of_device
from stylegan.configuration.command_line import literal
from stylegan.configuration.compose import Composition
from stylegan.configuration.explain import origins, users_keys
from stylegan.configuration.presets import NULL_IS_A_VALUE, derive, names
from stylegan.configuration.presets import keys as preset_keys
from stylegan.configuration.schema import (
    AUTO,
    BY_THE_COMMAND,
    COMMAND,
    FROM_THE_DATA,
    TRAIN,
    RunConfig,
    scalar_faults,
)
from stylegan.configuration.suggestions import nearest
from stylegan.configuration.user_code import mistyped
from stylegan.distributed.processes import this_process
from stylegan.errors import UserError
from stylegan.runs.folder import RunFolder
from stylegan.runs.resume import kept
from stylegan.sizes import parse_size, plain_size, size_text

LONGEST_NAME = 150  # characters; file systems take 255 bytes


@dataclass(frozen=True)
class Completed:
    """Where the run's files belong, and who set each value: {dotted key: origin}."""

    folder: RunFolder
    origins: dict[str, str]


def check(config: DictConfig) -> None:
    """Refuses what can be told without the data; writes the size as constructors take it.

    Raises: UserError naming the keys, one line a fault.
    """
    groups = [group for group in ("data", "trainer") if "_target_" not in config[group]]
    if groups:
        raise UserError("\n".join(f"{group} is empty; choose one: {group}=..." for group in groups))
    faults = [*_unknown(config)]
    faults += [line for key, line in BY_THE_COMMAND.items() if config[key] is not None]
    faults += [f"{key} must be set: {key}=..." for key in sorted(OmegaConf.missing_keys(config))]
    size_faults = _told(lambda: _settle_size(config))
    faults += size_faults
    faults += scalar_faults(
        batch_size=config.batch_size,
        micro_batch=config.micro_batch,
        total_kimg=config.total_kimg,
        seed=config.seed,
    )
    faults += _told(lambda: settle_devices(config, this_process()))
    if config.overwrite and config.resume != "never":
        faults.append(
            f"overwrite=true moves an older run aside and begins, so it goes with resume=never, not {config.resume}"
        )
    faults += _runs_among_pictures(config)
    derived = [key for key in preset_keys() if OmegaConf.select(config, key) is None]
    # The faults of micro_batch are reported already.
    later = {"resolution", "micro_batch", *TRAIN.filled_by(COMMAND), *FROM_THE_DATA, *derived}
    if not size_faults and config.resolution is not None:
        later -= {"resolution"}
    faults += mistyped(config, later=later)
    if faults:
        raise UserError("\n".join(faults))


def _runs_among_pictures(config: DictConfig) -> Iterator[str]:
    """A run's grids would be pictures to train on, and the set would be another one whenever the run goes on."""
    path = config.data.get("path")
    # Whoever chooses among the pictures may well have left the runs out.
    everything = "include" in config.data and not config.data.include and not config.data.get("exclude")
    if not everything or not isinstance(path, str) or not path or not Path(path).expanduser().is_dir():
        return
    if Path(config.runs_dir).resolve().is_relative_to(Path(path).expanduser().resolve()):
        yield (
            f"runs_dir={config.runs_dir} lies inside data.path={path}, so the run's own pictures would be trained on;"
            " set runs_dir=... outside of it"
        )


def complete(composition: Composition) -> Completed:
    """Fills in what is null in `composition.config`, from the preset and the rest; what the user set stays.

    So does `micro_batch=auto`, until it is measured.

    Raises: ValueError or UserError, naming the key, for values that make no sense.
    """
    config, choices = composition.config, composition.choices
    check(config)
    if config.resolution is None:
        raise ValueError("resolution must be set, as in resolution=64 or resolution=48x32")
    found = origins(composition)
    name, by_formula = _name_of(composition)
    config.name = literal(name)
    config.run_dir = literal(str(Path(config.runs_dir) / name))
    found |= by_formula | {"run_dir": "formula runs_dir/name"}
    asked_null = {key for key in preset_keys() if OmegaConf.select(config, key) is None}
    devices = settle_devices(config, this_process())
    going_on = {}
    if config.resume == "auto":
        going_on = kept(RunFolder(config.run_dir), asked_null - NULL_IS_A_VALUE, devices, config.batch_size)
    for key, value in going_on.items():
        OmegaConf.update(config, key, value)
        found[key] = "the run that goes on"
    found |= fill_nulls(
        config,
        choices.get("preset"),
        devices,
        users=users_keys(found) - (asked_null - NULL_IS_A_VALUE) | set(going_on),
        rederive=config.rederive,
    )
    if config.micro_batch == AUTO:
        share_of_device(batch_size=config.batch_size, devices=devices)
    else:
        accumulation(batch_size=config.batch_size, micro_batch=config.micro_batch, devices=devices)
    found |= {key: "the data" for key in FROM_THE_DATA if OmegaConf.select(config, key) is None}
    return Completed(RunFolder(config.run_dir), found)


def _name_of(composition: Composition) -> tuple[str, dict[str, str]]:
    """The run's name, and its origin where it is not the user's."""
    config, choices = composition.config, composition.choices
    name, origin = config.name, {}
    if name is None:
        size = parse_size(config.resolution)
        text = size_text(size) if size[0] != size[1] else str(size[0])
        name = f"{choices['data']}{text}-{choices.get('preset')}"
        origin = {"name": "formula <data><resolution>-<preset>"}
    return _checked_name(name + job_suffix(composition.swept)), origin


def fill_nulls(
    config: DictConfig,
    preset: str | None,
    devices: int,
    *,
    users: Collection[str] = frozenset(),
    rederive: bool = True,
) -> dict[str, str]:
    """Writes the derived value wherever a key of the preset's is null, or was made for another batch.

    A preset of the user's own has no formulas; its nulls are derived as those of `auto`.

    Args: users: keys that the user has set; they stay. rederive: False = only nulls are filled in.
    Returns: {key: origin} of what was written.
    """
    known = preset if preset in names() else "auto"
    # The numbers of a preset of the user's own stand as they are written.
    rederive = rederive or known != preset
    own = derive(known, config.resolution, None, devices)
    written = {}
    for key, (value, origin) in derive(
        known, config.resolution, config.batch_size, devices, rederive=rederive
    ).items():
        section, _, leaf = key.rpartition(".")
        node = config[section] if section else config
        # A player of the user's own need not have the reference's arguments.
        if leaf not in node:
            continue
        open_null = node[leaf] is None and key not in NULL_IS_A_VALUE
        made_for_another_batch = key not in users and node[leaf] == own[key][0] != value
        if open_null or made_for_another_batch and known == preset:
            node[leaf] = value
            written[key] = origin
    return written


def job_suffix(swept: Mapping[str, str]) -> str:
    """What a job of a sweep adds to the name of its run: `-seed=1-loss.r1_gamma=0.5`; `name` adds nothing."""
    text = "".join(f"-{key.replace('/', '.')}={value}" for key, value in swept.items() if key != "name")
    plain = re.sub(r"[^\w.=+-]", "_", text)
    if plain == text and len(plain) <= LONGEST_NAME:
        return text
    # Two jobs that differ only in what was replaced or cut must not share a folder.
    return (
        f"{plain[:LONGEST_NAME]}-{blake2b(text.encode(errors='surrogateescape'), digest_size=3).hexdigest()}"
    )


def refuse_too_few(batch_size: int, num_items: int) -> None:
    """Raises: ValueError where a batch would show the same picture twice."""
    if num_items < batch_size:
        raise ValueError(
            f"batch_size={batch_size} is more than the {num_items} pictures there are; set"
            f" batch_size={num_items} or less, or add pictures"
        )


def fill_labels(config: DictConfig, label_width: int, label_names: Sequence[str] = ()) -> None:
    """Tells the players what only the data know: the width of a label, K, and the names of the classes."""
    if "label_names" in config.generator and config.generator.label_names is None:
        config.generator.label_names = [literal(name) for name in label_names]
    for player in ("generator", "discriminator"):
        node = config[player]
        if "c_dim" in node and node.c_dim is None:
            node.c_dim = label_width
        elif node.get("c_dim", label_width) != label_width:
            raise ValueError(
                f"{player}.c_dim is {node.c_dim}, the data's labels are {label_width} wide; let it be null"
            )


def _settle_size(config: DictConfig) -> None:
    asked = config.resolution
    if asked is None:
        return
    plain = OmegaConf.to_container(asked) if OmegaConf.is_config(asked) else asked
    try:
        config.resolution = plain_size(parse_size(plain))
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith("resolution") else f"resolution: {text}") from error


def _checked_name(name: str) -> str:
    if name in ("", ".", "..") or any(character in name for character in "/\\\0"):
        raise ValueError(
            f"name is that of one folder inside runs_dir, got {name!r}; set runs_dir for another place"
        )
    return name


def _unknown(config: DictConfig) -> Iterator[str]:
    """`+key=value` adds any key, the misspelt too; where the schema is closed nothing would ever read it."""
    roots = {field.name for field in fields(RunConfig)}
    yield from (_no_key(key, roots) for key in config if key not in roots)
    for field in fields(RunConfig):
        if is_dataclass(field.type):
            closed = {f"{field.name}.{inner.name}" for inner in fields(field.type)}
            keys = (f"{field.name}.{key}" for key in config[field.name])
            yield from (_no_key(key, closed) for key in keys if key not in closed)


def _no_key(key: str, keys: Collection[str]) -> str:
    return f"there is no key {key}" + nearest(key, sorted(keys))


def _told(step: Callable[[], object]) -> list[str]:
    """The fault that a step finds, as a list of one line or none."""
    try:
        step()
    except ValueError as error:
        return [str(error)]
    return []
