"""The mapping network: latent z and label c to the intermediate latent w."""

import torch
from torch import Tensor, nn

from stylegan.networks.layers import FullyConnected
from stylegan.ops import normalize_2nd_moment


class MappingNetwork(nn.Module):
    """z [N,Z] and c [N,K] → w, [N,L,W] with `num_ws` = L, or [N,W] with `num_ws=None`.

    z and the label's embedding are normalised each and concatenated; either may be absent (width 0).
    With `w_avg_decay` a buffer `w_avg` follows the mean of w, for truncation.
    Source: Karras et al. 2019 (StyleGAN), section 2; truncation, appendix B.
    """

    def __init__(
        self,
        *,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        activation: str = "lrelu",
        lr_multiplier: float = 0.01,
        w_avg_decay: float | None = 0.995,
    ):
        super().__init__()
        if z_dim == c_dim == 0:
            raise ValueError("a mapping network needs a latent or a label: z_dim and c_dim are both 0")
        if num_layers < 1:
            raise ValueError(f"mapping_layers must be at least 1, got {num_layers}")
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = z_dim, c_dim, w_dim, num_ws
        self.num_layers, self.w_avg_decay = num_layers, w_avg_decay
        embed_features = (w_dim if embed_features is None else embed_features) if c_dim else 0
        layer_features = w_dim if layer_features is None else layer_features
        if c_dim:
            self.embed = FullyConnected(c_dim, embed_features)
        widths = [z_dim + embed_features, *[layer_features] * (num_layers - 1), w_dim]
        for i in range(num_layers):
            layer = FullyConnected(
                widths[i], widths[i + 1], activation=activation, lr_multiplier=lr_multiplier
            )
            self.add_module(f"fc{i}", layer)
        if num_ws is not None and w_avg_decay is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Tensor | None,
        c: Tensor | None = None,
        truncation: float = 1.0,
        truncation_cutoff: int | None = None,
        track_average: bool | None = None,
    ) -> Tensor:
        """Map latents.

        Args:
            z: [N,Z]. c: [N,K]; may be None where K = 0.
            truncation: psi; w becomes w_avg + psi·(w − w_avg).
            truncation_cutoff: only the first so many of the L entries are truncated; None = all.
            track_average: let `w_avg` follow this batch; None = in training mode.
        Raises: ValueError where z or c lack their width.
        """
        w = self._features(z, c)
        for i in range(self.num_layers):
            w = getattr(self, f"fc{i}")(w)
        if self.training if track_average is None else track_average:
            self.track(w.detach().mean(dim=0))
        if self.num_ws is None:
            return w
        w = w[:, None, :].expand(-1, self.num_ws, -1)
        if truncation == 1:
            return w
        if truncation_cutoff is None:
            return torch.lerp(self.w_avg, w, truncation)
        truncated = torch.lerp(self.w_avg, w[:, :truncation_cutoff], truncation)
        return torch.cat([truncated, w[:, truncation_cutoff:]], dim=1)

    def track(self, mean_w: Tensor) -> None:
        """Move `w_avg` towards the mean w [W] of one batch; nothing where it is not kept."""
        if hasattr(self, "w_avg"):
            with torch.no_grad():
                self.w_avg.copy_(torch.lerp(mean_w.to(self.w_avg.dtype), self.w_avg, self.w_avg_decay))

    def _features(self, z: Tensor | None, c: Tensor | None) -> Tensor:
        parts = []
        if self.z_dim:
            _check_width("z", z, self.z_dim)
            parts.append(normalize_2nd_moment(z.to(self.fc0.weight.dtype)))
        if self.c_dim:
            _check_width("c", c, self.c_dim)
            parts.append(normalize_2nd_moment(self.embed(c.to(self.fc0.weight.dtype))))
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


def _check_width(name: str, value: Tensor | None, width: int) -> None:
    if value is None or value.ndim != 2 or value.shape[1] != width:
        got = "None" if value is None else list(value.shape)
        what = "latent" if name == "z" else "label"
        raise ValueError(f"the {what} {name} must have the shape [N, {width}], got {got}")
