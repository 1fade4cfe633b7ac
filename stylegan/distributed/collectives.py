"""What the processes of a run do together. Alone, each of these does nothing, and costs nothing.

Every process must call them in the same order; so what decides about a call must be the same on all."""

import datetime
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from stylegan.distributed.processes import INTERFACE, Process, Waiting
from stylegan.errors import UserError
from stylegan.machine.process import usable_cores

T = TypeVar("T")
# One process may draw pictures or score them while the others wait for it.
TIMEOUT = datetime.timedelta(hours=1)
_ATTEMPT = datetime.timedelta(seconds=5)


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this one, from 0."""
    return dist.get_rank() if world() > 1 else 0


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Adds up `tensor`, in place, over all processes; the same bits everywhere.  Returns: it."""
    if world() > 1:
        dist.all_reduce(tensor)
    return tensor


def largest_over_ranks(number: int) -> int:
    """The largest of the numbers that the processes say. On the CPU: no device is waited for."""
    if world() == 1:
        return number
    said = torch.tensor(number, dtype=torch.int64)
    dist.all_reduce(said, op=dist.ReduceOp.MAX)
    return int(said)


def gather(value: Any) -> list[Any]:
    """What each process says, in the order of their ranks; plain values, sent as objects between our own processes."""
    if world() == 1:
        return [value]
    said: list[Any] = [None] * world()
    dist.all_gather_object(said, value)
    return said


def gather_to_first(value: Any) -> list[Any] | None:
    """What each process says, in the order of their ranks, on rank 0; None on the others."""
    if world() == 1:
        return [value]
    said: list[Any] | None = [None] * world() if rank() == 0 else None
    dist.gather_object(value, said, dst=0)
    return said


def on_rank_zero(work: Callable[[], T]) -> T:
    """Lets rank 0 alone do something.  Returns: its result, on all.  Raises: what it raises, on all.

    So that a disk that is full for one process stops none of the others in the middle of a collective.
    """
    if world() == 1:
        return work()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = work()
        except (OSError, RuntimeError, ValueError, UserError) as error:
            outcome[1] = error
    error, sent = outcome[1], [outcome[0], outcome[1]]
    dist.broadcast_object_list(sent, src=0)
    if error is not None:
        raise error  # with its traceback, where it happened
    if sent[1] is not None:
        raise sent[1]
    return sent[0]


def disagreement(tensors: dict[str, Tensor]) -> list[str]:
    """The names of the tensors whose bits are not the same on all processes."""
    if world() == 1 or not tensors:
        return []
    digest = torch.stack([_sum_of_bits(tensor.detach()) for tensor in tensors.values()])
    least, most = digest.clone(), digest
    dist.all_reduce(least, op=dist.ReduceOp.MIN)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    differ = (least != most).tolist()
    return [name for name, other in zip(tensors, differ, strict=True) if other]


_SAME_WIDTH = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _sum_of_bits(tensor: Tensor) -> Tensor:
    # As whole numbers: their sum does not depend on the order in which threads add, and NaN equals itself.
    return tensor.contiguous().view(_SAME_WIDTH[tensor.element_size()]).sum(dtype=torch.int64)


_PLACES: dict[Process, dist.Store] = {}


def meeting_place(process: Process, *, listening: int | None = None) -> dist.Store:
    """Where the processes of a run exchange a few words; made by rank 0, unless torchrun has made it already.

    Once in a process. Args: listening: of rank 0, a socket's file descriptor that the place takes over; None = it
    listens at `process.port` of all interfaces, for processes on other machines.
    """
    if process not in _PLACES:
        _PLACES[process] = _made_or_found(process, listening)
    return _PLACES[process]


def _made_or_found(process: Process, listening: int | None) -> dist.Store:
    by_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = _connected(process, is_master=process.rank == 0 and not by_agent, listening=listening)
    # Where torchrun restarts the processes, its store still knows the words of those before.
    return dist.PrefixStore(f"stylegan/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _connected(process: Process, *, is_master: bool, listening: int | None) -> dist.Store:
    end, waiting = time.monotonic() + TIMEOUT.total_seconds(), Waiting(process)
    while True:
        try:
            store = dist.TCPStore(
                process.address,
                process.port,
                is_master=is_master,
                timeout=_ATTEMPT,
                wait_for_workers=False,
                master_listen_fd=listening,
            )
        except dist.DistError:
            # One long attempt could not be interrupted by a signal.
            if is_master or time.monotonic() > end:
                raise
            waiting.say_once(lambda: 1)
        else:
            store.set_timeout(TIMEOUT)
            return store


def join(process: Process) -> None:
    """Makes the process one of `process.world` that compute together: gloo for CPUs, NCCL for GPUs.

    Nothing where it is alone, or one of them already.
    Raises: UserError where the environment names a network interface that there is not.
    """
    if process.world == 1 or dist.is_initialized():
        return
    store = dist.PrefixStore("group", meeting_place(process))
    try:
        dist.init_process_group(
            backend=_backend(), store=store, rank=process.rank, world_size=process.world, timeout=TIMEOUT
        )
    except RuntimeError as error:
        interface = os.environ.get(INTERFACE)
        # Else it would look like a process that is gone, and the same command would never do better.
        if interface is None or "Unable to find address" not in str(error):
            raise
        raise UserError(
            f"the environment says {INTERFACE}={interface}, and this machine has no such network interface with an"
            " address; set it to one that it has, or unset it"
        ) from error
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, usable_cores() // process.local_world))


def _backend() -> str:
    """One for each kind of device. Left unnamed, torch takes that of the GPU alone where there is one, and numbers
    on the CPU could not be exchanged."""
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"


def part() -> None:
    """Ends the work together."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
