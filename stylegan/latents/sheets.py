"""Sheets: images side by side in one file, with what is in each cell next to it; and whether a format is one's."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from stylegan.images import IMAGE_ENDINGS, tile
from stylegan.latents.cells import colour_of
from stylegan.latents.outputs import ImageFormat, Output
from stylegan.latents.paths.loops import frames_of_loop
from stylegan.latents.paths.timing import MOST_FRAMES
from stylegan.machine.console import say
from stylegan.media.settings import FORMATS, MediaSettings
from stylegan.sizes import Size, size_text

# 1,024 images of 256 px, 64 of 1024 px. Few viewers open more.
MAX_SHEET_PX = 64 * 2**20

# Where one key says whether a sheet or a video is made, png, png16 and webp are sheets.
SHEET_FORMATS = tuple(IMAGE_ENDINGS)
VIDEO_FORMATS = tuple(name for name in FORMATS if name not in SHEET_FORMATS)


def format_of(
    name: str, quality: int, media: Callable[[], MediaSettings]
) -> tuple[ImageFormat | None, MediaSettings | None]:
    """What `format=` asks for: the settings of a sheet or those of a video, and None for the other.

    Args: media: makes the settings of a video, and checks them.
    Raises: ValueError for a format that is neither, and for settings that are wrong.
    """
    if name in SHEET_FORMATS:
        return ImageFormat(format=name, quality=quality), None
    if name in VIDEO_FORMATS:
        return None, media()
    raise ValueError(
        f"format must be one of {', '.join(SHEET_FORMATS)} for a sheet, or {', '.join(VIDEO_FORMATS)} for a video,"
        f" got {name!r}"
    )


def frames_in(duration_sec: float, media: MediaSettings) -> int:
    """How many frames a video has.

    Raises: ValueError for a duration that is none, or of more than a million frames.
    """
    if not (math.isfinite(duration_sec) and duration_sec > 0):
        raise ValueError(f"duration_sec must be above 0, got {duration_sec}")
    count, _ = frames_of_loop(duration_sec, media.fps)
    if count > MOST_FRAMES:
        raise ValueError(
            f"duration_sec={duration_sec:g} is {count:,} frames, and the most are {MOST_FRAMES:,}"
        )
    return count


def check_sheet(rows: int, columns: int, size: Size) -> None:
    """Raises: ValueError for a sheet of more pixels than most viewers open."""
    height, width = rows * size[0], columns * size[1]
    if height * width > MAX_SHEET_PX:
        raise ValueError(
            f"{rows} rows and {columns} columns of {size_text(size)} px are a sheet of {size_text((height, width))} px,"
            f" of which each side may have {math.isqrt(MAX_SHEET_PX):,} if it is a square; take fewer"
        )


def with_heads(mixed: Tensor, rows: Tensor, columns: Tensor, *, fill: str = "white") -> Tensor:
    """Cells with the images of the columns above them, and those of the rows on their left.

    Args:
        mixed: [R·C,C_img,H,W], a row after the other; uint8 or uint16, as rows [R,C_img,H,W] and columns [C,C_img,H,W].
        fill: colour of the corner, as Pillow names colours.
    Returns: [C_img, (R+1)·H, (C+1)·W].
    """
    lines = [_spare(mixed, fill), columns]
    for row, cells in zip(rows, mixed.split(len(columns)), strict=True):
        lines += [row[None], cells]
    return tile(torch.cat(lines), columns=len(columns) + 1)


def write_sheet(
    output: Output,
    name: str,
    draw: Callable[[], Tensor],
    text: Mapping[str, str],
    image_format: ImageFormat,
    *,
    cells: Sequence[Mapping[str, object]],
) -> None:
    """Draws a sheet, unless it is there already, and writes it with its origin.

    Args:
        name: without an ending; the format gives it.
        draw: gives [C,H,W] as `image_format.pixels` makes it.
        text: provenance, which goes into the file and next to it.
        cells: what is in each, row by row, for the file next to it.
    Raises: ValueError where another file is in the way; OSError where it cannot be written.
    """
    path = output.folder / f"{name}.{image_format.ending}"
    text = {**text, **image_format.text}
    if not output.claim(path.name, text):
        return
    image = draw()
    path.parent.mkdir(parents=True, exist_ok=True)
    image_format.save(path, image, text, cells=cells)
    say(f"a sheet of {size_text((image.shape[1], image.shape[2]))} px in {path}")


def _spare(images: Tensor, fill: str) -> Tensor:
    """One cell of a colour, [1,C,H,W], as `images` [N,C,H,W] are."""
    colour = colour_of(fill, images.shape[1]).to(torch.int32) * (torch.iinfo(images.dtype).max // 255)
    return colour.to(images.dtype)[None, :, None, None].expand(1, *images.shape[1:])
