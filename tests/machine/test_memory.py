"""Free memory, from files as the kernel writes them, from other systems, and of this machine."""

import mmap
import os
import sys

import psutil
import pytest
import torch

from stylegan.machine.memory import (
    Room,
    held_bytes,
    in_words,
    ran_out,
    ran_out_of_shared,
    resident_bytes,
    room_of_machine,
)

KIB, MIB = 1024, 1024**2


MEMINFO = {
    "MemTotal": "1000 kB",
    "MemFree": "1 kB",
    "MemAvailable": "600 kB",
    **{name: "0 kB" for name in ("Buffers", "Cached", "Shmem", "Active", "Inactive")},
    "HugePages_Total": "0",
}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Writes files below a root of its own: {path: text}. Returns: what there is room for there."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "proc"))

    def write(files: dict[str, str]):
        meminfo = "".join(f"{name}:  {value}\n" for name, value in MEMINFO.items())
        files = {"proc/meminfo": meminfo} | files
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return room_of_machine(tmp_path)

    return write


def group(limit, use, cached, *, version, folder=""):
    """The files of a cgroup, in KiB."""
    base = f"sys/fs/cgroup/{folder}" if version == 2 else f"sys/fs/cgroup/memory/{folder}"
    names = {
        1: ("limit_in_bytes", "usage_in_bytes", "total_inactive_file"),
        2: ("max", "current", "inactive_file"),
    }
    limit_name, use_name, cached_name = names[version]
    return {
        f"{base}/memory.{limit_name}": limit if isinstance(limit, str) else str(limit * KIB),
        f"{base}/memory.{use_name}": str(use * KIB),
        f"{base}/memory.stat": f"anon 5\n{cached_name} {cached * KIB}\nactive_file 9\n",
    }


def test_without_limits_it_is_what_the_kernel_has_to_give(machine):
    assert machine({}) == Room(1000 * KIB, 600 * KIB)


def test_a_tenth_stays_free():
    assert Room(1000, 700).usable_bytes == 600
    assert Room(1000, 50).usable_bytes == 0


@pytest.mark.parametrize("version", [1, 2])
def test_a_limit_counts_less_what_is_used_but_for_cached_files(machine, version):
    cgroup = {1: "4:cpu,cpuacct:/\n5:memory:/job\n0::/\n", 2: "0::/job\n"}[version]
    files = {"proc/self/cgroup": cgroup} | group(500, 400, 50, version=version, folder="job")
    assert machine(files) == Room(500 * KIB, (500 - 400 + 50) * KIB)


@pytest.mark.parametrize("version", [1, 2])
def test_the_narrowest_group_around_the_process_counts(machine, version):
    cgroup = {1: "5:memory:/outer/job\n", 2: "0::/outer/job\n"}[version]
    inner = group(900, 100, 0, version=version, folder="outer/job")
    outer = group(300, 200, 0, version=version, folder="outer")
    assert machine({"proc/self/cgroup": cgroup} | inner | outer) == Room(300 * KIB, 100 * KIB)


@pytest.mark.parametrize("version", [1, 2])
def test_in_a_container_the_limit_is_at_the_mount(machine, version):
    cgroup = {1: "5:memory:/docker/0a72\n", 2: "0::/docker/0a72\n"}[version]
    assert machine({"proc/self/cgroup": cgroup} | group(400, 100, 0, version=version)) == Room(
        400 * KIB, 300 * KIB
    )


def test_no_limit_is_none(machine):
    files = {"proc/self/cgroup": "0::/job\n"} | group("max\n", 100, 0, version=2, folder="job")
    assert machine(files) == Room(1000 * KIB, 600 * KIB)
    files = {"proc/self/cgroup": "5:memory:/\n"} | group(str(2**63 - 4096), 100, 0, version=1)
    assert machine(files) == Room(1000 * KIB, 600 * KIB)


def test_a_group_that_is_over_its_limit_leaves_nothing(machine):
    files = {"proc/self/cgroup": "0::/\n"} | group(100, 200, 0, version=2)
    assert machine(files) == Room(100 * KIB, 0)


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file"), psutil.Error(), RuntimeError("no btime")]
)
def test_a_system_that_does_not_tell(monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(psutil, "virtual_memory", fails)
    monkeypatch.setattr(psutil, "Process", fails)
    assert room_of_machine() is None
    assert held_bytes() == 0 and resident_bytes() is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
def test_this_machine():
    room = room_of_machine()
    assert 100 * MIB < room.free_bytes < room.total_bytes
    assert room.total_bytes <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 10 * MIB < held_bytes() < resident_bytes() < room.total_bytes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
def test_held_memory_is_that_of_the_process_alone(tmp_path):
    """The kernel's own count, and how it moves: with memory of ours, not with a file that is mapped."""

    def kernel(name: str) -> int:
        line = next(line for line in open("/proc/self/status") if line.startswith(f"{name}:"))
        return int(line.split()[1]) * KIB

    assert held_bytes() == pytest.approx(kernel("RssAnon"), abs=4 * MIB)
    assert resident_bytes() == pytest.approx(kernel("VmRSS"), abs=4 * MIB)
    before, resident = held_bytes(), resident_bytes()
    # Pages of its own: what an earlier test has freed may still be with the process, and would be used again.
    ours = mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for _ in range(len(ours) // MIB):
        ours.write(b"1" * MIB)
    assert held_bytes() - before == pytest.approx(len(ours), abs=8 * MIB)
    path = tmp_path / "file"
    with open(path, "wb") as file:
        file.write(ours)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        # In pieces: a whole copy would stay with the process, where an earlier test has set the allocator so.
        assert sum(mapped[at : at + MIB].count(b"1") for at in range(0, len(ours), MIB)) == len(ours)
        assert held_bytes() - before == pytest.approx(len(ours), abs=8 * MIB)
        assert resident_bytes() - resident == pytest.approx(2 * len(ours), abs=8 * MIB)


@pytest.mark.parametrize("count, text", [(2_340_000_000, "2.3 GB"), (7_600_000, "8 MB"), (1200, "1.2 kB")])
def test_bytes_in_words(count, text):
    assert in_words(count) == text


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_what_ran_out_of_memory_is_known_by_what_it_says(error):
    assert ran_out(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes cannot be multiplied"), ValueError("CUDA out of memory")]
)
def test_other_errors_are_something_else(error):
    assert not ran_out(error)


def test_shared_memory_that_ran_out_is_known_by_what_torch_says():
    assert ran_out_of_shared(
        RuntimeError("unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left")
    )
    assert ran_out_of_shared(
        RuntimeError(
            "Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm)."
        )
    )
    assert not ran_out_of_shared(RuntimeError("shapes cannot be multiplied"))
