"""Running statistics of a tick: what the phases report, summed on the device and read once.

A training step reports dozens of values, and to read one makes the host wait for the device. So every report
only adds to three sums that stay where the values are, and all of them cross over together at the tick.
"""

from collections.abc import Mapping
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
        return {name: _stat(*read[name]) for name in sums if read[name][0]}

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
