"""The wavelet filters of the pipe, and the random filter that amplifies frequency bands."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan.augment.parameters import Parameters

# Low-pass taps of the symlets, Daubechies' least asymmetric wavelets, with 2 and 6 vanishing moments
# (published constants): unit energy, sum √2.
SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)

# Expected power of natural images in the four bands, lowest frequencies first (ADA paper, appendix B).
BAND_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)


def resampling_filter() -> Tensor:
    """sym6 with sum 1, for resampling by 2 (upsampling has gain 4): [12], float64."""
    taps = torch.tensor(SYM6, dtype=torch.float64)
    return taps / taps.sum()


def filter_bank() -> Tensor:
    """Four symmetric filters that split an axis into octaves and sum to the identity: [4, 43], float64.

    The autocorrelation of sym2 is a half-band low-pass L, and H = δ − L the high-pass. Taken at spacings 1, 2
    and 4 they give the bands L·L₂·L₄, L·L₂·H₄, L·H₂ and H, from the lowest eighth of the frequencies to the
    upper half.
    """
    low = np.convolve(SYM2, SYM2[::-1]) / 2
    high = -low
    high[low.size // 2] += 1
    narrower = np.ones(1)  # the product of the low-passes so far
    bands = []
    for spacing in (1, 2, 4):
        bands.append(np.convolve(narrower, _spread(high, spacing)))
        narrower = np.convolve(narrower, _spread(low, spacing))
    bands.append(narrower)
    width = narrower.size
    centered = [np.pad(band, (width - band.size) // 2) for band in reversed(bands)]
    return torch.from_numpy(np.stack(centered))


def band_gains(parameters: Parameters) -> Tensor:
    """The factor of each band: [N,4].

    One band after another is scaled by its t, and all divided by √(Σ e · gain²), e = `BAND_POWER`: this
    keeps the expected power of the image. As Σ e = 1, band i divides by √(1 + e_i (t_i² − 1)).
    """
    t = parameters.imgfilter.exp2()
    power = torch.stack([1 + e * (t[:, i].square() - 1) for i, e in enumerate(BAND_POWER)], dim=1)
    return t / power.prod(dim=1, keepdim=True).sqrt()


def amplify_bands(images: Tensor, gains: Tensor, bank: Tensor) -> Tensor:
    """Filter both axes of each image by its own mixture of bands, mirrored at the edges.

    Args: images [N,C,H,W]; gains [N,4]; bank [4,taps], symmetric filters.  Returns: [N,C,H,W]."""
    n, c, h, w = images.shape
    taps = (gains[:, :, None] * bank).sum(dim=1)
    taps = taps.repeat_interleave(c, dim=0)[:, None, None, :]  # [N·C, 1, 1, taps]
    x = _mirror(images, bank.shape[1] // 2).reshape(1, n * c, -1, w + bank.shape[1] - 1)
    if x.device.type == "cpu":
        # A depthwise convolution on a CPU is faster in this layout.
        x = x.contiguous(memory_format=torch.channels_last)
    x = F.conv2d(x, taps, groups=n * c)
    x = F.conv2d(x, taps.transpose(2, 3), groups=n * c)
    return x.contiguous().reshape(n, c, h, w)


def _mirror(images: Tensor, pixels: int) -> Tensor:
    """Extend all sides by reflection that does not repeat the edge."""
    for axis, side in enumerate(images.shape[:1:-1]):
        missing = pixels
        while missing > 0:
            # A reflection has side − 1 pixels to offer; the extended image, whole periods, offers more.
            step = min(missing, side - 1)
            images = F.pad(images, [0, 0] * axis + [step, step] + [0, 0] * (1 - axis), mode="reflect")
            missing -= step
    return images


def _spread(taps: np.ndarray, spacing: int) -> np.ndarray:
    """The taps `spacing` apart, zeros between."""
    spread = np.zeros((taps.size - 1) * spacing + 1)
    spread[::spacing] = taps
    return spread
