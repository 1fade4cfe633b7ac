"""Drawer: a trained generator with the settings of drawing, from points of latent space to pixels."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.images import to_uint8
from stylegan.latents.canvas import LayerImages, check_crop, cut_middle, on_canvas, width_and_height
from stylegan.latents.centers import Center
from stylegan.latents.directions.movement import parse_directions
from stylegan.latents.labels import parse_label, parse_labels
from stylegan.latents.points import Point
from stylegan.latents.sampling import NOISE_MODES, Sampler
from stylegan.latents.seeds import latents_of
from stylegan.latents.truncation import cutoff_in, number_text, psi_in
from stylegan.machine.devices import device_named
from stylegan.networks.digest import weights_sha256
from stylegan.networks.precision import precision_on, set_compute_dtype
from stylegan.sizes import Size


class Drawer:
    """A generator, how it draws, and what its images say of themselves.

    All images of a task come from one drawer, so that a point gives the same pixels in every task.

    Args:
        generator: on any device; it is moved, and computes in `precision` from now on.
        name: of the network, for messages.
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", ...
        precision: "auto" (the fastest that the device has), "fp32", "bf16" or "fp16".
        noise_mode: "const", "random" (each point its own) or "none".
        truncation: psi; w becomes center + psi·(w − center).
        truncation_cutoff: only the first so many of the L entries are truncated; None = all.
        center: what truncation pulls to: "mean" (the network's w_avg), a seed, a latent file, or "clusters:64", of
            which each image takes the nearest.
        directions: that every image is moved along, as in `parse_directions`; None = none.
        canvas: `1024x512`, width x height that is drawn in place of the network's size; see `on_canvas`.
        canvas_mode: "tile", "stretch" or "mirror".
        layer: `b32.conv1`: feature maps of one layer in place of the image; see `LayerImages`.
        crop: `512x384`, width x height that is cut out of the middle.
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
        center: str | int = "mean",
        directions: str | None = None,
        canvas: str | None = None,
        canvas_mode: str = "tile",
        layer: str | None = None,
        crop: str | None = None,
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
        generator = generator.to(chosen)
        self.device = chosen
        self.name = name
        self.noise_mode = noise_mode
        self.truncation = psi_in(truncation)
        self.truncation_cutoff = cutoff_in(truncation_cutoff, generator.num_ws)
        self.open_other, self.save_network, self.kept = open_other, save_network, kept
        self._settings = dict(
            device=device,
            precision=precision,
            noise_mode=noise_mode,
            truncation=truncation,
            truncation_cutoff=truncation_cutoff,
            center=center,
            directions=directions,
            canvas=canvas,
            canvas_mode=canvas_mode,
            layer=layer,
            crop=crop,
            provenance=provenance,
        )
        self.weights = weights_sha256(generator) if weights is None else weights
        self.decode_picture = decode_picture
        self.precision = set_compute_dtype(generator, chosen, precision)
        self.text = dict(provenance or {}) | {
            "weights": self.weights,
            "truncation": number_text(self.truncation),
            "noise_mode": noise_mode,
            "precision": self.precision,
        }
        if self.truncation_cutoff is not None:
            self.text["truncation_cutoff"] = str(self.truncation_cutoff)
        self.generator = self._sized(generator, canvas, canvas_mode, crop, layer)
        self.movement = parse_directions(directions, self.generator, network=name)
        self.center = Center(
            center, generator=self.generator, raw_ws=self.raw_ws, weights=self.weights, name=name
        )
        if self.center.point is not None:
            self.check([self.center.point])
        self.text |= self.center.text | self.movement.text

    def with_generator(self, generator: nn.Module, *, name: str, weights: str | None = None) -> "Drawer":
        """The same settings with another network.

        Args: weights: its digest where it is known, or matters to no file; None = computed.
        """
        return Drawer(generator, name=name, weights=weights, **self._settings)

    @property
    def size(self) -> Size:
        """(height, width) of an image in px."""
        return self._size

    @property
    def channels(self) -> int:
        """1 grey, 2 grey + alpha, 3 RGB, 4 RGBA; more are possible."""
        return self._channels

    def label(self, text: str | float | None) -> Tensor | None:
        """`label=` → float32 [K]; None for a network without labels. Raises: ValueError, see `parse_label`."""
        return parse_label(
            text, width=self.generator.c_dim, names=self.generator.label_names, network=self.name
        )

    def labels(self, text: str | float | None) -> list[tuple[str, Tensor | None]]:
        """As `label`, but `all` is every class → [(name, float32 [K]), ...]."""
        return parse_labels(
            text, width=self.generator.c_dim, names=self.generator.label_names, network=self.name
        )

    def z(self, points: Sequence[Point]) -> Tensor:
        """z [N,Z] of points on the CPU. Raises: ValueError for a point given as w, or a z of another width."""
        return torch.stack([self._z(point) for point in points])

    def check(self, points: Sequence[Point]) -> None:
        """Raises: ValueError where a latent, or a noise map of it, does not fit the network."""
        sizes = dict(self.generator.synthesis.noise_layers)
        for point in points:
            if point.seed is not None:
                continue
            if point.w is None:
                self._z(point)
            else:
                self._w(point)
            if point.noise is None:
                continue
            for layer, size in sizes.items():
                got = None if layer not in point.noise else tuple(point.noise[layer].shape)
                if got != (1, *size):
                    shape = "none" if got is None else f"one of the shape {list(got)}"
                    raise ValueError(
                        f"{point.source}: {self.name} takes noise of the shape {[1, *size]} for {layer}, and the file"
                        f" holds {shape}"
                    )

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

    def truncated(self, ws: Tensor, psi: float | Tensor | None = None, label: Tensor | None = None) -> Tensor:
        """center + psi·(w − center), ws [N,L,W].

        Args:
            psi: a number, or one of each image [N]; None = as configured.
            label: [K] or [N,K], which a center that is a seed or a cluster depends on; None for a network without
                labels.
        """
        psi = self.truncation if psi is None else psi
        if isinstance(psi, Tensor):
            weight = psi.to(ws)[:, None, None]
        elif psi == 1:
            return ws
        else:
            weight = psi
        pulled = torch.lerp(self.center.of(ws, label), ws, weight)
        if self.truncation_cutoff is None:
            return pulled
        return torch.cat([pulled[:, : self.truncation_cutoff], ws[:, self.truncation_cutoff :]], dim=1)

    def moved(self, ws: Tensor, strengths: Tensor | None = None) -> Tensor:
        """ws [N,L,W] moved along `directions`, by strengths [D], or [N,D] of each image; None = as configured."""
        if not len(self.movement):
            return ws
        if strengths is not None:
            strengths = strengths.to(ws.device).expand(len(ws), -1)
        return ws + self.movement.shift(strengths).to(ws)

    def ws(
        self,
        points: Sequence[Point],
        label: Tensor | None = None,
        psi: float | Tensor | None = None,
        strengths: Tensor | None = None,
    ) -> Tensor:
        """w [N,L,W] as drawn: seeds and z are truncated, a w of a file is not; then all are moved along `directions`.

        Args: label, psi, strengths: as in `raw_ws`, `truncated` and `moved`.
        """
        raw = self.raw_ws(points, label)
        kept = torch.tensor([point.w is not None for point in points], device=raw.device)
        if bool(kept.all()):
            return self.moved(raw, strengths)
        pulled = self.truncated(raw, psi, label)
        return self.moved(torch.where(kept[:, None, None], raw, pulled), strengths)

    def images(
        self,
        ws: Tensor,
        *,
        noise_seeds: Sequence[int] | None = None,
        noise: Mapping[str, Tensor] | None = None,
        styles: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """ws [N,L,W] → uint8 [N,C,H,W] on the device.

        Args:
            noise_seeds: N seeds, for `noise_mode="random"`; of points their `noise_seed`.
            noise: maps {layer: [N,1,H,W]} to draw with, whatever `noise_mode` says.
            styles: what is added to the styles, {layer: [N,C]}, as of `movement.style_offsets`; None = what the style
                channels among `directions` add as configured.
        """
        return to_uint8(self.floats(ws, noise_seeds=noise_seeds, noise=noise, styles=styles))

    def floats(
        self,
        ws: Tensor,
        *,
        noise_seeds: Sequence[int] | None = None,
        noise: Mapping[str, Tensor] | None = None,
        styles: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """As `images`, before the numbers are rounded: float [N,C,H,W], nominally in [-1, 1]."""
        mode = self.noise_mode if noise is None else "random"
        if styles is None:
            # One row, which stands for all images.
            styles = {name: row.expand(len(ws), -1) for name, row in self.movement.style_offsets().items()}
        drawn = self.sampler.draw(ws, mode, noise_seeds=noise_seeds, noise=noise, styles=styles)
        return cut_middle(drawn, self._size)

    def floats_of(
        self,
        points: Sequence[Point],
        label: Tensor | None = None,
        ws: Tensor | None = None,
        styles: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The images of points, float [N,C,H,W], each with the noise maps of its file where it has them.

        Args: label: as in `raw_ws`. ws: [N,L,W] of the points; None = `ws(points, label)`. styles: as in `images`.
        """
        ws = self.ws(points, label) if ws is None else ws
        own = [place for place, point in enumerate(points) if point.noise is not None]
        others = [place for place, point in enumerate(points) if point.noise is None]
        parts = []
        for places in (own, others):
            if places:
                offsets = None if styles is None else {name: rows[places] for name, rows in styles.items()}
                given = (
                    {"noise": self._maps([points[place] for place in places])}
                    if places is own
                    else {"noise_seeds": [points[place].noise_seed for place in places]}
                )
                parts.append(self.floats(ws[places], styles=offsets, **given))
        order = torch.tensor([*own, *others]).argsort().to(self.device)
        return torch.cat(parts)[order]

    def _maps(self, points: Sequence[Point]) -> dict[str, Tensor]:
        layers = [layer for layer, _ in self.generator.synthesis.noise_layers]
        return {layer: torch.stack([point.noise[layer] for point in points]) for layer in layers}

    def _sized(
        self, generator: nn.Module, canvas: str | None, mode: str, crop: str | None, layer: str | None
    ) -> nn.Module:
        """The generator on its canvas; sets the sampler, the size and the channels of images."""
        drawn = None if canvas is None else width_and_height(canvas, key="canvas")
        if drawn is not None:
            generator = on_canvas(generator, drawn, mode)
            self.text |= {"canvas": f"{drawn[1]}x{drawn[0]}", "canvas_mode": mode}
        shown = None if layer is None else LayerImages(generator, layer)
        self.sampler = Sampler(generator, shown)
        if shown is not None:
            self.text["layer"] = str(layer).strip()
            self._size, self._channels = shown.size, len(shown.channels)
        else:
            self._size, self._channels = drawn or generator.size, generator.channels
        if crop is not None:
            cut = width_and_height(crop, key="crop")
            check_crop(cut, self._size, text=crop)
            self.text["crop"] = f"{cut[1]}x{cut[0]}"
            self._size = cut
        return generator

    def _z(self, point: Point) -> Tensor:
        if point.seed is not None:
            return latents_of([point.seed], self.generator.z_dim)[0]
        if point.z is None:
            raise ValueError(
                f"{point.source}: a w is given here, and z is needed: give a seed, or a file that holds z"
            )
        if point.z.shape != (self.generator.z_dim,):
            raise ValueError(
                f"{point.source}: z has {point.z.numel()} numbers, and {self.name} takes {self.generator.z_dim}"
            )
        return point.z

    def _w(self, point: Point) -> Tensor:
        count, width = self.generator.num_ws, self.generator.w_dim
        if point.w is None or point.w.shape[1] != width or point.w.shape[0] not in (1, count):
            got = None if point.w is None else list(point.w.shape)
            raise ValueError(
                f"{point.source}: w has the shape {got}, and {self.name} takes [{count}, {width}]"
            )
        return point.w.expand(count, -1).to(self.device)
