"""From the host to a device without waiting for it."""

from torch import Tensor

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
