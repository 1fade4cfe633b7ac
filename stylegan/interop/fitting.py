"""Do the options of a file fit its weights? Asked before a network is made of them.

A constructor takes the memory that its options ask for, and a file of a few bytes can ask for any: so each width that
decides how much must be that of a tensor which is there.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from stylegan.machine.text import printable
from stylegan.networks import Discriminator, Generator
from stylegan.networks.channels import block_channels, blocks_of

_MAX_TAPS = 32
# What is so small may be made before the weights are compared name by name: that names all that is lacking.
_SMALL_WIDTH, _SMALL_DEPTH = 1024, 64
# Of buffers that are equal, as filters are.
_SHARED_BYTES = 1 << 20
# Options by their type, in our words; all others are texts or checked by the constructors.
_WHOLE = (
    *("resolution", "channels", "z_dim", "c_dim", "w_dim", "mapping_layers", "channel_base", "channel_max"),
    *("mapping_features", "embed_features", "cmap_dim", "mbstd_group", "mbstd_channels", "freeze_layers"),
)
_NUMBERS = ("conv_clamp", "mapping_lr_multiplier", "w_avg_decay")
_MAY_BE_NONE = {"mapping_features", "embed_features", "cmap_dim", "mbstd_group", "conv_clamp", "w_avg_decay"}
_MAY_BE_NONE |= {"label_names"}
_ACTIVATIONS = ("linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish")


def check_options(options: Mapping[str, object], weights: Mapping[str, Tensor], *, kind: str) -> None:
    """Args: options: of `Generator` or `Discriminator`; kind: "generator" or "discriminator".

    Raises: ValueError for an option that is unknown or of another type, and for one that the weights contradict.
    """
    options = with_defaults(options, kind=kind)
    check_values(options, kind=kind)
    if options["mapping_layers"] > max(len(weights), _SMALL_DEPTH):
        raise ValueError(
            f"the {kind}'s options ask for {options['mapping_layers']:,} mapping layers, which the weights lack"
        )
    _refuse_shared(weights, kind)
    expected = _generator_shapes(options) if kind == "generator" else _discriminator_shapes(options)
    for name, shape in expected:
        if name in weights and tuple(weights[name].shape) != shape:
            raise ValueError(
                f"the weights do not fit the {kind}: of another shape: {name} {list(weights[name].shape)}"
                f" instead of {list(shape)}"
            )
        if name not in weights and max(shape) > _SMALL_WIDTH:
            raise ValueError(f"the weights do not fit the {kind}: the weights lack {name} {list(shape)}")


def _refuse_shared(weights: Mapping[str, Tensor], kind: str) -> None:
    """A file may name the same numbers as many weights; in a network each has its own.

    Raises: ValueError where they would be much more than what is there.
    """
    there = {
        weight.untyped_storage().data_ptr(): weight.untyped_storage().nbytes() for weight in weights.values()
    }
    asked = sum(weight.numel() * weight.element_size() for weight in weights.values())
    if asked > sum(there.values()) + _SHARED_BYTES:
        raise ValueError(
            f"the weights of the {kind} would be {asked:,} bytes, and {sum(there.values()):,} are there: many of"
            " them are the same numbers"
        )


def with_defaults(options: Mapping[str, object], *, kind: str) -> dict[str, object]:
    """All options of the constructor.  Raises: ValueError for one that it lacks, and one that is missing."""
    constructor = inspect.signature(Generator if kind == "generator" else Discriminator).parameters
    if unknown := [name for name in options if name not in constructor]:
        raise ValueError(f"the {kind} has no option {printable(str(unknown[0]))} in this version")
    complete = {name: parameter.default for name, parameter in constructor.items()} | dict(options)
    if missing := [name for name, value in complete.items() if value is inspect.Parameter.empty]:
        raise ValueError(f"the {kind}'s options lack {missing[0]}")
    return complete


def check_values(options: Mapping[str, object], *, kind: str) -> None:
    """The types and ranges alone. Raises: ValueError, as above."""
    for name, value in options.items():
        if not _is_sound(name, value):
            raise ValueError(f"the {kind}'s option {name} has no value that it can have: {_short(value)}")


def _is_sound(name: str, value: object) -> bool:
    if value is None:
        return name in _MAY_BE_NONE
    if name == "resolution" and type(value) in (list, tuple):
        return len(value) == 2 and all(_is_sound(name, side) for side in value)
    if name == "label_names":
        return type(value) in (list, tuple) and all(type(label) is str for label in value)
    if name in _WHOLE:
        return type(value) is int and 0 <= value < 1 << 31
    if name in _NUMBERS:
        return type(value) in (int, float) and abs(value) < 1e9
    if name == "use_noise":
        return type(value) is bool
    if name.endswith("activation"):
        return value in _ACTIVATIONS if type(value) is str else False
    if name == "resample_taps":
        taps = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
        return 0 < len(taps) <= _MAX_TAPS and all(type(tap) in (int, float) for tap in taps)
    return type(value) is str


def _short(value: object) -> str:
    return repr(value) if type(value) in (int, float, bool, type(None)) else ascii(str(type(value).__name__))


def _mapping_shapes(
    options: Mapping[str, object], z_dim: int, w_dim: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    c_dim, layers = options["c_dim"], options["mapping_layers"]
    embed = options["embed_features"] if options["embed_features"] is not None else w_dim
    features = options["mapping_features"] if options["mapping_features"] is not None else w_dim
    if c_dim:
        yield "mapping.embed.weight", (embed, c_dim)
    widths = [z_dim + (embed if c_dim else 0), *[features] * (layers - 1), w_dim]
    for index in range(layers):
        yield f"mapping.fc{index}.weight", (widths[index + 1], widths[index])


def _generator_shapes(options: Mapping[str, object]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _mapping_shapes(options, options["z_dim"], options["w_dim"])
    for name, channels, _ in _blocks(options):
        yield f"synthesis.{name}.conv1.weight", (channels, channels, 3, 3)


def _discriminator_shapes(options: Mapping[str, object]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, channels, is_lowest in _blocks(options):
        if not is_lowest:
            yield f"{name}.conv0.weight", (channels, channels, 3, 3)
            continue
        yield f"{name}.conv.weight", (channels, channels + options["mbstd_channels"], 3, 3)
        if options["c_dim"]:
            cmap = options["cmap_dim"] if options["cmap_dim"] is not None else channels
            yield f"{name}.out.weight", (cmap, channels)
            yield from _mapping_shapes(options, 0, cmap)


def _blocks(options: Mapping[str, object]) -> list[tuple[str, int, bool]]:
    """Name, channels, and whether it is the lowest. Raises: ValueError for a size that no network has."""
    widths = {name: options[name] for name in ("channel_base", "channel_max")}
    return [
        (block.name, block_channels(block.level, **widths), index == 0)
        for index, block in enumerate(blocks_of(options["resolution"]))
    ]
