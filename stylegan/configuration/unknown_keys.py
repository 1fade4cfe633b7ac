"""Unknown keys: what a configuration names and nothing would read, in closed sections and among the schedules."""

from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass

from omegaconf import DictConfig, OmegaConf

from stylegan.configuration.schema import TRAIN, RunConfig
from stylegan.configuration.suggestions import nearest
from stylegan.errors import UserError

_SCHEDULES = "schedules"
# The keys that can follow a schedule.
SCHEDULABLE = tuple(
    name.removeprefix(f"{_SCHEDULES}.") for name in TRAIN.keys if name.startswith(f"{_SCHEDULES}.")
)


def unknown_keys(config: DictConfig) -> Iterator[str]:
    """One line for each key that there is not.

    `+key=value` adds any key, the misspelt too; where the schema is closed nothing would ever read it.
    """
    roots = {field.name for field in fields(RunConfig)}
    yield from (_no_key(key, roots) for key in config if key not in roots)
    for field in fields(RunConfig):
        if is_dataclass(field.type):
            closed = {f"{field.name}.{inner.name}" for inner in fields(field.type)}
            keys = (f"{field.name}.{key}" for key in config[field.name])
            yield from (_no_key(key, closed) for key in keys if key not in closed)


def _no_key(key: str, keys: Collection[str]) -> str:
    return f"there is no key {key}" + nearest(key, sorted(keys))


def nest_schedules(config: DictConfig) -> None:
    """Makes `schedules: {loss.r1_gamma: ...}` what `schedules.loss.r1_gamma` sets; what is left out or null is none.

    Args: config: changed in place; of another command it stays.
    Raises: UserError where a section of schedules is a value.
    """
    if _SCHEDULES not in config:
        return
    schedules = config[_SCHEDULES]
    for name in SCHEDULABLE:
        section, _, leaf = name.rpartition(".")
        if schedules.get(section) is None:
            schedules[section] = {}
        if not OmegaConf.is_dict(schedules[section]):
            raise UserError(
                f"{_SCHEDULES}.{section} must be a set of keys, as in {_SCHEDULES}.{name}=..., got {schedules[section]}"
            )
        schedules[section].setdefault(leaf, None)
        if name in schedules:
            schedules[section][leaf] = schedules.pop(name)


def schedule_faults(config: DictConfig) -> Iterator[str]:
    """One line for each schedule of what cannot follow one, and for what the training of the user's would not read.

    The courses themselves are checked by the training.
    """
    given = dict(_given(config[_SCHEDULES], ""))
    for name in given:
        if name not in SCHEDULABLE:
            yield (
                f"{_SCHEDULES}.{name}: {name} cannot follow a schedule; {', '.join(SCHEDULABLE)} can"
                f"{nearest(name, SCHEDULABLE)}"
            )
    followed = [name for name in given if name in SCHEDULABLE and given[name] is not None]
    if "ada.p_init" in followed and (mode := config.ada.get("mode")) != "fixed":
        why = "nothing is augmented" if mode == "none" else "p follows the discriminator"
        yield f"{_SCHEDULES}.ada.p_init needs ada=fixed: with ada={mode} {why}"
    frozen = ["transfer.freeze"] if config.transfer.get("freeze") else []
    for argument, keys in {
        "schedules": [f"{_SCHEDULES}.{name}" for name in followed],
        "freeze": frozen,
    }.items():
        if keys and argument not in config.module:
            yield f"{keys[0]} is of no use: module._target_={config.module.get('_target_')} takes no {argument}"


def _given(node: DictConfig, prefix: str) -> Iterator[tuple[str, object]]:
    """The keys of `schedules`, those of its sections by their dotted names, with what is given for them."""
    for name in node:
        key, value = f"{prefix}{name}", node[name]
        is_section = any(known.startswith(f"{key}.") for known in SCHEDULABLE)
        if is_section and OmegaConf.is_dict(value):
            yield from _given(value, f"{key}.")
        else:
            yield key, value
