"""The task `images` of the generate command: one file a point, or one a point and class, and all of them in a grid."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from stylegan.images import read_png
from stylegan.latents import sheets
from stylegan.latents.cells import colour_of
from stylegan.latents.drawer import Drawer
from stylegan.latents.image_zip import draw_zip
from stylegan.latents.latent_files import latents_of_image, read_latents, write_latents, write_many_w
from stylegan.latents.outputs import ImageFormat, Output, write_sidecar
from stylegan.latents.point_images import Cell, PointImages
from stylegan.latents.points import Point, parse_points, short_text, without_repeats
from stylegan.latents.provenance import differences, listed, names_in, refuse
from stylegan.latents.sheets import cells_of, fill_text, parse_grid, save_sheet, shape_of
from stylegan.latents.style_mixing import noise_of_all
from stylegan.machine.console import say
from stylegan.machine.files import replacing
from stylegan.machine.progress import with_progress
from stylegan.networks.synthesis import prepared
from stylegan.sizes import size_text


class Images:
    """Draws points into a folder: `seed0000.png`, numbered by seed, `fox.png` of `fox.npz`, and `grid.png`.

    With label "all" each class is drawn with each point: `seed0000-class2.png`, and a row a class in the grid. More
    than 4 channels go into `seed0000.npy` [H,W,C], and the image shows the first three. What says how a file was made
    is in the file and in a JSON next to it. Of a point that is no seed the latent is there, too: `fox.png.npz`.

    Where the output is called `....zip`, all go into one stored zip, see `draw_zip`.

    An image that is there already with the same weights, point and settings stays as it is, so that what was
    interrupted continues. One of other settings is refused before anything is drawn, unless the output says overwrite.
    The grid alone is replaced where only its points or its shape differ, and a line reports it: its images are still
    there one by one.

    Args:
        seeds: as in `parse_points`; a repeated point is drawn once.
        label: as in `parse_labels`; None for a network without labels.
        grid: columns x rows of the grid, as in 6x4; None = the best shape.
        fill: colour of the grid's spare cells, as Pillow names colours.
        format, quality: as of `ImageFormat`.
        save_latents: also w of all images as drawn, [N,L,W] in their order, in `latents.npz`, with the noise maps of
            points that bring their own.
    Raises: ValueError that names the value and the way out.
    """

    def __init__(
        self,
        *,
        seeds: str | int,
        label: str | float | None = None,
        grid: str | None = None,
        fill: str = "white",
        format: str = "png",
        quality: int = 90,
        save_latents: bool = False,
    ):
        self.points = without_repeats(parse_points(seeds))
        self.label, self.grid, self.save_latents = label, parse_grid(grid), save_latents
        self.format = ImageFormat(format=format, quality=quality)
        colour_of(fill, 3)
        self.fill = fill
        if self.grid is not None:
            shape_of(len(self.points), self.grid)
        for name in ("grid", "latents"):
            if any(point.name == name for point in self.points):
                raise ValueError(
                    f"seeds: a latent called {name} would take the place of {name}.*; rename its file"
                )

    def run(self, drawer: Drawer, output: Output) -> None:
        """Draw, write and say where.

        Raises: ValueError that names the file in the way; OSError where a file cannot be written.
        """
        images = PointImages(self.points, self.label, drawer=drawer, file_format=self.format)
        if output.folder.suffix.lower() == ".zip" and not output.folder.is_dir():
            latents = output.folder.with_name(f"{output.folder.name}.npz")
            draw_zip(images, output)
            if self.save_latents:
                self._save_latents(images, Output(output.folder.parent, output.overwrite), latents.name)
            return
        if self.grid is not None and len(images.labels) > 1:
            raise ValueError(
                f"grid={self.grid[0]}x{self.grid[1]}: with several labels each is a row; leave grid out"
            )
        if self.grid is not None:
            sheets.check_size(self.grid, drawer.size, self.format)
        output.check_folder()
        _Folder(images, output, self.grid, self.fill).draw()
        if self.save_latents:
            self._save_latents(images, output, "latents.npz")

    def _save_latents(self, images: PointImages, output: Output, name: str) -> None:
        text = images.text_of_all | {"seeds": short_text(self.points)}
        if not output.claim(name, text):
            return
        cells = [*images.cells()]
        shape = (len(cells), images.drawer.generator.num_ws, images.drawer.generator.w_dim)
        path = output.folder / name
        parts = (images.ws(some) for some in images.chunks(cells))
        if all(point.noise is None for point in self.points):
            write_many_w(path, parts, shape=shape, text=text)
        else:
            noise = noise_of_all(images.drawer, [self.points[cell.place].noise for cell in cells])
            write_latents(path, w=torch.cat([part.cpu() for part in parts]), noise=noise, text=text)
        write_sidecar(path, text)
        say(f"the {len(cells):,} w are in {path}")


class _Folder:
    """A folder of images and their grid: what is there, what is missing, and how it is written."""

    def __init__(self, images: PointImages, output: Output, grid: tuple[int, int] | None, fill: str):
        self.images, self.out, self.grid, self.fill = images, output.folder, grid, fill
        # The ending of the format alone would let two sheets be there.
        self.grid_path = self.out / f"grid.{images.format.ending}"
        self.kept, self.replaced = self._images_there(output.overwrite)

    def draw(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        images, total = self.images, len(self.images)
        if self.kept:
            say(f"{len(self.kept):,} of {total:,} images are there already, and stay as they are")
        if self.replaced:
            say(
                f"{self.replaced:,} of {total:,} images replace those of other settings, as overwrite=true says"
            )
        shown: dict[Cell, Tensor | None] = dict.fromkeys(self._cells_of_grid())
        missing = [cell for cell in images.cells() if cell not in self.kept]
        with prepared(images.drawer.sampler.synthesis):
            chunks = ((len(some), (some, pixels)) for some, pixels in images.draw(missing))
            for some, pixels in with_progress(chunks, total=len(missing)):
                for cell, image in zip(some, pixels, strict=True):
                    self._save(cell, image)
                    if cell in shown:
                        shown[cell] = image
            self._save_grid(shown)
        self._say_where(total, len(shown))

    def _images_there(self, overwrite: bool) -> tuple[set[Cell], int]:
        """The images that are there already, and how many are replaced.

        Raises: ValueError where there are others in their place.
        """
        there = names_in(self.out)
        kept, in_the_way = set(), []
        for cell in self.images.cells():
            path = self._path(cell)
            npy = path.with_suffix(".npy")
            if path.name in there:
                found = differences(path, self.images.text(cell))
                if (
                    found == []
                    and (self.images.is_visible or npy.name in there)
                    and self._has_latent(cell, there)
                ):
                    kept.add(cell)
                elif found != []:
                    in_the_way.append((path, found))
            elif not self.images.is_visible and npy.name in there:
                in_the_way.append((npy, None))
            elif latents_of_image(path).name in there and not self._is_latent_of(cell):
                in_the_way.append((latents_of_image(path), None))
        replaced = len(in_the_way)
        if self.grid_path.name in there:
            found = differences(self.grid_path, self._text_of_grid())
            if found is None or any(not text.startswith(("seeds=", "grid=", "fill=")) for text in found):
                in_the_way.append((self.grid_path, found))
        if not overwrite:
            refuse(in_the_way)
        return kept, replaced

    def _path(self, cell: Cell) -> Path:
        return self.out / self.images.name(cell)

    def _point(self, cell: Cell) -> Point:
        return self.images.points[cell.place]

    def _has_latent(self, cell: Cell, there: frozenset[str]) -> bool:
        return self._point(cell).seed is not None or latents_of_image(self._path(cell)).name in there

    def _is_latent_of(self, cell: Cell) -> bool:
        """Whether the latent that is there is that of the image, as where a kill came between the two."""
        point = self._point(cell)
        try:
            rows = read_latents(latents_of_image(self._path(cell)))
        except (ValueError, OSError):
            return False
        digests = [replace(point, z=row.z, w=row.w, noise=row.noise).digest for row in rows]
        return point.seed is None and digests == [point.digest]

    def _save(self, cell: Cell, image: Tensor) -> None:
        """What belongs to the image first: where it is there, so is all the rest."""
        path = self._path(cell)
        if (latent := self.images.latent_file(cell)) is not None:
            with replacing(latents_of_image(path), durable=False) as file:
                file.write(latent)
        self.images.format.save(path, image, self.images.text(cell))

    def _shape(self) -> tuple[int, int]:
        """How many labels and points the grid shows: as many as fit."""
        height, width = self.images.drawer.size
        most = max(1, sheets.MAX_GRID_PX // (height * width))
        rows, columns = len(self.images.labels), len(self.images.points)
        longest = sheets.LARGEST_SIDE_PX.get(self.images.format.format)
        if rows > 1 and longest is not None:
            rows, columns = min(rows, longest // height), min(columns, longest // width)
        rows = min(rows, most)
        return rows, min(columns, most // rows)

    def _cells_of_grid(self) -> list[Cell]:
        rows, columns = self._shape()
        return [Cell(row, place) for row in range(rows) for place in range(columns)]

    def _text_of_grid(self) -> dict[str, str]:
        rows, columns = self._shape()
        seeds = ",".join(point.short for point in self.images.points[:columns])
        shape = {} if self.grid is None else {"grid": f"{self.grid[0]}x{self.grid[1]}"}
        filled = fill_text(self.fill, self._cells_a_side(), rows * columns)
        return self.images.text_of_all | {"seeds": seeds} | shape | filled

    def _cells_a_side(self) -> tuple[int, int]:
        """Columns and rows of the grid, with its spare cells."""
        rows, columns = self._shape()
        return (columns, rows) if len(self.images.labels) > 1 else shape_of(columns, self.grid)

    def _save_grid(self, shown: Mapping[Cell, Tensor | None]) -> None:
        """Args: shown: None = to be read from its file, or drawn again where that has not the same pixels."""
        path, text = self.grid_path, self._text_of_grid()
        if path.exists():
            found = differences(path, text)
            if found == []:
                return
            say(f"{path} is replaced" + (f" (it was of {listed(found)[:80]})" if found else ""))
        absent = [cell for cell, image in shown.items() if image is None]
        if self.images.format.keeps_pixels:
            read = {cell: read_png(self._path(cell)) for cell in absent}
        else:
            read = {
                cell: image
                for some, pixels in self.images.draw(absent)
                for cell, image in zip(some, pixels, strict=True)
            }
        pixels = [read[cell] if image is None else image for cell, image in shown.items()]
        shape, file_format = self._cells_a_side(), self.images.format
        cells = cells_of(self.images, [*shown], shape[0])
        save_sheet(path, pixels, text, shape=shape, cells=cells, file_format=file_format, fill=self.fill)

    def _say_where(self, total: int, in_grid: int) -> None:
        images = f"{total:,} image" + "s" * (total > 1)
        size = size_text(self.images.drawer.size)
        part = f", the first {in_grid:,} together in" if in_grid < total else ", together in"
        labels = len(self.images.labels)
        rows = f", a row for each of {labels} classes" if labels > 1 else ""
        say(f"{images} of {size} px in {self.out}{part} {self.grid_path}{rows}")
