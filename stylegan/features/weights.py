"""Weight files: where they are, where they come from, whether they are what they are called, and reading them."""

import hashlib
import os
import pickle
import re
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor, nn

from stylegan.machine.downloads import DownloadError, Progress, tell
from stylegan.machine.downloads import download as fetch
from stylegan.machine.files import cache_folder, expanded

# torch.hub's convention: the name ends with the first digits of the file's SHA-256.
_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")
# Several times the largest detector.
_LARGEST_BYTES = 4 << 30


@dataclass(frozen=True)
class WeightFile:
    """A published file.

    Args:
        name: what it is called here.
        url: where it comes from.
        sha256: its first digits, 8 or more; empty = not known, so that it is neither downloaded nor called published.
    """

    name: str
    url: str
    sha256: str


@dataclass(frozen=True)
class Weights:
    """A file that was read.

    Args:
        tensors: by name.
        sha256: of the whole file.
        published: whether it has the publisher's digits.
    """

    path: Path
    tensors: dict[str, Tensor]
    sha256: str
    published: bool


def find_weights(
    file: WeightFile,
    *,
    path: str | Path | None = None,
    cache_dir: str | Path | None = None,
    download: bool = False,
) -> Path:
    """Where the file is: `path` (the file, or its folder) if given; else the cache folder; else torch's.

    Args:
        cache_dir: None = the user's.
        download: fetch it into the cache folder if it is missing.
    Raises: ValueError, of one line, that says what to put where, if it is missing or could not be fetched.
    """
    folder = expanded(cache_dir) if cache_dir is not None else cache_folder("detectors")
    if path is not None:
        given = expanded(path)
        places = [given / file.name if given.is_dir() else given]
    else:
        folders = [folder, Path(torch.hub.get_dir()) / "checkpoints"]
        places = [place / file.name for place in folders if place is not None]
    for place in places:
        if place.is_file():
            return place
    if path is not None:
        raise ValueError(f"there is no file {places[0]}; {file.name} comes from {file.url}")
    if download and file.sha256 and folder is not None:
        return download_weights(file, folder, progress=tell)
    save_it = "" if folder is None else f" and save it as {folder / file.name},"
    raise ValueError(f"the weights {file.name} are missing; fetch {file.url}{save_it} or give its path")


def download_weights(file: WeightFile, folder: str | Path, *, progress: Progress | None = None) -> Path:
    """Fetches the file into the folder; it has its name only once it is complete and has the published digits.

    Raises: ValueError, of one line, where the network, the content or the folder fails.
    """
    target = Path(folder) / file.name
    try:
        return fetch(file.url, target, largest_bytes=_LARGEST_BYTES, sha256=file.sha256, progress=progress)
    except DownloadError as error:
        raise ValueError(f"{error}; or fetch {file.url} by hand and save it as {target}") from None


def read_weights(path: Path, file: WeightFile) -> Weights:
    """The tensors of a file of weights. Nothing in it is executed.

    A name that ends like `-6726825d.pth` promises the first digits of the SHA-256. Of a file that is named otherwise
    any weights of the right shapes are accepted, and are not called published.
    Raises: ValueError, of one line, for a file that breaks the promise, is damaged, or holds anything but tensors.
    """
    try:
        with open(path, "rb") as content:
            return _read_open(content, path, file)
    except OSError as error:
        raise ValueError(f"cannot read the weights {path}: {_one_line(error)}") from None


def _read_open(content: BinaryIO, path: Path, file: WeightFile) -> Weights:
    """The digest and the tensors of one open file: another one that takes its name meanwhile is never half of both."""
    before = os.fstat(content.fileno())
    digest = hashlib.file_digest(content, "sha256").hexdigest()
    promised = _DIGEST_IN_NAME.search(path.name)
    if promised and not digest.startswith(promised[1]):
        raise ValueError(
            f"{path} is damaged or not what its name says: its SHA-256 begins with {digest[: len(promised[1])]}, "
            f"not {promised[1]}; fetch it again from {file.url}, or rename it if those are not digits of it"
        )
    tensors = _tensors(content, path, file)
    after = os.fstat(content.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ValueError(f"{path} was written to while it was read; run the command again")
    return Weights(path, tensors, digest, bool(file.sha256) and digest.startswith(file.sha256))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file. Raises: ValueError where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"cannot read the weights {path}: {_one_line(error)}") from None


def fit(network: nn.Module, weights: Weights, tensors: dict[str, Tensor] | None = None) -> None:
    """Puts the weights (or `tensors`, made of them), as float32, in the place of the network's own.

    Raises: ValueError, of one line, where names or shapes differ.
    """
    tensors = weights.tensors if tensors is None else tensors
    own = network.state_dict()
    # Of no use here, and older files lack it.
    tensors = {name: own[name] for name in own if name.endswith("num_batches_tracked")} | tensors
    lacking, idle = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    other = [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    for words, names in (("lacks", lacking), ("has the unknown", idle), ("has another shape of", other)):
        if names:
            raise ValueError(f"{weights.path} holds other weights: it {words} {names[0]} ({len(names)} such)")
    floats = {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
    }
    network.load_state_dict(floats, assign=True)


def _tensors(content: BinaryIO, path: Path, file: WeightFile) -> dict[str, Tensor]:
    content.seek(0)
    start = content.read(64).lstrip()
    content.seek(0)
    if start.startswith(b"<"):
        raise ValueError(f"{path} is a web page, not weights; fetch {file.url} itself")
    try:
        # It warns of what it then refuses.
        with warnings.catch_warnings(action="ignore"):
            tensors = torch.load(content, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is damaged, or holds more than weights, which is not loaded since it could run any program "
            f"({_one_line(error)}); fetch {file.url}"
        ) from None
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        struct.error,
    ) as error:
        raise ValueError(f"{path} is damaged ({_one_line(error)}); fetch it again from {file.url}") from None
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise ValueError(f"{path} holds no table of tensors, but {type(tensors).__name__}; fetch {file.url}")
    return dict(tensors)


def _one_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:120]
