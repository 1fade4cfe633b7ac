"""Memory of this machine: what is free within the limits of the cgroups around us, what this process holds, and errors
that say there was none left.

psutil reads the figures of the system and of the process. The limits of cgroups, which it does not know, are read here;
it does not tell a process's peak on Linux either, which the memory probe of training reads.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from weakref import WeakSet

# Controller in /proc/self/cgroup → mount, and names of limit, use, and cached files within it. No name = version 2.
_VERSIONS = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


class Room(NamedTuple):
    """total_bytes: what there is. free_bytes: what can be taken of it without swapping."""

    total_bytes: int
    free_bytes: int

    @property
    def usable_bytes(self) -> int:
        """A tenth of all stays free: for what varies from one iteration to the next, and for others."""
        return max(0, self.free_bytes - self.total_bytes // 10)


def room_of_machine(root: Path = Path("/")) -> Room | None:
    """What this process can have besides what it holds; None where the system does not say.

    Args:
        root: where `proc/self/cgroup` and `sys/fs/cgroup` are.
    """
    import psutil  # here, not above: most commands start without these questions

    try:
        machine = psutil.virtual_memory()
    except (psutil.Error, OSError, RuntimeError):  # as in a sandbox without /proc
        return None
    room = Room(machine.total, machine.available)
    for limit in _limits(root / "proc" / "self" / "cgroup", root / "sys" / "fs" / "cgroup"):
        room = Room(*map(min, room, limit))
    return room._replace(free_bytes=max(0, room.free_bytes))


def resident_bytes() -> int | None:
    """What this process holds in memory now, files included; None where the system does not tell."""
    info = _of_process()
    return None if info is None else info.rss


def held_bytes() -> int:
    """What this process holds in memory for itself, without files where the system says so; else 0."""
    info = _of_process()
    # Linux counts pages of files and shared memory apart.
    return 0 if info is None else info.rss - getattr(info, "shared", 0)


def _of_process() -> Any:
    """psutil's figures, whose names differ between systems; None where it cannot read them."""
    import psutil

    try:
        return psutil.Process().memory_info()
    except (psutil.Error, OSError, RuntimeError):
        return None


class Promised(Protocol):
    """Memory that this process has requested and not filled yet: the system still counts it as free.

    promised_bytes: what will be taken of it later.
    """

    @property
    def promised_bytes(self) -> int: ...


_promised: WeakSet[Promised] = WeakSet()


def promise(memory: Promised) -> None:
    """Counts in `promised_bytes` for as long as `memory` is there."""
    _promised.add(memory)


def promised_bytes() -> int:
    """What this process will still take of the memory that is free now, without asking again."""
    return sum(memory.promised_bytes for memory in _promised)


def in_words(count: float) -> str:
    """Bytes, in units of 10^9, 10^6 or 10^3."""
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _limits(cgroups: Path, mount: Path) -> Iterator[Room]:
    """The room that each cgroup leaves, this process's own and all around it."""
    for line in _text(cgroups).splitlines():
        _, controllers, path = line.split(":", 2)
        for controller, (folder, limit, use, cached) in _VERSIONS.items():
            if controller in controllers.split(","):
                place = mount / folder / path.lstrip("/")
                # In a container the path may be that of the machine outside, and the mount its end.
                for group in (place, *place.parents):
                    if group.is_relative_to(mount / folder):
                        yield from _limit(group, limit, use, cached)


def _limit(group: Path, limit: str, use: str, cached: str) -> Iterator[Room]:
    most, used = _text(group / limit).strip(), _text(group / use).strip()
    if most.isdecimal() and used.isdecimal():  # not "max", and there is such a group
        # Cached files count as used, and make room.
        reclaimable = _numbers(group / "memory.stat").get(cached, 0)
        yield Room(int(most), int(most) - int(used) + reclaimable)


def _numbers(path: Path) -> dict[str, int]:
    """Lines such as `MemTotal:  24683520 kB` or `inactive_file 4096`, by their first word."""
    words = (line.replace(":", " ").split() for line in _text(path).splitlines())
    return {found[0]: int(found[1]) for found in words if len(found) > 1 and found[1].isdecimal()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


# A GPU's libraries and its driver have no kind of error of their own for it, nor has torch on a CPU.
_RAN_OUT = (
    "DefaultCPUAllocator",
    "not enough memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there was no more memory, of the machine or of a GPU."""
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or isinstance(error, RuntimeError) and any(words in str(error) for words in _RAN_OUT)


def ran_out_of_shared(error: BaseException) -> bool:
    """Whether an error is torch's of /dev/shm, through which its data workers send batches."""
    return isinstance(error, RuntimeError) and "shared memory" in str(error)
