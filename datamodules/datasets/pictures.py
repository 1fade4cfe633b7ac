"""From an encoded picture of any size and kind to pixels: upright, on white, square, `resolution` wide."""

import io
import struct
import zipfile
import zlib
from typing import Protocol

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from datamodules.datasets.image_dataset import ImageDataset

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Pillow knows more, some of which start other programs; what is not listed is refused by its content.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
_MODES = {1: "L", 3: "RGB"}

# A damaged file makes Pillow's parsers and the zip reader raise any of these.
_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)


def is_picture_name(name: str) -> bool:
    """Whether a POSIX relative name is a picture's by its suffix, and neither hidden nor macOS's shadow."""
    parts = name.split("/")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and parts[-1].lower().endswith(SUFFIXES)


def decode_picture(data: bytes, *, resolution: int, channels: int) -> np.ndarray:
    """Decode, composite on white, crop to the centre square, resize by Lanczos where the size differs.

    Args: data: an encoded picture; channels: 3 = RGB, 1 = luma.
    Returns: uint8 [channels, resolution, resolution].  Raises: many kinds, where the data are damaged.
    """
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        ImageOps.exif_transpose(image, in_place=True)
        image = centre_square(on_white(image)).convert(_MODES[channels])
    if image.width != resolution:
        image = image.resize((resolution, resolution), Image.Resampling.LANCZOS)
    pixels = np.array(image).reshape(resolution, resolution, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def on_white(image: Image.Image) -> Image.Image:
    """The picture without transparency, in 8 bits a channel."""
    if image.mode.startswith("I"):
        # Pillow's own conversion clips 16 bits to 8, which turns such pictures white.
        wide = np.clip(np.asarray(image).astype(np.float32), 0, 65535)
        return Image.fromarray((wide / 257 + 0.5).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def centre_square(image: Image.Image) -> Image.Image:
    """The largest square in the middle; an odd pixel too many is cut at the right or the bottom."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


class BadPicture(ValueError):
    """A file of the data set that cannot be read; the message names it and the way out."""


class PictureFiles(Protocol):
    """Encoded pictures by name, from wherever they are stored."""

    names: list[str]

    def read(self, name: str) -> bytes: ...

    def where(self, name: str) -> str: ...


class PictureDataset(ImageDataset):
    """Encoded pictures, decoded when asked for.

    Raises, from `image`: ValueError naming the file where a picture cannot be read.
    """

    def __init__(self, files: PictureFiles, *, resolution: int, channels: int):
        self.files = files
        self.resolution = resolution
        self.channels = channels

    def __len__(self) -> int:
        return len(self.files.names)

    def image(self, index: int) -> torch.Tensor:
        name = self.files.names[index]
        try:
            data = self.files.read(name)
            pixels = decode_picture(data, resolution=self.resolution, channels=self.channels)
        except _UNREADABLE as error:
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, UnidentifiedImageError):  # its own words name an address in memory
                reason = f"its content is none of {', '.join(_FORMATS)}"
            raise BadPicture(
                f"cannot read the picture {self.files.where(name)} ({reason}); "
                f"remove it, or save it anew, as PNG or JPEG"
            ) from error
        return torch.from_numpy(pixels)
