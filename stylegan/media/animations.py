"""GIF, WebP and APNG: every frame encoded by itself by Pillow, and the frames put together by us.

Pillow's own writers of animations merge frames that are equal and hold all of them in memory, and FFmpeg's lossy WebP
loses frames. Here each frame is there, with its own palette in a GIF, and memory holds one.
"""

import io
import json
import struct
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from stylegan.media.canvas import Canvas
from stylegan.media.frame_files import SIGNATURE, png_chunk, text_chunk
from stylegan.media.parts import Parts, publish
from stylegan.media.settings import MediaSettings
from stylegan.sizes import Size

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_HEADER = struct.Struct("<II")  # of a frame in a segment: its number and its bytes
_MOST_BYTES_OF_WEBP = 2**32 - 2
# Of the EXIF standard, which WebP files hold: the text that a viewer shows as the description.
_IMAGE_DESCRIPTION = 0x010E


class Animation:
    """The formats gif, webp and apng; as `write.Format`. A segment is a list of encoded frames."""

    segment_name = "{}.frames"

    def __init__(self, drawn: Size, channels: int, settings: MediaSettings, text: Mapping[str, str]):
        self.settings, self.text = settings, text
        self.segment_frames = settings.segment_frames
        transparent, grey = settings.format != "gif", settings.format == "apng"
        self.canvas = Canvas(drawn, channels, settings, alpha=transparent, grey=grey, even=False)
        self.record = {"pillow": Image.__version__}

    def segment(self, path: Path, first: int) -> "AnimationSegment":
        return AnimationSegment(path, self, first)

    def frames_in(self, path: Path) -> int | None:
        try:
            return sum(1 for _ in _frames(path))
        except (OSError, ValueError):
            return None

    def join(self, parts: Parts, target: Path) -> None:
        whole = parts.folder / f"whole.{self.settings.format}"
        before, after = self._around(parts)
        with open(whole, "wb") as file:
            file.write(before)
            for path in parts.paths():
                for frame in _frames(path):
                    file.write(frame)
            file.write(after)
        publish(whole, target, self.text)

    def encoded(self, pixels: np.ndarray, number: int) -> bytes:
        """A frame as it stands in the file. Args: pixels: uint8 [H,W,C]; number: of the frame."""
        height, width, channels = pixels.shape
        image = Image.frombytes(_MODES[channels], (width, height), pixels.tobytes())
        rate = self.settings.rate
        if self.settings.format == "gif":
            return gif_frame(image, delay=int(100 / rate))
        if self.settings.format == "apng":
            return apng_frame(image, number, delay=1 / rate)
        # Whole milliseconds, without a drift.
        duration = round((number + 1) * 1000 / rate) - round(number * 1000 / rate)
        return webp_frame(image, duration, quality=self.settings.quality)

    def _around(self, parts: Parts) -> tuple[bytes, bytes]:
        """What stands before all frames, and after them."""
        if self.settings.format == "gif":
            return gif_header(self.canvas.size, self.text), b";"
        if self.settings.format == "apng":
            return apng_header(self.canvas, parts.frames, self.text), png_chunk(b"IEND", b"")
        frames = sum(path.stat().st_size for path in parts.paths()) - parts.frames * _HEADER.size
        return webp_around(self.canvas, frames, self.text)


class AnimationSegment:
    """As `write.SegmentWriter`."""

    def __init__(self, path: Path, animation: Animation, first: int):
        self._file: BinaryIO = open(path, "wb")
        self._animation, self._number = animation, first

    def add(self, pixels: np.ndarray) -> None:
        frame = self._animation.encoded(pixels, self._number)
        self._file.write(_HEADER.pack(self._number, len(frame)) + frame)
        self._number += 1

    def close(self) -> None:
        self._file.close()


def _frames(path: Path) -> Iterator[bytes]:
    """The frames of a segment. Raises: ValueError where it ends within one."""
    with open(path, "rb") as file:
        while header := file.read(_HEADER.size):
            if len(header) < _HEADER.size:
                raise ValueError(f"{path} ends within a frame")
            _, length = _HEADER.unpack(header)
            frame = file.read(length)
            if len(frame) < length:
                raise ValueError(f"{path} ends within a frame")
            yield frame


def gif_header(size: Size, text: Mapping[str, str]) -> bytes:
    """Up to the first frame: size, endless repetition, and provenance as a comment. Source: GIF89a, 1990."""
    height, width = size
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0)
    endless = b"!\xff\x0bNETSCAPE2.0" + _sub_blocks(b"\1\0\0")
    return screen + endless + b"!\xfe" + _sub_blocks(json.dumps(dict(text)).encode("ascii"))


def gif_frame(image: Image.Image, *, delay: int) -> bytes:
    """One frame with a palette of its own, dithered. Args: image: RGB; delay: in 1/100 s."""
    palette = image.quantize(256, method=Image.Quantize.MEDIANCUT)
    indexed = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    still = io.BytesIO()
    indexed.save(still, format="GIF", optimize=False)
    return b"!\xf9\4" + struct.pack("<BHBB", 0, delay, 0, 0) + _image_of_gif(still.getvalue())


def _image_of_gif(still: bytes) -> bytes:
    """The image of a GIF of one, with the palette of the whole file as its own."""
    flags = still[10]
    place = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    palette = still[13:place]
    while still[place : place + 1] == b"!":  # extensions
        place = _after_sub_blocks(still, place + 2)
    left_top_width_height, own = still[place + 1 : place + 9], still[place + 9]
    end = _after_sub_blocks(still, place + 11 + (3 << (own & 7) + 1 if own & 0x80 else 0))
    if own & 0x80:
        return still[place:end]
    return b"," + left_top_width_height + bytes([0x80 | flags & 7]) + palette + still[place + 10 : end]


def _sub_blocks(content: bytes) -> bytes:
    pieces = (content[start : start + 255] for start in range(0, len(content), 255))
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"


def _after_sub_blocks(content: bytes, place: int) -> int:
    while content[place]:
        place += 1 + content[place]
    return place + 1


def apng_header(canvas: Canvas, frames: int, text: Mapping[str, str]) -> bytes:
    """Up to the first frame. Source: PNG (Third Edition), W3C 2023, section 11.3.6."""
    height, width = canvas.size
    kinds = {1: 0, 2: 4, 3: 2, 4: 6}
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kinds[canvas.channels], 0, 0, 0))
    texts = b"".join(text_chunk(key, value) for key, value in text.items())
    return SIGNATURE + header + texts + png_chunk(b"acTL", struct.pack(">II", frames, 0))


def apng_frame(image: Image.Image, number: int, *, delay: Fraction) -> bytes:
    """One frame. Args: delay: in seconds; its numbers fit in 16 bits."""
    still = io.BytesIO()
    image.save(still, format="PNG")
    pixels = b"".join(content for kind, content in _png_chunks(still.getvalue()) if kind == b"IDAT")
    # Control and pixels are counted together; the pixels of the first frame are those of the still image.
    control = struct.pack(
        ">IIIIIHHBB", max(0, 2 * number - 1), *image.size, 0, 0, delay.numerator, delay.denominator, 0, 0
    )
    data = (
        png_chunk(b"fdAT", struct.pack(">I", 2 * number) + pixels) if number else png_chunk(b"IDAT", pixels)
    )
    return png_chunk(b"fcTL", control) + data


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        yield content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        place += 12 + length


def webp_around(canvas: Canvas, frames_bytes: int, text: Mapping[str, str]) -> tuple[bytes, bytes]:
    """What stands before the frames and after them. Source: RFC 9649, section 2.7.

    Raises: ValueError where the file would pass 4 GB, which its header cannot say.
    """
    exif = Image.Exif()
    exif[_IMAGE_DESCRIPTION] = json.dumps(dict(text))
    after = _riff(b"EXIF", exif.tobytes().removeprefix(b"Exif\0\0"))
    height, width = canvas.size
    flags = 0x02 | 0x08 | (0x10 if canvas.alpha else 0)
    extended = bytes([flags, 0, 0, 0]) + _three_bytes(width - 1) + _three_bytes(height - 1)
    before = b"WEBP" + _riff(b"VP8X", extended) + _riff(b"ANIM", b"\0\0\0\0" + struct.pack("<H", 0))
    total = len(before) + frames_bytes + len(after)
    if total > _MOST_BYTES_OF_WEBP:
        raise ValueError(
            f"format=webp: the file would have {total:,} bytes, and 4 GB are the most; set format=mp4"
        )
    return b"RIFF" + struct.pack("<I", total) + before, after


def webp_frame(image: Image.Image, duration_ms: int, *, quality: int) -> bytes:
    """One frame, which replaces the one before. Args: image: RGB or RGBA; quality: 100 = lossless."""
    still = io.BytesIO()
    image.save(still, format="WEBP", quality=quality, lossless=quality == 100, method=4, exact=True)
    content, place = still.getvalue(), 12
    pixels = b""
    while place < len(content):
        kind, length = content[place : place + 4], struct.unpack_from("<I", content, place + 4)[0]
        end = place + 8 + length + length % 2
        if kind in (b"ALPH", b"VP8 ", b"VP8L"):
            pixels += content[place:end]
        place = end
    width, height = image.size
    place_and_size = bytes(6) + _three_bytes(width - 1) + _three_bytes(height - 1)
    return _riff(b"ANMF", place_and_size + _three_bytes(duration_ms) + b"\2" + pixels)


def _riff(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _three_bytes(number: int) -> bytes:
    return number.to_bytes(3, "little")
