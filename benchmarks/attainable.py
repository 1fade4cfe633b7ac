"""What the machine can do: the speed of one large convolution, which dense kernels come close to."""

from collections.abc import Callable

import torch

# 256 -> 256 channels, 3x3, 64x64 pixels, 8 images.
CHANNELS, SIZE_PX, BATCH = 256, 64, 8
OPERATIONS = 2 * 9 * CHANNELS * CHANNELS * SIZE_PX * SIZE_PX * BATCH


def large_convolution(device: torch.device, dtype: torch.dtype) -> Callable[[], None]:
    """The convolution, channels last; OPERATIONS a call."""
    x = torch.randn(BATCH, CHANNELS, SIZE_PX, SIZE_PX, device=device, dtype=dtype)
    w = torch.randn(CHANNELS, CHANNELS, 3, 3, device=device, dtype=dtype)
    x, w = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, w))

    @torch.no_grad()
    def work() -> None:
        torch.nn.functional.conv2d(x, w, padding=1)

    return work
