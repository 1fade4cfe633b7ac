"""The root of a training's configuration: which keys there are, of which type, and the arithmetic of batches.

Values stand in `conf/train.yaml`; this is only their schema. The settings of parts that are built from
`_target_` nodes (networks, data, callbacks, ...) stay open here, since their constructors are their schema.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore

# What fits into the 64 bits that torch's generators take.
LARGEST_SEED = 2**63 - 1
# As `micro_batch`: the command measures how many images fit into memory.
AUTO = "auto"


@dataclass
class LossConfig:
    r1_gamma: float | None = None
    r1_interval_iterations: int | None = None
    pl_weight: float | None = None
    pl_decay: float | None = None
    pl_batch_shrink: int | None = None
    pl_interval_iterations: int | None = None
    style_mixing_prob: float | None = None


@dataclass
class OptimConfig:
    generator_lr: float | None = None
    discriminator_lr: float | None = None
    # Floats by type: torch refuses betas of which one is an int.
    betas: list[float] | None = None
    eps: float | None = None


@dataclass
class EmaConfig:
    half_life_kimg: float | None = None
    ramp_up: float | None = None


@dataclass
class RunConfig:
    name: str | None = None
    runs_dir: str = "runs"
    run_dir: str | None = None
    # A number, `48x32`, or [48, 32]: no single type says so; `stylegan.sizes` does.
    resolution: Any = None
    batch_size: int | None = None
    # A number or `auto`; `scalar_faults` says so.
    micro_batch: Any = None
    total_kimg: float | None = None
    seed: int = 0
    precision: str = "auto"
    regulariser_precision: str = "auto"
    num_half_res: int | None = None
    tf32: bool = False
    # true, false or auto.
    compile: Any = "auto"
    activation_checkpointing: bool = False
    # A name, a list of names, or none.
    metrics: Any = "kid"
    resume: str = "auto"
    overwrite: bool = False
    allow_change: list[str] = field(default_factory=list)
    max_time: str | None = None
    explain: bool = False
    rederive: bool = True
    data_fingerprint: str | None = None
    generator: dict[str, Any] = field(default_factory=dict)
    discriminator: dict[str, Any] = field(default_factory=dict)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    data: dict[str, Any] = field(default_factory=dict)
    augpipe: dict[str, Any] = field(default_factory=dict)
    ada: dict[str, Any] = field(default_factory=dict)
    module: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(name="schema", node=RunConfig)


def scalar_faults(
    *, batch_size: int | None, micro_batch: Any, total_kimg: float | None, seed: int
) -> list[str]:
    """What is out of range among the shared scalars, one line a key; null is derived and passes.

    Args: micro_batch: of any type, for its schema takes them all.
    """
    faults = [
        f"{key} must be above 0 and finite, got {value}"
        for key, value in {"batch_size": batch_size, "total_kimg": total_kimg}.items()
        if value is not None and not 0 < value < float("inf")
    ]
    whole = isinstance(micro_batch, int) and not isinstance(micro_batch, bool)
    if micro_batch not in (None, AUTO) and not (whole and micro_batch > 0):
        faults.append(f"micro_batch must be a whole number above 0, auto or null, got {micro_batch}")
    if not 0 <= seed <= LARGEST_SEED:
        faults.append(f"seed must be from 0 to {LARGEST_SEED} (2^63 - 1), got {seed}")
    return faults


def share_of_device(*, batch_size: int, devices: int) -> int:
    """Images of a batch that a device gets.  Raises: ValueError where the batch does not come out even."""
    if batch_size % devices:
        raise ValueError(
            f"batch_size {batch_size} cannot be divided among {devices} devices (trainer.devices)"
        )
    return batch_size // devices


def accumulation(*, batch_size: int, micro_batch: int, devices: int) -> int:
    """Micro-batches a device runs one after another: batch = devices x micro-batch x accumulation.

    Raises: ValueError where the batch does not come out even.
    """
    share = share_of_device(batch_size=batch_size, devices=devices)
    if share % micro_batch:
        fitting = ", ".join(str(part) for part in range(1, share + 1) if share % part == 0)
        raise ValueError(
            f"micro_batch {micro_batch} does not divide the {share} images a device gets of batch_size"
            f" {batch_size}; micro_batch can be {fitting}"
        )
    return share // micro_batch


def whole_groups(share: int, group: int) -> list[int]:
    """The micro-batches, smallest first, that leave the result as it is: the minibatch-std groups stay whole.

    Args: share: images of a batch that a device gets. group: size of the groups asked for, at least 1.
    Returns: what divides the share and is a multiple of the group; and the whole share.
    """
    return [
        part for part in range(1, share + 1) if share % part == 0 and (part % group == 0 or part == share)
    ]


def effective_group(part: int, group: int) -> int:
    """The minibatch-std group that a part of the batch can form: the largest divisor of it, at most `group`.

    Args: part: images that pass the discriminator together. group: the size asked for, at least 1.
    """
    return next(size for size in range(min(part, group), 0, -1) if part % size == 0)


def count_devices(devices: int | str | Sequence[int], num_nodes: int = 1) -> int:
    """How many devices `trainer.devices` names.

    Raises: ValueError for `auto` and -1: batch and rates are derived from a number that must be known.
    """
    if isinstance(devices, Sequence) and not isinstance(devices, str) and devices:
        return len(devices) * num_nodes
    if not str(devices).isdecimal() or int(devices) < 1:
        raise ValueError(f"trainer.devices must be a number of devices or a list of them, got {devices}")
    return int(devices) * num_nodes
