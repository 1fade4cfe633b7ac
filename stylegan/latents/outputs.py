"""Output of a task: where its files go, in which format its images are, and which files are there already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from stylegan.images import IMAGE_ENDINGS, encoded, to_uint8, to_uint16, visible
from stylegan.latents.provenance import (
    ORIGIN,
    differing,
    is_image,
    listed,
    stored_in,
)
from stylegan.machine.console import say
from stylegan.machine.files import replacing
from stylegan.machine.sidecars import read_sidecar, sidecar_of, write_sidecar
from stylegan.machine.text import printable

__all__ = ["ORIGIN", "ImageFormat", "Output", "read_sidecar", "sidecar_of", "write_sidecar"]


@dataclass(frozen=True)
class Output:
    """Where a task writes.

    Args:
        folder: for its files; made where it is missing. For a task with one file `file` may be its name instead.
        overwrite: whether files of other settings are replaced.
    """

    folder: Path
    overwrite: bool = False

    def claim(self, name: str, text: Mapping[str, str]) -> bool:
        """Whether a file is still to be made: not where it is there with the same settings.

        Args: text: its provenance, as of `write_sidecar`.
        Raises: ValueError where another file is in the way, unless `overwrite`.
        """
        path = self.folder / name
        if not path.exists():
            return True
        # Not every task stores it in the image itself.
        there = (stored_in(path) if is_image(path) else None) or read_sidecar(path)
        other = differing(there, text)
        if other == []:
            say(f"{path} is there already, and stays as it is")
            return False
        if not self.overwrite:
            drawn = "and does not say how it was made" if other is None else f"made with {listed(other)}"
            raise ValueError(
                f"{printable(str(path))} is there already, {drawn}; nothing was drawn: set out=... for another"
                " folder, or overwrite=true to replace it"
            )
        return True

    def check_folder(self, of: str = "the images") -> None:
        """Raises: ValueError where the folder is a file, or would be a zip."""
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(
                f"out must be a folder for {of}, got {printable(str(self.folder))}, which is a file"
            )
        if self.folder.suffix.lower() == ".zip" and not self.folder.exists():
            raise ValueError(
                f"out={printable(str(self.folder))}: a zip holds what task=images draws; name a folder"
            )


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """How images become files.

    Args:
        format: png, jpeg, webp, or png16: 65,536 steps of each colour in place of 256.
        quality: 1 to 100, of JPEG and WebP; a WebP of 100 is lossless.
    Raises: ValueError that names the value and the choices.
    """

    format: str = "png"
    quality: int = 90

    def __post_init__(self):
        if self.format not in IMAGE_ENDINGS:
            raise ValueError(f"format must be one of {', '.join(IMAGE_ENDINGS)}, got {self.format!r}")
        if isinstance(self.quality, bool) or not 1 <= self.quality <= 100:
            raise ValueError(f"quality must be from 1 to 100, got {self.quality}")

    @property
    def ending(self) -> str:
        """What names end in, without the point."""
        return IMAGE_ENDINGS[self.format]

    @property
    def keeps_pixels(self) -> bool:
        """Whether `stylegan.images.read_png` reads the pixels back as they were."""
        return self.format == "png"

    @property
    def text(self) -> dict[str, str]:
        """What a file says of its format; nothing of the usual one."""
        lossy = {"quality": str(self.quality)} if self.format in ("jpeg", "webp") else {}
        return {} if self.format == "png" else {"format": self.format, **lossy}

    def pixels(self, images: Tensor) -> Tensor:
        """Float images in [-1, 1] → as they are stored: uint8, of png16 uint16."""
        return to_uint16(images) if self.format == "png16" else to_uint8(images)

    def encode(self, image: Tensor, text: Mapping[str, str]) -> bytes:
        """The bytes of a file; of more than 4 channels the first three are seen.  Args: image: [C,H,W] of `pixels`."""
        return encoded(visible(image), text, format=self.format, quality=self.quality)

    def save(
        self,
        path: Path,
        image: Tensor,
        text: Mapping[str, str],
        *,
        cells: Sequence[Mapping[str, object]] | None = None,
    ) -> None:
        """Writes an image, `path`.json next to it, and of more than 4 channels all of them as an `.npy` [H,W,C].

        Args: cells: of a sheet: what is in each, which the JSON lists.
        Raises: OSError where the folder cannot be written.
        """
        write_sidecar(path, {**text, **({} if cells is None else {"cells": list(cells)})})
        if image.shape[0] > 4:
            with replacing(path.with_suffix(".npy"), durable=False) as file:
                np.save(file, image.cpu().movedim(0, -1).numpy())
        with replacing(path, durable=False) as file:
            file.write(self.encode(image, text))
