"""Drawer: a trained generator with the settings of drawing, from points of latent space to pixels."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.images import to_uint8
from stylegan.latents.labels import parse_label, parse_labels
from stylegan.latents.points import Point, parse_points
from stylegan.latents.sampling import NOISE_MODES, Sampler
from stylegan.latents.seeds import latents_of
from stylegan.machine.devices import device_named
from stylegan.networks.digest import weights_sha256
from stylegan.networks.precision import precision_on, set_compute_dtype
from stylegan.sizes import Size

# Far beyond any image, and near enough for float32.
LARGEST_PSI = 100


class Drawer:
    """A generator, how it draws, and what its images say of themselves.

    All images of a task come from one drawer, so that a point gives the same pixels in every task.

    Args:
        generator: on any device; it is moved, and computes in `precision` from now on.
        name: of the network, for messages.
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", ...
        precision: "auto" (the fastest that the device has), "fp32", "bf16" or "fp16".
        noise_mode: "const", "random" (each seed its own) or "none".
        truncation: psi; w becomes center + psi·(w − center).
        truncation_cutoff: only the first so many of the L entries are truncated; None = all.
        center: what truncation pulls to: "mean" (the network's w_avg), a seed, or a latent file.
        provenance: text stored with every image besides weights and settings.
        open_other: (name, key of the configuration) → another generator, for tasks that need two; None = there is none.
        save_network: writes a generator with text into a `.safetensors`, for tasks that make one; None = none can.
        weights: digest of the generator's weights where it is known, or matters to no file; None = computed.
        kept: "all" → the kept networks of the run that the generator belongs to, "snapshots" → its pictures, as
            [(kimg, file), ...], oldest first; None = it belongs to none.
        decode_picture: decodes files as the data of training are decoded, for tasks that read pictures, as
            `stylegan.latents.projection.pictures.Decode`; None = pictures cannot be read.
    Raises: ValueError that names the value and the way out.
    """

    def __init__(
        self,
        generator: nn.Module,
        *,
        name: str = "the network",
        device: str = "auto",
        precision: str = "auto",
        noise_mode: str = "const",
        truncation: float = 1.0,
        truncation_cutoff: int | None = None,
        center: str = "mean",
        provenance: Mapping[str, str] | None = None,
        open_other: Callable[[str, str], nn.Module] | None = None,
        save_network: Callable[[Path, nn.Module, Mapping[str, str]], None] | None = None,
        weights: str | None = None,
        kept: Callable[[str], list[tuple[float, Path]]] | None = None,
        decode_picture: Callable[..., np.ndarray] | None = None,
    ):
        if noise_mode not in NOISE_MODES:
            raise ValueError(f"noise_mode must be one of {', '.join(NOISE_MODES)}, got {noise_mode!r}")
        chosen = device_named(device)
        precision_on(chosen, precision)
        self.generator = generator.to(chosen)
        self.device = chosen
        self.name = name
        self.noise_mode = noise_mode
        self.truncation = psi_in(truncation)
        self.truncation_cutoff = truncation_cutoff
        self.open_other, self.save_network, self.kept = open_other, save_network, kept
        self._settings = dict(
            device=device,
            precision=precision,
            noise_mode=noise_mode,
            truncation=truncation,
            truncation_cutoff=truncation_cutoff,
            center=center,
            provenance=provenance,
        )
        self.weights = weights_sha256(generator) if weights is None else weights
        self.decode_picture = decode_picture
        self.precision = set_compute_dtype(generator, chosen, precision)
        self.sampler = Sampler(generator)
        self.center = self._center(center)
        self.text = dict(provenance or {}) | {
            "weights": self.weights,
            "truncation": f"{self.truncation:g}",
            "noise_mode": noise_mode,
            "precision": self.precision,
        }

    def with_generator(self, generator: nn.Module, *, name: str, weights: str | None = None) -> "Drawer":
        """The same settings with another network.

        Args: weights: its digest where it is known, or matters to no file; None = computed.
        """
        return Drawer(generator, name=name, weights=weights, **self._settings)

    @property
    def size(self) -> Size:
        """(height, width) of an image in px."""
        return self.generator.size

    @property
    def channels(self) -> int:
        """1 grey, 2 grey + alpha, 3 RGB, 4 RGBA; more are possible."""
        return self.generator.channels

    def label(self, text: str | float | None) -> Tensor | None:
        """`label=` → float32 [K]; None for a network without labels. Raises: ValueError, see `parse_label`."""
        return parse_label(text, width=self.generator.c_dim, names=self.generator.label_names, network=self.name)

    def labels(self, text: str | float | None) -> list[tuple[str, Tensor | None]]:
        """As `label`, but `all` is every class → [(name, float32 [K]), ...]."""
        return parse_labels(text, width=self.generator.c_dim, names=self.generator.label_names, network=self.name)

    def z(self, points: Sequence[Point]) -> Tensor:
        """z [N,Z] of points on the CPU. Raises: ValueError for a point given as w, or a z of another width."""
        return torch.stack([self._z(point) for point in points])

    def raw_ws(self, points: Sequence[Point], label: Tensor | None = None) -> Tensor:
        """w [N,L,W] of points before truncation, on the device.

        Args: label: [K], or [N,K] for one of each point; None for a network without labels.
        Raises: ValueError for a latent of another width.
        """
        ws: list[Tensor | None] = [None if point.w is None else self._w(point) for point in points]
        mapped = [place for place, w in enumerate(ws) if w is None]
        if mapped:
            labels = None if label is None else label.expand(len(points), -1)[mapped]
            z = self.z([points[place] for place in mapped])
            for place, w in zip(mapped, self.sampler.map(z, labels), strict=True):
                ws[place] = w
        return torch.stack([w for w in ws if w is not None])

    def truncated(self, ws: Tensor, psi: float | Tensor | None = None) -> Tensor:
        """center + psi·(w − center), ws [N,L,W]; psi: a number, or one of each image [N]; None = as configured."""
        psi = self.truncation if psi is None else psi
        if isinstance(psi, Tensor):
            weight = psi.to(ws)[:, None, None]
        elif psi == 1:
            return ws
        else:
            weight = psi
        pulled = torch.lerp(self.center, ws, weight)
        if self.truncation_cutoff is None:
            return pulled
        return torch.cat([pulled[:, : self.truncation_cutoff], ws[:, self.truncation_cutoff :]], dim=1)

    def ws(
        self, points: Sequence[Point], label: Tensor | None = None, psi: float | Tensor | None = None
    ) -> Tensor:
        """w [N,L,W] as drawn: seeds and z are truncated; a w of a file is drawn as it is.

        Args: label, psi: as in `raw_ws` and `truncated`.
        """
        raw = self.raw_ws(points, label)
        kept = torch.tensor([point.w is not None for point in points], device=raw.device)
        return torch.where(kept[:, None, None], raw, self.truncated(raw, psi)) if kept.any() else self.truncated(raw, psi)

    def images(
        self,
        ws: Tensor,
        *,
        noise_seeds: Sequence[int] | None = None,
        noise: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """ws [N,L,W] → uint8 [N,C,H,W] on the device.

        Args:
            noise_seeds: N seeds, for `noise_mode="random"`.
            noise: maps {layer: [N,1,H,W]} to draw with, whatever `noise_mode` says.
        """
        mode = self.noise_mode if noise is None else "random"
        return to_uint8(self.sampler.draw(ws, mode, noise_seeds=noise_seeds, noise=noise))

    def _z(self, point: Point) -> Tensor:
        if point.seed is not None:
            return latents_of([point.seed], self.generator.z_dim)[0]
        if point.z is None:
            raise ValueError(f"{point.source}: a w is given here, and z is needed: give a seed, or a file that holds z")
        if point.z.shape != (self.generator.z_dim,):
            raise ValueError(
                f"{point.source}: z has {point.z.numel()} numbers, and {self.name} takes {self.generator.z_dim}"
            )
        return point.z

    def _w(self, point: Point) -> Tensor:
        count, width = self.generator.num_ws, self.generator.w_dim
        if point.w is None or point.w.shape[1] != width or point.w.shape[0] not in (1, count):
            raise ValueError(
                f"{point.source}: w has the shape {list(point.w.shape)}, and {self.name} takes [{count}, {width}]"
            )
        return point.w.expand(count, -1).to(self.device)

    def _center(self, text: str | int) -> Tensor:
        """[W], or [L,W] of a latent file."""
        if str(text).strip() == "mean":
            return self.generator.mapping.w_avg
        points = parse_points(text, key="center")
        if len(points) != 1:
            raise ValueError(f"center={text}: one seed or latent, or mean, which is the average of the network")
        return self.raw_ws(points, None)[0]


def psi_in(value: object, name: str = "truncation") -> float:
    """A truncation psi. Raises: ValueError where it is no number, or beyond ±100."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a number, as in 0.7, got {value!r}")
    if abs(number) > LARGEST_PSI:
        raise ValueError(f"{name} must be between -{LARGEST_PSI} and {LARGEST_PSI}, got {value}")
    return number

