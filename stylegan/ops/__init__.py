"""Tensor functions of StyleGAN2, in plain torch: differentiable to any order, on any device, nothing to compile.

Shapes: N batch, C channels, H W pixels.
"""

from stylegan.ops.bias_act import bias_act
from stylegan.ops.conv2d_resample import conv2d_resample
from stylegan.ops.filters import setup_filter
from stylegan.ops.modulated_conv2d import modulated_conv2d
from stylegan.ops.normalization import minibatch_std, normalize_2nd_moment
from stylegan.ops.upfirdn2d import downsample2d, filter2d, upfirdn2d, upsample2d

__all__ = [
    "bias_act",
    "conv2d_resample",
    "downsample2d",
    "filter2d",
    "minibatch_std",
    "modulated_conv2d",
    "normalize_2nd_moment",
    "setup_filter",
    "upfirdn2d",
    "upsample2d",
]
