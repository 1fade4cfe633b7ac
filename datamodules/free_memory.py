"""How much memory is free: what the machine has left, within what a container or a job may take."""

import os
from collections.abc import Iterator
from pathlib import Path


def free_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that can be taken without swapping; None where the system does not tell.

    Where only the memory that is built in is told, half of it counts as free.
    """
    machine = _of_machine(proc)
    free = [*_of_groups(proc, cgroups)] + ([] if machine is None else [machine])
    return max(0, min(free)) if free else None


def _of_machine(proc: Path) -> int | None:
    for line in _text(proc / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    for pages, share in (("SC_AVPHYS_PAGES", 1), ("SC_PHYS_PAGES", 2)):
        try:
            return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE") // share
        except (AttributeError, ValueError, OSError):  # Windows has no sysconf, and names differ
            continue
    return None


def _of_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    """What each control group that this process is in leaves it, of version 2 and of version 1."""
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, own = line.split(":", 2)
        if not controllers:
            root, limit, used, idle = cgroups, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, used = cgroups / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            idle = "total_inactive_file"
        else:
            continue
        # A limit holds for all groups below. Within a container the path may be the host's, and its root is ours.
        inner = root / own.strip("/")
        for group in (inner, *inner.parents):
            if group.is_relative_to(root):
                yield from _left(group / limit, group / used, group / "memory.stat", idle)


def _left(limit: Path, used: Path, stat: Path, idle: str) -> Iterator[int]:
    limit_text, used_text = _text(limit).strip(), _text(used).strip()
    if not limit_text.isdecimal() or not used_text.isdecimal():  # "max", or no such group
        return
    # Files that were read once are given up as soon as memory is wanted.
    fields = (line.split() for line in _text(stat).splitlines())
    given_up = next((int(field[1]) for field in fields if field[:1] == [idle]), 0)
    yield int(limit_text) - int(used_text) + given_up


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
