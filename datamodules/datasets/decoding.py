"""Decoding: an encoded image of any kind and size to pixels, upright, cropped, resized, with the requested channels.

Channels: 1 = grey, 2 = grey and alpha, 3 = RGB, 4 = RGB and alpha; 5 and more come as arrays only.
"""

import errno
import importlib.util
import io
import math
import struct
import zipfile
import zlib
from importlib.metadata import version
from typing import BinaryIO

import numpy as np
import PIL
from PIL import Image

from datamodules.datasets.opening import open_upright, size_upright
from stylegan.sizes import Size

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
ARRAY_SUFFIXES = (".npy",)
MOST_IMAGE_CHANNELS = 4
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}

# A damaged file makes Pillow's parsers, tifffile's, numpy's and the zip reader raise any of these.
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    EOFError,
    RuntimeError,
    TypeError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)


def is_away(error: Exception) -> bool:
    """Whether one of `UNREADABLE` says nothing about a file's content: the system could not give it, which may be
    another time otherwise (permission, a disk that fails, a network folder that is away, too little memory)."""
    # What decoders raise as an OSError has no number of the system's; EINVAL is a place in a zip that cannot be.
    return isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)
    )


def reason_of(error: Exception) -> str:
    """What is wrong with a file that raised one of `UNREADABLE`, in a few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = " ".join(str(error).replace("\0", " ").split())
    if isinstance(error, Image.DecompressionBombError):
        return words.split(", could be")[0]
    # Pillow's, numpy's and our own say what is wrong; of other kinds, as a KeyError, the words alone say little.
    if words and (isinstance(error, OSError | SyntaxError | EOFError) or type(error) is ValueError):
        return words
    return f"it cannot be decoded ({words})" if words else "it cannot be decoded"


def readers() -> list[str]:
    """What decides which files can be read, and how: programs with their versions."""
    optional = "with" if importlib.util.find_spec("imagecodecs") else "without"
    return [f"pillow {PIL.__version__}", f"tifffile {version('tifffile')}", f"{optional} imagecodecs"]


def suffixes_for(channels: int) -> tuple[str, ...]:
    """The ends of the names of files that can hold this many channels."""
    return IMAGE_SUFFIXES if channels <= MOST_IMAGE_CHANNELS else ARRAY_SUFFIXES


def decode_image(data: bytes, *, size: Size, channels: int) -> np.ndarray:
    """Decode, turn as EXIF or XMP says, crop to the centre, resize by Lanczos where the size differs.

    The crop is the largest centred rectangle of the requested aspect. With channels 1 and 3 transparency is
    put on white, with 2 and 4 it is kept, and what has none is opaque. 16 bits a channel become 8 over
    their whole range: 65535 becomes 255. Of several frames or pages the first counts.

    Args:
        data: an encoded image, or with 5 channels and more a `.npy` file of uint8 [H,W,C].
    Returns: uint8 [channels, *size].  Raises: one of `UNREADABLE` where the data are damaged.
    """
    if channels > MOST_IMAGE_CHANNELS:
        return _fit_planes(_read_array(io.BytesIO(data), channels), size)
    image = _with_channels(_crop(open_upright(data), size), channels)
    if image.size != size[::-1]:
        # Pillow weighs colours by their alpha here, so that invisible ones do not bleed.
        image = image.resize(size[::-1], Image.Resampling.LANCZOS)
    pixels = np.array(image).reshape(*size, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def measure_image(stream: BinaryIO, *, channels: int, whole: bool) -> Size:
    """Height and width of an encoded image once it is upright.

    Args:
        whole: decode all of it, which finds nearly every damage; else only the header is read.
    Raises: one of `UNREADABLE` where what was read is damaged.
    """
    if channels > MOST_IMAGE_CHANNELS:
        height, width, _ = _read_array(stream, channels).shape
        return height, width
    if not whole:
        return size_upright(stream)
    image = _with_channels(open_upright(stream.read()), channels)
    return image.height, image.width


def _with_channels(image: Image.Image, channels: int) -> Image.Image:
    """The image in 8 bits a channel, its transparency on white or kept."""
    transparent = image.has_transparency_data
    image = image.convert("RGBA" if transparent else "RGB")
    if channels in (1, 3) and transparent:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    elif channels in (2, 4) and not transparent:
        image.putalpha(255)
    return image.convert(_MODES[channels])


def _centre(size: Size, target: Size) -> tuple[int, int, int, int]:
    """Top, left, height, width of the largest centred rectangle of the target's aspect.

    An odd pixel too many is cut at the right or the bottom.
    """
    height, width = size
    if width * target[0] > height * target[1]:
        kept = height, max(1, round(height * target[1] / target[0]))
    else:
        kept = max(1, round(width * target[0] / target[1])), width
    return (height - kept[0]) // 2, (width - kept[1]) // 2, *kept


def _crop(image: Image.Image, target: Size) -> Image.Image:
    top, left, height, width = _centre((image.height, image.width), target)
    if (height, width) == (image.height, image.width):
        return image
    return image.crop((left, top, left + width, top + height))


def _read_array(stream: BinaryIO, channels: int) -> np.ndarray:
    """uint8 [H,W,channels] from a `.npy` file."""
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, in_columns, dtype = read_header(stream)
    except ValueError as error:
        raise ValueError("it is not a .npy file") from error
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != channels or min(shape) < 1:
        raise ValueError(f"it is {dtype} {list(shape)}, and must be uint8 [H,W,{channels}]")
    if math.prod(shape[:2]) > (Image.MAX_IMAGE_PIXELS or math.inf):
        raise ValueError(f"{shape[0]}x{shape[1]} is above {Image.MAX_IMAGE_PIXELS} pixels")
    data = stream.read(math.prod(shape))
    if len(data) < math.prod(shape):
        raise ValueError("it is cut short")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if in_columns else "C")


def _fit_planes(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Crops and resizes uint8 [H,W,C], each channel by itself, to [C,*size]."""
    top, left, height, width = _centre(pixels.shape[:2], size)
    planes = pixels[top : top + height, left : left + width].transpose(2, 0, 1)
    if (height, width) != size:
        across, down = size[1], size[0]
        resized = [
            Image.fromarray(np.ascontiguousarray(plane)).resize((across, down), Image.Resampling.LANCZOS)
            for plane in planes
        ]
        planes = np.stack([np.asarray(plane) for plane in resized])
    return np.ascontiguousarray(planes)
