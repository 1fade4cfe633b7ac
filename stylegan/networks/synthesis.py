"""The synthesis network: intermediate latents w to an image."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stylegan.networks.channels import block_channels, blocks_of
from stylegan.networks.layers import Conv2dLayer, FullyConnected, ToRGBLayer, channels_last, split_gain
from stylegan.networks.precision import ResolutionBlock
from stylegan.ops import bias_act, modulated_conv2d, setup_filter, upsample2d
from stylegan.ops.bias_act import ACTIVATIONS
from stylegan.ops.convolution import pack
from stylegan.ops.modulated_conv2d import tap_energy
from stylegan.sizes import Size

ARCHITECTURES = ("orig", "skip", "resnet")


class SynthesisLayer(nn.Module):
    """Modulated 3×3 convolution, noise, bias, activation: [N,C,H,W] and w [N,W] → [N,C_out,H·up,W·up]."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        w_dim: int,
        size: Size,
        up: int = 1,
        use_noise: bool = True,
        activation: str = "lrelu",
        resample_taps: Sequence[float] = (1, 3, 3, 1),
        conv_clamp: float | None = None,
    ):
        super().__init__()
        self.up, self.use_noise, self.activation, self.conv_clamp = up, use_noise, activation, conv_clamp
        self.act_gain = ACTIVATIONS[activation].gain
        self.register_buffer("resample_filter", setup_filter(resample_taps))
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        if use_noise:
            self.register_buffer("noise_const", torch.randn(*size))
            self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1.0)
        # Weights as the kernel reads them and their energy, while `prepared` holds.
        self.ready: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None, gain: float = 1.0) -> Tensor:
        """`noise`: [H,W] or [N,1,H,W] before the learned strength, None = none; `gain` scales output and clamp."""
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        before, after = split_gain(self.activation, self.act_gain * gain)
        # What is ready has no gradient, neither for the weights nor for what they are multiplied with.
        ready = None if torch.is_grad_enabled() else self.ready
        # No equalised learning rate: demodulation would divide any factor of the weights out again.
        weight, energy = (self.weight, None) if ready is None else ready
        bias = self.bias if before == 1 else self.bias * before
        noise = None if noise is None else noise * self.noise_strength
        # An exported graph has one way for every batch, and asking for its length would pin it.
        if noise is not None and noise.ndim == 2 and (torch.compiler.is_exporting() or len(x) > 1):
            # The same for all samples: noise and bias are one small picture, channels last, added at once.
            noise, bias = (noise[:, :, None] + self.bias).permute(2, 0, 1), None
        x = modulated_conv2d(
            x,
            weight,
            self.affine(w),
            noise=noise,
            up=self.up,
            padding=1,
            resample_filter=self.resample_filter,
            flip_weight=self.up == 1,
            gain=before,
            energy=energy,
        )
        return bias_act(x, bias, act=self.activation, gain=after, clamp=clamp)

    def __getstate__(self):
        # A copy computes again what is ready: sorted weights can be neither copied nor stored.
        return {**self.__dict__, "ready": None}


@contextmanager
def prepared(network: nn.Module) -> Iterator[None]:
    """For drawing many batches with weights that stay as they are: what depends on them alone is computed once.

    Where gradients are computed, all is as outside. Inside another one, the outer one holds.
    """
    layers = [m for m in network.modules() if isinstance(m, SynthesisLayer) and m.ready is None]
    half = {
        layer: block.dtype_of(layer.weight)
        for block in network.modules()
        if isinstance(block, SynthesisBlock)
        for layer in (block.conv1, *([] if block.is_first else [block.conv0]))
    }
    try:
        # Within: where memory runs out half-way, no layer may keep what its weights were.
        with torch.no_grad():
            for layer in layers:
                # The reduced range of float16 needs the exact weights.
                if half[layer] != torch.float16:
                    layer.ready = _in_reading_order(layer, half[layer]), tap_energy(layer.weight)
        yield
    finally:
        for layer in layers:
            layer.ready = None


def _in_reading_order(layer: SynthesisLayer, dtype: torch.dtype) -> Tensor:
    """The weights as the kernel reads them. Where it has no order of its own, those nearest in memory that it reads
    together: channels of the input, or where it scatters instead of gathering, of the output."""
    weight = layer.weight.detach().to(dtype)
    scatters = layer.up > 1
    padding = 0 if scatters else 1
    packed = pack(weight, stride=(layer.up, layer.up), padding=(padding, padding), transposed=scatters)
    if packed is not None:
        return packed
    return channels_last(weight.transpose(0, 1)).transpose(0, 1) if scatters else channels_last(weight)


class SynthesisBlock(ResolutionBlock):
    """All layers of one resolution. The first block starts from a learned constant."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        level: int,
        w_dim: int,
        size: Size,
        img_channels: int,
        is_last: bool,
        architecture: str,
        use_noise: bool,
        activation: str,
        resample_taps: Sequence[float],
        conv_clamp: float | None,
    ):
        super().__init__(level)
        self.architecture, self.is_first = architecture, in_channels == 0
        self.register_buffer("resample_filter", setup_filter(resample_taps))
        layer = dict(
            w_dim=w_dim,
            size=size,
            use_noise=use_noise,
            activation=activation,
            conv_clamp=conv_clamp,
        )
        if self.is_first:
            self.const = nn.Parameter(torch.randn(out_channels, *size))
        else:
            # Only layers that resample take the taps; the others hold the default ones unused, as published.
            self.conv0 = SynthesisLayer(in_channels, out_channels, up=2, resample_taps=resample_taps, **layer)
        self.conv1 = SynthesisLayer(out_channels, out_channels, **layer)
        self.has_torgb = is_last or architecture == "skip"
        if self.has_torgb:
            self.torgb = ToRGBLayer(out_channels, img_channels, w_dim=w_dim, conv_clamp=conv_clamp)
        if architecture == "resnet" and not self.is_first:
            self.skip = Conv2dLayer(
                in_channels, out_channels, 1, bias=False, up=2, resample_taps=resample_taps
            )
        self.num_convs = 1 if self.is_first else 2

    def forward(
        self, x: Tensor | None, img: Tensor | None, ws: Tensor, noise: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """x [N,C,H,W], img [N,C_img,H,W] or None, ws [N, num_convs + 1, W] → the same at this block's size."""
        dtype = self.dtype_of(self.conv1.weight)
        if self.is_first:
            x = channels_last(self.const.to(dtype).expand(ws.shape[0], -1, -1, -1))
            x = self.conv1(x, ws[:, 0], noise.get("conv1"))
        elif self.architecture == "resnet":
            x = x.to(dtype)
            shortcut = self.skip(x, gain=0.5**0.5)
            x = self.conv0(x, ws[:, 0], noise.get("conv0"))
            x = shortcut + self.conv1(x, ws[:, 1], noise.get("conv1"), gain=0.5**0.5)
        else:
            x = self.conv0(x.to(dtype), ws[:, 0], noise.get("conv0"))
            x = self.conv1(x, ws[:, 1], noise.get("conv1"))
        if img is not None:
            img = upsample2d(img, self.resample_filter)
        if self.has_torgb:
            # The picture is summed over the resolutions in the weights' own precision.
            rgb = self.torgb(x, ws[:, self.num_convs]).to(self.torgb.weight.dtype)
            img = rgb if img is None else img + rgb
        return x, img


class SynthesisNetwork(nn.Module):
    """ws [N,L,W] → image [N,C,H,W], nominally in [-1, 1]; blocks b4, b8, ... by index.

    Source: Karras et al. 2020 (StyleGAN2), figures 2 and 7.
    """

    def __init__(
        self,
        *,
        w_dim: int,
        resolution: int | Sequence[int],
        channels: int,
        channel_base: int,
        channel_max: int,
        architecture: str = "skip",
        conv_clamp: float | None = None,
        use_noise: bool = True,
        activation: str = "lrelu",
        resample_taps: Sequence[float] = (1, 3, 3, 1),
    ):
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(f"generator.architecture must be one of {ARCHITECTURES}, got {architecture!r}")
        self.w_dim, self.use_noise = w_dim, use_noise
        self.block_names: list[str] = []
        # [layer, its size] in the order in which noise is drawn.
        self.noise_layers: list[tuple[str, Size]] = []
        in_channels = 0
        blocks = blocks_of(resolution)
        for place in blocks:
            out_channels = block_channels(place.level, channel_base=channel_base, channel_max=channel_max)
            block = SynthesisBlock(
                in_channels,
                out_channels,
                level=place.level,
                w_dim=w_dim,
                size=place.size,
                img_channels=channels,
                is_last=place is blocks[-1],
                architecture=architecture,
                use_noise=use_noise,
                activation=activation,
                resample_taps=resample_taps,
                conv_clamp=conv_clamp,
            )
            self.add_module(place.name, block)
            self.block_names.append(place.name)
            layers = ["conv1"] if block.is_first else ["conv0", "conv1"]
            self.noise_layers += [(f"{place.name}.{layer}", place.size) for layer in layers if use_noise]
            in_channels = out_channels
        # One entry a convolution, and the one that the last torgb takes.
        self.num_ws = sum(getattr(self, name).num_convs for name in self.block_names) + 1

    def forward(
        self, ws: Tensor, noise_mode: str = "const", noise: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Draw the image.

        Args:
            ws: [N,L,W].
            noise_mode: "const" (the network's own buffers), "random", or "none".
            noise: for "random": {"b8.conv0": [N,1,8,8], ...}, unit normal, for every layer of `noise_layers`.
                Without it, outside training, torch's global generator draws; in training that is an error,
                since nothing there may depend on what was drawn before.
        Returns: [N,C,H,W].
        Raises: ValueError for an unknown mode, a wrong shape of ws, or noise that lacks a layer.
        """
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(f"ws must have the shape [N, {self.num_ws}, {self.w_dim}], got {list(ws.shape)}")
        noises = self._noise_by_layer(ws, noise_mode, noise)
        x = img = None
        first = 0
        for name in self.block_names:
            block = getattr(self, name)
            own = {
                layer: noises[f"{name}.{layer}"]
                for layer in ("conv0", "conv1")
                if f"{name}.{layer}" in noises
            }
            x, img = block.run(x, img, ws[:, first : first + block.num_convs + 1], own)
            first += block.num_convs
        return img

    def _noise_by_layer(
        self, ws: Tensor, mode: str, noise: Mapping[str, Tensor] | None
    ) -> Mapping[str, Tensor]:
        if mode == "none" or not self.use_noise:
            return {}
        if mode == "const":
            return {name: self.get_submodule(name).noise_const for name, _ in self.noise_layers}
        if mode != "random":
            raise ValueError(f"noise_mode must be const, random or none, got {mode!r}")
        if noise is None:
            if self.training:
                raise ValueError(
                    "noise_mode random needs the drawn noise in training: pass noise={layer: [N,1,H,W]}"
                )
            return {n: torch.randn(ws.shape[0], 1, *size, device=ws.device) for n, size in self.noise_layers}
        missing = [name for name, _ in self.noise_layers if name not in noise]
        if missing:
            raise ValueError(f"noise lacks the layers {', '.join(missing)}")
        return noise
