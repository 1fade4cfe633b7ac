"""Tuned differences: small files of what a tuning changed in a generator, for the one network that they belong to."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from stylegan.machine.files import replacing
from stylegan.machine.text import printable
from stylegan.networks.digest import weights_sha256

FORMAT_VERSION = "1"
_KIND = "tuned difference"


def write_difference(
    path: Path,
    base: nn.Module,
    tuned: nn.Module,
    *,
    text: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Writes what `tuned` has more than `base`, complete or not at all; tensors that are equal take no room.

    Args:
        dtype: of the differences. Rounding to float16 changes them by less than a thousandth, and pixels by less than
            they are rounded by.
        text: provenance, for the file's header.
    Raises: ValueError where the networks have other parameters; OSError where the folder cannot be written.
    """
    from safetensors.torch import save

    before, after = base.state_dict(), tuned.state_dict()
    if before.keys() != after.keys() or any(before[name].shape != after[name].shape for name in before):
        raise ValueError("the tuned generator has other parameters than the base")
    changed = {
        name: (after[name] - before[name]).to(dtype)
        for name in before
        if not torch.equal(before[name], after[name])
    }
    header = {
        "format_version": FORMAT_VERSION,
        "base_weights": weights_sha256(base),
        "provenance": dict(text or {}),
    }
    # As one entry: several would stand in another order each time.
    metadata = {_KIND: json.dumps(header, sort_keys=True)}
    content = save({name: delta.cpu().contiguous() for name, delta in changed.items()}, metadata=metadata)
    with replacing(path, durable=False) as file:
        file.write(content)


def apply_difference(generator: nn.Module, path: Path, *, name: str = "the network") -> dict[str, str]:
    """Adds a tuned difference to its base, in place.

    Args: name: of the network, for messages.
    Returns: the provenance that is stored in the file.
    Raises: ValueError, of one line, for a file that is missing, is none of this kind, or belongs to other weights; the
        generator is as it was then.
    """
    shown = printable(str(path))
    deltas, header = _read(path, shown)
    if header.get("format_version") != FORMAT_VERSION:
        version = printable(str(header.get("format_version")))
        raise ValueError(f"tuned={shown}: format_version {version} is not known here, only {FORMAT_VERSION}")
    own = weights_sha256(generator)
    base = str(header.get("base_weights", ""))
    if base != own:
        raise ValueError(
            f"tuned={shown}: it belongs to a network with the weights {printable(base[:12])}, and {printable(name)}"
            f" has {own[:12]}; set network= to the one that was tuned"
        )
    state = generator.state_dict()
    for key, delta in deltas.items():
        if key not in state or state[key].shape != delta.shape or not delta.is_floating_point():
            raise ValueError(f"tuned={shown}: {printable(key)} does not fit the network; the file is damaged")
        if not bool(torch.isfinite(delta).all()):
            raise ValueError(f"tuned={shown}: {printable(key)} holds values that are no finite numbers")
    with torch.no_grad():
        for key, delta in deltas.items():
            state[key] += delta.to(state[key])
    provenance = header.get("provenance")
    return {str(key): str(value) for key, value in provenance.items()} if isinstance(provenance, dict) else {}


def _read(path: Path, shown: str) -> tuple[dict[str, Tensor], dict[str, object]]:
    """The differences, and what the file says of itself."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ValueError(f"tuned={shown}: there is no such file")
    try:
        with safe_open(path, framework="pt") as archive:
            stored = (archive.metadata() or {}).get(_KIND)
            tensors = {name: archive.get_tensor(name) for name in archive.keys()} if stored else {}
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"tuned={shown}: this file cannot be read ({reason})") from error
    try:
        header = json.loads(stored or "")
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ValueError(
            f"tuned={shown}: this is no tuned difference, as task=projection space=tuned writes it"
        )
    return tensors, header
