"""Images: uint8 in 0..255 on disk and in batches, float32 in [-1, 1] for the networks; PNG files with text."""

import os
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from stylegan.machine.files import replacing

_PNG_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def to_float(images: Tensor) -> Tensor:
    """uint8 in 0..255 -> float32 in [-1, 1], any shape. Raises: ValueError for another dtype."""
    if images.dtype != torch.uint8:
        raise ValueError(f"to_float takes uint8 pixels, got {images.dtype}; floats are converted already")
    return images.to(torch.float32) / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Float, nominally in [-1, 1] -> uint8, any shape; values outside are clamped. Undoes `to_float`.

    Raises: ValueError for integers.
    """
    if not images.is_floating_point():
        raise ValueError(f"to_uint8 takes floats in [-1, 1], got {images.dtype}; integers are pixels already")
    # The cast cuts off, so 128 = 127.5 + 1/2 rounds.
    return (images.to(torch.float32) * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def tile(images: Tensor, columns: int) -> Tensor:
    """Lay images out row by row: uint8 [N,C,H,W] -> uint8 [C, R*H, columns*W]; missing cells are white.

    Raises: ValueError for no images or no columns.
    """
    if len(images) < 1 or columns < 1:
        raise ValueError(f"a grid needs images and columns, got {len(images)} images, {columns} columns")
    num, channels, height, width = images.shape
    rows = -(-num // columns)
    cells = images.new_full((rows * columns, channels, height, width), 255)
    cells[:num] = images
    cells = cells.reshape(rows, columns, channels, height, width)
    return cells.permute(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)


def visible(images: Tensor) -> Tensor:
    """What can be looked at: uint8 [...,C,H,W] → the same, but of more than 4 channels the first 3, as RGB."""
    return images if images.shape[-3] in _PNG_MODES else images[..., :3, :, :]


def on_white(images: Tensor) -> Tensor:
    """uint8 [...,C,H,W] of 1 to 4 channels → C = 1 or 3: transparency (2 and 4 channels) composited on white."""
    if images.shape[-3] not in (2, 4):
        return images
    colors, alpha = images[..., :-1, :, :].to(torch.float32), images[..., -1:, :, :].to(torch.float32) / 255
    return (colors * alpha + 255 * (1 - alpha)).round().to(torch.uint8)


def save_png(path: str | os.PathLike, image: Tensor, text: Mapping[str, str] | None = None) -> None:
    """Write a PNG that is complete or absent.

    Args:
        image: uint8 [C,H,W], C = 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA.
        text: stored next to the pixels under Latin-1 keywords of at most 79 characters; the values may be any text.
    Raises: ValueError for another dtype or shape; OSError where the folder cannot be written.
    """
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] not in _PNG_MODES:
        raise ValueError(
            f"save_png takes uint8 [C,H,W] with C of 1 to 4, got {image.dtype} {list(image.shape)}; "
            f"convert floats with to_uint8, lay batches out with tile"
        )
    chunks = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        if value.isascii():
            chunks.add_text(key, value)
        else:
            chunks.add_itxt(key, stored_text(value))
    pixels = image.detach().cpu().permute(1, 2, 0).contiguous()
    pillow_image = Image.frombytes(_PNG_MODES[image.shape[0]], pixels.shape[1::-1], pixels.numpy().tobytes())
    with replacing(path, durable=False) as file:
        pillow_image.save(file, format="PNG", pnginfo=chunks)


def stored_text(value: str) -> str:
    """A text as `save_png` stores it: names of files may hold bytes that are not text, and must not prevent that."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def read_png(path: str | os.PathLike) -> Tensor:
    """A PNG that `save_png` wrote → uint8 [C,H,W]. Raises: OSError, as of `read_png_text`."""
    with Image.open(path, formats=("PNG",)) as image:
        pixels = np.array(image)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).movedim(-1, 0)


def read_png_text(path: str | os.PathLike) -> dict[str, str]:
    """The text stored in a PNG. Raises: OSError where there is no such file, or it is no image."""
    with Image.open(path, formats=("PNG",)) as image:
        return {key: str(value) for key, value in image.text.items()}
