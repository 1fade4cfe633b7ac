"""Where the time of each phase and of generation goes, by kinds of operations.

`python -m benchmarks.parts --setting B`. On a CPU every operation is timed as torch calls it, and *all else* is what is
left of the time that the work takes unobserved. On a GPU torch's profiler measures.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from stylegan.machine.process import prepare_host

prepare_host()

import torch  # noqa: E402  (its runtimes read at once what is prepared)
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from benchmarks.settings import NAMED, Setting, parse_setting  # noqa: E402
from benchmarks.training import Training  # noqa: E402
from stylegan.machine.files import replacing  # noqa: E402

KINDS = ("convolutions", "filters", "matrix products", "augmentation's sampling", "Adam", "all else")


def parts_of(setting: Setting, device: torch.device, *, repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each kind in one call of each work, by the work's name."""
    training = Training(setting, device)
    with training.drawing():
        return {name: _parts(work, device, repeats) for name, work in training.works.items()}


def _parts(work: Callable[[], None], device: torch.device, repeats: int) -> dict[str, float]:
    # Until the memory is there, page faults would be counted as the operations that meet them.
    for _ in range(3):
        work()
    return _profiled(work, repeats) if device.type == "cuda" else _watched(work, repeats)


def _watched(work: Callable[[], None], repeats: int) -> dict[str, float]:
    whole, looks = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        whole.append((time.perf_counter() - start) * 1000)
        with _Watch() as watch:
            work()
        looks.append(watch.milliseconds)
    parts = {kind: median(look[kind] for look in looks) for kind in KINDS[:-1]}
    return parts | {"all else": median(whole) - sum(parts.values())}


class _Watch(TorchDispatchMode):
    """Times the operations that have a kind of their own.

    Torch's profiler would keep a record of each operation. Lying between the activations, the records let no large one
    be used again, and the page faults that follow would be counted as the operations that meet them.
    """

    def __init__(self):
        super().__init__()
        self.milliseconds = dict.fromkeys(KINDS, 0.0)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        start = time.perf_counter()
        result = func(*args, **(kwargs or {}))
        took = (time.perf_counter() - start) * 1000
        shapes = [list(arg.shape) if isinstance(arg, Tensor) else [] for arg in args]
        self.milliseconds[kind_of(func.__name__.split(".")[0], shapes)] += took
        return result


def _profiled(work: Callable[[], None], repeats: int) -> dict[str, float]:
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], record_shapes=True) as profiler:
        for _ in range(repeats):
            work()
    parts = dict.fromkeys(KINDS, 0.0)
    for event in profiler.key_averages(group_by_input_shape=True):
        # The rest are the kernels themselves: their time is that of the operation that started them, too.
        if event.device_type == torch.autograd.DeviceType.CPU:
            milliseconds = event.self_device_time_total / 1000
            parts[kind_of(event.key, event.input_shapes)] += milliseconds / repeats
    return parts


# All but the first are what torch takes for small ones, where it leaves oneDNN aside.
_CONVOLUTIONS = ("convolution", "conv2d_forward", "conv2d_backward", "thnn_conv2d", "conv_transpose2d")


def kind_of(operation: str, shapes: Sequence[Sequence[int]]) -> str:
    """Which of `KINDS` an operation of torch is.

    Args: operation: "convolution", "aten::cudnn_convolution", ... shapes: of its inputs, [] for what is no tensor.
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
    parser.add_argument("--repeats", type=int, default=5, help="calls of each work")
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
