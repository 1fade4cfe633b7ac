"""Showing: what a direction does, as a sheet of strengths or as a video along it."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from stylegan.images import to_uint8, visible
from stylegan.latents.cells import Sheet, best_shape, colour_of
from stylegan.latents.directions.direction import Direction
from stylegan.latents.directions.movement import LARGEST_STRENGTH, Movement, Part
from stylegan.latents.drawer import Drawer
from stylegan.latents.points import Point
from stylegan.machine.progress import with_progress
from stylegan.networks.synthesis import prepared
from stylegan.sizes import Size


def parse_strengths(text: str | float) -> tuple[float, ...]:
    """`-3,-1.5,0,1.5,3` → the numbers. Raises: ValueError where one is none, or beyond ±1000."""
    try:
        numbers = tuple(float(part) for part in str(text).split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(abs(number) <= LARGEST_STRENGTH for number in numbers):
        raise ValueError(
            f"strengths must be numbers from -{LARGEST_STRENGTH} to {LARGEST_STRENGTH}, as in -3,-1.5,0,1.5,3;"
            f" got {text!r}"
        )
    return numbers


class Moved:
    """Images of some points, to be drawn at any strength of one direction.

    Args:
        drawer: draws.
        points: N of them.
        labels: [N,K]; None for a network without labels.
        direction: that they are moved along.
        steady: strengths [D] of the directions that the drawer is configured with; None = as configured.
    Raises: ValueError where it does not fit the network.
    """

    def __init__(
        self,
        drawer: Drawer,
        points: Sequence[Point],
        labels: Tensor | None,
        direction: Direction,
        *,
        steady: Tensor | None = None,
    ):
        self.drawer, self.points = drawer, points
        self.movement = Movement(
            [Part(direction.name, direction, None)], drawer.generator, network=drawer.name
        )
        self.base = drawer.ws(points, labels, strengths=steady)
        offsets = drawer.movement.style_offsets(None if steady is None else steady[None])
        self.styles = {name: row[0] for name, row in offsets.items()}

    def images(
        self,
        places: Sequence[int],
        strengths: Sequence[float],
        pixels: Callable[[Tensor], Tensor] = to_uint8,
    ) -> Tensor:
        """Images of the points at `places`, each at its strength: [N,C,H,W], C = 1 to 4.

        Args: pixels: makes them of floats in [-1, 1].
        """
        given = torch.tensor(strengths, dtype=torch.float32, device=self.base.device)[:, None]
        ws = self.base[list(places)] + self.movement.shift(given)
        offsets = self.movement.style_offsets(given)
        for name, row in self.styles.items():
            offsets[name] = (
                row.to(given.device) + offsets[name] if name in offsets else row.expand(len(ws), -1)
            )
        points = [self.points[place] for place in places]
        return visible(pixels(self.drawer.floats_of(points, ws=ws, styles=offsets)))


def sheet_images(
    moved: Moved, strengths: Sequence[float], pixels: Callable[[Tensor], Tensor] = to_uint8
) -> Tensor:
    """The images of a sheet, a row a point and a column a strength: [N·S,C,H,W] on the CPU, with progress.

    Args: pixels: as in `Moved.images`.
    """
    cells = [(place, strength) for place in range(len(moved.points)) for strength in strengths]
    chunk = moved.drawer.sampler.chunk
    parts = (cells[first : first + chunk] for first in range(0, len(cells), chunk))
    drawn = ((len(part), moved.images(*zip(*part, strict=True), pixels).cpu()) for part in parts)
    with prepared(moved.drawer.sampler.synthesis):
        return torch.cat(list(with_progress(drawn, total=len(cells))))


class DirectionFrames:
    """Frames along a direction: from the middle strength to the highest, to the lowest and back, a loop.

    The strength at frame i of n is mid + half·sin(2πi/n), so the last frame leads into the first. Satisfies
    `stylegan.media.frames.Frames`.

    Args:
        moved: the images, one a cell.
        lowest, highest: strengths.
        count: of frames.
        shape: (columns, rows) of cells; None = the best one.
        fill: colour of spare cells.
    Raises: ValueError for fewer cells than images, or an unknown colour.
    """

    def __init__(
        self,
        moved: Moved,
        *,
        lowest: float,
        highest: float,
        count: int,
        shape: tuple[int, int] | None = None,
        fill: str = "black",
    ):
        cells = len(moved.points)
        columns, rows = best_shape(cells) if shape is None else shape
        if columns * rows < cells:
            raise ValueError(
                f"grid={columns}x{rows}: these are {columns * rows} cells, and there are {cells} seeds"
            )
        self.moved, self.lowest, self.highest, self.count = moved, lowest, highest, count
        self.channels = moved.drawer.channels if moved.drawer.channels <= 4 else 3
        colour_of(fill, self.channels)
        self.shape = (columns, rows)
        self.sheet = Sheet(columns, rows, cells, fill)
        self.size: Size = self.sheet.size(moved.drawer.size)

    def strength(self, frame: int) -> float:
        """The strength at a frame."""
        middle, half = (self.highest + self.lowest) / 2, (self.highest - self.lowest) / 2
        return middle + half * math.sin(2 * math.pi * frame / self.count)

    def draw(self, first: int, last: int) -> Iterator[Tensor]:
        """Frames `first` to `last` - 1: uint8 [n,C,H,W], in chunks that fill the sampler's batches."""
        cells = len(self.moved.points)
        at_once = max(1, self.moved.drawer.sampler.chunk // cells)
        with prepared(self.moved.drawer.sampler.synthesis):
            for start in range(first, last, at_once):
                frames = range(start, min(start + at_once, last))
                images = self.moved.images(
                    [place for _ in frames for place in range(cells)],
                    [self.strength(frame) for frame in frames for _ in range(cells)],
                )
                yield self.sheet.frames(images.unflatten(0, (len(frames), cells)))
