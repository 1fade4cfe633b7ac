"""Images: uint8 in 0..255 on disk and in batches, float32 in [-1, 1] for the networks; files that carry a text.

The text of a PNG is in its text chunks, that of a JPEG in its comment, and that of a WebP in its EXIF description.
"""

import io
import json
import os
import struct
import zlib
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from stylegan.machine.files import replacing

_PNG_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_PNG_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
# How a format is called → how its files end.
IMAGE_ENDINGS = {"png": "png", "jpeg": "jpg", "webp": "webp", "png16": "png"}
_READERS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}
# The most bytes of a JPEG's comment are 65,533.
_LONGEST_COMMENT = 65_000
_IMAGE_DESCRIPTION = 0x010E  # EXIF


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


def to_uint16(images: Tensor) -> Tensor:
    """As `to_uint8`, with 65,536 steps in place of 256 → uint16. Raises: ValueError for integers."""
    if not images.is_floating_point():
        raise ValueError(
            f"to_uint16 takes floats in [-1, 1], got {images.dtype}; integers are pixels already"
        )
    return (images.to(torch.float32) * 32767.5 + 32768).clamp(0, 65535).to(torch.int32).to(torch.uint16)


def tile(images: Tensor, columns: int) -> Tensor:
    """Lay images out row by row: uint8 or uint16 [N,C,H,W] -> [C, R*H, columns*W]; missing cells are white.

    Raises: ValueError for no images or no columns.
    """
    if len(images) < 1 or columns < 1:
        raise ValueError(f"a grid needs images and columns, got {len(images)} images, {columns} columns")
    num, channels, height, width = images.shape
    rows = -(-num // columns)
    white = images.new_full((1,), torch.iinfo(images.dtype).max)
    cells = white.expand(rows * columns, channels, height, width).clone()
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
    with replacing(path, durable=False) as file:
        _write_png(file, image, text or {})


def encoded(image: Tensor, text: Mapping[str, str], *, format: str = "png", quality: int = 90) -> bytes:
    """An image as the bytes of a file.

    Args:
        image: uint8 [C,H,W], uint16 for png16; C = 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA.
        text: stored in the file; a JPEG, whose comment is short, leaves out the longest values where they do not fit.
        format: a key of `IMAGE_ENDINGS`. JPEG has no alpha: what is transparent becomes white.
        quality: 1 to 100, of JPEG and WebP; a WebP of 100 is lossless.
    """
    file = io.BytesIO()
    if format == "png":
        _write_png(file, image, text)
    elif format == "png16":
        _write_png16(file, image, text)
    elif format == "jpeg":
        comment = _as_json(text, most=_LONGEST_COMMENT)
        # 4:4:4: thin coloured lines of drawings stay sharp.
        _pillow(on_white(image)).save(file, format="JPEG", quality=quality, subsampling=0, comment=comment)
    else:
        exif = Image.Exif()
        exif[_IMAGE_DESCRIPTION] = _as_json(text)
        _pillow(image).save(
            file, format="WEBP", quality=quality, lossless=quality == 100, exact=True, exif=exif
        )
    return file.getvalue()


def _pillow(image: Tensor) -> Image.Image:
    pixels = image.detach().cpu().permute(1, 2, 0).contiguous()
    return Image.frombytes(_PNG_MODES[image.shape[0]], pixels.shape[1::-1], pixels.numpy().tobytes())


def _write_png(file: BinaryIO, image: Tensor, text: Mapping[str, str]) -> None:
    chunks = PngImagePlugin.PngInfo()
    for key, value in text.items():
        if value.isascii():
            chunks.add_text(key, value)
        else:
            chunks.add_itxt(key, stored_text(value))
    _pillow(image).save(file, format="PNG", pnginfo=chunks)


def _write_png16(file: BinaryIO, image: Tensor, text: Mapping[str, str]) -> None:
    """Pillow writes no PNG of 16 bits a channel but grey ones. Source: PNG specification (W3C, 3rd edition)."""
    pixels = image.detach().cpu().permute(1, 2, 0).contiguous().numpy()
    height, width, channels = pixels.shape
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    # Filter 1: each byte less the one of the pixel on its left.
    differences = rows.copy()
    differences[:, 2 * channels :] -= rows[:, : -2 * channels]
    filtered = np.concatenate([np.ones((height, 1), np.uint8), differences], axis=1)
    header = struct.pack(">2I5B", width, height, 16, _PNG_COLOR_TYPES[channels], 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header))
    for keyword, value in text.items():
        file.write(
            _png_chunk(b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + stored_text(value).encode())
        )
    file.write(_png_chunk(b"IDAT", zlib.compress(filtered.tobytes())) + _png_chunk(b"IEND", b""))


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _as_json(text: Mapping[str, str], most: int | None = None) -> str:
    """ASCII, since both places hold no more; what does not fit into `most` characters is left out, longest first."""
    kept = {key: stored_text(value) for key, value in text.items()}
    while most is not None and len(json.dumps(kept)) > most:
        del kept[max(kept, key=lambda key: len(json.dumps(kept[key])))]
    return json.dumps(kept)


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


def read_image_text(file: str | os.PathLike | BinaryIO, *, ending: str) -> dict[str, str]:
    """The text stored in a PNG, JPEG or WebP; {} where there is none.

    Args: ending: of its name, `png`, which says the format; a file of another format is not read.
    Raises: OSError, SyntaxError, ValueError or Pillow's DecompressionBombError where it is no such image.
    """
    with Image.open(file, formats=(_READERS[ending],)) as image:
        if ending == "png":
            return {key: str(value) for key, value in image.text.items()}
        found = image.info.get("comment") if ending != "webp" else image.getexif().get(_IMAGE_DESCRIPTION)
        # All of it must be readable, as that of a PNG, whose text may stand behind the pixels.
        image.load()
    try:
        text = json.loads(found or "{}")
    except (ValueError, TypeError, RecursionError):  # TypeError: a number, or several
        return {}
    return {key: str(value) for key, value in text.items()} if isinstance(text, dict) else {}
