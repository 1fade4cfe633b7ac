"""The schema of a training: which keys there are and of which type.

Values stand in `conf/train.yaml`. The settings of parts that are built from `_target_` nodes (networks, data,
callbacks, ...) stay open here, since their constructors are their schema."""

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


# Null so far, and filled in before anything is built.
FROM_THE_DATA = {"generator.c_dim", "generator.label_names", "discriminator.c_dim", "data_fingerprint"}
BY_THE_COMMAND = {
    "run_dir": "run_dir is runs_dir/name; set runs_dir=... and name=... instead",
    "data_fingerprint": "data_fingerprint is read from the data; it cannot be set",
}
