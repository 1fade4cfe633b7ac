"""How much memory of this machine a process can have: what the kernel has to give, and the limits of its cgroups."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Controller in /proc/self/cgroup → mount, and names of limit, use, and cached files within it. No name = version 2.
_VERSIONS = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


class Room(NamedTuple):
    """total_bytes: what there is. free_bytes: what a process can have of it."""

    total_bytes: int
    free_bytes: int

    @property
    def usable_bytes(self) -> int:
        """A tenth of all stays free: for what varies from one iteration to the next, and for others."""
        return max(0, self.free_bytes - self.total_bytes // 10)


def room_of_machine(root: Path = Path("/")) -> Room:
    """What this process can have, with what it holds already.

    Args: root: where `proc` and `sys` are.
    Raises: ValueError where the system does not tell.
    """
    proc = root / "proc"
    try:
        meminfo = _numbers(proc / "meminfo")
        room = Room(1024 * meminfo["MemTotal"], 1024 * meminfo["MemAvailable"])
        held = 1024 * _numbers(proc / "self/status").get("RssAnon", 0)
    except (OSError, KeyError):
        return Room(*[_physical_bytes()] * 2)
    for limit in _limits(proc / "self/cgroup", root / "sys/fs/cgroup"):
        room = Room(*map(min, room, limit))
    return room._replace(free_bytes=min(room.free_bytes + held, room.total_bytes))


def _limits(cgroups: Path, mount: Path) -> Iterator[Room]:
    """The room that each cgroup leaves, this process's own and all around it."""
    try:
        lines = cgroups.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller, (folder, limit, use, cached) in _VERSIONS.items():
            if controller in controllers.split(","):
                place = mount / folder / path.lstrip("/")
                # In a container the path may be that of the machine outside, and the mount its end.
                for group in (place, *place.parents):
                    if group.is_relative_to(mount / folder):
                        yield from _limit(group, limit, use, cached)


def _limit(group: Path, limit: str, use: str, cached: str) -> Iterator[Room]:
    try:
        most, used = (group / limit).read_text().strip(), int((group / use).read_text())
        if most != "max":
            # Cached files count as used, and make room.
            reclaimable = _numbers(group / "memory.stat").get(cached, 0)
            yield Room(int(most), max(0, int(most) - used + reclaimable))
    except (OSError, ValueError):
        return  # no limit here


def _numbers(path: Path) -> dict[str, int]:
    """Lines such as `MemTotal:  24683520 kB` or `inactive_file 4096`, by their first word."""
    words = (line.replace(":", " ").split() for line in path.read_text(encoding="utf-8").splitlines())
    return {found[0]: int(found[1]) for found in words if len(found) > 1 and found[1].isdecimal()}


def _physical_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError) as error:
        raise ValueError(
            "micro_batch=auto cannot tell how much memory this system has; set a number"
        ) from error
