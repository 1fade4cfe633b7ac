"""Where the time of each phase and of generation goes, by kinds of operations.

`python -m benchmarks.parts --setting B`; torch's profiler tells, and what it costs itself is counted with the rest.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stylegan.cli.host import prepare_host

prepare_host()

import torch  # noqa: E402  (its runtimes read at once what is prepared)
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402

from benchmarks.settings import NAMED, Setting, parse_setting  # noqa: E402
from benchmarks.training import Training  # noqa: E402
from stylegan.atomic import replacing  # noqa: E402

KINDS = ("convolutions", "filters", "matrix products", "augmentation's sampling", "Adam", "all else")


def parts_of(setting: Setting, device: torch.device, *, repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each kind in one call of each work, by the work's name."""
    training = Training(setting, device)
    with training.drawing():
        return {name: _parts(work, device, repeats) for name, work in training.works.items()}


def _parts(work: Callable[[], None], device: torch.device, repeats: int) -> dict[str, float]:
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    for _ in range(2):
        work()
    with profile(activities=activities, record_shapes=True) as profiler:
        for _ in range(repeats):
            work()
    parts = dict.fromkeys(KINDS, 0.0)
    for event in profiler.key_averages(group_by_input_shape=True):
        if event.device_type != torch.autograd.DeviceType.CPU:
            # A kernel of a GPU: its time is that of the operation that started it, too.
            continue
        microseconds = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
        parts[kind_of(event.key, event.input_shapes)] += microseconds / 1000 / repeats
    return parts


# All but the first are what torch takes for small ones, where it leaves oneDNN aside.
_CONVOLUTIONS = ("convolution", "conv2d_forward", "conv2d_backward", "thnn_conv2d", "conv_transpose2d")


def kind_of(operation: str, shapes: Sequence[Sequence[int]]) -> str:
    """Which of `KINDS` an operation of torch is.

    Args: operation: "aten::mkldnn_convolution", ... shapes: of its inputs, [] for what is no tensor.
    """
    name = operation.removeprefix("aten::")
    if any(word in name for word in _CONVOLUTIONS):
        x, weight = shapes[1:3] if name.endswith("backward") else shapes[:2]
        # One channel of weights for many of the image: each is filtered for itself.
        return "filters" if len(weight) == 4 and weight[1] == 1 and x[1] > 1 else "convolutions"
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        return "matrix products"
    if "grid_sampler" in name:
        return "augmentation's sampling"
    return "Adam" if "adam" in name else "all else"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns: the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parts", description=__doc__)
    parser.add_argument("--setting", default="B", help=f"{', '.join(NAMED)}, or as in python -m benchmarks")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--repeats", type=int, default=5, help="calls that are averaged")
    options = parser.parse_args(argv)
    if options.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {options.repeats}")
    try:
        setting = parse_setting(options.setting)
    except ValueError as error:
        parser.error(str(error))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parts = parts_of(setting, device, repeats=options.repeats)
    _show(setting.name, parts)
    if options.json is not None:
        result: dict[str, Any] = {"setting": setting.name, "milliseconds": parts}
        with replacing(options.json) as file:
            file.write((json.dumps(result, indent=2) + "\n").encode())
    return 0


def _show(name: str, parts: dict[str, dict[str, float]]) -> None:
    table = Table(title=f"setting {name}: milliseconds, and the part of the whole")
    table.add_column("")
    for work in parts:
        table.add_column(work, justify="right")
    for kind in KINDS:
        cells = [f"{ms[kind]:.1f} ({ms[kind] / sum(ms.values()):.0%})" for ms in parts.values()]
        table.add_row(kind, *cells)
    table.add_row("whole", *(f"{sum(ms.values()):.1f}" for ms in parts.values()))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    sys.exit(main())
