"""The task `truncation` of the generate command: a sheet of points as rows and psi as columns."""

import torch
from torch import Tensor

from stylegan.latents.drawer import Drawer
from stylegan.latents.outputs import ImageFormat, Output
from stylegan.latents.point_images import PointImages
from stylegan.latents.points import parse_points
from stylegan.latents.sheets import check_size, save_sheet
from stylegan.latents.truncation import number_text, psis_in
from stylegan.machine.console import say
from stylegan.machine.progress import with_progress
from stylegan.networks.synthesis import prepared
from stylegan.sizes import size_text


class Truncation:
    """Draws each point with each psi into one sheet, `truncation.png`: a row a point, a column a psi.

    Latents of files are truncated here, too, which other tasks draw as they are. What is in each cell is listed in the
    sheet and in the JSON next to it.

    Args:
        seeds: as in `parse_points`; the order and repeats are kept.
        label: as in `parse_label`; None for a network without labels.
        psis: numbers between commas, in the order of the columns.
        format, quality: as of `ImageFormat`.
    Raises: ValueError that names the value and the way out.
    """

    def __init__(
        self,
        *,
        seeds: str | int,
        psis: str | float = "0,0.25,0.5,0.75,1",
        label: str | float | None = None,
        format: str = "png",
        quality: int = 90,
    ):
        self.points, self.label, self.psis = parse_points(seeds), label, psis_in(psis)
        self.format = ImageFormat(format=format, quality=quality)

    def run(self, drawer: Drawer, output: Output) -> None:
        """Draw, write and say where.  Raises: ValueError that names the file in the way; OSError."""
        output.check_folder("the sheet")
        images = PointImages(self.points, self.label, drawer=drawer, file_format=self.format)
        if len(images.labels) > 1:
            raise ValueError("label=all: the rows are the points here; name one class")
        shape = (len(self.psis), len(self.points))
        check_size(shape, drawer.size, self.format)
        name = f"truncation.{self.format.ending}"
        seeds = ",".join(point.short for point in self.points)
        psis = ",".join(map(number_text, self.psis))
        text = images.text_of_all | {"seeds": seeds, "psis": psis}
        # One of each cell counts, not that of the drawer.
        del text["truncation"]
        if not output.claim(name, text):
            return
        output.folder.mkdir(parents=True, exist_ok=True)
        pixels: list[Tensor] = []
        total = len(self.points) * len(self.psis)
        with prepared(drawer.sampler.synthesis):
            rows = (self._row(images, place) for place in range(len(self.points)))
            for row in with_progress(((len(row), row) for row in rows), total=total):
                pixels += row
        labelled = {"label": text["label"]} if "label" in text else {}
        cells = [
            {"column": column, "row": row, "psi": psi} | point.text | labelled
            for row, point in enumerate(self.points)
            for column, psi in enumerate(self.psis)
        ]
        path = output.folder / name
        save_sheet(path, pixels, text, shape=shape, cells=cells, file_format=self.format)
        say(
            f"{len(self.points):,} point{'s' * (len(self.points) > 1)} with {len(self.psis):,} psi each, {total:,}"
            f" images of {size_text(drawer.size)} px, in {path}"
        )

    def _row(self, images: PointImages, place: int) -> Tensor:
        """One point with every psi, [P,C,H,W] as the format stores it."""
        drawer, point, label = images.drawer, self.points[place], images.labels[0][1]
        raw = drawer.raw_ws([point], label).expand(len(self.psis), -1, -1)
        ws = drawer.truncated(raw, torch.tensor(self.psis), label)
        # A psi of 1 changes nothing, and must not change the last bit.
        whole = torch.tensor([psi == 1 for psi in self.psis], device=ws.device)[:, None, None]
        ws = drawer.moved(torch.where(whole, raw, ws))
        return images.format.pixels(drawer.floats_of([point] * len(self.psis), ws=ws)).cpu()
