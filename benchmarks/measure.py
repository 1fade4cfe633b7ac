"""One setting measured: times of the phases, rates, memory, and how close they come to what can be had."""

import resource
import sys
from typing import Any

import torch

from benchmarks.attainable import OPERATIONS, large_convolution
from benchmarks.settings import Setting
from benchmarks.timing import interleaved
from benchmarks.training import SHARES, Training, operations

GIGA = 1e9


def measured(setting: Setting, device: torch.device, *, rounds: int) -> dict[str, Any]:
    """What the JSON file says of a setting.

    `fraction_of_attainable` is ideal time / measured time of an iteration, the ideal time being the operations of
    each phase at the speed of the large convolution in that phase's precision, timed in the same turns;
    `attainable_gflops` is that speed for the main phases.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    training = Training(setting, device)
    works = training.works
    counted = {name: operations(work) for name, work in works.items()}
    # float32 in any case: what other machines' figures are compared by.
    dtypes = {torch.float32} | {training.dtype_of(name) for name in works}
    convolutions = {dtype: large_convolution(device, dtype) for dtype in dtypes}
    with training.drawing():
        seconds = interleaved(works | convolutions, device, rounds=rounds)

    speed = {dtype: OPERATIONS / seconds[dtype] for dtype in dtypes}
    ideal = {name: counted[name] / speed[training.dtype_of(name)] for name in works}
    phases = {name: share for name, share in SHARES.items() if name in works}
    iteration_sec = sum(share * seconds[name] for name, share in phases.items())
    ideal_sec = sum(share * ideal[name] for name, share in phases.items())
    iteration_operations = sum(share * counted[name] for name, share in phases.items())
    batch = setting.batch
    return {
        "setting": setting.name,
        "resolution": setting.resolution,
        "preset": setting.preset,
        "batch": batch,
        "precision": training.module.precision.chosen,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "rounds": rounds,
        "train_images_per_s": batch / iteration_sec,
        "generate_images_per_s": batch / seconds["generate"],
        "attainable_gflops": speed[training.dtype_of("Gmain")] / GIGA,
        "fp32_gflops": speed[torch.float32] / GIGA,
        "fraction_of_attainable": ideal_sec / iteration_sec,
        "generate_fraction_of_attainable": ideal["generate"] / seconds["generate"],
        "train_gflop_per_image": iteration_operations / batch / GIGA,
        "generate_gflop_per_image": counted["generate"] / batch / GIGA,
        "peak_memory_gb": _peak_memory_bytes(device) / 2**30,
        "phase_ms": {name: 1000 * seconds[name] for name in phases},
        "phase_gflop": {name: counted[name] / GIGA for name in phases},
    }


def _peak_memory_bytes(device: torch.device) -> int:
    """Of the GPU; on the CPU, of the whole process since it began."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
