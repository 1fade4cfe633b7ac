"""Networks from files: a run folder, a `.ckpt` of training, or a `.safetensors`; and the generator to a file.

What a file must hold:
- `.ckpt`: Lightning's layout, and at the top `format_version`, `generator` and `discriminator` (their
  constructors' options); weights in `state_dict` under `generator_ema.` and `discriminator.`. Nothing in
  it is executed.
- `.safetensors` of ours: one generator; metadata `format_version` and `config`, the options as JSON.
- `.safetensors` without `format_version`: one network of the public implementation; `config` has its options."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from stylegan.interop.nvidia_names import build_discriminator, build_generator, load_exactly
from stylegan.interop.stored import Kind, StoredNetwork, StoredNetworks
from stylegan.machine.files import replacing
from stylegan.networks import Discriminator, Generator
from stylegan.runs.network_files import network_file
from stylegan.version import FORMAT_VERSION, __version__

# Of a `.ckpt`: each network, and where its options are; its weights' names begin with what it is.
_IN_CHECKPOINT: dict[Kind, str] = {
    "generator": "generator",
    "generator_ema": "generator",
    "discriminator": "discriminator",
}


def load_generator(path: str | Path) -> Generator:
    """The generator in a run folder (its newest checkpoint), a `.ckpt` or a `.safetensors`.

    From a checkpoint of training it is the EMA generator. The global random generator is left as it was.

    Returns: the generator on the CPU, in evaluation mode, without gradients.
    Raises: ValueError in one line for a file that is absent, unreadable, of an unknown `format_version`,
        without a generator, or whose weights do not fit its options.
    """
    network = _load(Path(path), "generator", ("generator_ema", "generator"))
    assert isinstance(network, Generator)
    return network


def load_discriminator(path: str | Path) -> Discriminator:
    """The discriminator, from what `load_generator` takes; raises likewise.

    A `.safetensors` written by training holds the generator alone, and says so.
    """
    network = _load(Path(path), "discriminator", ("discriminator",))
    assert isinstance(network, Discriminator)
    return network


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


def read_networks(path: str | Path) -> StoredNetworks:
    """All networks in a run folder (its newest checkpoint), a `.ckpt` or a `.safetensors`; nothing of it is executed.

    Raises: ValueError in one line for a file that is absent, unreadable or of an unknown `format_version`.
    """
    file = network_file(path)
    readers = {".ckpt": _read_checkpoint, ".safetensors": _read_safetensors}
    if file.suffix not in readers:
        raise ValueError(f"{file} is not a network: it must be a run folder, a .ckpt or a .safetensors")
    try:
        return readers[file.suffix](file)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, SafetensorError) as error:
        # torch adds a paragraph for readers of its source.
        first_line = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0]
        raise ValueError(
            f"{file} cannot be read, it may be incomplete: {first_line}; an older checkpoint, or the"
            " .safetensors of the same name, may be whole"
        ) from error


def build(stored: StoredNetwork) -> Generator | Discriminator:
    """The network, on the CPU and in training mode. The global random generator is left as it was.

    Raises: ValueError or TypeError for options that are no network's, and weights that do not fit them.
    """
    # A constructor draws first weights, and loading must not change what the caller draws next.
    with torch.random.fork_rng(devices=[]):
        if stored.public_options:
            public = build_generator if stored.is_generator else build_discriminator
            return public(stored.options, stored.weights)
        network = (Generator if stored.is_generator else Discriminator)(**stored.options)
        load_exactly(network, stored.weights)
        return network


def _load(path: Path, kind: str, wanted: tuple[Kind, ...]) -> Generator | Discriminator:
    """The first of the wanted networks that the file has, for use."""
    file = network_file(path)
    networks = read_networks(file).networks
    found = next((networks[name] for name in wanted if name in networks), None)
    if found is None:
        others = f", only a {next(iter(networks)).removesuffix('_ema')}" if networks else ""
        raise ValueError(f"{file} has no {kind}{others}")
    try:
        network = build(found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from error
    return network.eval().requires_grad_(False)


def _read_checkpoint(file: Path) -> StoredNetworks:
    # Mapped, not read: the optimisers' moments, two thirds of the file, are never touched.
    content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(content, dict) or "format_version" not in content:
        raise ValueError(f"{file} has no format_version: it is not a checkpoint of this project")
    _check_version(file, str(content["format_version"]))
    state = content.get("state_dict", {})
    networks = {}
    for kind, options in _IN_CHECKPOINT.items():
        prefix = f"{kind}."
        weights = {
            name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
        }
        if options in content:
            networks[kind] = StoredNetwork(content[options], weights, False)
    images = state.get("images_seen")
    facts = {} if images is None else {"kimg": f"{int(images) / 1000:.3f}"}
    return StoredNetworks(str(file), networks, facts)


def _read_safetensors(file: Path) -> StoredNetworks:
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
        weights = {name: archive.get_tensor(name) for name in archive.keys()}
        stored = StoredNetwork(options, weights, not is_ours)
        kind: Kind = "generator_ema" if is_ours or stored.is_generator else "discriminator"
        facts = {key: value for key, value in metadata.items() if key not in ("config", "format_version")}
        return StoredNetworks(str(file), {kind: stored}, facts)


def _check_version(file: Path, version: str) -> None:
    if version != str(FORMAT_VERSION):
        raise ValueError(
            f"{file} has format_version {version}, which version {__version__} cannot read (it reads "
            f"{FORMAT_VERSION}); a newer version may have written it"
        )
