"""The task `images` of the generate command: one PNG a seed, or one a seed and class, and all of them in a grid."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylegan.images import read_png, save_png, tile, to_uint8, visible
from stylegan.latents.drawer import Drawer
from stylegan.latents.existing import differences, names_in, refuse
from stylegan.latents.outputs import Output
from stylegan.latents.seeds import MAX_SEEDS, parse_seeds
from stylegan.machine.console import say
from stylegan.machine.files import replacing
from stylegan.machine.progress import with_progress
from stylegan.networks.synthesis import prepared
from stylegan.sizes import size_text

# The grid shows the first images that fit in: 1,024 of 256 px, 64 of 1024 px. Few viewers open more.
MAX_GRID_PX = 64 * 2**20

# Images whose labels are made at a time; a multiple of every chunk.
_AT_ONCE = 1024


class Cell(NamedTuple):
    """One image: the number of its label, and its seed."""

    row: int
    seed: int


class Images:
    """Draws seeds into a folder: `seed0000.png`, numbered by seed, and `grid.png`.

    With label "all" each class is drawn with each seed: `seed0000-class2.png`, and a row a class in the grid.
    More than 4 channels go into `seed0000.npy`, uint8 [H,W,C], and the PNG shows the first three.

    An image that is there already with the same weights, seed and settings stays as it is, so that what was interrupted
    continues. One of other settings is refused before anything is drawn, unless the output says overwrite. The grid
    alone is replaced where only its seeds differ, and a line reports it: its images are still there one by one.

    Args:
        seeds: as in `parse_seeds`.
        label: as in `parse_labels`; None for a network without labels.
    Raises: ValueError that names the value and the way out.
    """

    def __init__(self, *, seeds: str | int, label: str | float | None = None):
        self.seeds = parse_seeds(seeds)
        self.label = label

    def run(self, drawer: Drawer, output: Output) -> None:
        """Draw, write and say where.

        Raises: ValueError that names the file in the way; OSError where a file cannot be written.
        """
        self.drawer, self.out = drawer, output.folder
        self.labels = drawer.labels(self.label)
        if len(self.seeds) * len(self.labels) > MAX_SEEDS:
            raise ValueError(
                f"{len(self.seeds):,} seeds of {len(self.labels):,} classes are more than"
                f" {MAX_SEEDS:,} images, the most at once; draw fewer seeds, or one class"
            )
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"out must be a folder for the images, got {self.out}, which is a file")
        self.sampler, self.text = drawer.sampler, drawer.text
        self.truncation, self.noise_mode = drawer.truncation, drawer.noise_mode
        self.kept, self.replaced = self._images_there(output.overwrite)
        self._draw_all()

    def _draw_all(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        cells = [Cell(row, seed) for row in range(len(self.labels)) for seed in self.seeds]
        rows, columns = self._shape_of_grid()
        in_grid = [Cell(row, seed) for row in range(rows) for seed in self.seeds[:columns]]
        missing = [cell for cell in cells if cell not in self.kept]
        if self.kept:
            say(f"{len(self.kept):,} of {len(cells):,} images are there already, and stay as they are")
        if self.replaced:
            say(
                f"{self.replaced:,} of {len(cells):,} images replace those of other settings, as overwrite=true says"
            )
        shown: dict[Cell, Tensor] = dict.fromkeys(in_grid)
        with prepared(self.sampler.generator.synthesis):
            chunks = ((len(some), (some, images)) for some, images in self._draw(missing))
            for some, images in with_progress(chunks, total=len(missing)):
                pixels = to_uint8(images).cpu()
                for cell, image in zip(some, pixels, strict=True):
                    self._save(cell, image)
                    if cell in shown:
                        shown[cell] = visible(image)
        self._save_grid(shown, columns=columns if len(self.labels) > 1 else math.ceil(math.sqrt(columns)))
        self._say_where(len(cells), len(in_grid))

    def _draw(self, cells: Sequence[Cell]) -> Iterator[tuple[Sequence[Cell], Tensor]]:
        """A chunk at a time: (n cells, their images float32 [n,C,H,W])."""
        for first in range(0, len(cells), _AT_ONCE):
            some = cells[first : first + _AT_ONCE]
            labels = [self.labels[cell.row][1] for cell in some]
            place = 0
            for seeds, images in self.sampler.of_seeds(
                [cell.seed for cell in some],
                label=None if labels[0] is None else torch.stack(labels),
                truncation=self.truncation,
                noise_mode=self.noise_mode,
            ):
                yield some[place : place + len(seeds)], images
                place += len(seeds)

    def _images_there(self, overwrite: bool) -> tuple[set[Cell], int]:
        """The images that are there already, and how many are replaced.

        Raises: ValueError where there are others in their place.
        """
        there = names_in(self.out)
        kept, in_the_way = set(), []
        for row in range(len(self.labels)):
            for seed in self.seeds:
                cell = Cell(row, seed)
                png, npy = (self._path(cell, ending) for ending in ("png", "npy"))
                if png.name in there:
                    found = differences(png, self._text(cell))
                    if found == [] and (self._is_visible or npy.name in there):
                        kept.add(cell)
                    elif found != []:
                        in_the_way.append((png, found))
                elif not self._is_visible and npy.name in there:
                    in_the_way.append((npy, None))
        replaced = len(in_the_way)
        grid = self.out / "grid.png"
        if grid.name in there:
            found = differences(grid, self._text_of_grid())
            if found is None or any(not text.startswith("seeds=") for text in found):
                in_the_way.append((grid, found))
        if not overwrite:
            refuse(in_the_way)
        return kept, replaced

    @property
    def _is_visible(self) -> bool:
        """Whether a PNG holds all channels."""
        return self.sampler.generator.channels <= 4

    def _path(self, cell: Cell, ending: str) -> Path:
        number = f"-class{cell.row}" if len(self.labels) > 1 else ""
        return self.out / f"seed{cell.seed:04d}{number}.{ending}"

    def _text(self, cell: Cell) -> dict[str, str]:
        name, label = self.labels[cell.row]
        return self.text | ({} if label is None else {"label": name}) | {"seed": str(cell.seed)}

    def _text_of_grid(self) -> dict[str, str]:
        _, columns = self._shape_of_grid()
        name, label = self.labels[0] if len(self.labels) == 1 else ("all", True)
        seeds = ",".join(map(str, self.seeds[:columns]))
        return self.text | ({} if label is None else {"label": name}) | {"seeds": seeds}

    def _shape_of_grid(self) -> tuple[int, int]:
        """How many labels and seeds it shows: as many as fit."""
        most = max(1, MAX_GRID_PX // math.prod(self.sampler.generator.size))
        rows = min(len(self.labels), most)
        return rows, min(len(self.seeds), most // rows)

    def _save(self, cell: Cell, image: Tensor) -> None:
        save_png(self._path(cell, "png"), visible(image), self._text(cell))
        if not self._is_visible:
            # No image format holds so many; the PNG shows the first three.
            with replacing(self._path(cell, "npy"), durable=False) as file:
                np.save(file, image.movedim(0, -1).numpy())

    def _save_grid(self, shown: Mapping[Cell, Tensor | None], *, columns: int) -> None:
        """Args: shown: None = to be read from its file."""
        path, text = self.out / "grid.png", self._text_of_grid()
        if path.exists():
            found = differences(path, text)
            if found == []:
                return
            say(f"{path} is replaced" + (f" (it was of {', '.join(found)[:80]})" if found else ""))
        images = [
            read_png(self._path(cell, "png")) if image is None else image for cell, image in shown.items()
        ]
        save_png(path, tile(torch.stack(images), columns=columns), text)

    def _say_where(self, total: int, in_grid: int) -> None:
        images = f"{total:,} image" + "s" * (total > 1)
        size = size_text(self.sampler.generator.size)
        part = f", the first {in_grid:,} together in" if in_grid < total else ", together in"
        rows = f", a row for each of {len(self.labels)} classes" if len(self.labels) > 1 else ""
        say(f"{images} of {size} px in {self.out}{part} {self.out / 'grid.png'}{rows}")
