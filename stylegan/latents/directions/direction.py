"""Direction: what an image is moved along, in w or in one channel of a layer's styles, and the files that hold some."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.latents.latent_files import check_ratios
from stylegan.latents.layers import layer_mask
from stylegan.latents.style_layers import style_layers
from stylegan.machine.files import replacing
from stylegan.machine.text import printable

SUFFIXES = (".npz", ".npy")
# Far more than any method finds; a file that claims more holds something else.
_MOST_DIRECTIONS = 100_000


class Channel(NamedTuple):
    """One channel of the styles of a layer, as in `b16.conv0`. Source: Wu et al. 2021 (StyleSpace), section 3."""

    layer: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Direction:
    """A direction that images are moved along: w becomes w + strength·sigma·vector.

    Args:
        vector: float32 [1,W], the same for all layers, or [L,W]; None for a style channel.
        sigma: length of one unit of strength: the standard deviation of w along a unit vector, so that strengths of
            different directions compare; 1 where strengths are distances.
        layers: those that are moved, ascending; None = all. Of a vector alone.
        channel: whose style becomes style + strength·sigma; None for a vector.
        name: for names of files and of tracks.
        method: how it was found.
        provenance: text about its origin.
    """

    vector: Tensor | None = None
    sigma: float = 1.0
    layers: tuple[int, ...] | None = None
    channel: Channel | None = None
    name: str = ""
    method: str = ""
    provenance: Mapping[str, str] | None = None

    def basis(self, num_ws: int) -> Tensor:
        """What one unit of strength adds to ws: float32 [L,W], 0 in layers that stay.

        Raises: ValueError for a style channel.
        """
        if self.vector is None:
            raise ValueError(f"{self.name} is a style channel, which has no direction in w")
        moved = (self.vector.to(torch.float32) * self.sigma).expand(num_ws, -1)
        if self.layers is None:
            return moved.contiguous()
        return torch.where(layer_mask(self.layers, num_ws)[:, None], moved, 0.0)

    def shift(self, strengths: Tensor, num_ws: int) -> Tensor:
        """Strengths [N] → what they add to ws, [N,L,W], on their device."""
        return strengths.to(torch.float32)[:, None, None] * self.basis(num_ws).to(strengths.device)

    def check(self, generator: nn.Module, *, source: str, network: str = "the network") -> None:
        """Raises: ValueError in one line where the direction does not fit the network: width, layers, or channel."""
        if self.channel is not None:
            _check_channel(self.channel, generator, source=source, network=network)
            return
        rows, width = self.vector.shape
        if width != generator.w_dim or rows not in (1, generator.num_ws):
            raise ValueError(
                f"{source}: the direction has the shape {[rows, width]}, and {network} takes"
                f" [1, {generator.w_dim}] or [{generator.num_ws}, {generator.w_dim}]"
            )
        if self.layers and self.layers[-1] >= generator.num_ws:
            raise ValueError(
                f"{source}: it moves layer {self.layers[-1]}, and {network} has {generator.num_ws} layers,"
                f" numbered 0 to {generator.num_ws - 1}"
            )


def write_directions(path: Path, directions: Sequence[Direction], text: Mapping[str, str]) -> None:
    """Writes directions of one method into an `.npz`, `text` as JSON under `provenance`.

    Vectors: `direction` float32 [K,1,W] or [K,L,W], and `layers` where not all are moved. Style channels:
    `style_layers` and `style_channels` [K]. Both: `sigma` [K], `names` [K], `method`.
    """
    arrays: dict[str, np.ndarray] = {}
    if directions[0].channel is None:
        arrays["direction"] = torch.stack([one.vector for one in directions]).to(torch.float32).cpu().numpy()
        if directions[0].layers is not None:
            arrays["layers"] = np.array(directions[0].layers, dtype=np.int64)
    else:
        arrays["style_layers"] = np.array([one.channel.layer for one in directions])
        arrays["style_channels"] = np.array([one.channel.number for one in directions], dtype=np.int64)
    arrays["sigma"] = np.array([one.sigma for one in directions], dtype=np.float64)
    arrays["names"] = np.array([one.name for one in directions])
    arrays["method"] = np.array(directions[0].method)
    arrays["provenance"] = np.array(json.dumps(dict(text), sort_keys=True))
    with replacing(path, durable=False) as file:
        np.savez(file, **arrays)


def read_directions(path: Path) -> list[Direction]:
    """The directions of a file, in order; nothing that it holds is executed.

    An `.npz` as `write_directions` has it; in one of another program, or in an `.npy`, an array [W], [L,W] or [K,L,W],
    whose strengths are distances.

    Raises: ValueError that names the file and what is wrong with it; OSError where it cannot be read.
    """
    try:
        arrays = _arrays(path)
    except OSError:
        raise
    except Exception as error:
        # The readers of archives have error classes of their own, as of damaged bytes.
        raise ValueError(
            f"{printable(str(path))}: this is no file of directions ({_first_line(error)})"
        ) from error
    try:
        return _directions(arrays, path)
    except ValueError as error:
        raise ValueError(f"{printable(str(path))}: {error}") from error


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if path.suffix.lower() == ".npy":
        return {"direction": np.load(path, allow_pickle=False)}
    if path.suffix.lower() != ".npz":
        raise ValueError(f"directions are in {' or '.join(SUFFIXES)}")
    with np.load(path, allow_pickle=False) as archive:
        check_ratios(archive.zip)
        return {name: archive[name] for name in archive.files}


def _directions(arrays: Mapping[str, np.ndarray], path: Path) -> list[Direction]:
    provenance = _provenance(arrays)
    method = str(arrays["method"]) if "method" in arrays else ""
    if "style_layers" in arrays:
        layers, numbers = arrays["style_layers"], arrays.get("style_channels", np.array([]))
        if (
            layers.ndim != 1
            or layers.dtype.kind != "U"
            or numbers.shape != layers.shape
            or numbers.dtype.kind not in "iu"
        ):
            raise ValueError("style_layers and style_channels must be as many layers and numbers")
        channels = [Channel(str(layer), int(number)) for layer, number in zip(layers, numbers, strict=True)]
        vectors, moved = [None] * len(channels), None
    else:
        vectors, moved = _vectors(arrays), _layers(arrays)
        channels = [None] * len(vectors)
    count = len(channels)
    if not 0 < count <= _MOST_DIRECTIONS:
        raise ValueError(f"it holds {count:,} directions")
    sigmas = _sigmas(arrays, count)
    return [
        Direction(
            vector=vectors[i],
            sigma=sigmas[i],
            layers=moved,
            channel=channels[i],
            name=path.stem if count == 1 else f"{path.stem}-{i}",
            method=method,
            provenance=provenance,
        )
        for i in range(count)
    ]


def _vectors(arrays: Mapping[str, np.ndarray]) -> list[Tensor]:
    found = [name for name in arrays if arrays[name].dtype.kind == "f" and name != "sigma"]
    name = "direction" if "direction" in arrays else found[0] if len(found) == 1 else None
    if name is None:
        raise ValueError(f"it holds no direction, but {printable(', '.join(arrays)[:80]) or 'nothing'}")
    values = arrays[name]
    if values.dtype.kind not in "fiu" or values.ndim not in (1, 2, 3) or 0 in values.shape:
        raise ValueError(
            f"{printable(name)} must be numbers [W], [L,W] or [K,L,W], got {values.dtype} {list(values.shape)}"
        )
    vectors = torch.from_numpy(values.astype(np.float32))
    if not bool(torch.isfinite(vectors).all()):
        raise ValueError(f"{printable(name)} holds values that are no finite numbers")
    return list(vectors.reshape(-1, *vectors.shape[-2:]) if vectors.ndim > 1 else vectors[None, None])


def _layers(arrays: Mapping[str, np.ndarray]) -> tuple[int, ...] | None:
    if "layers" not in arrays:
        return None
    layers = arrays["layers"]
    if layers.ndim != 1 or layers.dtype.kind not in "iu" or not len(layers) or layers.min() < 0:
        raise ValueError("layers must be the numbers of at least one layer")
    return tuple(sorted({int(layer) for layer in layers}))


def _sigmas(arrays: Mapping[str, np.ndarray], count: int) -> list[float]:
    if "sigma" not in arrays:
        return [1.0] * count
    sigmas = arrays["sigma"]
    if sigmas.shape not in ((), (count,)) or sigmas.dtype.kind not in "fiu":
        raise ValueError(f"sigma must be {count} numbers, got {sigmas.dtype} {list(sigmas.shape)}")
    values = [float(value) for value in np.broadcast_to(sigmas, (count,))]
    if not all(math.isfinite(value) for value in values):
        raise ValueError("sigma holds values that are no finite numbers")
    return values


def _provenance(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    try:
        found = json.loads(str(arrays["provenance"]))
    except (KeyError, ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _check_channel(channel: Channel, generator: nn.Module, *, source: str, network: str) -> None:
    layers = style_layers(generator)
    if channel.layer not in layers:
        raise ValueError(
            f"{source}: {network} has no layer {printable(channel.layer)}; it has {', '.join(layers)}"
        )
    count = layers[channel.layer].channels
    if not 0 <= channel.number < count:
        raise ValueError(
            f"{source}: layer {channel.layer} of {network} has {count} channels, numbered 0 to {count - 1},"
            f" and the file says {channel.number}"
        )


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
