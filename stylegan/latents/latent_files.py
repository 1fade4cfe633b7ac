"""Latent files: z and w in `.npz`, `.npy`, `.safetensors` and `.pt`; nothing that a file holds is executed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylegan.machine.files import replacing
from stylegan.machine.text import printable

SUFFIXES = (".npz", ".npy", ".safetensors", ".pt")
_NOISE = "noise."
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

    Raises: ValueError that names the file and what is wrong with it; OSError where it cannot be read.
    """
    try:
        arrays = _arrays(path)
    except (ValueError, KeyError, EOFError, RuntimeError, NotImplementedError, SyntaxError) as error:
        raise ValueError(f"{printable(path)}: this is no file of latents ({' '.join(str(error).split())})") from error
    except Exception as error:
        # The readers of archives and of safetensors have error classes of their own, as of damaged bytes.
        if isinstance(error, OSError | MemoryError):
            raise
        raise ValueError(f"{printable(path)}: this is no file of latents ({type(error).__name__})") from error
    name = next((name for name in _W_NAMES if name in arrays), None)
    if name is None and "z" not in arrays:
        raise ValueError(f"{printable(path)}: it holds neither w nor z, but {', '.join(arrays) or 'nothing'}")
    for key, values in arrays.items():
        if key in (name, "z") or key.startswith(_NOISE):
            _check(path, key, values)
    if name is None:
        z = arrays["z"]
        return [LatentRow(z=row) for row in (z[None] if z.ndim == 1 else z)]
    w = arrays[name]
    w = w[None] if w.ndim == 2 else w
    if w.ndim != 3 or 0 in w.shape:
        raise ValueError(f"{printable(path)}: w must have the shape [L,W] or [N,L,W], got {list(arrays[name].shape)}")
    noise = {key.removeprefix(_NOISE): maps for key, maps in arrays.items() if key.startswith(_NOISE)}
    for key, maps in noise.items():
        if maps.ndim != 4 or len(maps) != len(w) or maps.shape[1] != 1:
            raise ValueError(
                f"{printable(path)}: {_NOISE}{key} must have the shape [{len(w)},1,H,W], got {list(maps.shape)}"
            )
    return [
        LatentRow(w=row, noise={key: maps[i] for key, maps in noise.items()} or None) for i, row in enumerate(w)
    ]


def write_latents(
    path: Path,
    *,
    w: Tensor,
    z: Tensor | None = None,
    noise: Mapping[str, Tensor] | None = None,
    text: Mapping[str, str] | None = None,
) -> None:
    """Writes an `.npz` of w [N,L,W], z [N,Z] and noise {layer: [N,1,H,W]}; `text` goes in as JSON under `provenance`."""
    arrays = {"w": w.detach().cpu().numpy()}
    arrays |= {} if z is None else {"z": z.detach().cpu().numpy()}
    arrays |= {_NOISE + layer: maps.detach().cpu().numpy() for layer, maps in (noise or {}).items()}
    arrays |= {"provenance": np.array(json.dumps(dict(text), sort_keys=True))} if text else {}
    with replacing(path, durable=False) as file:
        np.savez(file, **arrays)


def _arrays(path: Path) -> dict[str, Tensor]:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            names = [name for name in archive.files if name != "provenance"]
            return {name: _tensor(archive[name]) for name in names}
    if suffix == ".npy":
        return {"w": _tensor(np.load(path, allow_pickle=False))}
    if suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if suffix == ".pt":
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        loaded = {"w": loaded} if isinstance(loaded, Tensor) else loaded
        if not isinstance(loaded, Mapping):
            raise ValueError(f"it holds a {type(loaded).__name__}, neither a tensor nor tensors by name")
        return {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    raise ValueError(f"latents are in {', '.join(SUFFIXES)}")


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"its numbers are of type {array.dtype}")
    return torch.from_numpy(array.astype(np.float32))


def _check(path: Path, key: str, values: Tensor) -> None:
    if not values.is_floating_point() or not bool(torch.isfinite(values).all()):
        raise ValueError(f"{printable(path)}: {key} holds values that are no finite numbers")
