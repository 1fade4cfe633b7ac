"""Sheets: several images in one file, with a list of what is in each cell."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from stylegan.images import tile, visible
from stylegan.latents.cells import cell_of_colour, colour_of
from stylegan.latents.outputs import ImageFormat
from stylegan.latents.point_images import Cell, PointImages
from stylegan.sizes import Size

# The most that a sheet holds: 1,024 images of 256 px, 64 of 1024 px. Few viewers open more.
MAX_GRID_PX = 64 * 2**20
_LONGEST_LIST = 2**22  # characters; readers of images limit their text
LARGEST_SIDE_PX = {"jpeg": 65_500, "webp": 16_383}

Shape = tuple[int, int]  # columns, rows


def parse_grid(text: str | None, *, key: str = "grid") -> Shape | None:
    """`6x4` → (6, 4), columns and rows. Raises: ValueError for another text."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5})\s*[x×]\s*(\d{1,5})", str(text).strip(), re.ASCII | re.IGNORECASE)
    columns, rows = (int(match[1]), int(match[2])) if match else (0, 0)
    if columns < 1 or rows < 1:
        raise ValueError(f"{key} must be columns x rows, as in 6x4, got {text}")
    return columns, rows


def shape_of(count: int, grid: Shape | None, *, key: str = "grid") -> Shape:
    """Columns and rows of `count` cells: as given, else ⌈√count⌉ columns.

    Raises: ValueError that names the shape where its cells are too few.
    """
    if grid is None:
        columns = math.ceil(math.sqrt(count))
        return columns, math.ceil(count / columns)
    columns, rows = grid
    if columns * rows < count:
        best = shape_of(count, None)
        raise ValueError(
            f"{key}={columns}x{rows} has {columns * rows:,} cells, and there are {count:,} images;"
            f" {key}={best[0]}x{best[1]} holds them"
        )
    return grid


def check_size(shape: Shape, size: Size, file_format: ImageFormat) -> None:
    """Raises: ValueError where a sheet would be larger than files and viewers can be."""
    width, height = shape[0] * size[1], shape[1] * size[0]
    longest = LARGEST_SIDE_PX.get(file_format.format, width + height)
    if width * height > MAX_GRID_PX or max(width, height) > longest:
        most = f"{MAX_GRID_PX:,} px" + (f" and {longest:,} px a side" if longest < width + height else "")
        raise ValueError(
            f"the sheet would be {width:,}x{height:,} px, and at most {most} can be; take fewer images,"
            " or fewer cells"
        )


def fill_text(fill: str, shape: Shape, count: int) -> dict[str, str]:
    """What a sheet of `count` images says of its spare cells: nothing without any, or of the usual white.

    Raises: ValueError for an unknown colour.
    """
    colour_of(fill, 3)
    return {"fill": fill} if fill != "white" and math.prod(shape) > count else {}


def cells_of(images: PointImages, cells: Sequence[Cell], columns: int) -> list[dict[str, object]]:
    """What is in each cell of a sheet, in the order in which they are laid out."""
    found = []
    for number, cell in enumerate(cells):
        name, label = images.labels[cell.row]
        labelled = {} if label is None else {"label": name}
        place = {"column": number % columns, "row": number // columns}
        found.append(place | images.points[cell.place].text | labelled)
    return found


def save_sheet(
    path: Path,
    pixels: Sequence[Tensor],
    text: Mapping[str, str],
    *,
    shape: Shape,
    cells: Sequence[Mapping[str, object]],
    file_format: ImageFormat,
    fill: str = "white",
) -> None:
    """Lays images [C,H,W] out row by row, spare cells in the colour `fill`, and writes them with the list of cells.

    The list goes into the JSON next to the file, and into the file under `cells` unless it has millions of characters.
    """
    columns, rows = shape
    images = torch.stack([visible(image) for image in pixels])
    if spare := columns * rows - len(images):
        colour = cell_of_colour(fill, images[0]).expand(spare, *images.shape[1:])
        images = torch.cat([images, colour])
    laid_out = tile(images, columns=columns)
    in_file = json.dumps(list(cells), separators=(",", ":"))
    whole = {**text, "cells": in_file} if len(in_file) <= _LONGEST_LIST else text
    file_format.save(path, laid_out, whole, cells=cells)
