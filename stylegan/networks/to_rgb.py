"""From features to the picture's colours."""

import torch
from torch import Tensor, nn

from stylegan.networks.layers import FullyConnected
from stylegan.ops import bias_act, modulated_conv2d


class ToRGBLayer(nn.Module):
    """Modulated 1×1 convolution to the image's channels, without demodulation: → [N,C_img,H,W]."""

    def __init__(self, in_channels: int, out_channels: int, *, w_dim: int, conv_clamp: float | None = None):
        super().__init__()
        self.conv_clamp = conv_clamp
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1.0)
        self.weight_gain = 1 / in_channels**0.5

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w) * self.weight_gain
        if x.dtype == torch.bfloat16:
            rgb = _picture_of_bfloat16(x, self.weight, styles)
        else:
            rgb = modulated_conv2d(x, self.weight, styles, demodulate=False)
        return bias_act(rgb, self.bias, clamp=self.conv_clamp)


def _picture_of_bfloat16(x: Tensor, weight: Tensor, styles: Tensor) -> Tensor:
    """x bfloat16 [N,C,H,W], weight [C_img,C,1,1] and styles [N,C] in the weights' precision → the same as without
    demodulation, [N,C_img,H,W] in the weights' precision.

    Rounded to 8 bits, the weights shift every picture of a network alike, and the generator's gradient comes out too
    small. As a sum of two numbers of 8 bits each they keep 16, and the product is still one of bfloat16, which reads
    the features once.
    """
    modulated = styles[:, None, :] * weight[None, :, :, 0, 0]
    high = modulated.to(x.dtype)
    low = (modulated - high.to(modulated.dtype)).to(x.dtype)
    num, channels, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(num, height * width, channels)
    both = (pixels @ torch.cat([high, low], dim=1).transpose(1, 2)).to(modulated.dtype)
    of_high, of_low = both.chunk(2, dim=2)
    return (of_high + of_low).unflatten(1, (height, width)).permute(0, 3, 1, 2)
