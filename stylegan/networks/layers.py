"""Layers with an equalised learning rate: weights are stored with unit variance and scaled when used."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stylegan.ops import bias_act, conv2d_resample, setup_filter
from stylegan.ops.bias_act import ACTIVATIONS


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
        weight = self.weight.to(x.dtype) * self.weight_gain
        bias = self.bias
        if bias is not None:
            bias = bias.to(x.dtype)
            bias = bias * self.bias_gain if self.bias_gain != 1 else bias
        if self.activation == "linear" and bias is not None:
            return torch.addmm(bias, x, weight.t())
        return bias_act(x @ weight.t(), bias, act=self.activation)


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
        x = conv2d_resample(
            x,
            self.weight.to(x.dtype) * self.weight_gain,
            f=self.resample_filter,
            up=self.up,
            down=self.down,
            padding=self.padding,
            # Upsampling layers of published networks were trained with the kernel flipped.
            flip_weight=self.up == 1,
        )
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        return bias_act(x, self.bias, act=self.activation, gain=self.act_gain * gain, clamp=clamp)
