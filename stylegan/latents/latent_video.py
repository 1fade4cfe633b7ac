"""Latent video: paths through latent space as the frames of a video, any part of which can be drawn by itself."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from stylegan.images import visible
from stylegan.latents.cells import Blend, Sheet
from stylegan.latents.drawer import Drawer
from stylegan.latents.feature_blend import blended_features, group_size
from stylegan.latents.modulation import Modulation, Row
from stylegan.latents.paths.loops import Loop
from stylegan.latents.paths.through import Through
from stylegan.latents.points import Point
from stylegan.latents.seeds import noise_of
from stylegan.networks.synthesis import prepared

NoiseMaps = Mapping[str, Tensor]
# Noise maps of so many seeds are kept, since frames of one leg share them.
_KEPT_NOISE = 16


class Latents(Protocol):
    """The paths of all cells of a video."""

    def ws(self, rows: Sequence[Row], modulation: Modulation) -> Tensor:
        """w [n,L,W] of images before directions, on the device."""
        ...

    def noise(self, row: Row) -> NoiseMaps | None:
        """Noise maps {layer: [1,H,W]} of an image; None = as the drawer's noise_mode says."""
        ...


class LoopLatents:
    """A loop in each cell.

    Args:
        loops: one for each cell.
        seeds: of each, whose noise counts in `noise_mode="random"`.
        labels: [cells,K]; None for a network without labels.
    """

    def __init__(self, drawer: Drawer, loops: Sequence[Loop], seeds: Sequence[int], labels: Tensor | None):
        self._drawer, self._loops, self._seeds, self._labels = drawer, loops, seeds, labels
        self._noise = _noise_of_seeds(drawer)

    def ws(self, rows: Sequence[Row], modulation: Modulation) -> Tensor:
        z = np.stack([self._loops[row.cell].z(row.position) for row in rows])
        usual = None if self._labels is None else self._labels[[row.cell for row in rows]]
        labels, psi = modulation.labels(rows, usual), modulation.psi(rows)
        ws = self._drawer.truncated(self._drawer.sampler.map(torch.from_numpy(z), labels), psi)
        return modulation.mixed(ws, rows, labels, psi)

    def noise(self, row: Row) -> NoiseMaps | None:
        return self._noise(self._seeds[row.cell]) if self._drawer.noise_mode == "random" else None


class KeyLatents:
    """A path through key frames in each cell, all at the same times.

    At a key frame w is that of `Drawer.ws` to the bit, and so is the noise that belongs to it. Between two of them
    noise is mixed so that its variance stays.

    Args:
        through: times and curve.
        points: of each cell, the keys.
        labels: of each cell, [keys,K]; None for a network without labels.
        space: "z" or "w".
    """

    def __init__(
        self,
        drawer: Drawer,
        through: Through,
        points: Sequence[Sequence[Point]],
        labels: Sequence[Tensor] | None,
        space: str,
    ):
        self._drawer, self._through, self._points, self._labels, self._space = (
            drawer,
            through,
            points,
            labels,
            space,
        )
        self._noise, self._usual_noise = _noise_of_seeds(drawer), _usual_noise(drawer)
        own = [None if labels is None else labels[cell] for cell in range(len(points))]
        if space == "z":
            self._keys = [drawer.z(some).numpy() for some in points]
        else:
            self._keys = [drawer.raw_ws(some, label).cpu() for some, label in zip(points, own, strict=True)]
            self._kept = [torch.tensor([point.w is not None for point in some]) for some in points]
            self._center = drawer.generator.mapping.w_avg.double().cpu().numpy()

    def ws(self, rows: Sequence[Row], modulation: Modulation) -> Tensor:
        labels, psi = modulation.labels(rows, self._usual_labels(rows)), modulation.psi(rows)
        if self._space == "z":
            z = [self._through.latent(row.position, self._keys[row.cell].__getitem__) for row in rows]
            ws = self._drawer.truncated(self._drawer.sampler.map(torch.from_numpy(np.stack(z)), labels), psi)
        else:
            ws = self._in_w(rows, labels if modulation.sets_labels else None, psi)
        return modulation.mixed(ws, rows, labels, psi)

    def noise(self, row: Row) -> NoiseMaps | None:
        a, b, part = self._through.between(row.position)
        points = self._points[row.cell]
        first = self._own_noise(points[a])
        if part == 0:
            return first
        last = self._own_noise(points[b])
        if first is None and last is None:
            return None
        if first is last:
            return first
        return _mixed(first or self._usual_noise, last or self._usual_noise, part)

    def _own_noise(self, point: Point) -> NoiseMaps | None:
        if point.noise is not None:
            return {**self._usual_noise, **point.noise}
        return self._noise(point.noise_seed) if self._drawer.noise_mode == "random" else None

    def _usual_labels(self, rows: Sequence[Row]) -> Tensor | None:
        if self._labels is None:
            return None
        found = []
        for row in rows:
            a, b, part = self._through.between(row.position)
            first, last = self._labels[row.cell][a], self._labels[row.cell][b]
            found.append(first if part == 0 else first + part * (last - first))
        return torch.stack(found)

    def _in_w(self, rows: Sequence[Row], labels: Tensor | None, psi: Tensor | None) -> Tensor:
        """w between truncated keys. Args: labels: [n,K] that count for all keys of an image; None = their own."""
        wanted = [
            (place, key) for place, row in enumerate(rows) for key in self._through.keys_at(row.position)
        ]
        places = [place for place, _ in wanted]
        if labels is None:
            raw = torch.stack([self._keys[rows[place].cell][key] for place, key in wanted]).to(
                self._drawer.device
            )
        else:
            points = [self._points[rows[place].cell][key] for place, key in wanted]
            raw = self._drawer.raw_ws(points, labels[places])
        kept = torch.tensor(
            [bool(self._kept[rows[place].cell][key]) for place, key in wanted], device=raw.device
        )
        pulled = self._drawer.truncated(raw, None if psi is None else psi[places])
        found = torch.where(kept[:, None, None], raw, pulled).cpu().numpy()
        by_key = {pair: found[number] for number, pair in enumerate(wanted)}
        ws = [
            self._through.latent(row.position, lambda key, place=place: by_key[place, key], self._center)
            for place, row in enumerate(rows)
        ]
        return torch.from_numpy(np.stack(ws)).to(self._drawer.device)


class LatentVideo:
    """The frames of a video through latent space; see `Frames`.

    Args:
        latents: the paths of all cells.
        count: of frames.
        frames_of_path: positions that the path moves in each frame at speed 1, as (numerator, denominator).
        layout: how cells make a frame.
        modulation: what changes over time.
    """

    def __init__(
        self,
        drawer: Drawer,
        latents: Latents,
        *,
        count: int,
        layout: Sheet | Blend,
        modulation: Modulation,
        frames_of_path: tuple[int, int] = (1, 1),
    ):
        self._drawer, self._latents, self._layout, self._modulation = drawer, latents, layout, modulation
        self._ratio, self._usual_noise = frames_of_path, _usual_noise(drawer)
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

    def position(self, frame: int, cell: int) -> float:
        """Where on its path a cell is, in frames of the path."""
        numerator, denominator = self._ratio
        travelled = frame if self._travelled is None else float(self._travelled[frame, cell])
        return travelled * numerator / denominator

    def draw(self, first: int, last: int) -> Iterator[Tensor]:
        """Frames `first` to `last` - 1, in chunks uint8 [n,C,H,W]; each has the same pixels in whatever part."""
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
        """[n, rows of a frame, H, W]; those that only fill up have none."""
        shares = self._layout.weighted(len(frames), weights)
        return pad(shares, (0, 0, 0, 0, 0, self._rows_of_a_frame - self._layout.count))

    def _images(self, rows: Sequence[Row], *, together: bool = False) -> Tensor:
        """uint8 [n,C,H,W], of more than 4 channels the first 3.  Args: together: all in one chunk."""
        ws, styles = self._modulation.moved(self._latents.ws(rows, self._modulation), rows)
        maps = [self._latents.noise(row) for row in rows]
        factors = self._modulation.noise(rows)
        if factors is not None:
            maps = [
                {layer: factor * values for layer, values in (own or self._usual_noise).items()}
                for own, factor in zip(maps, factors, strict=True)
            ]
        if together and any(own is not None for own in maps):
            maps = [own or self._usual_noise for own in maps]
        by_mode = [place for place, own in enumerate(maps) if own is None]
        by_maps = [place for place, own in enumerate(maps) if own is not None]
        images: Tensor | None = None
        for places in (by_mode, by_maps):
            if places:
                noise = None
                if places is by_maps:
                    noise = {
                        layer: torch.stack([maps[i][layer] for i in places]) for layer in self._usual_noise
                    }
                own = None if styles is None else {layer: values[places] for layer, values in styles.items()}
                drawn = visible(self._drawer.images(ws[places], noise=noise, styles=own))
                images = drawn.new_empty(len(rows), *drawn.shape[1:]) if images is None else images
                images[places] = drawn
        assert images is not None
        return images


def _noise_of_seeds(drawer: Drawer):
    """seed → its noise maps {layer: [1,H,W]}, of which a few are kept."""

    @lru_cache(maxsize=_KEPT_NOISE)
    def noise(seed: int) -> NoiseMaps:
        layers = drawer.generator.synthesis.noise_layers
        return {layer: maps[0] for layer, maps in noise_of([seed], layers).items()}

    return noise


def _usual_noise(drawer: Drawer) -> NoiseMaps:
    """The network's own maps {layer: [1,H,W]}, or zeros where it is drawn without noise."""
    synthesis = drawer.generator.synthesis
    own = {name: synthesis.get_submodule(name).noise_const[None].cpu() for name, _ in synthesis.noise_layers}
    return (
        own if drawer.noise_mode != "none" else {name: torch.zeros_like(maps) for name, maps in own.items()}
    )


def _mixed(a: NoiseMaps, b: NoiseMaps, part: float) -> NoiseMaps:
    """Between two noise maps, divided so that the variance of independent ones stays; what both share stays itself."""
    length = math.hypot(1 - part, part)
    return {
        layer: maps if torch.equal(maps, b[layer]) else ((1 - part) * maps + part * b[layer]) / length
        for layer, maps in a.items()
    }
