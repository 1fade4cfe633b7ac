"""What the metrics take on full-sized sets of features: `python -m benchmarks.metrics --json metrics.json`."""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stylegan.machine.process import prepare_host

prepare_host()

import numpy as np  # noqa: E402  (its threads are counted at once)
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from stylegan.machine.files import replacing  # noqa: E402
from stylegan.machine.process import usable_cores  # noqa: E402
from stylegan.metrics import (  # noqa: E402
    fid_bias,
    frechet_distance,
    kid,
    kid_interval,
    moments_of,
    precision_recall,
)

STEPS = ("moments", "distance", "bias", "kid", "kid_interval", "precision_recall")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns: the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000, help="of each set")
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--skip", choices=STEPS, action="append", default=[], help="may be repeated")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    options = parser.parse_args(argv)
    if options.rows < 10 or options.features < 1:
        parser.error(
            f"--rows must be at least 10 and --features 1, got {options.rows} and {options.features}"
        )
    result = measured(options.rows, options.features, [step for step in STEPS if step not in options.skip])
    _show(result)
    if options.json is not None:
        with replacing(options.json) as file:
            file.write((json.dumps(result, indent=2) + "\n").encode())
    return 0


def measured(rows: int, features: int, steps: Sequence[str]) -> dict[str, Any]:
    """Seconds of each step by the clock and of all processors together, and the peak of resident memory so far.

    On a machine that is busy otherwise the second tells more.
    """
    result: dict[str, Any] = {
        "rows": rows,
        "features": features,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "cpus": usable_cores(),
        "steps": {},
    }
    real, fake = made(rows, features, seed=0), made(rows, features, seed=1)
    result["features_gib"] = (real.nbytes + fake.nbytes) / 2**30
    moments = None
    for name, work in _works(real, fake).items():
        if name not in steps and not (name == "moments" and {"distance", "bias"} & set(steps)):
            continue
        with _timed(result["steps"], name):
            value = work(moments)
        if name == "moments":
            moments = value
        else:
            result["steps"][name]["values"] = list(value) if isinstance(value, tuple) else [value]
    result["peak_memory_gib"] = _peak_memory_gib()
    return result


def made(rows: int, features: int, *, seed: int) -> np.ndarray:
    """Float32 rows made in place, rectified and of unequal spread as those of a classifier are."""
    generator = np.random.default_rng(seed)
    out = np.empty((rows, features), dtype=np.float32)
    scale = np.linspace(0.2, 1.0, features, dtype=np.float32) * (1 + 0.01 * seed)
    for first in range(0, rows, 1000):
        part = out[first : first + 1000]
        generator.standard_normal(out=part, dtype=np.float32)
        part *= scale
        np.maximum(part, 0, out=part)
    return out


def _works(real: np.ndarray, fake: np.ndarray) -> dict[str, Callable[[Any], Any]]:
    return {
        "moments": lambda _: [moments_of(real), moments_of(fake)],
        "distance": lambda moments: frechet_distance(*moments),
        "bias": lambda moments: fid_bias(*moments),
        "kid": lambda _: kid(real, fake, rng=np.random.RandomState(0)),
        "kid_interval": lambda _: kid_interval(real, fake),
        "precision_recall": lambda _: precision_recall(real, fake),
    }


@contextmanager
def _timed(steps: dict[str, Any], name: str) -> Iterator[None]:
    print(f"{name} ...", file=sys.stderr, flush=True)
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    steps[name] = {
        "wall_sec": time.perf_counter() - wall,
        "cpu_sec": time.process_time() - cpu,
        "peak_memory_gib": _peak_memory_gib(),
    }


def _peak_memory_gib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak if sys.platform == "darwin" else peak * 1024) / 2**30


def _show(result: dict[str, Any]) -> None:
    table = Table(
        title=f"{result['rows']:,} x {result['features']:,} features, {result['threads']} threads,"
        f" {result['features_gib']:.2f} GiB of them"
    )
    for name in ("step", "seconds", "processor seconds", "peak GiB so far", "value"):
        table.add_column(name)
    for name, step in result["steps"].items():
        values = step.get("values", [])
        table.add_row(
            name,
            f"{step['wall_sec']:.1f}",
            f"{step['cpu_sec']:.1f}",
            f"{step['peak_memory_gib']:.2f}",
            ", ".join(f"{value:.5g}" for value in values),
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    sys.exit(main())
