"""float32 as it is written, on GPUs that would round the factors of its products to 10 bits."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Products of float32 are those of float32, whatever the training around chose, and whatever torch does by itself:
    it lets convolutions round. Pictures and scores are not to depend on that."""
    flags = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [flag.allow_tf32 for flag in flags]
    try:
        for flag in flags:
            flag.allow_tf32 = False
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for flag, allowed in zip(flags, before, strict=True):
            flag.allow_tf32 = allowed
