"""Layers with an equalised learning rate: weights are stored with unit variance and scaled when used."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stylegan.ops import bias_act, conv2d_resample, modulated_conv2d, setup_filter
from stylegan.ops.bias_act import ACTIVATIONS, HOMOGENEOUS


def channels_last(x: Tensor) -> Tensor:
    """x [N,C,H,W] with the channels nearest in memory, as all activations are."""
    return x.contiguous(memory_format=torch.channels_last)


class FullyConnected(nn.Module):
    """act((W·lr_multiplier/√in) x + b·lr_multiplier), [N, in_features] → [N, out_features].

    Source: equalised learning rate, Karras et al. 2018, section 4.1; multiplier, Karras et al. 2019, appendix C.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        activation: str = "linear",
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ):
        super().__init__()
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full([out_features], float(bias_init))) if bias else None
        self.weight_gain = lr_multiplier / in_features**0.5
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        # The factor is cheaper on x than on the weights.
        x = x * self.weight_gain
        weight, bias = self.weight.to(x.dtype), self.bias
        if bias is not None:
            bias = bias.to(x.dtype)
            bias = bias * self.bias_gain if self.bias_gain != 1 else bias
        if bias is None:
            return bias_act(x @ weight.t(), act=self.activation)
        x = torch.addmm(bias, x, weight.t())
        return x if self.activation == "linear" else bias_act(x, act=self.activation)


class Conv2dLayer(nn.Module):
    """Convolution with resampling, bias, activation and clamp, [N,C,H,W] → [N,C_out,H·up/down,W·up/down].

    `forward(x, gain)`: `gain` multiplies the activation's gain and the clamp alike.
    With `trainable=False` (Freeze-D, Mo et al. 2020) weight and bias are buffers.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        activation: str = "linear",
        up: int = 1,
        down: int = 1,
        resample_taps: Sequence[float] = (1, 3, 3, 1),
        conv_clamp: float | None = None,
        trainable: bool = True,
    ):
        super().__init__()
        self.activation, self.conv_clamp, self.up, self.down = activation, conv_clamp, up, down
        self.padding = kernel_size // 2
        self.weight_gain = 1 / (in_channels * kernel_size**2) ** 0.5
        self.act_gain = ACTIVATIONS[activation].gain
        self.register_buffer("resample_filter", setup_filter(resample_taps))
        self._register("weight", torch.randn(out_channels, in_channels, kernel_size, kernel_size), trainable)
        self._register("bias", torch.zeros(out_channels) if bias else None, trainable)

    def _register(self, name: str, value: Tensor | None, trainable: bool) -> None:
        if value is None or not trainable:
            self.register_buffer(name, value)
        else:
            self.register_parameter(name, nn.Parameter(value))

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        before, after = split_gain(self.activation, self.act_gain * gain)
        bias = self.bias
        x = conv2d_resample(
            x,
            self.weight,
            f=self.resample_filter,
            up=self.up,
            down=self.down,
            padding=self.padding,
            # Upsampling layers of published networks were trained with the kernel flipped.
            flip_weight=self.up == 1,
            bias=bias if bias is None or before == 1 else bias * before,
            weight_gain=self.weight_gain * before,
        )
        return bias_act(x, act=self.activation, gain=after, clamp=clamp)


def split_gain(activation: str, gain: float) -> tuple[float, float]:
    """A gain after `activation` as factors (before, after): before it, where that is the same and costs nothing."""
    return (gain, 1.0) if activation in HOMOGENEOUS and gain > 0 else (1.0, gain)


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
