"""Cells of a frame: several images in a grid, or several latents in one image, side by side or by a mask."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from stylegan.images import to_float
from stylegan.machine.text import printable
from stylegan.sizes import Size

if TYPE_CHECKING:
    from PIL import Image

_SHAPE = re.compile(r"(\d{1,4})\s*[x×]\s*(\d{1,4})", re.ASCII | re.IGNORECASE)
# More cells than anyone looks at, and few enough for a frame in memory.
MOST_CELLS = 1024
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def parse_shape(text: str, *, key: str = "grid") -> tuple[int, int]:
    """`3x2` → (columns, rows). Raises: ValueError that names the key, for another form or more than 1,024 cells."""
    match = _SHAPE.fullmatch(str(text).strip())
    columns, rows = (int(match[1]), int(match[2])) if match else (0, 0)
    if not columns or not rows:
        raise ValueError(f"{key} must be columns x rows, as in 3x2, got {printable(str(text)[:40])!r}")
    if columns * rows > MOST_CELLS:
        raise ValueError(
            f"{key}={columns}x{rows}: these are {columns * rows:,} cells, and at most {MOST_CELLS:,} fit"
        )
    return columns, rows


def best_shape(count: int) -> tuple[int, int]:
    """(columns, rows) for so many cells: ceil(√count) columns, and as many rows as it takes."""
    columns = math.isqrt(count - 1) + 1
    return columns, (count - 1) // columns + 1


def check_room(columns: int, rows: int, seeds: int) -> None:
    """Raises: ValueError that names the shape where a grid has fewer cells than seeds."""
    if columns * rows < seeds:
        raise ValueError(
            f"grid={columns}x{rows} has {columns * rows} cells, and there are {seeds} seeds: give a larger grid, fewer"
            " seeds, or one seed that fills all cells"
        )


def colour_of(name: str, channels: int, *, key: str = "fill") -> Tensor:
    """A colour as Pillow names colours → uint8 [C], opaque where there is alpha.

    Args: channels: 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA.
    Raises: ValueError for an unknown colour.
    """
    from PIL import ImageColor

    try:
        value = ImageColor.getcolor(str(name), {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels])
    except ValueError as error:
        raise ValueError(
            f"{key} must be a colour, by name or as #rrggbb, got {printable(str(name)[:40])!r}"
        ) from error
    return torch.tensor(value if isinstance(value, tuple) else [value], dtype=torch.uint8)


def cell_of_colour(name: str, image: Tensor) -> Tensor:
    """A cell [1,C,H,W] of one colour, as an image [C,H,W] is stored: uint8, or uint16 in 257 times as many steps."""
    colour = colour_of(name, image.shape[0]).to(torch.int32) * (torch.iinfo(image.dtype).max // 255)
    return colour.to(image.dtype)[None, :, None, None].expand(1, *image.shape)


class Sheet:
    """Images side by side, row by row.

    Args:
        columns, rows: of the sheet.
        count: how many cells hold an image, from the upper left on; the rest are spare.
        fill: colour of spare cells.
    """

    def __init__(self, columns: int, rows: int, count: int, fill: str = "black"):
        self.columns, self.rows, self.count, self.fill = columns, rows, count, fill

    def size(self, size: Size) -> Size:
        """(height, width) of a frame whose images have `size`, in px."""
        return size[0] * self.rows, size[1] * self.columns

    def frames(self, images: Tensor, weights: Tensor | None = None) -> Tensor:
        """uint8, or float in -1..1, [n,count,C,H,W] → [n,C,rows·H,columns·W]. Args: weights: of no meaning here."""
        number, count, channels, height, width = images.shape
        if count == self.columns * self.rows == 1:
            return images[:, 0]
        spare = self.columns * self.rows - count
        colour = colour_of(self.fill, channels).to(images.device)[:, None, None]
        colour = to_float(colour) if images.is_floating_point() else colour
        cells = torch.cat([images, colour.expand(number, spare, channels, height, width)], dim=1)
        cells = cells.reshape(number, self.rows, self.columns, channels, height, width)
        return cells.permute(0, 3, 1, 4, 2, 5).reshape(number, channels, *self.size((height, width)))


class Blend:
    """Several latents in one image.

    Args:
        shares: [count,H,W], at least 0; the weight of each latent at each place.
        columns, rows: where the latents stand to each other, for waves over cells.
        in_features: whether the network's feature maps are blended, or the pixels of whole images.
    """

    def __init__(
        self, shares: np.ndarray, columns: int | None = None, rows: int = 1, *, in_features: bool = False
    ):
        self.shares = torch.from_numpy(np.ascontiguousarray(shares, dtype=np.float32))
        self.count = len(shares)
        self.columns, self.rows, self.in_features = columns or self.count, rows, in_features

    def size(self, size: Size) -> Size:
        """(height, width) of a frame: that of an image."""
        return size

    def weighted(self, number: int, weights: Tensor | None = None) -> Tensor:
        """Shares [number,count,H,W] whose sum over latents is 1.

        Args: weights: [number,count], at least 0, by which they are multiplied. Where nothing is left weights do not
            count.
        """
        shares = self.shares.expand(number, -1, -1, -1)
        if weights is not None:
            weighted = shares * weights.to(shares)[:, :, None, None]
            shares = torch.where(weighted.sum(dim=1, keepdim=True) > 0, weighted, shares)
        return shares / shares.sum(dim=1, keepdim=True)

    def frames(self, images: Tensor, weights: Tensor | None = None) -> Tensor:
        """uint8, or float in -1..1, [n,count,C,H,W] → the mean of their pixels, [n,C,H,W].

        Args: weights: as of `weighted`.
        """
        shares = self.weighted(len(images), weights).to(images.device)
        total = torch.zeros(images.shape[0], *images.shape[2:], device=images.device)
        for cell in range(self.count):
            total += shares[:, cell, None] * images[:, cell]
        return total if images.is_floating_point() else total.round().clamp(0, 255).to(torch.uint8)


def side_by_side(columns: int, rows: int, size: Size, softness: float = 0.0) -> np.ndarray:
    """Shares of regions that divide an image evenly, float64 [rows·columns,H,W], which sum to 1.

    Args: softness: width over which a region passes into the next, as a part of the narrower of the two, 0 to 1.
    Raises: ValueError where a region would be thinner than a pixel.
    """
    height, width = size
    if columns > width or rows > height:
        raise ValueError(f"cells={columns}x{rows}: the image has {width}x{height} px, fewer than that")
    across, down = _bands(columns, width, softness), _bands(rows, height, softness)
    return (down[:, None, :, None] * across[None, :, None, :]).reshape(rows * columns, height, width)


def _bands(count: int, length: int, softness: float) -> np.ndarray:
    """Shares [count,length] of bands along a side: 1 within, and a straight line from one into the next."""
    place = (np.arange(length) + 0.5) * count / length
    borders = np.arange(1, count)[:, None]
    # How far each border has been passed, 0 to 1.
    if softness > 0:
        passed = np.clip((place - borders) / softness + 0.5, 0, 1)
    else:
        passed = (place >= borders).astype(np.float64)
    reached = np.concatenate([np.ones((1, length)), passed, np.zeros((1, length))])
    return reached[:-1] - reached[1:]


def around(shares: Tensor, size: Size) -> Tensor:
    """Shares [N,count,h,w] of the middle of an image → of the whole [N,count,H,W]: those at its border continue."""
    height, width = size
    top, left = (height - shares.shape[-2]) // 2, (width - shares.shape[-1]) // 2
    bottom, right = height - shares.shape[-2] - top, width - shares.shape[-1] - left
    return torch.nn.functional.pad(shares, (left, right, top, bottom), mode="replicate")


def shares_of_masks(path: Path, size: Size) -> np.ndarray:
    """Shares from pictures, float64 [count,H,W], resized to `size`.

    One black and white picture has two latents: the first where it is black, the second where it is white, and in
    between a mixture. A folder has a latent for each of its pictures, by name, which is where its picture is white;
    where all are black they have equal shares.

    Raises: ValueError for a file that is no picture, or a folder with none.
    """
    if not path.is_dir():
        white = _grey(path, size)
        return np.stack([1 - white, white])
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _PICTURES)
    if len(files) < 2:
        raise ValueError(
            f"mask={printable(str(path))}: a folder of masks holds at least 2 pictures, a latent each"
        )
    if len(files) > MOST_CELLS:
        raise ValueError(
            f"mask={printable(str(path))}: {len(files):,} pictures, and at most {MOST_CELLS:,} count"
        )
    masks = np.stack([_grey(file, size) for file in files])
    total = masks.sum(axis=0, keepdims=True)
    return np.where(total > 0, masks / np.where(total > 0, total, 1), 1 / len(files))


def _grey(path: Path, size: Size) -> np.ndarray:
    """A picture as float64 [H,W] in 0..1, upright; what is transparent is black, whatever colour is stored there."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            grey = _black_and_white(ImageOps.exif_transpose(image))
            if grey.size != size[::-1]:
                grey = grey.resize(size[::-1], Image.Resampling.BOX)
            return np.asarray(grey, dtype=np.float64).clip(0, 255) / 255
    except FileNotFoundError as error:
        raise ValueError(f"mask={printable(str(path))}: there is no such file") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"mask={printable(str(path))}: this is no picture that can be read") from error


def _black_and_white(image: "Image.Image") -> "Image.Image":
    """Of mode L, or F where it has 16 bits, which Pillow would cut to the first 256 steps of them."""
    from PIL import Image

    if image.mode.startswith("I"):
        return Image.fromarray(np.asarray(image, dtype=np.float32) / 257)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return image.convert("L")


def deal(points: Sequence, count: int, shape: str) -> list[Sequence]:
    """Divides points among cells: the first cell gets the first ones, and each as many.

    Raises: ValueError that names the shape where they cannot be divided.
    """
    if len(points) % count:
        raise ValueError(
            f"{shape} has {count} cells, and {len(points)} points cannot be divided among them: each cell takes as"
            f" many, so give {len(points) // count * count or count} or {(len(points) // count + 1) * count}"
        )
    each = len(points) // count
    return [points[cell * each : (cell + 1) * each] for cell in range(count)]
