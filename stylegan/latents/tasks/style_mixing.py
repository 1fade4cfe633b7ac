"""The task `style_mixing` of the generate command: some layers of each row's image in each column's."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stylegan.latents.drawer import Drawer
from stylegan.latents.latent_files import write_latents
from stylegan.latents.layers import check_layers, describe_layers, parse_layers
from stylegan.latents.outputs import Output
from stylegan.latents.points import Point, parse_points, seeds_of
from stylegan.latents.sheets import check_sheet, colour_of, media_of, with_heads, write_sheet
from stylegan.latents.style_mixing import MixingFrames, Styles, crossed, drawn, styles_of
from stylegan.machine.console import say
from stylegan.machine.progress import with_progress
from stylegan.media.settings import MediaSettings
from stylegan.media.write import write_media

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
        latents: also writes w of the cells, row by row, into a file.
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
        if not 1 <= quality <= 100:
            raise ValueError(f"quality must be 1 to 100, got {quality}")
        self.media = media_of(media, format)
        self.layers, self.label, self.only_mix, self.latents = layers, label, only_mix, latents
        self.format, self.quality, self.fill = format, quality, fill
        self.duration_sec = 30.0 if duration_sec is None else duration_sec
        self.smoothing_sec = smoothing_sec
        if self.media is not None:
            seeds_of(self.rows, key="rows")
            frames_in(self.duration_sec, self.media)

    def run(self, drawer: Drawer, output: Output) -> None:
        """Draw, write and say where. Raises: ValueError that names the value or the file in the way; OSError."""
        self.drawer, self.output = drawer, output
        self.chosen = parse_layers(self.layers, drawer.generator)
        label = drawer.label(self.label)
        say(f"the rows give {describe_layers(self.chosen, drawer.generator)}")
        if self.media is None:
            self._write_sheet(label)
        else:
            self._write_video(self.media, label)

    def _write_sheet(self, label: Tensor | None) -> None:
        border = 0 if self.only_mix else 1
        check_sheet(len(self.rows) + border, len(self.columns) + border, self.drawer.size)
        rows, columns = (styles_of(self.drawer, points, label) for points in (self.rows, self.columns))
        text = self._text()
        write_sheet(
            self.output,
            NAME,
            lambda: self._sheet(rows, columns),
            text,
            format=self.format,
            quality=self.quality,
            cells=self._cells(),
        )
        if self.latents and self.output.claim(f"{NAME}.npz", text):
            mixed = crossed(self.drawer, rows, columns, self.chosen)
            write_latents(self.output.folder / f"{NAME}.npz", w=mixed.ws, text=text)

    def _sheet(self, rows: Styles, columns: Styles) -> Tensor:
        mixed = crossed(self.drawer, rows, columns, self.chosen)
        parts = [mixed] if self.only_mix else [mixed, rows, columns]
        total = sum(map(len, parts))
        chunks = ((len(images), images) for part in parts for images in drawn(self.drawer, part))
        images = torch.cat(list(with_progress(chunks, total=total))).split([len(part) for part in parts])
        if self.only_mix:
            from stylegan.images import tile

            return tile(images[0], columns=len(columns))
        return with_heads(*images, fill=self.fill)

    def _write_video(self, media: MediaSettings, label: Tensor | None) -> None:
        count = frames_in(self.duration_sec, media)
        sigma_frames = float(self.smoothing_sec * media.rate)
        walks = [walk(seed, count, self.drawer.generator.z_dim, sigma_frames) for seed in seeds_of(self.rows)]
        frames = MixingFrames(
            self.drawer,
            rows=torch.stack(walks),
            row_points=self.rows,
            columns=styles_of(self.drawer, self.columns, label),
            layers=self.chosen,
            label=label,
            only_mix=self.only_mix,
            fill=self.fill,
        )
        text = self._text() | {
            "duration_sec": f"{self.duration_sec:g}",
            "smoothing_sec": f"{self.smoothing_sec:g}",
            **media.text,
        }
        write_media(frames, self.output.folder / NAME, media, text)

    def _text(self) -> dict[str, str]:
        return self.drawer.text | {
            "task": "style_mixing",
            "rows": ",".join(point.source for point in self.rows),
            "cols": ",".join(point.source for point in self.columns),
            "layers": ",".join(map(str, self.chosen)),
            "only_mix": str(self.only_mix).lower(),
            **({} if self.label is None else {"label": str(self.label)}),
        }

    def _cells(self) -> list[list[str]]:
        def named(points: Sequence[Point]) -> list[str]:
            return [point.source for point in points]

        mixed = [[f"{row} in {column}" for column in named(self.columns)] for row in named(self.rows)]
        if self.only_mix:
            return mixed
        return [["", *named(self.columns)], *([row, *cells] for row, cells in zip(named(self.rows), mixed, strict=True))]
