"""Free memory as the system tells it, from folders made up as Linux has them, and from the real ones."""

import os
import sys
from pathlib import Path

import pytest

from datamodules.free_memory import free_bytes

GB = 10**9


def machine(place: Path, *, available_kib: int | None = 8_000_000, groups: str = "") -> Path:
    proc = place / "proc"
    (proc / "self").mkdir(parents=True)
    if available_kib is not None:
        (proc / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable: {available_kib} kB\n")
    (proc / "self" / "cgroup").write_text(groups)
    return proc


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def test_the_machine_alone(tmp_path):
    assert free_bytes(machine(tmp_path), tmp_path / "none") == 8_000_000 * 1024


def test_the_second_version_counts_every_group_above(tmp_path):
    proc, root = machine(tmp_path, groups="0::/a/b\n"), tmp_path / "groups"
    group(root / "a" / "b", memory__max="max", memory__current=GB)
    assert free_bytes(proc, root) == 8_000_000 * 1024, "no limit"
    group(root / "a" / "b", memory__max=5 * GB, memory__current=GB)
    assert free_bytes(proc, root) == 4 * GB
    group(root / "a", memory__max=3 * GB, memory__current=2 * GB)
    assert free_bytes(proc, root) == GB, "the outer limit is the tighter one"
    group(root / "a", memory__stat=f"anon 7\ninactive_file {GB // 2}\nactive_file 9")
    assert free_bytes(proc, root) == GB + GB // 2, "what was read from files is given up"


def test_the_first_version_within_a_container_whose_path_is_the_hosts(tmp_path):
    proc = machine(tmp_path, groups="5:cpu:/x\n4:memory:/host/path/of/it\n0::/\n")
    root = tmp_path / "groups"
    group(
        root / "memory",
        memory__limit_in_bytes=2 * GB,
        memory__usage_in_bytes=GB,
        memory__stat=f"inactive_file 5\ntotal_inactive_file {GB // 4}",
    )
    assert free_bytes(proc, root) == GB + GB // 4
    group(root / "memory", memory__limit_in_bytes=2**63 - 4096)
    assert free_bytes(proc, root) == 8_000_000 * 1024, "no limit"


def test_a_group_that_is_over_its_limit_leaves_nothing(tmp_path):
    proc, root = machine(tmp_path, groups="0::/\n"), tmp_path / "groups"
    group(root, memory__max=GB, memory__current=2 * GB)
    assert free_bytes(proc, root) == 0


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"SC_AVPHYS_PAGES": 10, "SC_PHYS_PAGES": 100, "SC_PAGE_SIZE": 4096}, 10 * 4096),
        ({"SC_PHYS_PAGES": 100, "SC_PAGE_SIZE": 16384}, 50 * 16384),
        ({}, None),
    ],
)
def test_other_systems(tmp_path, monkeypatch, told, expected):
    def sysconf(name):
        if name not in told:
            raise ValueError("unrecognized configuration name")
        return told[name]

    monkeypatch.setattr(os, "sysconf", sysconf, raising=False)
    assert free_bytes(tmp_path / "no proc", tmp_path / "none") == expected


def test_a_system_without_sysconf(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert free_bytes(tmp_path / "no proc", tmp_path / "none") is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
def test_this_machine_has_less_free_than_built_in():
    assert 0 < free_bytes() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
