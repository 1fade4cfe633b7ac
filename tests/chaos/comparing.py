"""Whether two runs ended in the same bits."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

# What may differ: wall time, and Lightning's own counters of what this process did.
TIMES = ("Timing/", "Resources/", "timestamp")
NOT_COMPARED = {"loops", "tick_sec", "total_sec", "pytorch-lightning_version", "hyper_parameters"}


def differences(one: Path, other: Path) -> list[str]:
    """The names of all tensors, values and rows that differ between two run folders that have ended.

    Of the checkpoints the last ones are compared, which must have one name, and all others that both have.
    """
    names_a, names_b = ({path.name for path in run.glob("checkpoints/*.ckpt")} for run in (one, other))
    found = [] if max(names_a) == max(names_b) else [f"last is {max(names_a)} and {max(names_b)}"]
    for name in sorted(names_a & names_b):
        a, b = (_checkpoint(run / "checkpoints" / name) for run in (one, other))
        found += [f"{name} {leaf}" for leaf in _differing(a, b)]
    if _cells(one) != _cells(other):
        found.append("rows of stats.csv")
    rows_a, rows_b = (_rows(run) for run in (one, other))
    if len(rows_a) != len(rows_b):
        found.append(f"{len(rows_a)} rows and {len(rows_b)}")
    for row_a, row_b in zip(rows_a, rows_b, strict=False):
        found += [
            f"row {row_a['Progress/kimg']} {name}"
            for name in row_a.keys() | row_b.keys()
            if not _same(row_a.get(name), row_b.get(name))
        ]
    return found


def num_compared(run: Path) -> int:
    """How many values of a run's last checkpoint are compared."""
    return sum(1 for _ in _leaves(_checkpoint(max(run.glob("checkpoints/*.ckpt")))))


def newest_state(run: Path) -> dict[str, torch.Tensor]:
    """Weights and buffers of a run's last checkpoint."""
    return _checkpoint(max(run.glob("checkpoints/*.ckpt")))["state_dict"]


def _checkpoint(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def _cells(run: Path) -> list[dict[str, str]]:
    with open(run / "stats.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: cell for name, cell in row.items() if not name.startswith(TIMES)} for row in rows]


def _rows(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith(TIMES)} for row in rows]


def _differing(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    one, other = dict(_leaves(a)), dict(_leaves(b))
    return [name for name in one.keys() | other.keys() if not _same(one.get(name), other.get(name))]


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        if key in NOT_COMPARED or str(key).startswith(TIMES):
            continue
        if isinstance(value, dict | list | tuple):
            yield from _leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return one == other
