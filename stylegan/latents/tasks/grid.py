"""The task `grid` of the generate command: one sheet of points, a row of them for each of several labels."""

from torch import Tensor

from stylegan.latents.cells import colour_of
from stylegan.latents.drawer import Drawer
from stylegan.latents.outputs import ImageFormat, Output
from stylegan.latents.point_images import PointImages
from stylegan.latents.points import parse_points
from stylegan.latents.sheets import cells_of, check_size, fill_text, parse_grid, save_sheet, shape_of
from stylegan.machine.console import say
from stylegan.machine.progress import with_progress
from stylegan.networks.synthesis import prepared
from stylegan.sizes import size_text


class Grid:
    """Draws points into one sheet, `grid.png`, in the order given, repeats kept.

    The sheet and the JSON next to it list what is in each cell. With label "all" each class is a row.

    Args:
        seeds: as in `parse_points`.
        label: as in `parse_labels`; None for a network without labels.
        grid: columns x rows, as in 6x4; None = the best shape.
        fill: colour of spare cells, as Pillow names colours.
        format, quality: as of `ImageFormat`.
    Raises: ValueError that names the value and the way out, as where the cells are too few.
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
    ):
        self.points, self.label, self.grid = parse_points(seeds), label, parse_grid(grid)
        self.format = ImageFormat(format=format, quality=quality)
        colour_of(fill, 3)
        self.fill = fill

    def run(self, drawer: Drawer, output: Output) -> None:
        """Draw, write and say where.  Raises: ValueError that names the file in the way; OSError."""
        output.check_folder("the sheet")
        images = PointImages(self.points, self.label, drawer=drawer, file_format=self.format)
        rows = len(images.labels)
        # A row a class, unless another shape is asked for.
        shape = (
            (len(self.points), rows) if rows > 1 and self.grid is None else shape_of(len(images), self.grid)
        )
        check_size(shape, drawer.size, self.format)
        name = f"grid.{self.format.ending}"
        seeds = ",".join(point.short for point in self.points)
        given = {} if self.grid is None else {"grid": f"{shape[0]}x{shape[1]}"}
        text = images.text_of_all | {"seeds": seeds} | given | fill_text(self.fill, shape, len(images))
        if not output.claim(name, text):
            return
        output.folder.mkdir(parents=True, exist_ok=True)
        cells = [*images.cells()]
        pixels: list[Tensor] = []
        with prepared(drawer.sampler.synthesis):
            for drawn in with_progress(
                ((len(some), part) for some, part in images.draw(cells)), total=len(cells)
            ):
                pixels += drawn
        listed = cells_of(images, cells, shape[0])
        path = output.folder / name
        save_sheet(path, pixels, text, shape=shape, cells=listed, file_format=self.format, fill=self.fill)
        say(f"{len(cells):,} image{'s' * (len(cells) > 1)} of {size_text(drawer.size)} px in {path}")
