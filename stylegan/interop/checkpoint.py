"""Networks from files: run folders, checkpoints of training and the files of other programs; and from the Hub.

What a file must hold:
- `.ckpt`: Lightning's layout, and at the top `format_version`, `generator` and `discriminator` (their
  constructors' options); weights in `state_dict` under `generator.`, `generator_ema.` and `discriminator.`.
- `.safetensors`: `stylegan.interop.native`.
- `.pkl`, `.pt`, `.pth`, or the folder of an unpacked one: `stylegan.interop.nvidia_pickle`.
Nothing in any of them is executed."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError

from stylegan.interop import hub
from stylegan.interop.fitting import check_options
from stylegan.interop.native import read_safetensors, refuse_version
from stylegan.interop.native import save_generator as save_generator
from stylegan.interop.nvidia_names import build_discriminator, build_generator, load_exactly
from stylegan.interop.nvidia_pickle import read_pickle
from stylegan.interop.stored import KINDS, TO_DRAW_FROM, Kind, StoredNetwork, StoredNetworks
from stylegan.networks import Discriminator, Generator
from stylegan.runs.known_networks import KNOWN_NETWORKS, is_known
from stylegan.runs.network_files import PICKLES, WHAT_IS_A_NETWORK, network_file
from stylegan.version import FORMAT_VERSION

# In a `.ckpt`: where the options of each network are.
_OPTIONS = {"generator_ema": "generator", "generator": "generator", "discriminator": "discriminator"}


def load_generator(path: str | Path) -> Generator:
    """The generator in a run folder (its newest checkpoint), a file, or a repository of the Hugging Face Hub.

    Where there are two it is the EMA generator. The global random generator is left as it was.
    Args: path: of a run folder, a `.ckpt`, a `.safetensors`, or a `.pkl`, `.pt` or `.pth` of another program; or the
        name of a published network (`stylegan.runs.known_networks`), its https address, or `hf://user/name`.
    Returns: the generator on the CPU, in evaluation mode, without gradients.
    Raises: ValueError in one line for a file that is absent, unreadable, of an unknown `format_version`,
        without a generator, or whose weights do not fit its options.
    """
    stored = read_networks(path, TO_DRAW_FROM)
    return _built(stored, stored.kind_to_draw_from())


def load_discriminator(path: str | Path) -> Discriminator:
    """The discriminator, from what `load_generator` takes; raises likewise.

    A `.safetensors` written by training holds the generator alone, and says so.
    """
    stored = read_networks(path, ("discriminator",))
    return _built(stored, stored.first_of(("discriminator",)))


def read_networks(path: str | Path, wanted: tuple[Kind, ...] | None = None) -> StoredNetworks:
    """The networks of a file, of a folder of `generator_ema.safetensors` and the like, or of the Hub.

    Args: wanted: what the caller can use, the best first; of several files the first of these alone is read. None =
        all.
    Raises: ValueError in one line, as `load_generator`; where a file has none of `wanted` is the caller's to say.
    """
    if hub.is_address(path):
        files = hub.fetch(str(path), wanted)
        return _merged(str(path), [_read(file) for file in files])
    if is_known(path):
        stored = _read(network_file(path))
        known = KNOWN_NETWORKS.get(str(path))
        facts = {"license": known.licence} if known else {}
        return StoredNetworks(stored.source, stored.networks, {**facts, **stored.facts})
    path = Path(path)
    if files := native_files(path, wanted):
        return _merged(str(path), [_read(file) for file in files])
    return _read(network_file(path))


def native_files(folder: Path, wanted: tuple[Kind, ...] | None = None) -> list[Path]:
    """The files of a folder that hold one network each and are called by its kind: `generator_ema.safetensors`."""
    files = [file for kind in wanted or KINDS if (file := folder / f"{kind}.safetensors").is_file()]
    return files if wanted is None else files[:1]


def build(stored: StoredNetwork) -> Generator | Discriminator:
    """The network, on the CPU, in evaluation mode and without gradients.

    Raises: ValueError, TypeError where the options are none of its constructor, or the weights do not fit.
    """
    kind = "generator" if stored.is_generator else "discriminator"
    # A constructor draws first weights, and loading must not change what the caller draws next.
    with torch.random.fork_rng(devices=[]):
        if stored.public_options:
            build_public = build_generator if stored.is_generator else build_discriminator
            network = build_public(stored.options, stored.weights)
        else:
            check_options(stored.options, stored.weights, kind=kind)
            network = (Generator if stored.is_generator else Discriminator)(**stored.options)
            load_exactly(network, stored.weights)
    return network.eval().requires_grad_(False)


def _built(stored: StoredNetworks, kind: Kind) -> Generator | Discriminator:
    try:
        return build(stored.networks[kind])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{stored.source}: {error}") from error


def _merged(source: str, parts: list[StoredNetworks]) -> StoredNetworks:
    if len(parts) == 1:
        return StoredNetworks(source, parts[0].networks, parts[0].facts)
    facts: dict[str, str] = {}
    networks: dict[Kind, StoredNetwork] = {}
    for part in parts:
        # The first file's facts count: it is the one that images are drawn from.
        facts = {**part.facts, **facts}
        networks = {**part.networks, **networks}
    return StoredNetworks(source, {kind: networks[kind] for kind in KINDS if kind in networks}, facts)


def _read(file: Path) -> StoredNetworks:
    if file.suffix in PICKLES or file.is_dir():
        return read_pickle(file)
    readers = {".ckpt": _read_checkpoint, ".safetensors": read_safetensors}
    if file.suffix not in readers:
        raise ValueError(f"{file} is not a network: it must be {WHAT_IS_A_NETWORK}")
    try:
        return readers[file.suffix](file)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, SafetensorError) as error:
        # torch adds a paragraph for readers of its source.
        first_line = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0]
        raise ValueError(
            f"{file} cannot be read, it may be incomplete: {first_line}; an older checkpoint, or the"
            " .safetensors of the same name, may be whole"
        ) from error


def _opened(file: Path) -> object:
    try:
        # Mapped, not read: the optimisers' moments, two thirds of the file, are never touched.
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
        raise
    except Exception as error:
        # A damaged table of objects ends its reader in errors of every kind.
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from error


def _read_checkpoint(file: Path) -> StoredNetworks:
    content = _opened(file)
    if not isinstance(content, dict) or "format_version" not in content:
        raise ValueError(f"{file} has no format_version: it is not a checkpoint of this project")
    refuse_version(file, str(content["format_version"]), known=(FORMAT_VERSION,))
    weights = content.get("state_dict", {})
    networks = {}
    for kind in KINDS:
        prefix = f"{kind}."
        own = {n.removeprefix(prefix): value for n, value in weights.items() if n.startswith(prefix)}
        if _OPTIONS[kind] in content and (own or kind != "generator"):
            networks[kind] = StoredNetwork(content[_OPTIONS[kind]], own)
    facts = {}
    if "images_seen" in weights:
        facts["kimg"] = f"{int(weights['images_seen']) / 1000:.3f}"
    return StoredNetworks(str(file), networks, facts)
