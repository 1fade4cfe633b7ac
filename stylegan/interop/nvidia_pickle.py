"""Networks in pickles of NVIDIA's programs, and in files of `torch.save`, without running what they hold.

Snapshots of the PyTorch programs (`stylegan2-ada-pytorch`, and StyleGAN2 networks of `stylegan3`) are dictionaries of
modules; `legacy_*.pkl` of the TensorFlow programs are tuples (G, D, G_ema); what has tensors alone is for
`stylegan.interop.state_dicts`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from stylegan.interop.legacy_tf import networks_of_tuple
from stylegan.interop.opcodes import PickleError, shown
from stylegan.interop.pickle_globals import ModuleData, TensorData, TensorFlowNetwork
from stylegan.interop.state_dicts import networks_of_state_dicts
from stylegan.interop.stored import Kind, StoredNetwork, StoredNetworks
from stylegan.interop.stored_objects import read_objects
from stylegan.interop.stored_values import plain_options, tensor_of

# Networks in a snapshot, and what each is.
_KINDS: Mapping[str, Kind] = {"G_ema": "generator_ema", "G": "generator", "D": "discriminator"}
# Positional arguments of the constructors, which no known program uses.
_POSITIONAL = {
    "generator": ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels"),
    "discriminator": ("c_dim", "img_resolution", "img_channels"),
}
# Parts that no StyleGAN2 network has, and whose they are.
_FOREIGN_PARTS = {"SynthesisInput": "StyleGAN3"}
_MAX_MODULES = 10_000
_MAX_DEPTH = 20


def read_pickle(path: str | Path) -> StoredNetworks:
    """The networks of a `.pkl`, `.pt` or `.pth`, or of a folder that was unpacked from one. Nothing in it is run.

    Among the facts is `layout`: "snapshot", "TensorFlow", "state dict" or "rosinality". A snapshot may have
    `training_set`, options of the training's data set in the public words, as JSON; and `augment_p`, the strength of
    the augmentation at the end of the training.
    Raises: ValueError in one line, with the file's name, for a file that is damaged, holds no StyleGAN2 networks, names
        anything that those do not need, or declares more than it holds.
    """
    path = Path(path)
    try:
        return networks_of(read_objects(path), str(path))
    except ValueError as error:
        raise ValueError(f"{path} is not read: {error}") from None
    except MemoryError:
        raise ValueError(f"{path} is not read: there is too little memory for it") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None


def networks_of(value: object, source: str) -> StoredNetworks:
    """The networks of what `read_objects` has read. Raises: ValueError."""
    match value:
        case tuple() if value and all(type(item) is TensorFlowNetwork for item in value):
            return StoredNetworks(source, networks_of_tuple(value), {"layout": "TensorFlow"})
        case ModuleData():
            value = {"D" if value.class_name == "Discriminator" else "G_ema": value}
        case dict():
            pass
        case _:
            raise PickleError(f"it holds {shown(value)}, and no networks")
    modules = {name: value[name] for name in _KINDS if type(value.get(name)) is ModuleData}
    if not modules:
        return networks_of_state_dicts(value, source)
    facts = {"layout": "snapshot"}
    if training_set := _plain_values(value.get("training_set_kwargs")):
        facts["training_set"] = json.dumps(training_set)
    if (strength := _strength(value.get("augment_pipe"))) is not None:
        facts["augment_p"] = repr(strength)
    networks = {_KINDS[name]: _network(module, name) for name, module in modules.items()}
    return StoredNetworks(source, networks, facts)


def _network(module: ModuleData, name: str) -> StoredNetwork:
    kind = "discriminator" if _KINDS[name] == "discriminator" else "generator"
    parts = dict(_parts_of(module))
    for part in parts.values():
        if part.class_name in _FOREIGN_PARTS:
            whose = _FOREIGN_PARTS[part.class_name]
            raise PickleError(
                f"its {name} is a {whose} network, which is another architecture; StyleGAN2 is needed"
            )
    if module.class_name != kind.capitalize():
        raise PickleError(
            f"its {name} is {shown(module.class_name)}, and no {kind.capitalize()} of StyleGAN2"
        )
    options = plain_options(module.attributes.get("_init_kwargs"), whose=name)
    given = module.attributes.get("_init_args", ())
    if type(given) is not tuple or len(given) > len(_POSITIONAL[kind]):
        raise PickleError(f"its {name} has options in an unknown form")
    options = plain_options(dict(zip(_POSITIONAL[kind], given, strict=False)), whose=name) | options
    # A network is known by its latent.
    if ("z_dim" in options) != (kind == "generator"):
        raise PickleError(f"its {name} {'lacks' if kind == 'generator' else 'has'} the option z_dim")
    return StoredNetwork(options, _weights_of(parts, name), public_options=True)


def _parts_of(module: ModuleData) -> Iterator[tuple[str, ModuleData]]:
    """The module and all below it, as (name with a dot at its end, module)."""
    waiting, count = [("", module, 0)], 0
    while waiting:
        prefix, part, depth = waiting.pop()
        count += 1
        # A module that holds itself would have no end.
        if count > _MAX_MODULES or depth > _MAX_DEPTH:
            raise PickleError("it has networks of more parts than StyleGAN2 has")
        yield prefix, part
        for name, child in _entries(part, "_modules"):
            if type(child) is ModuleData:
                waiting.append((f"{prefix}{name}.", child, depth + 1))
            elif child is not None:
                raise PickleError(f"it has {shown(child)} for the part {shown(prefix + name)}")


def _is_name(name: object) -> bool:
    return type(name) is str and len(name) < 100 and name.isprintable()


def _entries(module: ModuleData, group: str) -> list[tuple[str, object]]:
    entries = module.attributes.get(group, {})
    if type(entries) is not dict or not all(map(_is_name, entries)):
        raise PickleError(f"it has a network whose {group} are in an unknown form")
    return list(entries.items())


def _weights_of(parts: Mapping[str, ModuleData], whose: str) -> dict[str, Tensor]:
    """The state dict: parameters, and buffers other than those that are not saved."""
    weights = {}
    for prefix, part in parts.items():
        passing = part.attributes.get("_non_persistent_buffers_set", ())
        for group in ("_parameters", "_buffers"):
            for name, value in _entries(part, group):
                if value is None or (group == "_buffers" and type(passing) is set and name in passing):
                    continue
                if type(value) is not TensorData:
                    raise PickleError(
                        f"its {whose} has {shown(value)} for the weights {shown(prefix + name)}"
                    )
                weights[prefix + name] = tensor_of(value)
                if len(weights) > _MAX_MODULES:
                    raise PickleError("it has networks of more weights than StyleGAN2 has")
    return weights


def _plain_values(value: object) -> dict[str, object]:
    """Those entries of a dictionary that are short texts and numbers."""
    entries = value.items() if type(value) is dict else ()
    return {
        name: entry
        for name, entry in entries
        if type(name) is str
        and (entry is None or type(entry) in (bool, int, float) or (type(entry) is str and len(entry) < 1000))
    }


def _strength(pipe: object) -> float | None:
    """p of the augmentation, a buffer of the module."""
    if type(pipe) is not ModuleData:
        return None
    p = dict(_entries(pipe, "_buffers")).get("p")
    if type(p) is not TensorData or p.shape not in ((), (1,)):
        return None
    strength = float(tensor_of(p).to(torch.float64))
    return strength if 0 <= strength <= 1000 else None
