"""Times that can be compared: several works in turn, again and again, and the median of each."""

import statistics
import time
from collections.abc import Callable, Hashable, Mapping

import torch

# A work that takes less is repeated within one measurement.
SHORTEST_SEC = 0.1


def interleaved(
    works: Mapping[Hashable, Callable[[], None]], device: torch.device, *, rounds: int
) -> dict[Hashable, float]:
    """Seconds that one call of each work takes: the median of `rounds`, taken in turn.

    So a machine that slows down for a while slows all of them. Each is called twice before anything counts.
    """
    repeats = {}
    for name, work in works.items():
        work()
        once = _seconds(work, device, 1)
        repeats[name] = max(1, round(SHORTEST_SEC / max(once, 1e-9)))
    times: dict[Hashable, list[float]] = {name: [] for name in works}
    order = list(works)
    for _ in range(rounds):
        for name in order:
            times[name].append(_seconds(works[name], device, repeats[name]))
        # What comes first finds other things in the caches than what comes later.
        order = order[1:] + order[:1]
    return {name: statistics.median(values) for name, values in times.items()}


def _seconds(work: Callable[[], None], device: torch.device, repeats: int) -> float:
    _wait(device)
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    _wait(device)
    return (time.perf_counter() - start) / repeats


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
