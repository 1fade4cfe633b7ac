"""Several processes on this machine that compute together by gloo, for tests."""

import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing

from stylegan.distributed import collectives as ranks
from stylegan.distributed.processes import Process
from tests.forked import START_METHOD


def together(world: int, work: Callable[..., Any], place: Path, *arguments: Any) -> list[Any]:
    """Runs `work(*arguments)` in each of `world` processes.  Returns: their results, in the order of ranks.

    Args: work: a function of a module; its results are what `torch.load(weights_only=True)` admits.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(
        _one, (world, port, work, place, arguments), nprocs=world, start_method=START_METHOD
    )
    return [torch.load(place / f"{rank}.pt", weights_only=True) for rank in range(world)]


def _one(rank: int, world: int, port: int, work: Callable[..., Any], place: Path, arguments: tuple) -> None:
    torch.set_num_threads(1)
    ranks.join(Process(rank=rank, world=world, local_rank=rank, local_world=world, port=port))
    torch.save(work(*arguments), place / f"{rank}.pt")
    ranks.part()


def listening_at(port: int) -> set[str]:
    """The addresses at which something listens at a port of this machine; skips where the system does not tell."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            pytest.skip("no /proc/net")
        for line in table.read_text().splitlines()[1:]:
            address, number = line.split()[1].split(":")
            if int(number, 16) == port and line.split()[3] == "0A":
                packed = b"".join(
                    struct.pack("=I", int(address[i : i + 8], 16)) for i in range(0, len(address), 8)
                )
                found.add(socket.inet_ntop(socket.AF_INET6 if len(packed) > 4 else socket.AF_INET, packed))
    return found
