"""Path latents: w and noise of each image of a video, from loops and from key frames."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from stylegan.latents.drawer import Drawer
from stylegan.latents.modulation import Modulation, Row
from stylegan.latents.paths.loops import Loop
from stylegan.latents.paths.through import Through
from stylegan.latents.points import Point
from stylegan.latents.projection.noise_maps import interpolate_noise
from stylegan.latents.seeds import noise_of

NoiseMaps = Mapping[str, Tensor]
# Noise maps of so many seeds are kept, since frames of one leg share them.
_KEPT_NOISE = 16


class PathLatents(Protocol):
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
        ws = self._drawer.truncated(self._drawer.sampler.map(torch.from_numpy(z), labels), psi, labels)
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
        self._noise = _noise_of_seeds(drawer)
        if space == "z":
            self._z = [drawer.z(some).numpy() for some in points]
        else:
            drawer.check([point for some in points for point in some])

    def ws(self, rows: Sequence[Row], modulation: Modulation) -> Tensor:
        labels, psi = modulation.labels(rows, self._usual_labels(rows)), modulation.psi(rows)
        if self._space == "z":
            z = [self._through.latent(row.position, self._z[row.cell].__getitem__) for row in rows]
            raw = self._drawer.sampler.map(torch.from_numpy(np.stack(z)), labels)
            ws = self._drawer.truncated(raw, psi, labels)
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
        usual = usual_noise(self._drawer)
        return interpolate_noise(first or usual, last or usual, part)

    def _own_noise(self, point: Point) -> NoiseMaps | None:
        if point.noise is not None:
            return {**usual_noise(self._drawer), **point.noise}
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
        # Of each image alone, and not once for all: the network of a video may change.
        wanted = [
            (place, key) for place, row in enumerate(rows) for key in self._through.keys_at(row.position)
        ]
        places = [place for place, _ in wanted]
        points = [self._points[rows[place].cell][key] for place, key in wanted]
        if labels is not None:
            own = labels[places]
        elif self._labels is not None:
            own = torch.stack([self._labels[rows[place].cell][key] for place, key in wanted])
        else:
            own = None
        raw = self._drawer.raw_ws(points, own)
        kept = torch.tensor([point.w is not None for point in points], device=raw.device)
        if not bool(kept.all()):
            pulled = self._drawer.truncated(raw, None if psi is None else psi[places], own)
            raw = torch.where(kept[:, None, None], raw, pulled)
        by_key = dict(zip(wanted, raw.cpu().numpy(), strict=True))
        center = self._drawer.generator.mapping.w_avg.double().cpu().numpy()
        ws = [
            self._through.latent(row.position, lambda key, place=place: by_key[place, key], center)
            for place, row in enumerate(rows)
        ]
        return torch.from_numpy(np.stack(ws)).to(self._drawer.device)


def _noise_of_seeds(drawer: Drawer) -> Callable[[int], NoiseMaps]:
    """seed → its noise maps {layer: [1,H,W]}, of which a few are kept."""

    @lru_cache(maxsize=_KEPT_NOISE)
    def noise(seed: int) -> NoiseMaps:
        layers = drawer.generator.synthesis.noise_layers
        return {layer: maps[0] for layer, maps in noise_of([seed], layers).items()}

    return noise


def usual_noise(drawer: Drawer) -> NoiseMaps:
    """The network's own maps {layer: [1,H,W]}, or zeros where it is drawn without noise."""
    synthesis = drawer.generator.synthesis
    own = {name: synthesis.get_submodule(name).noise_const[None].cpu() for name, _ in synthesis.noise_layers}
    return (
        own if drawer.noise_mode != "none" else {name: torch.zeros_like(maps) for name, maps in own.items()}
    )
