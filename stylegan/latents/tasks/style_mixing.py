"""The task `style_mixing` of the generate command: some layers of each row's image in each column's."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from stylegan.latents.cells import colour_of
from stylegan.latents.drawer import Drawer
from stylegan.latents.formats import format_of, frames_in
from stylegan.latents.latent_files import write_latents
from stylegan.latents.layers import check_layers, describe_layers, parse_layers
from stylegan.latents.outputs import ImageFormat, Output, write_sidecar
from stylegan.latents.paths.loops import walk_latents
from stylegan.latents.points import parse_points, seeds_of, short_text
from stylegan.latents.sheets import check_size, save_sheet
from stylegan.latents.style_mixing import (
    MixingFrames,
    Styles,
    crossed,
    drawn,
    noise_of_all,
    styles_of,
    with_heads,
)
from stylegan.latents.truncation import number_text
from stylegan.machine.console import say
from stylegan.machine.progress import with_progress
from stylegan.media.settings import MediaSettings
from stylegan.media.write import write_media
from stylegan.networks.synthesis import prepared
from stylegan.sizes import size_text

NAME = "style-mixing"


class StyleMixing:
    """A sheet of rows and columns, or a video of rows that move.

    Each cell is the column's image with `layers` of the row's. Above the cells are the images of the columns, on their
    left those of the rows, in the order given, as `task=images` draws them.

    Args:
        rows, cols: as in `parse_points`; the rows of a video are seeds, each of which is a walk.
        layers: that the rows give, as in `parse_layers`.
        label: of all images; None for a network without labels.
        only_mix: without the images of rows and columns.
        latents: also writes w of the cells, row by row, with their noise maps where they have some, into a file.
        format: of a sheet or of a video, which decides what is made.
        quality: 1 to 100, of JPEG and WebP.
        fill: colour of the corner between rows and columns.
        duration_sec, smoothing_sec: of the walks in a video.
        media: makes the settings of a video.
    Raises: ValueError that names the value and the way out.
    """

    def __init__(
        self,
        *,
        rows: str | int,
        cols: str | int,
        layers: str | int | None,
        label: str | float | None = None,
        only_mix: bool = False,
        latents: bool = False,
        format: str = "png",
        quality: int = 90,
        fill: str = "white",
        duration_sec: float | None = None,
        smoothing_sec: float = 3.0,
        media: Callable[[], MediaSettings] = MediaSettings,
    ):
        self.rows, self.columns = parse_points(rows, key="rows"), parse_points(cols, key="cols")
        check_layers(layers)
        colour_of(fill, 3)
        if not 0 <= smoothing_sec < math.inf:
            raise ValueError(f"smoothing_sec must be 0 or more, got {smoothing_sec}")
        self.format = format_of(format, quality, media)
        self.layers, self.label, self.fill = layers, label, fill
        self.only_mix, self.latents = only_mix, latents
        self.duration_sec = 30.0 if duration_sec is None else duration_sec
        self.smoothing_sec = smoothing_sec
        if isinstance(self.format, MediaSettings):
            seeds_of(self.rows, key="rows")
            frames_in(self.duration_sec, self.format)

    def run(self, drawer: Drawer, output: Output) -> None:
        """Draw, write and say where. Raises: ValueError that names the value or the file in the way; OSError."""
        output.check_folder("sheets and videos")
        self.drawer, self.output = drawer, output
        self.chosen = parse_layers(self.layers, drawer.generator)
        label = drawer.label(self.label)
        say(f"the rows give {describe_layers(self.chosen, drawer.generator)}")
        drawer.check([*self.rows, *self.columns])
        if isinstance(self.format, MediaSettings):
            self._write_video(self.format, label)
        else:
            self._write_sheet(self.format, label)

    def _write_sheet(self, file_format: ImageFormat, label: Tensor | None) -> None:
        border = 0 if self.only_mix else 1
        shape = (len(self.columns) + border, len(self.rows) + border)
        check_size(shape, self.drawer.size, file_format)
        rows, columns = (styles_of(self.drawer, points, label) for points in (self.rows, self.columns))
        mixed = crossed(self.drawer, rows, columns, self.chosen)
        path = self.output.folder / f"{NAME}.{file_format.ending}"
        text = self._text() | file_format.text
        if self.output.claim(path.name, text):
            pixels = self._sheet(mixed, rows, columns, file_format)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_sheet(path, pixels, text, shape=shape, cells=self._cells(), file_format=file_format)
            say(f"{len(rows)} x {len(columns)} images of {size_text(self.drawer.size)} px in {path}")
        latents = self.output.folder / f"{NAME}.npz"
        if self.latents and self.output.claim(latents.name, self._text()):
            noise = noise_of_all(self.drawer, mixed.noise)
            write_latents(latents, w=mixed.ws, noise=noise, text=self._text())
            write_sidecar(latents, self._text())

    def _sheet(
        self, mixed: Styles, rows: Styles, columns: Styles, file_format: ImageFormat
    ) -> Sequence[Tensor]:
        parts = [mixed] if self.only_mix else [mixed, rows, columns]
        pictures = (images for part in parts for images in drawn(self.drawer, part, file_format.pixels))
        chunks = ((len(images), images) for images in pictures)
        with prepared(self.drawer.sampler.synthesis):
            images = torch.cat(list(with_progress(chunks, total=sum(map(len, parts)))))
        if self.only_mix:
            return images
        return with_heads(*images.split([len(part) for part in parts]), fill=self.fill)

    def _write_video(self, media: MediaSettings, label: Tensor | None) -> None:
        text = self._text() | {
            "duration_sec": number_text(self.duration_sec),
            "smoothing_sec": number_text(self.smoothing_sec),
            **media.text,
        }
        if not self.output.claim(media.name_of(NAME), text):
            return
        count = frames_in(self.duration_sec, media)
        z_dim, smoothing_frames = self.drawer.generator.z_dim, self.smoothing_sec * float(media.rate)
        walks = [
            walk_latents(seed, count, z_dim, smoothing_frames=smoothing_frames).astype(np.float32)
            for seed in seeds_of(self.rows, key="rows")
        ]
        frames = MixingFrames(
            self.drawer,
            rows=torch.from_numpy(np.stack(walks)),
            row_points=self.rows,
            columns=styles_of(self.drawer, self.columns, label),
            layers=self.chosen,
            label=label,
            only_mix=self.only_mix,
            fill=self.fill,
        )
        write_media(frames, self.output.folder / NAME, media, text)

    def _text(self) -> dict[str, str]:
        return self.drawer.text | {
            "task": "style_mixing",
            "rows": short_text(self.rows),
            "cols": short_text(self.columns),
            "layers": ",".join(map(str, self.chosen)),
            "only_mix": str(self.only_mix).lower(),
            "fill": self.fill,
            **({} if self.label is None else {"label": str(self.label)}),
        }

    def _cells(self) -> list[dict[str, object]]:
        rows, columns = self.rows, self.columns
        if self.only_mix:
            return [{"row": row.text, "column": column.text} for row in rows for column in columns]
        cells: list[dict[str, object]] = [{}, *({"column": column.text} for column in columns)]
        for row in rows:
            cells += [{"row": row.text}, *({"row": row.text, "column": column.text} for column in columns)]
        return cells
