"""The generator: mapping and synthesis."""

from collections.abc import Sequence

from torch import Tensor, nn

from stylegan.networks.channels import check_channels
from stylegan.networks.mapping import MappingNetwork
from stylegan.networks.synthesis import SynthesisNetwork
from stylegan.sizes import parse_size, plain_size


class Generator(nn.Module):
    """z [N,Z] and c [N,K] → image [N,C,H,W], nominally in [-1, 1].

    Args:
        resolution: side in px, or (height, width) as in `stylegan.sizes`. channels: 1 to 64.
        z_dim, c_dim, w_dim: widths of latent, label (0 = none) and intermediate latent.
        mapping_layers: depth of the mapping network.
        channel_base, channel_max: a block of r px has min(channel_base / r, channel_max) channels.
        architecture: "skip", "resnet" or "orig". conv_clamp: limit of activations; None = none.
        mapping_features, embed_features: widths inside the mapping network; None = w_dim.
        mapping_activation, mapping_lr_multiplier, w_avg_decay, resample_taps, activation, use_noise: as published.
        label_names: of the classes, None = none; for whoever draws from the network; the network makes no use of them.
    `options` holds all of them: `Generator(**g.options)` builds the same network again.
    Parameter names are those of the public implementation. Source: Karras et al. 2020 (StyleGAN2).
    """

    def __init__(
        self,
        *,
        resolution: int | Sequence[int],
        channels: int = 3,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        mapping_layers: int = 8,
        channel_base: int = 32768,
        channel_max: int = 512,
        architecture: str = "skip",
        conv_clamp: float | None = 256,
        mapping_features: int | None = None,
        embed_features: int | None = None,
        mapping_activation: str = "lrelu",
        mapping_lr_multiplier: float = 0.01,
        w_avg_decay: float = 0.995,
        resample_taps: Sequence[float] = (1, 3, 3, 1),
        activation: str = "lrelu",
        use_noise: bool = True,
        label_names: Sequence[str] | None = None,
    ):
        super().__init__()
        # Taken first, while the constructor's arguments are the only local names.
        self.options = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        self.options["resample_taps"] = [float(tap) for tap in resample_taps]
        for name, value, least in (("z_dim", z_dim, 1), ("w_dim", w_dim, 1), ("c_dim", c_dim, 0)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if conv_clamp is not None and conv_clamp <= 0:
            raise ValueError(f"generator.conv_clamp must be above 0, or null for none; got {conv_clamp}")
        if label_names and len(label_names) != c_dim:
            raise ValueError(f"generator.label_names are {len(label_names)}, its labels {c_dim} wide (c_dim)")
        self.label_names = self.options["label_names"] = list(label_names or ())
        self.size, self.channels = parse_size(resolution), check_channels(channels)
        self.options["resolution"] = plain_size(self.size)
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.synthesis = SynthesisNetwork(
            w_dim=w_dim,
            resolution=resolution,
            channels=channels,
            channel_base=channel_base,
            channel_max=channel_max,
            architecture=architecture,
            conv_clamp=conv_clamp,
            use_noise=use_noise,
            activation=activation,
            resample_taps=resample_taps,
        )
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(
            z_dim=z_dim,
            c_dim=c_dim,
            w_dim=w_dim,
            num_ws=self.num_ws,
            num_layers=mapping_layers,
            embed_features=embed_features,
            layer_features=mapping_features,
            activation=mapping_activation,
            lr_multiplier=mapping_lr_multiplier,
            w_avg_decay=w_avg_decay,
        )

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: str = "const",
    ) -> Tensor:
        """z [N,Z], c [N,K] or None → [N,C,H,W]. Arguments as in `mapping` and `synthesis`."""
        ws = self.mapping(z, c, truncation=truncation, truncation_cutoff=truncation_cutoff)
        return self.synthesis(ws, noise_mode=noise_mode)
