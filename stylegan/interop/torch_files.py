"""Files of `torch.save`, read without executing anything, and whose they are.

A `.pt` may hold networks of rosinality's project, or bare state dicts with the names of the public implementation.
Networks of lucidrains' project are recognised and refused: they are other functions.
"""

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from stylegan.interop import rosinality, weight_shapes
from stylegan.interop.rosinality_layout import has_layout, is_discriminator
from stylegan.interop.stored import Kind, StoredNetworks
from stylegan.machine.text import printable

# What programs call the networks of a file that holds several state dicts.
_NETWORKS: Mapping[str, Kind] = {
    "G_ema": "generator_ema",
    "g_ema": "generator_ema",
    "generator_ema": "generator_ema",
    "G": "generator",
    "g": "generator",
    "generator": "generator",
    "D": "discriminator",
    "d": "discriminator",
    "discriminator": "discriminator",
}
# Under these a file may hold one state dict beside other things.
_WRAPPERS = ("state_dict", "model")
# In torch's message about what it refuses.
_NAMED = re.compile(r"(?:GLOBAL|Unsupported class) (\S+)")


def open_torch_file(file: Path) -> object:
    """The content of a file of `torch.save`, on the CPU; nothing in it is executed.

    Beside tensors and plain values an `argparse.Namespace` is allowed, which rosinality's training saves its options
    in: it holds values and runs nothing.
    Raises: ValueError where it names anything else; OSError, EOFError, RuntimeError, UnpicklingError where it is
        damaged.
    """
    try:
        return _loaded(file)
    except (OSError, EOFError, RuntimeError):
        raise
    except pickle.UnpicklingError as error:
        if (named := _NAMED.search(str(error))) is None:
            raise
        raise ValueError(
            f"{file} cannot be read: it names {printable(named[1])}, which may be code and is no part of weights;"
            " nothing of it was executed"
        ) from error
    except Exception as error:
        # A damaged table of objects ends its reader in errors of every kind.
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from error


def _loaded(file: Path) -> object:
    with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
        # About other versions of pickle than torch writes, in several lines.
        warnings.simplefilter("ignore", UserWarning)
        # Mapped where the layout lets it, so that optimisers' moments, most of a file, are never read.
        mapped = zipfile.is_zipfile(file)
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)


def read_torch_file(file: Path) -> StoredNetworks:
    """The networks of a `.pt` or `.pth`.

    Raises: ValueError in one line that names the file where it has none, or some that cannot be taken over; those of
        `torch.load` where it is damaged.
    """
    content = open_torch_file(file)
    try:
        return _read(str(file), content)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _read(source: str, content: object) -> StoredNetworks:
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds a {type(content).__name__}, and no networks by name")
    _refuse_lucidrains(content)
    if "format_version" in content:
        raise ValueError("it is a checkpoint of this project; give it its ending .ckpt")
    named = {
        kind: _without_wrapper(content[name])
        for name, kind in _NETWORKS.items()
        if _is_state_dict(content.get(name))
    }
    if not named:
        bare = next((content[key] for key in _WRAPPERS if _is_state_dict(content.get(key))), content)
        if not _is_state_dict(bare):
            keys = ", ".join(map(str, list(content)[:5])) or "nothing"
            raise ValueError(f"no networks are known by what it holds: {keys}")
        bare = _without_wrapper(bare)
        judges = weight_shapes.is_discriminator(bare) or is_discriminator(bare)
        named = {"discriminator" if judges else "generator_ema": bare}
    if any(map(has_layout, named.values())):
        return rosinality.read(source, named, content)
    networks = {kind: weight_shapes.stored(weights) for kind, weights in named.items()}
    return StoredNetworks(source, networks, {"assumed": weight_shapes.ASSUMED})


def _is_state_dict(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(weight, Tensor) for name, weight in value.items())
    )


def _without_wrapper(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the `module.` that torch's data-parallel wrappers put before every name.

    Raises: ValueError for a tensor of more numbers than the file holds, which a few bytes can declare by strides of 0.
    """
    for name, value in weights.items():
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ValueError(f"its tensor {name} declares more numbers than the file holds")
    wrapped = all(name.startswith("module.") for name in weights)
    return {name.removeprefix("module.") if wrapped else name: value for name, value in weights.items()}


def _refuse_lucidrains(content: Mapping) -> None:
    """Raises: ValueError for a file of lucidrains/stylegan2-pytorch.

    Its blocks add the noise through a linear layer with a weight a channel, where StyleGAN2 has one strength a layer
    (Karras et al. 2020, figure 2), and its convolutions have no bias: no weights of ours make the same function.
    """
    gan = content.get("GAN")
    names = gan if isinstance(gan, Mapping) else content
    if any(str(name).startswith(("G.blocks.0.to_style", "GE.blocks.0.to_style")) for name in names):
        raise ValueError(
            "it is of lucidrains/stylegan2-pytorch, whose generator is another function (noise weighted by channel, no"
            " biases of the convolutions), so no network here draws its images; draw with that program, or train anew"
        )
