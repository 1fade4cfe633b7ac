"""Style-modulated convolution."""

import torch
from torch import Tensor

from stylegan.ops.conv2d_resample import conv2d_resample
from stylegan.ops.upfirdn2d import Factors


def modulated_conv2d(
    x: Tensor,
    w: Tensor,
    styles: Tensor,
    noise: Tensor | None = None,
    up: Factors = 1,
    down: Factors = 1,
    padding: Factors = 0,
    resample_filter: Tensor | None = None,
    demodulate: bool = True,
    flip_weight: bool = True,
    gain: float = 1.0,
    energy: Tensor | None = None,
) -> Tensor:
    """Convolve each sample with its own weights w·s, normalised to unit output variance.

    The weights are shared and the activations scaled instead: x·s before the convolution, and after it the factor
    rsqrt(Σ (w·s)² + 1e-8), a product of two small matrices. One dense convolution serves the whole batch.

    Args:
        x: [N,C,H,W].
        w: [C_out, C, kh, kw].
        styles: [N, C].
        noise: [H,W] or [N,1,H,W] at the output's size, added after demodulation; None = none.
        up, down, padding, resample_filter, flip_weight: as in `conv2d_resample`.
        demodulate: normalise as above.
        gain: factor on the whole result, noise included.
        energy: `tap_energy(w)`, where it is known already; w may then be in the precision of x.
    Returns: [N, C_out, H·up/down, W·up/down].
    Source: Karras et al. 2020 (StyleGAN2), section 2.2, equations 1 to 3.
    """
    noise = None if noise is None else (noise * gain if gain != 1 else noise).to(x.dtype)
    if not demodulate:
        styles = styles * gain if gain != 1 else styles
    elif x.dtype == torch.float16:
        # Demodulation divides any factor out again; without these ones sums leave the range of float16.
        w = w * (w[0].numel() ** -0.5 / w.detach().abs().amax(dim=[1, 2, 3], keepdim=True))
        styles = styles / styles.detach().abs().amax(dim=1, keepdim=True).clamp(min=1e-8)
    x = x * styles[:, :, None, None].to(x.dtype)
    x = conv2d_resample(x, w, f=resample_filter, up=up, down=down, padding=padding, flip_weight=flip_weight)
    if not demodulate:
        return x if noise is None else x + noise
    energy = styles.square() @ (tap_energy(w) if energy is None else energy).t()
    scale = ((energy + 1e-8).rsqrt() * gain)[:, :, None, None].to(x.dtype)
    return x * scale if noise is None else torch.addcmul(noise, x, scale)


def tap_energy(w: Tensor) -> Tensor:
    """Σ w² over the taps, [C_out, C, kh, kw] → [C_out, C]."""
    return _Energy.apply(w)


class _Energy(torch.autograd.Function):
    """With one pass over w for its gradient."""

    @staticmethod
    def forward(w):
        return w.square().sum(dim=[2, 3])

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        (w,) = ctx.saved_tensors
        return w * (2 * grad)[:, :, None, None]
