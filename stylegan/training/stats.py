"""Running statistics of a tick: what the phases report, summed on the device and read once.

A training step reports dozens of values, and to read one makes the host wait for the device. So every report
only adds to three sums that stay where the values are, and all of them cross over together at the tick.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor


class Stat(NamedTuple):
    """How many values were reported, their mean, and their standard deviation (of the population)."""

    num: int
    mean: float
    std: float


class RunningStats:
    """Sums of reported values by name, between two calls of `take`.

    Holds per name one tensor [3] = (count, sum, sum of squares) on the device of the latest values, in
    float64, or in float32 where the device has no float64. The names are in the order of their first report.
    The sums are those of this process.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._events: dict[str, tuple[torch.cuda.Event, torch.cuda.Event]] = {}

    @contextmanager
    def measure(self, name: str, device: torch.device) -> Iterator[None]:
        """Milliseconds that the work inside takes on `device`: all runs, on a GPU the latest of the tick.

        There the host runs ahead of the device, so events mark begin and end, and `take` reads them.
        """
        if device.type == "cuda":
            stream = torch.cuda.current_stream(device)
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record(stream)
            yield
            end.record(stream)
            self._events[name] = start, end
        else:
            began = time.perf_counter()
            yield
            self.add(name, (time.perf_counter() - began) * 1000)

    def add(self, name: str, values: Tensor | float) -> None:
        """Adds every element of `values`, any shape, also empty, to the sums of `name`."""
        values = torch.as_tensor(values).detach()
        dtype = torch.float32 if values.device.type == "mps" else torch.float64
        values = values.to(dtype)
        count = torch.full((), values.numel(), dtype=dtype, device=values.device)
        sums = torch.stack([count, values.sum(), values.square().sum()])
        if (known := self._sums.get(name)) is not None:
            sums += known.to(sums)  # a restored sum still lies on the CPU
        self._sums[name] = sums

    def take(self) -> dict[str, Stat]:
        """Reads all sums, one transfer a device, and clears them. Names without a single value are left out.

        std is sqrt(max(E[x^2] - E[x]^2, 0)), as in the reference.
        """
        sums, self._sums = self._sums, {}
        by_device: dict[torch.device, list[str]] = {}
        for name, tensor in sums.items():
            by_device.setdefault(tensor.device, []).append(name)
        read = {}
        for names in by_device.values():
            read.update(zip(names, torch.stack([sums[name] for name in names]).tolist(), strict=True))
        return {name: _stat(*read[name]) for name in sums if read[name][0]} | self._take_events()

    def _take_events(self) -> dict[str, Stat]:
        events, self._events = self._events, {}
        for _, end in events.values():
            end.synchronize()
        return {name: Stat(1, start.elapsed_time(end), 0.0) for name, (start, end) in events.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """Name -> [3] (count, sum, sum of squares): plain tensors, which `weights_only` loading admits."""
        return {name: sums.clone() for name, sums in self._sums.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replaces all sums by those of `state_dict`."""
        self._sums = {name: sums.clone() for name, sums in state.items()}


def _stat(num: float, total: float, squares: float) -> Stat:
    mean = total / num
    variance = squares / num - mean * mean
    # Not max(variance, 0): that would turn the NaN of a broken loss into a spotless 0.
    return Stat(int(num), mean, 0.0 if variance < 0 else variance**0.5)
