"""Results of a projection: names and provenance of its files, writing them, and what of an earlier run is whole."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan.images import save_png, tile, visible
from stylegan.latents.drawer import Drawer
from stylegan.latents.latent_files import LatentRow, read_latents, write_latents
from stylegan.latents.outputs import Output, read_sidecar, sidecar_of, write_sidecar
from stylegan.latents.projection.pictures import Picture
from stylegan.latents.provenance import differences, refuse
from stylegan.latents.sampling import chunk_size

TABLES = ("projection.csv", "projection.json")
# What the sidecar of latents holds besides their provenance.
FOUND = "found"


@dataclass(frozen=True)
class Names:
    """The files of one picture, relative to the output folder."""

    latents: str
    target: str
    result: str
    compared: str
    video: str
    tuned: str

    @classmethod
    def of(cls, picture: Picture) -> "Names":
        name = picture.name
        return cls(
            latents=f"latents/{name}.npz",
            target=f"{name}-target.png",
            result=f"{name}-projected.png",
            compared=f"{name}-compared.png",
            video=f"{name}-search",
            tuned=f"{name}-tuned.safetensors",
        )

    @property
    def images(self) -> tuple[str, str, str]:
        return self.target, self.result, self.compared


@dataclass(frozen=True)
class Latents:
    """What was found for one picture. Args: label: its name. numbers: of the label [K]; empty without labels."""

    row: LatentRow
    loss: float
    best_step: int
    label: str
    numbers: tuple[float, ...]


def content_digest(picture: Picture) -> str:
    """SHA-256 of the file and of its mask, the first 16 digits.  Raises: ValueError where they cannot be read."""
    digest = hashlib.sha256()
    for path in (picture.path, picture.mask):
        if path is not None:
            try:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                raise ValueError(f"target={path}: {error.strerror or 'it cannot be read'}") from error
    return digest.hexdigest()[:16]


def refuse_others(output: Output, names: Sequence[Names], texts: Sequence[Mapping[str, str]]) -> None:
    """Refuses before any work where images of other origin would be replaced.  Raises: ValueError, see `refuse`."""
    if output.overwrite:
        return
    in_the_way = []
    for name, text in zip(names, texts, strict=True):
        for file in name.images:
            path = output.folder / file
            if path.exists() and (found := differences(path, text)) != []:
                in_the_way.append((path, found))
    refuse(in_the_way)


def read_found(output: Output, name: Names) -> Latents | None:
    """The latents of an earlier run; None where they, or what is said of them, are not whole."""
    path = output.folder / name.latents
    found = (read_sidecar(path) or {}).get(FOUND)
    try:
        numbers = tuple(float(number) for number in found["label_numbers"])
        return Latents(read_latents(path)[0], found["loss"], found["best_step"], found["label"], numbers)
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return None


def write_found(output: Output, name: Names, latents: Latents, text: Mapping[str, str]) -> None:
    """Writes the latents, and before them what is said of them: where there are latents, all is whole."""
    path = output.folder / name.latents
    path.parent.mkdir(parents=True, exist_ok=True)
    # An older file would count as what the new sidecar says.
    path.unlink(missing_ok=True)
    found = {
        "loss": latents.loss,
        "best_step": latents.best_step,
        "label": latents.label,
        "label_numbers": list(latents.numbers),
    }
    write_sidecar(path, {**text, FOUND: found})
    row = latents.row
    assert row.w is not None
    noise = {layer: maps[None] for layer, maps in (row.noise or {}).items()}
    write_latents(path, w=row.w[None], noise=noise, text=dict(text))


def write_images(
    output: Output, name: Names, target: Tensor, result: Tensor, text: Mapping[str, str]
) -> None:
    """The target, the result, and both side by side. Args: target, result: uint8 [C,H,W] on the CPU."""
    target, result = visible(target), visible(result)
    for file, image in zip(
        name.images, (target, result, tile(torch.stack([target, result]), columns=2)), strict=True
    ):
        path = output.folder / file
        if differences(path, text) != []:
            save_png(path, image, text)
    if not sidecar_of(output.folder / name.result).exists() or output.overwrite:
        write_sidecar(output.folder / name.result, text)


class SearchFrames:
    """The frames of a search: the target at the left, and at the right what the latents of a step draw.

    The noise maps are those that were found at last, in every frame.

    Args: target: uint8 [C,H,W]. path: w at some of the steps [T,L,W]. noise: {layer: [1,H,W]}, or None.
    """

    def __init__(self, drawer: Drawer, target: Tensor, path: Tensor, noise: Mapping[str, Tensor] | None):
        self.drawer, self.target, self.path, self.noise = drawer, target.cpu(), path, noise
        self.count = len(path)
        height, width = drawer.size
        self.size = (height, 2 * width)
        self.channels = len(visible(self.target))

    def draw(self, first: int, last: int) -> Iterator[Tensor]:
        """As of `Frames`."""
        chunk = chunk_size(self.drawer.size)
        for start in range(first, last, chunk):
            ws = self.path[start : min(start + chunk, last)].to(self.drawer.device)
            images = drawn(self.drawer, ws, self.noise)
            targets = self.target.expand(len(images), -1, -1, -1)
            yield torch.cat([visible(targets), visible(images)], 3)


def drawn(drawer: Drawer, ws: Tensor, noise: Mapping[str, Tensor] | None) -> Tensor:
    """ws [N,L,W], all with the same noise maps {layer: [1,H,W]} → uint8 [N,C,H,W] on the CPU."""
    maps = (
        None
        if not noise
        else {layer: values.expand(len(ws), *values.shape) for layer, values in noise.items()}
    )
    return drawer.images(ws, noise=maps).cpu()
