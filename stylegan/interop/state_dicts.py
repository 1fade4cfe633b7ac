"""State dicts in a file of `torch.save`, and whose they are.

They are of rosinality's project, or have the names of the public implementation. Networks of lucidrains' project are
recognised and refused: they are other functions.
"""

from collections.abc import Mapping

from torch import Tensor

from stylegan.interop import rosinality, weight_shapes
from stylegan.interop.opcodes import shown
from stylegan.interop.pickle_globals import Attributes, TensorData
from stylegan.interop.rosinality_layout import has_layout, is_discriminator
from stylegan.interop.stored import Kind, StoredNetwork, StoredNetworks
from stylegan.interop.stored_values import tensor_of

# What programs call the networks of a file that holds several state dicts, the best name first.
_NETWORKS: Mapping[str, Kind] = {
    "G_ema": "generator_ema",
    "g_ema": "generator_ema",
    "generator_ema": "generator_ema",
    "ema": "generator_ema",
    "params_ema": "generator_ema",
    "G": "generator",
    "g": "generator",
    "generator": "generator",
    "D": "discriminator",
    "d": "discriminator",
    "discriminator": "discriminator",
}
# Under these a file may hold one state dict, or those of several networks, beside other things.
_WRAPPERS = ("state_dict", "model", "params")
_MAX_WEIGHTS, _MAX_NAME = 10_000, 200
# Of the deepest that is asked for: our own options in rosinality's layout.
_MAX_DEPTH = 4


def networks_of_state_dicts(value: dict, source: str) -> StoredNetworks:
    """The networks of a dictionary that the opcode machine has read.

    Raises: ValueError where there are none, or some that cannot be taken over.
    """
    _refuse_lucidrains(value)
    if "format_version" in value:
        raise ValueError("it is a checkpoint of this project; give it its ending .ckpt")
    for wrapper in _WRAPPERS:
        if type(value.get(wrapper)) is dict:
            value = value[wrapper]
    # What is not asked for, as optimisers' moments are, stays in the file.
    asked = {*_NETWORKS, *rosinality.BESIDE_NETWORKS}
    made: dict[int, object] = {}
    content = {
        name: _with_tensors(entry, made) if name in asked or type(entry) is TensorData else entry
        for name, entry in value.items()
    }
    named: dict[Kind, dict[str, Tensor]] = {}
    for name, kind in _NETWORKS.items():
        if kind not in named and _is_state_dict(content.get(name)):
            named[kind] = _without_wrapper(content[name])
    if not named:
        if not _is_state_dict(content):
            names = ", ".join(shown(name, 20) for name in list(content)[:4])
            raise ValueError(f"it holds no networks under a known name (it has {names or 'nothing'})")
        bare = _without_wrapper(content)
        judges = weight_shapes.is_discriminator(bare) or is_discriminator(bare)
        named = {"discriminator" if judges else "generator_ema": bare}
    if any(map(has_layout, named.values())):
        found = rosinality.read(source, named, content)
        return StoredNetworks(source, found.networks, {**found.facts, "layout": "rosinality"})
    networks = {kind: _of_kind(kind, weights) for kind, weights in named.items()}
    return StoredNetworks(source, networks, {"layout": "state dict", "assumed": weight_shapes.ASSUMED})


def _of_kind(kind: Kind, weights: Mapping[str, Tensor]) -> StoredNetwork:
    stored = weight_shapes.stored(weights)
    if stored.is_generator == (kind == "discriminator"):
        raise ValueError(
            f"what it names {kind} is a {'generator' if stored.is_generator else 'discriminator'}"
        )
    return stored


def _with_tensors(value: object, made: dict[int, object], depth: int = _MAX_DEPTH) -> object:
    """What is described, with tensors for their descriptions; each object once, however often it is there."""
    if id(value) in made:
        return made[id(value)]
    entries = value.values if type(value) is Attributes else value
    if type(value) is TensorData:
        made[id(value)] = tensor_of(value)
    elif type(entries) is dict and depth:
        found = made[id(value)] = {}  # before its entries, which may hold it
        found |= {name: _with_tensors(entry, made, depth - 1) for name, entry in entries.items()}
    else:
        return value
    return made[id(value)]


def _is_state_dict(value: object) -> bool:
    return (
        type(value) is dict
        and 0 < len(value) <= _MAX_WEIGHTS
        and all(isinstance(name, str) and isinstance(weight, Tensor) for name, weight in value.items())
        and all(len(name) <= _MAX_NAME and name.isprintable() for name in value)
    )


def _without_wrapper(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the `module.` that torch's data-parallel wrappers put before every name."""
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
            " biases of the convolutions), so no network here draws its images; draw with that program, or train here"
        )
