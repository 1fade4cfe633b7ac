"""Running statistics of a tick: what the phases report, summed on the device and read once.

A training step reports dozens of values, and to read one makes the host wait for the device. So every report
only adds to three sums that stay where the values are, and all of them cross over together at the tick.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from stylegan.distributed.collectives import gather, largest_over_ranks, rank, sum_over_ranks, world


class Stat(NamedTuple):
    """How many values were reported, their mean, and their standard deviation (of the population)."""

    num: int
    mean: float
    std: float


class RunningStats:
    """Sums of reported values by name, between two calls of `take`.

    Holds per name one tensor [3] = (count, sum, sum of squares) on the device of the latest values, in
    float64, or in float32 where the device has no float64. The names are in the order of their first report.
    Until they are read the sums are those of this process; `take` and the state are of all, and must be requested by
    all of them.
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
            sums += known.to(sums)  # a restored sum is still on the CPU
        self._sums[name] = sums

    def take(self) -> dict[str, Stat]:
        """Reads all sums, of all processes, one transfer a device, and clears them.

        Names without a single value are left out. std is sqrt(max(E[x^2] - E[x]^2, 0)), as in the reference.
        """
        sums, self._sums = self._together(), {}
        read = self._read(sums)
        return {name: _stat(*values) for name, values in read.items() if values[0]} | self._take_events()

    @staticmethod
    def _read(sums: Mapping[str, Tensor]) -> dict[str, list[float]]:
        """The numbers, in the order of the names."""
        by_device: dict[torch.device, list[str]] = {}
        for name, tensor in sums.items():
            by_device.setdefault(tensor.device, []).append(name)
        read: dict[str, list[float]] = {}
        for names in by_device.values():
            read.update(zip(names, torch.stack([sums[name] for name in names]).tolist(), strict=True))
        return {name: read[name] for name in sums}

    def _take_events(self) -> dict[str, Stat]:
        events, self._events = self._events, {}
        for _, end in events.values():
            end.synchronize()
        return {name: Stat(1, start.elapsed_time(end), 0.0) for name, (start, end) in events.items()}

    def is_finite(self, name: str) -> bool:
        """Whether all values of `name` since the last `take` are finite, on all processes; reads one number."""
        sums = self._sums.get(name)
        return not largest_over_ranks(int(sums is not None and not bool(sums.isfinite().all())))

    def state_dict(self) -> dict[str, Tensor]:
        """Name -> [R,3]: (count, sum, sum of squares) of each of R processes; plain tensors, which `weights_only`
        loading admits."""
        rows = gather(self._read(self._sums))
        return {
            name: torch.tensor([row.get(name, [0.0] * 3) for row in rows], dtype=torch.float64)
            for name in _names(rows)
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replaces all sums by those of `state_dict`: each process takes its own, or, where there were more or fewer
        of them, rank r the rows r, r + world, ... Sums [3] are of a single process."""
        rows = {name: sums.reshape(-1, 3)[rank() :: world()] for name, sums in state.items()}
        self._sums = {name: own.sum(dim=0) for name, own in rows.items() if len(own)}

    def _together(self) -> dict[str, Tensor]:
        """The sums over all processes."""
        if world() == 1:
            return self._sums
        # What only some report counts, too.
        names = _names(gather(list(self._sums)))
        device = next((sums.device for sums in self._sums.values() if sums.device.type != "cpu"), "cpu")
        nothing = torch.zeros(3, dtype=torch.float64, device=device)
        together = torch.stack([self._sums.get(name, nothing).to(nothing) for name in names])
        return dict(zip(names, sum_over_ranks(together), strict=True))


def _names(lists: Iterable[Iterable[str]]) -> list[str]:
    """Each name once, in the order of their first mention."""
    return list(dict.fromkeys(name for names in lists for name in names))


def _stat(num: float, total: float, squares: float) -> Stat:
    mean = total / num
    variance = squares / num - mean * mean
    # Not max(variance, 0): that would turn the NaN of a broken loss into a spotless 0.
    return Stat(int(num), mean, 0.0 if variance < 0 else variance**0.5)
