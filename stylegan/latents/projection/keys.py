"""Random numbers of a picture: functions of its pixels and the seed, so that neighbours and restarts change none."""

import hashlib

import numpy as np
import torch
from torch import Tensor

# What a number is for; each purpose has numbers of its own.
_PURPOSES = {"maps": 1, "w": 2, "label": 3, "locality": 4}


def key_of(target: Tensor) -> int:
    """A number of 64 bits for a picture, of its pixels alone: uint8 [C,H,W]."""
    pixels = target.detach().cpu().contiguous().numpy()
    return int.from_bytes(hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest()[:8])


def normal_of(key: int, seed: int, purpose: str, step: int, *, shape: tuple[int, ...]) -> Tensor:
    """Unit normal numbers, float32 on the CPU, always the same for the same arguments."""
    random = np.random.default_rng([_PURPOSES[purpose], step, seed, key])
    return torch.from_numpy(random.standard_normal(shape, dtype=np.float32))
