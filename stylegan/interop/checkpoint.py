"""Networks from files: a run folder, a `.ckpt` of training, or a `.safetensors`; and the generator to a file.

What a file must hold:
- `.ckpt`: Lightning's layout, and at the top `format_version`, `generator` and `discriminator` (their
  constructors' options); weights in `state_dict` under `generator_ema.` and `discriminator.`. Nothing in
  it is executed.
- `.safetensors` of ours: one generator; metadata `format_version` and `config`, the options as JSON.
- `.safetensors` without `format_version`: one network of the public implementation; `config` has its options.
- `.pkl`, `.pt`, `.pth`, or the folder of an unpacked one: `stylegan.interop.nvidia_pickle`."""

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stylegan.interop.nvidia_names import build_discriminator, build_generator, load_exactly
from stylegan.interop.nvidia_pickle import read_pickle
from stylegan.machine.files import replacing
from stylegan.networks import Discriminator, Generator
from stylegan.runs.network_files import PICKLES, WHAT_IS_A_NETWORK, network_file
from stylegan.version import FORMAT_VERSION, __version__

Network = TypeVar("Network", Generator, Discriminator)
# In a `.ckpt`: where the weights of each network are. Samples are drawn from the EMA generator.
_WEIGHTS = {"generator": "generator_ema.", "discriminator": "discriminator."}


class _Stored(NamedTuple):
    """One network as a file holds it: whose option names they are, the options, the weights."""

    public_options: bool
    options: Mapping[str, object]
    weights: Mapping[str, Tensor]


def load_generator(path: str | Path) -> Generator:
    """The generator in a run folder (its newest checkpoint), a `.ckpt`, a `.safetensors`, or a `.pkl`, `.pt` or `.pth`
    of NVIDIA's programs; or the name of a published one (`stylegan.runs.known_networks`), or its https address.

    From a checkpoint or snapshot of training it is the EMA generator. The global random generator is left as it was.

    Returns: the generator on the CPU, in evaluation mode, without gradients.
    Raises: ValueError in one line for a file that is absent, unreadable, of an unknown `format_version`,
        without a generator, or whose weights do not fit its options.
    """
    return _load(path, "generator", Generator, build_generator)


def load_discriminator(path: str | Path) -> Discriminator:
    """The discriminator, from what `load_generator` takes; raises likewise.

    A `.safetensors` written by training holds the generator alone, and says so.
    """
    return _load(path, "discriminator", Discriminator, build_discriminator)


def save_generator(path: str | Path, generator: Generator, metadata: Mapping[str, str] | None = None) -> None:
    """Write a generator's weights and options as a `.safetensors`, complete or not at all.

    Args:
        metadata: further text for the file's header; `config` and `format_version` are taken.
    Raises: ValueError where `metadata` has one of these.
    """
    path = Path(path)
    metadata = dict(metadata or {})
    own = {"format_version": str(FORMAT_VERSION), "config": json.dumps(generator.options)}
    if taken := sorted(own.keys() & metadata.keys()):
        raise ValueError(f"metadata of a generator's file may not hold {', '.join(taken)}")
    weights = {name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()}
    content = save(weights, metadata={**metadata, **own})
    # Written here, since safetensors' own writer makes files that no other user may read.
    with replacing(path) as file:
        file.write(content)


def _load(
    path: str | Path,
    kind: str,
    network_class: type[Network],
    build_public: Callable[[Mapping[str, object], Mapping[str, Tensor]], Network],
) -> Network:
    file = network_file(path)
    stored = _read(file, kind)
    try:
        # A constructor draws first weights, and loading must not change what the caller draws next.
        with torch.random.fork_rng(devices=[]):
            if stored.public_options:
                network = build_public(stored.options, stored.weights)
            else:
                network = network_class(**stored.options)
                load_exactly(network, stored.weights)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from error
    return network.eval().requires_grad_(False)


def _read(file: Path, kind: str) -> _Stored:
    if file.suffix in PICKLES or file.is_dir():
        return _read_pickle(file, kind)
    readers = {".ckpt": _read_checkpoint, ".safetensors": _read_safetensors}
    if file.suffix not in readers:
        raise ValueError(f"{file} is not a network: it must be {WHAT_IS_A_NETWORK}")
    try:
        return readers[file.suffix](file, kind)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, SafetensorError) as error:
        # torch adds a paragraph for readers of its source.
        first_line = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0]
        raise ValueError(
            f"{file} cannot be read, it may be incomplete: {first_line}; an older checkpoint, or the"
            " .safetensors of the same name, may be whole"
        ) from error


def _read_pickle(file: Path, kind: str) -> _Stored:
    content = read_pickle(file)
    network = content.generator if kind == "generator" else content.discriminator
    if network is None:
        raise ValueError(f"{file} has no {kind}, only {' and '.join(content.networks)}")
    return _Stored(True, network.options, network.weights)


def _read_checkpoint(file: Path, kind: str) -> _Stored:
    # Mapped, not read: the optimisers' moments, two thirds of the file, are never touched.
    content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(content, dict) or "format_version" not in content:
        raise ValueError(f"{file} has no format_version: it is not a checkpoint of this project")
    _check_version(file, str(content["format_version"]))
    if kind not in content:
        raise ValueError(f"{file} has no {kind}")
    prefix = _WEIGHTS[kind]
    weights = {
        name.removeprefix(prefix): value
        for name, value in content.get("state_dict", {}).items()
        if name.startswith(prefix)
    }
    return _Stored(False, content[kind], weights)


def _read_safetensors(file: Path, kind: str) -> _Stored:
    with safe_open(file, framework="pt") as archive:
        metadata = archive.metadata() or {}
        if "config" not in metadata:
            raise ValueError(f"{file} has no config in its metadata, so its options are unknown")
        is_ours = "format_version" in metadata
        if is_ours:
            _check_version(file, metadata["format_version"])
        try:
            options = json.loads(metadata["config"])
        except json.JSONDecodeError as error:
            raise ValueError(f"{file}: the config in its metadata is not JSON: {error}") from error
        # Ours hold generators only. Of the public ones, only a generator has a latent.
        found = "generator" if is_ours or "z_dim" in options else "discriminator"
        if found != kind:
            raise ValueError(f"{file} has no {kind}, only a {found}")
        return _Stored(not is_ours, options, {name: archive.get_tensor(name) for name in archive.keys()})


def _check_version(file: Path, version: str) -> None:
    if version != str(FORMAT_VERSION):
        raise ValueError(
            f"{file} has format_version {version}, which version {__version__} cannot read (it reads "
            f"{FORMAT_VERSION}); a newer version may have written it"
        )
