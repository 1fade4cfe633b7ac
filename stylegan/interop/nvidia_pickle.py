"""Networks in pickles of NVIDIA's programs, and in state dicts of their names, without running what they hold.

Snapshots of the PyTorch programs (`stylegan2-ada-pytorch`, and StyleGAN2 networks of `stylegan3`) are dictionaries of
modules; `legacy_*.pkl` of the TensorFlow programs are tuples (G, D, G_ema); a `.pt` may hold a state dict alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from stylegan.interop.legacy_tf import networks_of_tuple
from stylegan.interop.opcodes import PickleError, shown
from stylegan.interop.pickle_globals import ModuleData, TensorData, TensorFlowNetwork
from stylegan.interop.state_dicts import networks_of_state_dicts
from stylegan.interop.stored_network import StoredNetwork, plain_options, tensor_of
from stylegan.interop.stored_objects import read_objects

# Networks in a snapshot, and what each is.
_KINDS = {"G": "generator", "D": "discriminator", "G_ema": "generator"}
# Positional arguments of the constructors, which no known program uses.
_POSITIONAL = {
    "generator": ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels"),
    "discriminator": ("c_dim", "img_resolution", "img_channels"),
}
# Parts that no StyleGAN2 network has, and whose they are.
_FOREIGN_PARTS = {"SynthesisInput": "StyleGAN3"}
_MAX_MODULES = 10_000
_MAX_DEPTH = 20
_LICENCES = {
    "snapshot": "written by a program of NVIDIA's, or a fork: the licence of who trained it applies",
    "TensorFlow": "written by a program of NVIDIA's for TensorFlow: the licence of who trained it applies",
    "state dict": "of unknown origin: the licence of who trained it applies",
}


@dataclass(frozen=True)
class NetworkFile:
    """What a file of networks holds.

    Args:
        path: the file, or the folder of an unpacked one.
        layout: "snapshot", "TensorFlow" or "state dict".
        networks: by their public names, of "G", "D" and "G_ema"; those that are there.
        training_set: options of the training's data set, in the public words; those that are texts and numbers.
        augment_p: strength of the augmentation at the end of the training; None = not known.
        licence: what is known of the weights' licence, for the files that are made of them.
    """

    path: Path
    layout: str
    networks: Mapping[str, StoredNetwork]
    training_set: Mapping[str, object] = field(default_factory=dict)
    augment_p: float | None = None
    licence: str = ""

    @property
    def generator(self) -> StoredNetwork | None:
        """What to draw from: the EMA generator, or else the other."""
        return self.networks.get("G_ema") or self.networks.get("G")

    @property
    def discriminator(self) -> StoredNetwork | None:
        return self.networks.get("D")

    @property
    def classes(self) -> int:
        """Width of the label; 0 = unconditional."""
        network = self.generator or self.discriminator
        return int(network.options.get("c_dim") or 0) if network else 0


def read_pickle(path: str | Path) -> NetworkFile:
    """The networks of a `.pkl`, `.pt` or `.pth`, or of a folder that was unpacked from one. Nothing in it is run.

    Raises: ValueError in one line, with the file's name, for a file that is damaged, holds no StyleGAN2 networks, names
        anything that those do not need, or declares more than it holds.
    """
    path = Path(path)
    try:
        return networks_of(read_objects(path), path)
    except ValueError as error:
        raise ValueError(f"{path} is not read: {error}") from None
    except MemoryError:
        raise ValueError(f"{path} is not read: there is too little memory for it") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None


def networks_of(value: object, path: Path) -> NetworkFile:
    """The networks of what `read_objects` has read. Raises: PickleError."""
    match value:
        case tuple() if value and all(type(item) is TensorFlowNetwork for item in value):
            return NetworkFile(path, "TensorFlow", networks_of_tuple(value), licence=_LICENCES["TensorFlow"])
        case ModuleData():
            value = {"D" if value.class_name == "Discriminator" else "G_ema": value}
        case dict():
            pass
        case _:
            raise PickleError(f"it holds {shown(value)}, and no networks")
    modules = {name: value[name] for name in _KINDS if type(value.get(name)) is ModuleData}
    if not modules:
        return NetworkFile(
            path, "state dict", networks_of_state_dicts(value), licence=_LICENCES["state dict"]
        )
    networks = {name: _network(module, name) for name, module in modules.items()}
    return NetworkFile(
        path,
        "snapshot",
        networks,
        training_set=_plain_values(value.get("training_set_kwargs")),
        augment_p=_strength(value.get("augment_pipe")),
        licence=_LICENCES["snapshot"],
    )


def _network(module: ModuleData, name: str) -> StoredNetwork:
    kind = _KINDS[name]
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
    return StoredNetwork(kind, options, _weights_of(parts, name))


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


def _entries(module: ModuleData, group: str) -> list[tuple[str, object]]:
    entries = module.attributes.get(group, {})
    if type(entries) is not dict or not all(type(name) is str and len(name) < 100 for name in entries):
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
