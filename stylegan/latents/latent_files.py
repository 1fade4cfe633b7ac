"""Latent files: z and w in `.npz`, `.npy`, `.safetensors` and `.pt`; nothing that a file holds is executed."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylegan.machine.files import replacing
from stylegan.machine.text import printable, some

SUFFIXES = (".npz", ".npy", ".safetensors", ".pt")
_NOISE = "noise."
# More of them than bytes would allow are refused unread: a few bytes of a packed file can stand for a full memory.
_LARGEST_RATIO = 100
_SMALL = 2**24  # bytes, which never matter
# What other programs call a w.
_W_NAMES = ("w", "ws", "latent", "latents", "dlatent", "dlatents", "w_plus")


class LatentRow(NamedTuple):
    """One latent of a file: z [Z] or w [1,W] or [L,W], and noise maps {layer: [1,H,W]} that belong to w."""

    z: Tensor | None = None
    w: Tensor | None = None
    noise: Mapping[str, Tensor] | None = None


def read_latents(path: Path) -> list[LatentRow]:
    """The latents of a file, in order.

    `.npz` and `.safetensors` hold w [N,L,W], [L,W] or [N,1,W] under `w` (or the name that public tools use), or
    z [N,Z] under `z`, and noise maps under `noise.b8.conv0` [N,1,H,W]. An array alone, as in `.npy`, is a w.

    What a file declares is compared with its size before memory is taken for it, and a pickle is refused.
    Raises: ValueError that names the file and what is wrong with it; OSError where it cannot be read.
    """
    shown = printable(str(path))
    try:
        held = _arrays(path)
    except OSError as error:
        if error.errno is None and not isinstance(error, FileNotFoundError):  # of a reader, about the bytes
            raise ValueError(f"{shown}: this is no file of latents ({_in_one_line(error)})") from error
        raise
    except Exception as error:
        # The readers of archives, of safetensors and of torch have error classes of their own, as of damaged bytes.
        raise ValueError(f"{shown}: this is no file of latents ({_in_one_line(error)})") from error
    arrays = {name: values for name, values in held.items() if values is not None}
    name = next((name for name in _W_NAMES if name in arrays), None)
    if name is None and "z" not in arrays:
        raise ValueError(f"{shown}: it holds neither w nor z, but {some([*held]) or 'nothing'}")
    for key, values in arrays.items():
        if key in (name, "z") or key.startswith(_NOISE):
            _check(path, key, values)
    if name is None:
        z = arrays["z"]
        if z.ndim not in (1, 2) or 0 in z.shape:
            raise ValueError(f"{shown}: z must have the shape [Z] or [N,Z], got {list(z.shape)}")
        return [LatentRow(z=row) for row in (z[None] if z.ndim == 1 else z)]
    w = arrays[name]
    w = w[None] if w.ndim == 2 else w
    if w.ndim != 3 or 0 in w.shape:
        raise ValueError(f"{shown}: w must have the shape [L,W] or [N,L,W], got {list(arrays[name].shape)}")
    noise = {key.removeprefix(_NOISE): maps for key, maps in arrays.items() if key.startswith(_NOISE)}
    for key, maps in noise.items():
        if maps.ndim != 4 or len(maps) != len(w) or maps.shape[1] != 1:
            raise ValueError(
                f"{shown}: {_NOISE}{key} must have the shape [{len(w)},1,H,W], got {list(maps.shape)}"
            )
    return [
        LatentRow(w=row, noise={key: maps[i] for key, maps in noise.items()} or None)
        for i, row in enumerate(w)
    ]


def latents_of_image(path: Path) -> Path:
    """Where the latent of an image lies that was drawn from a file: `fox.png` → `fox.png.npz`."""
    return path.with_name(f"{path.name}.npz")


def write_latents(
    path: Path,
    *,
    w: Tensor | None = None,
    z: Tensor | None = None,
    noise: Mapping[str, Tensor] | None = None,
    text: Mapping[str, str] | None = None,
) -> None:
    """Writes an `.npz`, the same bytes for the same content.

    Args: w: [N,L,W]. z: [N,Z]; one of both may be missing. noise: {layer: [N,1,H,W]}.
        text: goes in as JSON under `provenance`.
    """
    with replacing(path, durable=False) as file:
        write_latents_to(file, w=w, z=z, noise=noise, text=text)


def write_latents_to(
    file: BinaryIO,
    *,
    w: Tensor | None = None,
    z: Tensor | None = None,
    noise: Mapping[str, Tensor] | None = None,
    text: Mapping[str, str] | None = None,
) -> None:
    """As `write_latents`, into a file that is open."""
    arrays = {"w": w, "z": z} | {_NOISE + layer: maps for layer, maps in (noise or {}).items()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, values in arrays.items():
            if values is not None:
                _write_array(archive, name, list(values.shape), [values])
        _write_text(archive, text)


def write_many_w(
    path: Path, parts: Iterable[Tensor], *, shape: tuple[int, int, int], text: Mapping[str, str]
) -> None:
    """As `write_latents`, of w that come in parts [n,L,W], so that memory does not grow with their number.

    Args: shape: [N,L,W] of all together.
    """
    with replacing(path, durable=False) as file, zipfile.ZipFile(file, "w") as archive:
        _write_array(archive, "w", list(shape), parts)
        _write_text(archive, text)


def _write_array(archive: zipfile.ZipFile, name: str, shape: list[int], parts: Iterable[Tensor]) -> None:
    # An entry that is made so has a fixed date.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
        header = {"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(entry, header)
        for part in parts:
            entry.write(part.detach().cpu().to(torch.float32).contiguous().numpy().astype("<f4").tobytes())


def _write_text(archive: zipfile.ZipFile, text: Mapping[str, str] | None) -> None:
    if text:
        with archive.open(zipfile.ZipInfo("provenance.npy"), "w") as entry:
            np.lib.format.write_array(
                entry, np.array(json.dumps(dict(text), sort_keys=True)), allow_pickle=False
            )


def _arrays(path: Path) -> dict[str, Tensor | None]:
    """What a file holds by name; None for what is neither latent nor noise, and is not read."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            check_ratios(archive)
            return {
                entry.filename.removesuffix(".npy"): _read_entry(archive, entry)
                for entry in archive.infolist()
            }
    if suffix == ".npy":
        with open(path, "rb") as file:
            return {"w": _read_array(file, path.stat().st_size)}
    if suffix == ".safetensors":
        from safetensors.torch import load_file

        return {name: _plain(values) if _is_read(name) else None for name, values in load_file(path).items()}
    if suffix == ".pt":
        return _read_torch(path)
    raise ValueError(f"latents are in {', '.join(SUFFIXES)}")


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Tensor | None:
    if not _is_read(entry.filename.removesuffix(".npy")):
        return None
    with archive.open(entry) as file:
        return _read_array(file, entry.file_size)


def _read_array(file: BinaryIO, size: int) -> Tensor:
    """An array of numpy's format from a file of `size` bytes; numpy's own reader takes the memory first."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"it has version {version} of numpy's format")
    one = version == (1, 0)
    shape, fortran, dtype = (
        np.lib.format.read_array_header_1_0 if one else np.lib.format.read_array_header_2_0
    )(file)
    if dtype.hasobject or dtype.kind not in "fiu":
        raise ValueError(f"its numbers are of type {dtype}")
    count = 1
    for side in shape:  # in whole numbers of Python, which have no end
        count *= side
    if count < 0 or count * dtype.itemsize > size:
        raise ValueError(f"it declares the shape {list(shape)} and is {size:,} bytes long")
    content = file.read(count * dtype.itemsize)
    if len(content) < count * dtype.itemsize:
        raise ValueError("it ends too early")
    array = np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def _read_torch(path: Path) -> dict[str, Tensor | None]:
    # The format of before 2020 takes as much memory as the file asks for, before it reads.
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is not in the format of today's torch.save")
        with zipfile.ZipFile(file) as archive:
            check_ratios(archive)
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    loaded = {"w": loaded} if isinstance(loaded, Tensor) else loaded
    if not isinstance(loaded, Mapping):
        raise ValueError(f"it holds a {type(loaded).__name__}, neither a tensor nor tensors by name")
    named = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    return {name: _plain(value) if _is_read(name) else None for name, value in named.items()}


def _is_read(name: str) -> bool:
    return name in (*_W_NAMES, "z") or name.startswith(_NOISE)


def _plain(values: Tensor) -> Tensor:
    """float32 [...] of what a file holds; integers stay, to be refused by name."""
    if (
        values.layout != torch.strided
        or values.is_complex()
        or values.is_quantized
        or values.device.type != "cpu"
    ):
        raise ValueError(f"its numbers are of type {values.dtype} in the layout {values.layout}")
    # A view can repeat one number without end.
    if values.numel() * values.element_size() > values.untyped_storage().nbytes():
        raise ValueError(f"it declares the shape {list(values.shape)} and holds fewer numbers")
    return values.detach().to(torch.float32).contiguous() if values.is_floating_point() else values


def check_ratios(archive: zipfile.ZipFile) -> None:
    """Raises: ValueError where a few bytes of an archive stand for a full memory."""
    for entry in archive.infolist():
        if entry.file_size > max(_SMALL, _LARGEST_RATIO * entry.compress_size):
            raise ValueError(
                f"{printable(entry.filename)} would be {entry.file_size:,} bytes long when unpacked"
            )


def _in_one_line(error: Exception) -> str:
    text = printable(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."


def _check(path: Path, key: str, values: Tensor) -> None:
    if not values.is_floating_point() or not bool(torch.isfinite(values).all()):
        raise ValueError(f"{printable(str(path))}: {printable(key)} holds values that are no finite numbers")
