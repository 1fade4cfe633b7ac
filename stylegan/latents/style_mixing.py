"""Style mixing: some layers of one image, the others of another.

Low layers hold pose and shape, high ones colour and texture. Source: Karras et al. 2019 (StyleGAN), section 3.1.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan.images import tile, to_uint8, visible
from stylegan.latents.cells import cell_of_colour
from stylegan.latents.drawer import Drawer
from stylegan.latents.layers import layer_mask, layer_names
from stylegan.latents.points import Point
from stylegan.latents.seeds import noise_of
from stylegan.sizes import Size

Maps = Mapping[str, Tensor]


@dataclass(frozen=True)
class Styles:
    """N images before they are drawn.

    Args:
        ws: [N,L,W], truncated.
        noise: for each image its own maps {layer: [1,H,W]}, or None = those that all images of the network share.
    """

    ws: Tensor
    noise: Sequence[Maps | None]

    def __len__(self) -> int:
        return len(self.ws)

    def __getitem__(self, part: slice) -> "Styles":
        return Styles(self.ws[part], self.noise[part])


def styles_of(drawer: Drawer, points: Sequence[Point], label: Tensor | None = None) -> Styles:
    """Points as `task=images` draws them. Args: label: [K], or [N,K]; None for a network without labels."""
    return Styles(drawer.ws(points, label), [_own_noise(drawer, point) for point in points])


def mix(columns: Tensor, rows: Tensor, layers: Iterable[int]) -> Tensor:
    """`columns` with these layers from `rows`: ws [...,L,W] and [...,L,W] → [...,L,W], broadcast.

    With all layers it is `rows`, with none `columns`, to the bit.
    """
    chosen = layer_mask(layers, columns.shape[-2]).to(columns.device)
    return torch.where(chosen[:, None], rows, columns)


def crossed(drawer: Drawer, rows: Styles, columns: Styles, layers: Sequence[int]) -> Styles:
    """Each row with each column: R and C styles → R·C, a row after the other; a row gives its layers to the columns.

    Noise goes with its layer, where an image brings its own.
    """
    ws = mix(columns.ws[None], rows.ws[:, None], layers).flatten(0, 1)
    given = {layer_names(drawer.generator)[number] for number in layers}
    noise = [_mixed_noise(drawer, row, column, given) for row in rows.noise for column in columns.noise]
    return Styles(ws, noise)


def drawn(drawer: Drawer, styles: Styles, pixels: Callable[[Tensor], Tensor] = to_uint8) -> Iterator[Tensor]:
    """The images in order, in chunks: [n,C,H,W] on the CPU, C as `visible` gives it.

    Args: pixels: makes them of floats in [-1, 1]; uint8 unless another one is given.
    """
    step = drawer.sampler.chunk
    for first in range(0, len(styles), step):
        some = styles[first : first + step]
        found: dict[int, Tensor] = {}
        for places, maps in _by_noise(some.noise):
            images = pixels(drawer.floats(some.ws[places], noise=maps))
            found |= zip(places, visible(images).cpu(), strict=True)
        yield torch.stack([found[place] for place in range(len(some))])


def _by_noise(noise: Sequence[Maps | None]) -> Iterator[tuple[list[int], Maps | None]]:
    """Places of images that are drawn together, and their maps {layer: [n,1,H,W]}, None where they share them."""
    own = {place: maps for place, maps in enumerate(noise) if maps is not None}
    if shared := [place for place in range(len(noise)) if place not in own]:
        yield shared, None
    if own:
        layers = next(iter(own.values()))
        yield list(own), {layer: torch.stack([maps[layer] for maps in own.values()]) for layer in layers}


def with_heads(mixed: Tensor, rows: Tensor, columns: Tensor, *, fill: str = "white") -> Tensor:
    """The cells of a sheet, line by line: images of the columns above the mixed ones, those of the rows on their left.

    Args:
        mixed: [R·C,C_img,H,W], a row after the other; uint8 or uint16, as rows [R,C_img,H,W] and columns [C,C_img,H,W].
        fill: colour of the corner, as Pillow names colours.
    Returns: [(R+1)·(C+1),C_img,H,W].
    """
    lines = [cell_of_colour(fill, mixed[0]), columns]
    for row, cells in zip(rows, mixed.split(len(columns)), strict=True):
        lines += [row[None], cells]
    return torch.cat(lines)


def noise_of_all(drawer: Drawer, noise: Sequence[Maps | None]) -> dict[str, Tensor] | None:
    """Maps of images for a file of latents, {layer: [N,1,H,W]}; None where no image brings its own."""
    if all(maps is None for maps in noise):
        return None
    shared = _shared_noise(drawer)
    layers = [layer for layer, _ in drawer.generator.synthesis.noise_layers]
    return {
        layer: torch.stack([(shared if maps is None else maps)[layer] for maps in noise]) for layer in layers
    }


class MixingFrames:
    """Frames of a video: rows that move give their layers to columns that stand still.

    Args:
        drawer: draws all of it.
        rows: for each row its z over time, [R,F,Z].
        row_points: of each row, for its noise.
        columns: of the columns.
        layers: that the rows give.
        label: of the rows, [K]; None for a network without labels.
        only_mix: without the pictures of rows and columns.
        fill: colour of the corner.
    Attributes: count, size, channels: as of `stylegan.media.frames.Frames`; the canvas has R+1 by C+1 cells, or R by C.
    """

    def __init__(
        self,
        drawer: Drawer,
        *,
        rows: Tensor,
        row_points: Sequence[Point],
        columns: Styles,
        layers: Sequence[int],
        label: Tensor | None = None,
        only_mix: bool = False,
        fill: str = "white",
    ):
        self.drawer, self.rows, self.columns, self.layers = drawer, rows, columns, layers
        self.label, self.only_mix, self.fill = label, only_mix, fill
        self.row_noise = [_own_noise(drawer, point) for point in row_points]
        self.count = rows.shape[1]
        self.channels = 3 if drawer.channels > 4 else drawer.channels
        height, width = drawer.size
        border = 0 if only_mix else 1
        self.size: Size = ((len(rows) + border) * height, (len(columns) + border) * width)
        self._of_columns: Tensor | None = None

    def draw(self, first: int, last: int) -> Iterator[Tensor]:
        """The frames `first` to `last` - 1, uint8 [n,C,H,W] on the CPU."""
        cells = len(self.rows) * (len(self.columns) + (not self.only_mix))
        chunk = self.drawer.sampler.chunk
        # Chunks of the sampler that are full, where the frames allow it.
        step = chunk // math.gcd(chunk, cells)
        for start in range(first, last, step):
            frames = range(start, min(start + step, last))
            yield torch.stack([self._canvas(mixed, rows) for mixed, rows in self._drawn(frames)])

    def _drawn(self, frames: range) -> Iterator[tuple[Tensor, Tensor | None]]:
        """For each frame its mixed images [R·C,...] and, where they are shown, those of the rows [R,...]."""
        num_rows = len(self.rows)
        zs = self.rows[:, frames.start : frames.stop].transpose(0, 1).flatten(0, 1)
        moving = Styles(self._ws(zs), self.row_noise * len(frames))
        parts = []
        for place in range(len(frames)):
            now = moving[place * num_rows : (place + 1) * num_rows]
            mixed = crossed(self.drawer, now, self.columns, self.layers)
            parts += [mixed] if self.only_mix else [mixed, now]
        joined = Styles(
            torch.cat([part.ws for part in parts]), [maps for part in parts for maps in part.noise]
        )
        images = torch.cat(list(drawn(self.drawer, joined))).split([len(part) for part in parts])
        if self.only_mix:
            yield from ((mixed, None) for mixed in images)
        else:
            yield from zip(images[::2], images[1::2], strict=True)

    def _ws(self, zs: Tensor) -> Tensor:
        return self.drawer.ws([Point(name="row", source="row", z=z) for z in zs], self.label)

    def _canvas(self, mixed: Tensor, rows: Tensor | None) -> Tensor:
        if rows is None:
            return tile(mixed, columns=len(self.columns))
        if self._of_columns is None:
            self._of_columns = torch.cat(list(drawn(self.drawer, self.columns)))
        cells = with_heads(mixed, rows, self._of_columns, fill=self.fill)
        return tile(cells, columns=len(self.columns) + 1)


def _own_noise(drawer: Drawer, point: Point) -> Maps | None:
    if point.noise is not None:
        return point.noise
    if drawer.noise_mode != "random":
        return None
    maps = noise_of([point.noise_seed], drawer.generator.synthesis.noise_layers)
    return {layer: of_one[0] for layer, of_one in maps.items()}


def _mixed_noise(drawer: Drawer, row: Maps | None, column: Maps | None, given: set[str]) -> Maps | None:
    """The maps of a row in the layers that it gives, those of the column in the others."""
    layers = [layer for layer, _ in drawer.generator.synthesis.noise_layers]
    if row is column or given.issuperset(layers):
        return row
    if given.isdisjoint(layers):
        return column
    row, column = (_shared_noise(drawer) if maps is None else maps for maps in (row, column))
    return {layer: (row if layer in given else column)[layer] for layer in layers}


def _shared_noise(drawer: Drawer) -> Maps:
    """What an image without noise of its own is drawn with, as maps."""
    synthesis = drawer.generator.synthesis
    if drawer.noise_mode == "none":
        return {layer: torch.zeros(1, *size) for layer, size in synthesis.noise_layers}
    return {
        layer: synthesis.get_submodule(layer).noise_const[None].cpu() for layer, _ in synthesis.noise_layers
    }
