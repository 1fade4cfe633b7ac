"""Time that a run spends beside training: pictures, checkpoints, later metrics."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch

from stylegan.distributed.collectives import rank

MAINTENANCE = "Timing/maintenance_sec"


@contextmanager
def maintenance(module: pl.LightningModule) -> Iterator[None]:
    """Reports the wall time inside to `module.stats`; `StatsTicks` shows its sum and takes it off the tick's.

    The device's open work is waited for first, so that training is not billed to the work beside it.
    """
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)
    start = time.perf_counter()
    try:
        yield
    finally:
        # The others wait meanwhile: it is the same time, and counts once.
        if not rank():
            module.stats.add(MAINTENANCE, time.perf_counter() - start)
