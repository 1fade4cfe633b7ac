"""Pictures to project: which files a path means, their masks, and their pixels as the network takes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from stylegan.machine.console import warn
from stylegan.machine.files import expanded
from stylegan.machine.text import printable, some
from stylegan.sizes import Size

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".npy")


class Decode(Protocol):
    """Decodes an encoded image as the data of training are decoded: upright, cropped, resized, with their channels."""

    def __call__(self, data: bytes, *, size: Size | None, channels: int) -> np.ndarray:
        """Args: size: (height, width); None = the image's own, upright, nothing cut off.

        Returns: uint8 [channels, *size].  Raises: ValueError in a few words where the data are damaged.
        """
        ...


class Cut(Protocol):
    """Cuts a part out of pictures, and the same part out of their masks."""

    def cut(self, picture: Path, data: bytes, decode: Decode, *, size: Size, channels: int) -> np.ndarray:
        """uint8 [channels, *size] of an encoded picture.  Raises: ValueError that says what is wrong."""
        ...

    def cut_mask(self, picture: Path, mask: bytes, decode: Decode, *, size: Size) -> np.ndarray:
        """uint8 [1, *size] of an encoded mask of the picture.  Raises: ValueError that says what is wrong."""
        ...


@dataclass(frozen=True)
class Picture:
    """A file that is projected. Args: name: for names of files, unlike that of any other picture. mask: its file."""

    name: str
    path: Path
    mask: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads pictures and their masks as one network takes them.

    Args:
        decode: as of `Drawer`. size: (height, width), and channels of the network.
        cut: what part of a picture counts; None = its middle, as of the data of training.
    """

    decode: Decode
    size: Size
    channels: int
    cut: Cut | None = None

    def read(self, pictures: Sequence[Picture]) -> tuple[Tensor, Tensor | None]:
        """Pixels uint8 [N,C,H,W], and masks [N,1,H,W] in 0..1, or None.

        Raises: ValueError that names the file and what is wrong with it.
        """
        masks = [self._mask(picture) for picture in pictures]
        whole = [mask for mask in masks if mask is not None]
        pixels = torch.stack([self._target(picture) for picture in pictures])
        return pixels, torch.stack(whole) if whole else None

    def readable(self, pictures: Sequence[Picture]) -> list[int]:
        """The numbers of the pictures that can be read; of each other one a line says why it is left out.

        Raises: ValueError, that of the first, where there is none.
        """
        numbers: list[int] = []
        errors: list[ValueError] = []
        for number, picture in enumerate(pictures):
            try:
                self.read([picture])
                numbers.append(number)
            except ValueError as error:
                errors.append(error)
        if not numbers:
            raise errors[0]
        for error in errors:
            warn(f"{error}; it is left out")
        return numbers

    def _target(self, picture: Picture) -> Tensor:
        cut = self.cut
        if cut is None:
            return read_target(picture, self.decode, size=self.size, channels=self.channels)

        def decode(data: bytes, *, size: Size, channels: int) -> np.ndarray:
            return cut.cut(picture.path, data, self.decode, size=size, channels=channels)

        return read_target(picture, decode, size=self.size, channels=self.channels)

    def _mask(self, picture: Picture) -> Tensor | None:
        cut = self.cut
        if cut is None:
            return read_mask(picture, self.decode, size=self.size)

        def decode(data: bytes, *, size: Size, channels: int) -> np.ndarray:
            return cut.cut_mask(picture.path, data, self.decode, size=size)

        return read_mask(picture, decode, size=self.size)


def find_pictures(target: str | Path, masks: str | Path | None = None) -> tuple[Picture, ...]:
    """The pictures that a path means: a file, or those in a folder by name, without folders below it.

    Args: masks: a file, the same for all, or a folder that has one named as each picture, of any format.
    Raises: ValueError that names the key and what is missing.
    """
    files = _files_at(target, "target")
    names = _names_of(files)
    if masks is None:
        return tuple(Picture(name, file) for name, file in zip(names, files, strict=True))
    found = _files_at(masks, "masks")
    if not expanded(masks).is_dir():
        return tuple(Picture(name, file, found[0]) for name, file in zip(names, files, strict=True))
    by_stem = {file.stem: file for file in found}
    if lacking := [file.name for file in files if file.stem not in by_stem]:
        raise ValueError(f"masks={printable(str(masks))}: there is no mask named as {some(lacking)}")
    return tuple(Picture(name, file, by_stem[file.stem]) for name, file in zip(names, files, strict=True))


def read_target(picture: Picture, decode: Decode, *, size: Size, channels: int) -> Tensor:
    """Its pixels, uint8 [C,H,W].  Raises: ValueError that names the file and what is wrong."""
    return torch.from_numpy(
        _decoded(picture.path, "target", lambda data: decode(data, size=size, channels=channels))
    )


def read_mask(picture: Picture, decode: Decode, *, size: Size) -> Tensor | None:
    """How much each pixel counts, float32 [1,H,W] in 0..1; None without a mask.

    Raises: ValueError that names the file and what is wrong, also where nothing counts.
    """
    if picture.mask is None:
        return None
    pixels = _decoded(picture.mask, "masks", lambda data: decode(data, size=size, channels=1))
    mask = torch.from_numpy(pixels).to(torch.float32) / 255
    if not bool((mask > 0).any()):
        raise ValueError(
            f"masks={printable(str(picture.mask))}: all of it is black, so nothing of the picture counts"
        )
    return mask


def _decoded(path: Path, key: str, decode: Callable[[bytes], np.ndarray]) -> np.ndarray:
    try:
        return decode(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
        )
        raise ValueError(
            f"{key}={printable(str(path))}: this picture cannot be read ({printable(reason)})"
        ) from error


def _files_at(path: str | Path, key: str) -> list[Path]:
    place = expanded(path, key=key)
    if place.is_dir():
        files = sorted(
            file
            for file in place.iterdir()
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        )
        if not files:
            raise ValueError(
                f"{key}={printable(str(path))}: the folder holds no pictures ({', '.join(SUFFIXES)})"
            )
        return files
    if not place.exists():
        raise ValueError(f"{key}={printable(str(path))}: there is no such file or folder")
    return [place]


def _names_of(files: Sequence[Path]) -> list[str]:
    """Stems, and where several files share one, with their endings."""
    stems = [file.stem for file in files]
    names = [
        f"{file.stem}-{file.suffix.lstrip('.').lower()}" if stems.count(file.stem) > 1 else file.stem
        for file in files
    ]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"target: several pictures would be called {printable(twice)}; give them other names"
        )
    return names
