"""Sheets: images side by side in one file, with what is in each cell next to it."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from PIL import ImageColor
from torch import Tensor

from stylegan.images import IMAGE_ENDINGS, encoded, tile
from stylegan.latents.outputs import Output, write_sidecar
from stylegan.machine.console import say
from stylegan.machine.files import replacing
from stylegan.media.settings import FORMATS, MediaSettings
from stylegan.sizes import Size, size_text

# 1,024 images of 256 px, 64 of 1024 px. Few viewers open more.
MAX_SHEET_PX = 64 * 2**20

# In the settings of a task both are called so: png and webp are files of one image, not of many.
SHEET_FORMATS = tuple(IMAGE_ENDINGS)
VIDEO_FORMATS = tuple(name for name in FORMATS if name not in SHEET_FORMATS)

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def media_of(media: Callable[[], MediaSettings], format: str) -> MediaSettings | None:
    """The settings of a video; None where `format` is that of a sheet.

    Args: media: makes the settings, and checks them.
    Raises: ValueError for a format that is neither, and what `media` raises.
    """
    if format in SHEET_FORMATS:
        return None
    if format not in VIDEO_FORMATS:
        raise ValueError(
            f"format must be one of {', '.join(SHEET_FORMATS)} for a sheet, or {', '.join(VIDEO_FORMATS)} for a video,"
            f" got {format!r}"
        )
    return media()


def check_sheet(rows: int, columns: int, size: Size) -> None:
    """Raises: ValueError for a sheet of more pixels than most viewers open."""
    height, width = rows * size[0], columns * size[1]
    if height * width > MAX_SHEET_PX:
        raise ValueError(
            f"{rows} rows and {columns} columns of {size_text(size)} px are a sheet of {size_text((height, width))} px,"
            f" and the most is {MAX_SHEET_PX // 2**20} million; take fewer"
        )


def with_heads(mixed: Tensor, rows: Tensor, columns: Tensor, *, fill: str = "white") -> Tensor:
    """Cells with the images of the columns above them, and those of the rows on their left.

    Args:
        mixed: [R·C,C_img,H,W], a row after the other; uint8 or uint16, as rows [R,C_img,H,W] and columns [C,C_img,H,W].
        fill: colour of the corner, as Pillow names colours.
    Returns: [C_img, (R+1)·H, (C+1)·W].
    """
    cells = mixed.unflatten(0, (len(rows), len(columns)))
    lines = torch.cat([rows[:, None], cells], dim=1).flatten(0, 1)
    return tile(torch.cat([_cell(columns, fill), columns, lines]), columns=len(columns) + 1)


def grid_of(images: Tensor, *, columns: int, fill: str = "white") -> Tensor:
    """Images [N,C,H,W] row by row → [C, R·H, columns·W]; spare cells have the colour `fill`."""
    spare = -len(images) % columns
    return tile(torch.cat([images, *[_cell(images, fill)] * spare]), columns=columns)


def square_shape(count: int) -> tuple[int, int]:
    """(columns, rows) for so many cells: ceil(√n) columns, and as many rows as that takes."""
    columns = math.ceil(math.sqrt(count))
    return columns, -(-count // columns)


def frames_in(duration_sec: float, media: MediaSettings) -> int:
    """How many frames a video has: the duration times the rate of the file, rounded.

    Raises: ValueError for a duration that is no time, or less than a frame.
    """
    count = round(duration_sec * media.fps) if math.isfinite(duration_sec) else 0
    if count < 1:
        raise ValueError(f"duration_sec must be above 0 and hold a frame, got {duration_sec:g}")
    return count


def colour_of(fill: str, channels: int) -> tuple[int, ...]:
    """A colour by its name, 0 to 255 in 1 to 4 channels. Raises: ValueError for an unknown one."""
    try:
        found = ImageColor.getcolor(str(fill), _MODES[channels])
    except ValueError as error:
        raise ValueError(f"fill must be a colour, as in white or #ff8800, got {fill!r}") from error
    return (found,) if isinstance(found, int) else found


def write_sheet(
    output: Output,
    name: str,
    draw: Callable[[], Tensor],
    text: Mapping[str, str],
    *,
    format: str,
    quality: int,
    cells: Sequence[Sequence[str]] = (),
) -> None:
    """Draws a sheet, unless it is there already, and writes it with its origin.

    Args:
        name: without an ending; the format gives it.
        draw: gives uint8 [C,H,W].
        text: provenance, which goes into the file and next to it.
        format, quality: as of `stylegan.images.encoded`.
        cells: what is in each, row by row, for the file next to it.
    Raises: ValueError where another file is in the way; OSError where it cannot be written.
    """
    file_name = f"{name}.{IMAGE_ENDINGS[format]}"
    if not output.claim(file_name, text):
        return
    image = draw()
    path = output.folder / file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=False) as file:
        file.write(encoded(image, text, format=format, quality=quality))
    write_sidecar(path, dict(text) | ({"cells": [list(row) for row in cells]} if cells else {}))
    say(f"{size_text((image.shape[1], image.shape[2]))} px in {path}")


def _cell(images: Tensor, fill: str) -> Tensor:
    """One cell of a colour, [1,C,H,W], as `images` [N,C,H,W] are."""
    most = torch.iinfo(images.dtype).max
    colour = torch.tensor([level * (most // 255) for level in colour_of(fill, images.shape[1])])
    return colour.to(images.dtype)[None, :, None, None].expand(1, *images.shape[1:])
