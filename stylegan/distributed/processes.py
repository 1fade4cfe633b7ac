"""Which of a run's processes this one is: read from what torchrun, Slurm or our own command left in the environment.

torchrun and Slurm give each process its number in this way; a process without these variables is alone."""

import math
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stylegan.machine.console import say_error

# What torchrun sets, and what `trainer.devices=2` without it sets for the processes that it starts.
RANK, LOCAL_RANK, WORLD, LOCAL_WORLD = "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"
ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"
LOOPBACK = "127.0.0.1"
# By which gloo reaches other machines; set by users for clusters.
INTERFACE = "GLOO_SOCKET_IFNAME"
_DEFAULT_PORT, _FIRST_SLURM_PORT, _SLURM_PORTS = 29500, 15000, 10000
_SILENT_SEC = 30.0
# Lightning reads them as numbers while it is imported, whoever has set them.
_READ_BY_LIGHTNING = (RANK, LOCAL_RANK, "SLURM_PROCID", "JSM_NAMESPACE_RANK")


@dataclass(frozen=True)
class Process:
    """A process among those of a run.

    rank: its number, 0 leads. world: how many there are. local_rank, local_world: the same within its node.
    address, port: where they meet, on the node of rank 0. starter: who started them, for messages.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    address: str = LOOPBACK
    port: int = _DEFAULT_PORT
    starter: str = "no launcher"

    @property
    def num_nodes(self) -> int:
        return max(1, self.world // self.local_world)

    @property
    def node(self) -> int:
        return self.rank // self.local_world

    def environment(self) -> dict[str, str]:
        """The variables that make a process this one."""
        return {
            RANK: str(self.rank),
            LOCAL_RANK: str(self.local_rank),
            WORLD: str(self.world),
            LOCAL_WORLD: str(self.local_world),
            ADDRESS: self.address,
            PORT: str(self.port),
        }


class Waiting:
    """A wait for other processes that says once, after a while, for whom: what a job has left in the environment may
    promise some that are never started.

    Args: process: this one.
    """

    def __init__(self, process: Process):
        self._process, self._since = process, time.monotonic()

    def say_once(self, missing: Callable[[], int]) -> None:
        """To be called again and again. Args: missing: counts those that are waited for."""
        if time.monotonic() - self._since > _SILENT_SEC:
            self._since = math.inf
            one = self._process
            say_error(
                f"process {one.rank} of {one.world}, as {one.starter} says: waiting at {one.address}:{one.port} for"
                f" {missing()} more; where nothing starts them, unset {RANK} and {WORLD}"
            )


def this_process(environment: Mapping[str, str] = os.environ) -> Process:
    """The process that `environment` describes.

    Slurm counts only inside a step with several tasks (`srun`): in the shell of an allocation its variables are
    set, too, and one command started there is one process. So is one with only some of torchrun's variables, which a
    job around it has left.
    Raises: ValueError for variables that are not numbers or do not fit together.
    """
    for name in _READ_BY_LIGHTNING:
        _number(environment, name, default="0", may_be_empty=False)
    by_torchrun = WORLD in environment and RANK in environment
    if by_torchrun:
        world = _number(environment, WORLD)
        if world > 1 and not environment.get(ADDRESS):
            raise ValueError(
                f"the environment says {WORLD}={world}, and no {ADDRESS} where the processes meet; start them by"
                f" torchrun, or unset {RANK} and {WORLD} to train as one process"
            )
        process = Process(
            rank=_number(environment, RANK),
            world=world,
            local_rank=_number(environment, LOCAL_RANK, default=environment[RANK]),
            local_world=_number(environment, LOCAL_WORLD, default=str(world)),
            address=environment.get(ADDRESS) or LOOPBACK,
            port=_number(environment, PORT, default=str(_DEFAULT_PORT)),
            starter="torchrun",
        )
    elif _number(environment, "SLURM_STEP_NUM_TASKS", default="1") > 1:
        process = _of_slurm(environment)
    else:
        process = Process()
    if not 0 < process.port < 65536:
        raise ValueError(
            f"the environment says {PORT}={process.port}, which is not a port; set it to one from 1 to 65535"
        )
    uneven = not process.local_world or process.world % process.local_world
    if uneven or not 0 <= process.rank < process.world:
        raise ValueError(
            f"{process.starter} started process {process.rank} of {process.world}, {process.local_world} on this node;"
            " each node must have the same number, and ranks count from 0"
            + (
                f" (by {RANK}, {WORLD} and {LOCAL_WORLD}; unset them to train as one process)"
                if by_torchrun
                else ""
            )
        )
    return process


def _of_slurm(environment: Mapping[str, str]) -> Process:
    world = _number(environment, "SLURM_STEP_NUM_TASKS")
    nodes = _number(environment, "SLURM_STEP_NUM_NODES", default="1")
    # One job may run several steps at once; each meets at a port of its own.
    step = _number(environment, "SLURM_STEP_ID", default="0")
    port = _FIRST_SLURM_PORT + (_number(environment, "SLURM_JOB_ID", default="0") + step) % _SLURM_PORTS
    return Process(
        rank=_number(environment, "SLURM_PROCID"),
        world=world,
        local_rank=_number(environment, "SLURM_LOCALID"),
        local_world=max(1, world // max(1, nodes)),
        address=environment.get(ADDRESS) or first_node(environment.get("SLURM_STEP_NODELIST", LOOPBACK)),
        port=_number(environment, PORT, default=str(port)),
        starter="Slurm",
    )


def first_node(nodes: str) -> str:
    """The first name in Slurm's list of nodes: `gpu[03-07,12],x1` → `gpu03`."""
    entry = re.match(r"(?:[^\[,]|\[[^\]]*\])*", nodes)[0]
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", entry)


def _number(
    environment: Mapping[str, str], name: str, default: str | None = None, *, may_be_empty: bool = True
) -> int:
    text = environment.get(name, default)
    if text == "" and default is not None and may_be_empty:
        text = default
    if text is None or not text.isdecimal():
        raise ValueError(
            f"the environment says {name}={text}, which is not a number; unset it, or start by torchrun"
        )
    return int(text)


def is_lost_connection(error: BaseException) -> bool:
    """Whether another process of the run is gone, by what torch says of it: gloo, NCCL or the meeting place."""
    if not isinstance(error, RuntimeError):
        return False
    from torch.distributed import DistError  # a program that meets such an error has loaded torch

    words = ("Connection closed by peer", "Connection reset by peer", "gloo", "NCCL", "Broken pipe")
    return isinstance(error, DistError) or any(word in str(error) for word in words)
