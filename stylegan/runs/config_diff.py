"""What has changed since a run was last started, and whether it may.

Every value belongs to one of three kinds. Harmless ones do not change what the next step computes, or are meant
to be changed on the way. Risky ones change it: the run goes on with them only where the user names them. Others
no run can change, since the weights in its checkpoint would mean something else."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from stylegan.configuration.schema import FROM_THE_DATA
from stylegan.errors import UserError

_HARMLESS = (
    *(
        "name",
        "runs_dir",
        "run_dir",
        "resume",
        "explain",
        "overwrite",
        "rederive",
        "max_time",
        "allow_change",
        "metrics",
    ),
    # What is computed in is said when training starts.
    *("precision", "regulariser_precision", "num_half_res", "tf32", "compile"),
    "activation_checkpointing",
    *("total_kimg", "micro_batch", "callbacks", "logger", "trainer", "generator.label_names"),
    # The pictures themselves are compared, by their digest.
    *(
        "data.path",
        "data.workers",
        "data.worker_timeout_sec",
        "data.max_bad",
        "data.cache",
        "data.cache_dir",
        "data.devices",
    ),
    "data.batch_size",
)
_RISKY = (
    *("augpipe", "ada", "loss", "optim", "ema", "module", "data", "data_fingerprint"),
    # Players of the same weights. Not `discriminator.freeze_layers`: Adam has moments of the layers that learn alone.
    *("generator.conv_clamp", "discriminator.conv_clamp", "discriminator.mbstd_group"),
)
# Not even where `data` is named: the players are built for these.
_FIXED = ("data.resolution", "data.channels")

# Runs of version 0.1 name the adapter to Lightning, of what is the same training.
_ADAPTER, _TRAINING = "stylegan.training.StyleGAN2ADA", "stylegan.training.AdversarialTraining"


class Change(NamedTuple):
    """A value that is another than before."""

    key: str
    before: Any
    now: Any

    def __str__(self) -> str:
        if self.key == "data_fingerprint":
            return "other pictures or labels than there are now (data.path, and what chooses among them)"
        return f"{self.key}={_shown(self.before)}, not {_shown(self.now)}"

    def told(self) -> str:
        """The same where it is allowed."""
        if self.key == "data_fingerprint":
            return "the pictures or labels are others now"
        return f"{self.key} is {_shown(self.now)} now and was {_shown(self.before)}"

    @property
    def way_back(self) -> str:
        return "put them back" if self.key == "data_fingerprint" else "set it back"


def changes(before: Mapping[str, Any], config: DictConfig) -> list[Change]:
    """The values that differ between a stored configuration and a complete one, but for harmless ones.

    A value that is taken over (`${...}`) is compared where it stands. Not compared are keys that are new, and what
    the data have not told yet.
    """
    now = dict(_flat(OmegaConf.to_container(config, resolve=True)))
    taken_over = {
        key
        for key, value in _flat(OmegaConf.to_container(config))
        if isinstance(value, str) and "${" in value
    }
    old = dict(_flat(before))
    if old.get("module._target_") == _ADAPTER:
        old["module._target_"] = _TRAINING
    unknown = {key for key in FROM_THE_DATA if now.get(key) is None}
    return [
        Change(key, old[key], now[key])
        for key in now
        if key in old and not _is(key, _HARMLESS) and not any(_within(key, other) for other in taken_over)
        if old[key] != now[key] and key not in unknown
    ]


def refuse_drift(before: Mapping[str, Any], config: DictConfig, *, place: str) -> list[Change]:
    """Stops a run that would go on as another one.

    Args: place: the run's folder, for the message.
    Returns: the risky changes that `allow_change` names.
    Raises: UserError with the differences, one a line.
    """
    found = changes(before, config)
    faults = [
        f"{place} was begun with {change}, which no run can change; set it back, or give this one another name=..."
        for change in found
        if not _may(change.key)
    ]
    faults += [
        f"{place} was last started with {change}; {change.way_back}, give this run another name=..., or go on all the"
        f" same with allow_change=[{change.key}]"
        for change in found
        if _may(change.key) and not _is(change.key, config.allow_change)
    ]
    if faults:
        raise UserError("\n".join(faults))
    return found


def _may(key: str) -> bool:
    """Whether a run can go on with another value, once it is given leave."""
    return _is(key, _RISKY) and not _is(key, _FIXED)


def _is(key: str, kinds: Collection[str]) -> bool:
    return any(_within(key, kind) for kind in kinds)


def _within(key: str, other: str) -> bool:
    return key == other or key.startswith(f"{other}.")


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
