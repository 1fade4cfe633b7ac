"""Our own files of networks: `.safetensors`, of one generator or of several networks, with what is known of them.

The header of each file is text by key. `format_version` says how the rest is laid out:
- 1: one generator, its tensors under their own names; `config`, its options as JSON.
- 2: any of `generator_ema`, `generator` and `discriminator`, each tensor's name after its network's and a dot;
  `config`, kind → options as JSON.
Both may have facts: `kimg`, `data_fingerprint`, `label_names` (JSON), `license`, and `sha256`, the digest of each
network's weights (`stylegan.networks.digest`), which is compared when the file is read. A file without
`format_version` holds one network of the public implementation, with its options as `config`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from stylegan.interop.stored import KINDS, Kind, StoredNetwork, StoredNetworks
from stylegan.machine.files import replacing
from stylegan.networks import Generator
from stylegan.networks.digest import tensors_sha256
from stylegan.version import FORMAT_VERSION, __version__

# Of a file that names its networks.
SEVERAL_VERSION = 2
# Keys of the header that say how to read the file; all others are facts.
_LAYOUT = ("format_version", "config")


def save_generator(path: str | Path, generator: Generator, metadata: Mapping[str, str] | None = None) -> None:
    """Write a generator's weights and options as a `.safetensors`, complete or not at all.

    Args:
        metadata: further text for the file's header; `config` and `format_version` are taken.
    Raises: ValueError where `metadata` has one of these.
    """
    stored = StoredNetwork(generator.options, generator.state_dict())
    save_networks(path, StoredNetworks(str(path), {"generator_ema": stored}, dict(metadata or {})))


def save_networks(path: str | Path, stored: StoredNetworks) -> None:
    """Write networks and facts as one `.safetensors`, complete or not at all.

    The EMA generator alone is a file of version 1, which every version of this project reads.
    Args: stored: networks with options of ours.
    Raises: ValueError where a fact has a name that the layout takes; OSError.
    """
    if taken := sorted(set(_LAYOUT) & stored.facts.keys()):
        raise ValueError(f"metadata of a generator's file may not hold {', '.join(taken)}")
    networks = {kind: stored.networks[kind] for kind in KINDS if kind in stored.networks}
    if any(network.public_options for network in networks.values()):
        raise ValueError("save_networks takes networks with options of ours; build them first")
    digests = {kind: tensors_sha256(network.weights) for kind, network in networks.items()}
    if list(networks) == ["generator_ema"]:
        version, prefixes = FORMAT_VERSION, {"generator_ema": ""}
        config: object = networks["generator_ema"].options
    else:
        version, prefixes = SEVERAL_VERSION, {kind: f"{kind}." for kind in networks}
        config = {kind: network.options for kind, network in networks.items()}
    weights = {
        prefixes[kind] + name: _storable(value)
        for kind, network in networks.items()
        for name, value in network.weights.items()
    }
    header = {
        **stored.facts,
        "sha256": json.dumps(digests),
        "format_version": str(version),
        "config": json.dumps(config),
    }
    # Written here, since safetensors' own writer makes files that no other user may read.
    content = save(weights, metadata=header)
    start = 8 + int.from_bytes(content[:8], "little")
    with replacing(path) as file:
        file.write(_ordered(content[8:start]))
        file.write(memoryview(content)[start:])


def _ordered(header: bytes) -> bytes:
    """The length and the header of a file with its texts in the order of their names, so that the same networks and
    facts are always the same bytes; safetensors orders them at random."""
    tables = json.loads(header)
    tables["__metadata__"] = dict(sorted(tables["__metadata__"].items()))
    text = json.dumps(tables, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)  # where the tensors begin is a multiple of 8
    return len(text).to_bytes(8, "little") + text


def _storable(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous()


def read_safetensors(file: Path) -> StoredNetworks:
    """The networks of a `.safetensors`, ours or of the public implementation.

    Raises: ValueError in one line for an unknown `format_version`, a header that cannot be used, or weights that are
        not those that the header names; SafetensorError, OSError where the file is damaged.
    """
    with safe_open(file, framework="pt") as archive:
        header = archive.metadata() or {}
        if "config" not in header:
            raise ValueError(f"{file} has no config in its metadata, so its options are unknown")
        version = header.get("format_version")
        if version is not None:
            refuse_version(file, version, known=(FORMAT_VERSION, SEVERAL_VERSION))
        config = _parsed(file, header, "config")
        weights = {name: archive.get_tensor(name) for name in archive.keys()}
    if version is None:
        kind: Kind = "generator_ema" if "z_dim" in config else "discriminator"
        return StoredNetworks(str(file), {kind: StoredNetwork(config, weights, public_options=True)})
    if version == str(FORMAT_VERSION):
        networks = {"generator_ema": StoredNetwork(config, weights)}
    else:
        networks = _split(file, config, weights)
    _refuse_other_weights(file, header, networks)
    facts = {key: value for key, value in header.items() if key not in _LAYOUT}
    if "kimg" not in facts and facts.get("images", "").isdecimal():
        facts["kimg"] = f"{int(facts['images']) / 1000:.3f}"
    return StoredNetworks(str(file), networks, facts)


def refuse_version(file: Path, version: str, *, known: tuple[int, ...]) -> None:
    """Raises: ValueError where a file's `format_version` is none of `known`."""
    if version not in map(str, known):
        raise ValueError(
            f"{file} has format_version {version}, which version {__version__} cannot read (it reads "
            f"{' and '.join(map(str, known))}); a newer version may have written it"
        )


def _parsed(file: Path, header: Mapping[str, str], key: str) -> dict[str, object]:
    try:
        value = json.loads(header[key])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: the {key} in its metadata is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{file}: the {key} in its metadata is no JSON object")
    return value


def _split(
    file: Path, config: Mapping[str, object], weights: Mapping[str, Tensor]
) -> dict[Kind, StoredNetwork]:
    """The networks of a file of version 2."""
    if unknown := [kind for kind in config if kind not in KINDS]:
        raise ValueError(f"{file} has a network of an unknown kind: {unknown[0]}; known: {', '.join(KINDS)}")
    parts: dict[str, dict[str, Tensor]] = {kind: {} for kind in config}
    for name, value in weights.items():
        kind, _, own_name = name.partition(".")
        if kind not in parts:
            raise ValueError(f"{file}: its tensor {name} belongs to no network that its config names")
        parts[kind][own_name] = value
    found = {}
    for kind, options in config.items():
        if not isinstance(options, dict):
            raise ValueError(f"{file}: the options of its {kind} are no JSON object")
        found[kind] = StoredNetwork(options, parts[kind])
    return found


def _refuse_other_weights(
    file: Path, header: Mapping[str, str], networks: Mapping[Kind, StoredNetwork]
) -> None:
    if "sha256" not in header:
        return
    digests = _parsed(file, header, "sha256")
    for kind, network in networks.items():
        if kind in digests and digests[kind] != tensors_sha256(network.weights):
            raise ValueError(
                f"{file}: the weights of its {kind} are not those that it was written with (their sha256 differs);"
                " the file is damaged or was edited: copy or convert it again"
            )
