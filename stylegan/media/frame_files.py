"""Frames as PNG files in a folder, of 8 or 16 bits a channel."""

import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from stylegan.images import save_png, stored_text
from stylegan.machine.files import replacing
from stylegan.machine.sidecars import sidecar_of, write_sidecar
from stylegan.media.canvas import Canvas
from stylegan.media.parts import Parts
from stylegan.media.settings import MediaSettings
from stylegan.sizes import Size

_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of PNG, by the number of channels
SIGNATURE, _END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xae\x42\x60\x82"


class FrameFiles:
    """The formats png and png16, `frame000000.png` and so on; as `write.Format`, with a segment a frame."""

    segment_name = "frame{}.png"
    segment_frames = 1

    def __init__(self, drawn: Size, channels: int, settings: MediaSettings, text: Mapping[str, str]):
        bits = 16 if settings.format == "png16" else 8
        self.canvas = Canvas(drawn, channels, settings, alpha=True, grey=True, even=False, bits=bits)
        self.text = text
        self.record: Mapping[str, object] = {}

    def segment(self, path: Path, first: int) -> "FrameFile":
        return FrameFile(path, dict(self.text) | {"frame": str(first)})

    def frames_in(self, path: Path) -> int | None:
        try:
            with open(path, "rb") as file:
                file.seek(-len(_END), os.SEEK_END)
                return 1 if file.read() == _END else None
        except OSError:
            return None

    def join(self, parts: Parts, target: Path) -> None:
        """The folder of the frames is renamed. Where there is one already, its frames are replaced."""
        if not target.exists():
            write_sidecar(target, self.text)
            os.rename(parts.segments, target)
            return
        # Without a word beside it while frames are missing: an interrupted folder must not count as a finished one.
        sidecar_of(target).unlink(missing_ok=True)
        for old in target.glob("frame??????.png"):
            old.unlink()
        for path in parts.paths():
            os.replace(path, target / path.name)
        write_sidecar(target, self.text)


class FrameFile:
    """As `write.SegmentWriter`, for one frame."""

    def __init__(self, path: Path, text: Mapping[str, str]):
        self._path, self._text = path, text

    def add(self, pixels: np.ndarray) -> None:
        if pixels.dtype == np.uint16:
            save_png16(self._path, pixels, self._text)
        else:
            save_png(self._path, torch.from_numpy(pixels).movedim(-1, 0), self._text)

    def close(self) -> None:
        pass


def save_png16(path: str | os.PathLike, pixels: np.ndarray, text: Mapping[str, str] | None = None) -> None:
    """Writes a PNG of 16 bits a channel, which Pillow cannot; it is complete or absent.

    Args:
        pixels: uint16 [H,W,C] of 1 to 4 channels.
        text: as of `save_png`.
    Source: PNG (Third Edition), W3C 2023, sections 5 and 11.
    """
    height, width, channels = pixels.shape
    lines = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    above = np.zeros_like(lines)
    above[1:] = lines[:-1]
    # Filter 2, Up: pictures of networks are smooth, and a difference takes fewer bytes than a value.
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), lines - above], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOR_TYPES[channels], 0, 0, 0)
    with replacing(path, durable=False) as file:
        file.write(SIGNATURE + png_chunk(b"IHDR", header))
        for key, value in (text or {}).items():
            file.write(text_chunk(key, value))
        file.write(png_chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)) + _END)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG: length, kind, content, checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def text_chunk(key: str, value: str) -> bytes:
    """International text of a PNG: a Latin-1 keyword, not compressed, no language, the value in UTF-8."""
    return png_chunk(b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + stored_text(value).encode())
