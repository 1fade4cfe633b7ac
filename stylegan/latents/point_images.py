"""Images of points: every point with every label, each with its name, its text and its pixels."""

import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stylegan.latents.drawer import Drawer
from stylegan.latents.latent_files import write_latents_to
from stylegan.latents.outputs import ImageFormat
from stylegan.latents.points import Point
from stylegan.latents.seeds import MAX_SEEDS


class Cell(NamedTuple):
    """One image: the number of its label, and the number of its point."""

    row: int
    place: int


class PointImages:
    """What is to be drawn: points × labels, label by label.

    Args:
        points: as of `parse_points`.
        label: as of `parse_labels`; "all" is each class.
        drawer: draws them.
        file_format: of the files.
    Raises: ValueError for a wrong label, a latent of another width, or more images than anyone draws.
    """

    def __init__(
        self, points: Sequence[Point], label: str | float | None, *, drawer: Drawer, file_format: ImageFormat
    ):
        self.points, self.drawer, self.format = points, drawer, file_format
        self.labels = drawer.labels(label)
        if len(points) * len(self.labels) > MAX_SEEDS:
            raise ValueError(
                f"{len(points):,} seeds of {len(self.labels):,} classes are more than"
                f" {MAX_SEEDS:,} images, the most at once; draw fewer seeds, or one class"
            )
        drawer.check(points)

    def __len__(self) -> int:
        return len(self.points) * len(self.labels)

    def cells(self) -> Iterator[Cell]:
        """All of them, in order."""
        return (Cell(row, place) for row in range(len(self.labels)) for place in range(len(self.points)))

    def stem(self, cell: Cell) -> str:
        """`seed0042`, or `seed0042-class1` where there are several labels."""
        return self.points[cell.place].name + (f"-class{cell.row}" if len(self.labels) > 1 else "")

    def name(self, cell: Cell) -> str:
        """Of its file: `seed0042.png`."""
        return f"{self.stem(cell)}.{self.format.ending}"

    def latent_file(self, cell: Cell) -> bytes | None:
        """The `.npz` that lies next to the image of a latent, from which it is drawn again; None of a seed."""
        point = self.points[cell.place]
        if point.seed is not None:
            return None
        noise = {layer: map_[None] for layer, map_ in (point.noise or {}).items()}
        z, w = (None if values is None else values[None] for values in (point.z, point.w))
        content = io.BytesIO()
        write_latents_to(content, w=w, z=z, noise=noise, text=self.text(cell))
        return content.getvalue()

    @property
    def is_visible(self) -> bool:
        """Whether an image file holds all channels."""
        return self.drawer.channels <= 4

    @property
    def text_of_all(self) -> dict[str, str]:
        """What the files have in common: how they were drawn, in which format, and the label where it is one."""
        name, label = self.labels[0] if len(self.labels) == 1 else ("all", True)
        return self.drawer.text | self.format.text | ({} if label is None else {"label": name})

    def text(self, cell: Cell) -> dict[str, str]:
        """What the file of one says."""
        name, label = self.labels[cell.row]
        labelled = {} if label is None else {"label": name}
        return self.drawer.text | self.format.text | labelled | self.points[cell.place].text

    def label(self, cells: Sequence[Cell]) -> Tensor | None:
        """The label of each [N,K]; None for a network without labels."""
        labels = [self.labels[cell.row][1] for cell in cells]
        return None if labels[0] is None else torch.stack(labels)

    def ws(self, cells: Sequence[Cell]) -> Tensor:
        """w [N,L,W] as drawn."""
        return self.drawer.ws([self.points[cell.place] for cell in cells], self.label(cells))

    def draw(self, cells: Sequence[Cell]) -> Iterator[tuple[Sequence[Cell], Tensor]]:
        """A chunk at a time: (n cells, their pixels [n,C,H,W] on the CPU as the format stores them)."""
        for some in self.chunks(cells):
            images = self.drawer.floats_of([self.points[cell.place] for cell in some], self.label(some))
            yield some, self.format.pixels(images).cpu()

    def chunks(self, cells: Sequence[Cell]) -> Iterator[Sequence[Cell]]:
        """The cells, as many at a time as are drawn at once."""
        step = self.drawer.sampler.chunk
        return (cells[first : first + step] for first in range(0, len(cells), step))
