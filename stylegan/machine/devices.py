"""Devices of torch: which one a name means, full float32 precision, and uploads that do not wait."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from stylegan.machine.text import counted


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Inside, products of float32 are computed in float32, whether or not the training around rounds them.

    By default torch lets convolutions round. Images and scores must not depend on that."""
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


def device_text(device: torch.device) -> str:
    """What a user knows it by: "CPU, 8 threads", "NVIDIA T4 (cuda:0)"."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    return f"CPU, {counted(torch.get_num_threads(), 'thread')}" if device.type == "cpu" else str(device)


def device_named(name: str, number: int = 0) -> torch.device:
    """`auto`: the GPU of that number where there is one, else the CPU; any other name as torch has it.

    Raises: ValueError for what is not there.
    """
    if name == "auto":
        return torch.device("cuda", number) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "meta":
            raise TypeError("tensors without values")
    # Without CUDA torch fails an assertion, without a device of this number a runtime check.
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device={name} cannot be used here; device=auto takes the best there is") from error
    return device


# Up to here the driver takes a copy of its own at once (CUDA Runtime API, "API synchronization behavior").
_TAKEN_AT_ONCE_BYTES = 64 * 1024


def uploaded(x: Tensor, like: Tensor) -> Tensor:
    """x with the device and dtype of `like`.

    A larger tensor in memory that the kernel may move is not read before the device has come to it, and the host would
    wait. So it is laid into memory that stays where it is; torch keeps that until the copy is done.
    """
    if like.is_cuda and not x.is_cuda and x.numel() * x.element_size() > _TAKEN_AT_ONCE_BYTES:
        x = x.pin_memory()
    return x.to(device=like.device, dtype=like.dtype, non_blocking=True)
