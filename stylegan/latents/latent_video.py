"""Latent video: paths through latent space as the frames of a video, any part of which can be drawn by itself."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from stylegan.images import visible
from stylegan.latents.cells import Blend, Sheet, around
from stylegan.latents.drawer import Drawer
from stylegan.latents.feature_blend import blended_features, group_size
from stylegan.latents.modulation import Modulation, Row
from stylegan.latents.path_latents import NoiseMaps, PathLatents, usual_noise
from stylegan.networks.synthesis import prepared


class LatentVideo:
    """The frames of a video through latent space; see `Frames`.

    Args:
        latents: the paths of all cells.
        count: of frames.
        frames_of_path: positions that the path moves in each frame at speed 1, as (numerator, denominator).
        layout: how cells make a frame.
        modulation: what changes over time.
        floats: whether frames are float in -1..1, for files of more than 8 bits, or uint8.
    """

    def __init__(
        self,
        drawer: Drawer,
        latents: PathLatents,
        *,
        count: int,
        layout: Sheet | Blend,
        modulation: Modulation,
        frames_of_path: tuple[int, int] = (1, 1),
        floats: bool = False,
    ):
        self._drawer, self._latents, self._layout, self._modulation = drawer, latents, layout, modulation
        self._ratio, self._floats = frames_of_path, floats
        self._blends_features = isinstance(layout, Blend) and layout.in_features
        chunk = drawer.sampler.chunk
        self._rows_of_a_frame = group_size(layout.count, chunk) if self._blends_features else layout.count
        self.count = count
        self.size = layout.size(drawer.size)
        self.channels = drawer.channels if drawer.channels <= 4 else 3
        speeds = modulation.speeds(count)
        # Where each frame is: all that was travelled before it.
        self._travelled = None if speeds is None else np.cumsum(speeds, axis=0) - speeds
        self._end = None if speeds is None else speeds.sum(axis=0)

    @property
    def rounds(self) -> np.ndarray | None:
        """How far the path is travelled in all, in parts of what it is without a track of speed; None without one."""
        return None if self._end is None else self._end / self.count

    @property
    def text(self) -> dict[str, str]:
        """What the file says of files that the timeline names; nothing without any."""
        return self._modulation.text

    def position(self, frame: int, cell: int) -> float:
        """Where on its path a cell is, in frames of the path."""
        numerator, denominator = self._ratio
        travelled = frame if self._travelled is None else float(self._travelled[frame, cell])
        return travelled * numerator / denominator

    def draw(self, first: int, last: int) -> Iterator[Tensor]:
        """Frames `first` to `last` - 1, in chunks [n,C,H,W]; each has the same pixels in whatever part."""
        with prepared(self._drawer.generator.synthesis):
            for begin in range(first, last, self._frames_at_once):
                yield self._frames(range(begin, min(begin + self._frames_at_once, last)))

    def ws(self, frame: int) -> Tensor:
        """w [cells,L,W] of one frame."""
        rows = self._rows([frame])
        return self._modulation.moved(self._latents.ws(rows, self._modulation), rows)[0]

    def network_weight(self, frame: int) -> float:
        """How much of the other network a frame has, by the track `network`; 0 without one."""
        values = self._modulation.number("network", [Row(frame, 0, 0)], 0.0)
        return 0.0 if values is None else min(1.0, max(0.0, values[0]))

    @property
    def _frames_at_once(self) -> int:
        """As many as fill whole chunks of images."""
        return math.lcm(self._drawer.sampler.chunk, self._rows_of_a_frame) // self._rows_of_a_frame

    def _rows(self, frames: Sequence[int]) -> list[Row]:
        """The images of frames, in order; of those that are blended in features, the last one fills up its group."""
        cells = [min(cell, self._layout.count - 1) for cell in range(self._rows_of_a_frame)]
        return [Row(frame, cell, self.position(frame, cell)) for frame in frames for cell in cells]

    def _frames(self, frames: Sequence[int]) -> Tensor:
        rows = self._rows(frames)
        chunk = self._drawer.sampler.chunk
        weights = self._modulation.weights(frames)
        if self._blends_features:
            with blended_features(self._drawer.generator, self._shares(frames, weights)):
                return self._images(rows, together=True)[:: self._rows_of_a_frame]
        parts = [self._images(rows[place : place + chunk]) for place in range(0, len(rows), chunk)]
        return self._layout.frames(torch.cat(parts).unflatten(0, (len(frames), -1)), weights)

    def _shares(self, frames: Sequence[int], weights: Tensor | None) -> Tensor:
        """[n, rows of a frame, H, W] at the size before a crop; rows that only fill up have none."""
        shares = self._layout.weighted(len(frames), weights)
        if "crop" in self._drawer.text and "layer" not in self._drawer.text:
            shares = around(shares, self._drawer.generator.size)
        return pad(shares, (0, 0, 0, 0, 0, self._rows_of_a_frame - self._layout.count))

    def _images(self, rows: Sequence[Row], *, together: bool = False) -> Tensor:
        """[n,C,H,W], of more than 4 channels the first 3.  Args: together: all in one chunk."""
        ws, styles = self._modulation.moved(self._latents.ws(rows, self._modulation), rows)
        maps = self._noise(rows, together)
        by_mode = [place for place, own in enumerate(maps) if own is None]
        by_maps = [place for place, own in enumerate(maps) if own is not None]
        images: Tensor | None = None
        for places in (by_mode, by_maps):
            if not places:
                continue
            noise = None
            if places is by_maps:
                noise = {layer: torch.stack([maps[i][layer] for i in places]) for layer in maps[places[0]]}
            own = None if styles is None else {layer: values[places] for layer, values in styles.items()}
            drawn = self._drawn(ws[places], noise, own)
            images = drawn.new_empty(len(rows), *drawn.shape[1:]) if images is None else images
            images[places] = drawn
        assert images is not None
        return images

    def _noise(self, rows: Sequence[Row], together: bool) -> list[NoiseMaps | None]:
        """The noise maps of each image; None = as the drawer's noise_mode says."""
        maps = [self._latents.noise(row) for row in rows]
        factors = self._modulation.noise(rows)
        # Together, images with maps of their own and others can only be drawn with maps.
        if factors is None and not (together and any(own is not None for own in maps)):
            return maps
        usual = usual_noise(self._drawer)
        return [
            {layer: factor * values for layer, values in (own or usual).items()}
            for own, factor in zip(maps, factors or [1.0] * len(rows), strict=True)
        ]

    def _drawn(self, ws: Tensor, noise: NoiseMaps | None, styles: Mapping[str, Tensor] | None) -> Tensor:
        if self._floats:
            return visible(self._drawer.floats(ws, noise=noise, styles=styles)).clamp(-1, 1)
        return visible(self._drawer.images(ws, noise=noise, styles=styles))
