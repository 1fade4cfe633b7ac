"""The discriminator: image and label to a logit."""

from collections.abc import Sequence

from torch import Tensor, nn

from stylegan.networks.channels import FIRST_BLOCK_PX, block_channels, blocks_of, check_channels
from stylegan.networks.layers import Conv2dLayer, FullyConnected, channels_last
from stylegan.networks.mapping import MappingNetwork
from stylegan.networks.precision import ResolutionBlock
from stylegan.ops import downsample2d, minibatch_std, setup_filter
from stylegan.sizes import Size, parse_size, plain_size

ARCHITECTURES = ("orig", "skip", "resnet")


class DiscriminatorBlock(ResolutionBlock):
    """All layers of one resolution above the lowest; halves the sides.

    `freeze`: how many of its layers fromrgb, conv0, conv1, skip, in this order, do not learn.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        *,
        level: int,
        img_channels: int,
        architecture: str,
        activation: str,
        resample_taps: Sequence[float],
        conv_clamp: float | None,
        freeze: int,
    ):
        super().__init__(level)
        self.architecture = architecture
        self.num_layers = 0
        self.register_buffer("resample_filter", setup_filter(resample_taps))
        shared = dict(activation=activation, conv_clamp=conv_clamp)
        # Only layers that resample take the taps; the others hold the default ones unused, as published.
        halving = dict(down=2, resample_taps=resample_taps)

        def trainable() -> bool:
            self.num_layers += 1
            return self.num_layers > freeze

        if in_channels == 0 or architecture == "skip":
            self.fromrgb = Conv2dLayer(img_channels, mid_channels, 1, trainable=trainable(), **shared)
        self.conv0 = Conv2dLayer(mid_channels, mid_channels, 3, trainable=trainable(), **shared)
        self.conv1 = Conv2dLayer(mid_channels, out_channels, 3, trainable=trainable(), **halving, **shared)
        if architecture == "resnet":
            self.skip = Conv2dLayer(
                mid_channels, out_channels, 1, bias=False, trainable=trainable(), **halving
            )

    def forward(self, x: Tensor | None, img: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """x [N,C,H,W] or None, img [N,C_img,H,W] or None → x at half the side, and img where it is passed on."""
        dtype = self.dtype_of(self.conv0.weight)
        x = None if x is None else x.to(dtype)
        if hasattr(self, "fromrgb"):
            rgb = self.fromrgb(img.to(self.image_dtype_of(self.fromrgb.weight))).to(dtype)
            x = rgb if x is None else x + rgb
            img = downsample2d(img, self.resample_filter) if self.architecture == "skip" else None
        if self.architecture == "resnet":
            shortcut = self.skip(x, gain=0.5**0.5)
            x = shortcut + self.conv1(self.conv0(x), gain=0.5**0.5)
        else:
            x = self.conv1(self.conv0(x))
        return x, img


class DiscriminatorHead(nn.Module):
    """The lowest block: minibatch standard deviation, convolution, and two fully connected layers.

    It computes in the precision of its weights in any case: it costs little, and in bfloat16 the discriminator sharpens
    later (docs/performance.md).
    """

    def __init__(
        self,
        in_channels: int,
        *,
        size: Size,
        cmap_dim: int,
        img_channels: int,
        architecture: str,
        mbstd_group: int | None,
        mbstd_channels: int,
        activation: str,
        conv_clamp: float | None,
    ):
        super().__init__()
        self.cmap_dim, self.mbstd_group, self.mbstd_channels = cmap_dim, mbstd_group, mbstd_channels
        if architecture == "skip":
            self.fromrgb = Conv2dLayer(img_channels, in_channels, 1, activation=activation)
        self.conv = Conv2dLayer(
            in_channels + mbstd_channels, in_channels, 3, activation=activation, conv_clamp=conv_clamp
        )
        self.fc = FullyConnected(in_channels * size[0] * size[1], in_channels, activation=activation)
        self.out = FullyConnected(in_channels, cmap_dim or 1)

    def forward(self, x: Tensor, img: Tensor | None, cmap: Tensor | None) -> Tensor:
        """x [N,C,H,W] of the lowest block, img for architecture skip, cmap [N,cmap_dim] or None → logits [N,1]."""
        dtype = self.conv.weight.dtype
        x = x.to(dtype)
        if img is not None:
            x = x + self.fromrgb(img.to(dtype))
        if self.mbstd_channels:
            x = minibatch_std(x, group_size=self.mbstd_group, num_channels=self.mbstd_channels)
        x = self.out(self.fc(self.conv(x).flatten(1)))
        if cmap is None:
            return x
        return (x * cmap).sum(dim=1, keepdim=True) / self.cmap_dim**0.5


class Discriminator(nn.Module):
    """image [N,C,H,W] and c [N,K] → logits [N,1].

    Args:
        resolution: side in px, or (height, width) as in `stylegan.sizes`. channels: 1 to 64.
        c_dim: width of the label, 0 = none.
        channel_base, channel_max: block b<r> has min(channel_base / r, channel_max) channels.
        architecture: "resnet", "skip" or "orig". conv_clamp: limit of activations; None = none.
        mbstd_group: samples a group of the minibatch standard deviation; None = the whole batch.
        mbstd_channels: its maps; 0 = off.
        freeze_layers: so many of the layers nearest to the image do not learn (Freeze-D).
        cmap_dim: width of the projected label; None = the channels of the lowest block.
        The rest as published. `options` holds all of them.
    Parameter names are those of the public implementation.
    Source: Karras et al. 2020 (StyleGAN2); class projection, Miyato and Koyama 2018.
    """

    def __init__(
        self,
        *,
        resolution: int | Sequence[int],
        channels: int = 3,
        c_dim: int = 0,
        channel_base: int = 32768,
        channel_max: int = 512,
        architecture: str = "resnet",
        conv_clamp: float | None = 256,
        mbstd_group: int | None = 4,
        mbstd_channels: int = 1,
        freeze_layers: int = 0,
        cmap_dim: int | None = None,
        mapping_layers: int = 8,
        mapping_features: int | None = None,
        embed_features: int | None = None,
        mapping_activation: str = "lrelu",
        mapping_lr_multiplier: float = 0.01,
        resample_taps: Sequence[float] = (1, 3, 3, 1),
        activation: str = "lrelu",
        head_activation: str = "lrelu",
    ):
        super().__init__()
        self.options = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        self.options["resample_taps"] = [float(tap) for tap in resample_taps]
        if architecture not in ARCHITECTURES:
            raise ValueError(
                f"discriminator.architecture must be one of {ARCHITECTURES}, got {architecture!r}"
            )
        if conv_clamp is not None and conv_clamp <= 0:
            raise ValueError(f"discriminator.conv_clamp must be above 0, or null for none; got {conv_clamp}")
        if mbstd_group is not None and mbstd_group < 1:
            raise ValueError(
                f"mbstd_group must be at least 1, or null for the whole batch; got {mbstd_group}"
            )
        for name, value in (("mbstd_channels", mbstd_channels), ("freeze_layers", freeze_layers)):
            if value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        head_channels = block_channels(FIRST_BLOCK_PX, channel_base=channel_base, channel_max=channel_max)
        if mbstd_channels and head_channels % mbstd_channels:
            raise ValueError(
                f"discriminator.mbstd_channels {mbstd_channels} must divide the {head_channels} channels of b4"
            )
        self.size, self.channels, self.c_dim = parse_size(resolution), check_channels(channels), c_dim
        self.options["resolution"] = plain_size(self.size)
        lowest, *higher = blocks_of(self.size)
        self.block_names: list[str] = []
        in_channels, frozen = 0, freeze_layers
        for place in reversed(higher):
            mid = block_channels(place.level, channel_base=channel_base, channel_max=channel_max)
            out = block_channels(place.level // 2, channel_base=channel_base, channel_max=channel_max)
            block = DiscriminatorBlock(
                in_channels,
                mid,
                out,
                level=place.level,
                img_channels=channels,
                architecture=architecture,
                activation=activation,
                resample_taps=resample_taps,
                conv_clamp=conv_clamp,
                freeze=frozen,
            )
            self.add_module(place.name, block)
            self.block_names.append(place.name)
            frozen -= block.num_layers
            in_channels = out
        cmap_dim = (in_channels if cmap_dim is None else cmap_dim) if c_dim else 0
        if c_dim:
            self.mapping = MappingNetwork(
                z_dim=0,
                c_dim=c_dim,
                w_dim=cmap_dim,
                num_ws=None,
                num_layers=mapping_layers,
                embed_features=embed_features,
                layer_features=mapping_features,
                activation=mapping_activation,
                lr_multiplier=mapping_lr_multiplier,
                w_avg_decay=None,
            )
        self.b4 = DiscriminatorHead(
            in_channels,
            size=lowest.size,
            cmap_dim=cmap_dim,
            img_channels=channels,
            architecture=architecture,
            mbstd_group=mbstd_group,
            mbstd_channels=mbstd_channels,
            activation=head_activation,
            conv_clamp=conv_clamp,
        )

    @property
    def group_size(self) -> int | None:
        """Samples that are compared with each other: groups are as in `minibatch_std`; None = the whole batch."""
        return self.b4.mbstd_group if self.b4.mbstd_channels else 1

    def forward(self, img: Tensor, c: Tensor | None = None) -> Tensor:
        """img [N,C,H,W] nominally in [-1, 1]; c [N,K] or None where K = 0 → [N,1].

        Raises: ValueError where the image has other channels or another size.
        """
        expected = (self.channels, *self.size)
        if img.ndim != 4 or img.shape[1:] != expected:
            raise ValueError(
                f"images must have the shape [N, {', '.join(map(str, expected))}], got {list(img.shape)}"
            )
        img = channels_last(img)
        x = None
        for name in self.block_names:
            x, img = getattr(self, name).run(x, img)
        return self.b4(x, img, self.mapping(None, c) if self.c_dim else None)
