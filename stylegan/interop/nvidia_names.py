"""The public implementation's constructor options, in our words.

Parameter names are the same on both sides, so a state dict goes over as it is; only the options are named and
nested otherwise. Every option is either translated, or one of the few that choose a precision or a kernel and
so change no name, shape or meaning, or refused by its name: a silently dropped option would be a network that
loads and draws something else.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from stylegan.interop.fitting import check_options
from stylegan.networks import Discriminator, Generator

_REQUIRED = object()

# Half precision, memory format and the route of the modulation: how a machine computes, not what.
_HOW_NOT_WHAT = frozenset({"num_fp16_res", "use_fp16", "fp16_channels_last", "fused_modconv_default"})

# Their name -> (our name, their default).
_MAPPING = {
    "num_layers": ("mapping_layers", 8),
    "embed_features": ("embed_features", None),
    "layer_features": ("mapping_features", None),
    "activation": ("mapping_activation", "lrelu"),
    "lr_multiplier": ("mapping_lr_multiplier", 0.01),
}
_SIZE = {
    "c_dim": ("c_dim", _REQUIRED),
    "img_resolution": ("resolution", _REQUIRED),
    "img_channels": ("channels", _REQUIRED),
}
_CHANNELS = {
    "channel_base": ("channel_base", 32768),
    "channel_max": ("channel_max", 512),
    "conv_clamp": ("conv_clamp", None),
}
_LAYERS = {"resample_filter": ("resample_taps", (1, 3, 3, 1)), "activation": ("activation", "lrelu")}

# Section of the options ("" = top level) -> its table.
_GENERATOR = {
    "": {"z_dim": ("z_dim", _REQUIRED), "w_dim": ("w_dim", _REQUIRED), **_SIZE},
    "mapping_kwargs": {**_MAPPING, "w_avg_beta": ("w_avg_decay", 0.995)},
    "synthesis_kwargs": {
        **_CHANNELS,
        **_LAYERS,
        "architecture": ("architecture", "skip"),
        "use_noise": ("use_noise", True),
    },
}
_DISCRIMINATOR = {
    "": {
        **_SIZE,
        **_CHANNELS,
        "architecture": ("architecture", "resnet"),
        "cmap_dim": ("cmap_dim", None),
    },
    "mapping_kwargs": _MAPPING,
    "block_kwargs": {**_LAYERS, "freeze_layers": ("freeze_layers", 0)},
    "epilogue_kwargs": {
        "mbstd_group_size": ("mbstd_group", 4),
        "mbstd_num_channels": ("mbstd_channels", 1),
        "activation": ("head_activation", "lrelu"),
    },
}


def generator_options(options: Mapping[str, object]) -> dict[str, object]:
    """Keyword arguments of `Generator` for the public implementation's `G_kwargs`.

    Raises: ValueError that names an option which is unknown, or required and absent.
    """
    return _translate(options, _GENERATOR, kind="Generator")


def discriminator_options(options: Mapping[str, object]) -> dict[str, object]:
    """Keyword arguments of `Discriminator` for the public implementation's `D_kwargs`. Raises as above."""
    return _translate(options, _DISCRIMINATOR, kind="Discriminator")


def build_generator(options: Mapping[str, object], state_dict: Mapping[str, Tensor]) -> Generator:
    """The generator of these `G_kwargs` with these weights, on the CPU and in training mode.

    Raises: ValueError for an option that is unknown or missing, and for weights that are missing, left over
        or of another shape, by name.
    """
    translated = generator_options(options)
    check_options(translated, state_dict, kind="generator")
    network = Generator(**translated)
    load_exactly(network, state_dict)
    return network


def build_discriminator(options: Mapping[str, object], state_dict: Mapping[str, Tensor]) -> Discriminator:
    """The discriminator of these `D_kwargs` with these weights; all else as `build_generator`."""
    translated = discriminator_options(options)
    check_options(translated, state_dict, kind="discriminator")
    network = Discriminator(**translated)
    load_exactly(network, state_dict)
    return network


def load_exactly(network: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Copy weights into `network`, whose names and shapes they must have, no fewer and no more.

    Raises: ValueError that names what is missing, left over or of another shape.
    """
    own = network.state_dict()
    complaints = [
        _listed("the weights lack", [name for name in own if name not in state_dict]),
        _listed("the network has no", [name for name in state_dict if name not in own]),
        _listed(
            "of another shape:",
            [
                f"{name} {list(state_dict[name].shape)} instead of {list(value.shape)}"
                for name, value in own.items()
                if name in state_dict and state_dict[name].shape != value.shape
            ],
        ),
    ]
    if any(complaints):
        kind = type(network).__name__.lower()
        raise ValueError(f"the weights do not fit the {kind}: {'; '.join(filter(None, complaints))}")
    network.load_state_dict(state_dict)


def _listed(what: str, names: list[str], shown: int = 4) -> str:
    if not names:
        return ""
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{what} {', '.join(names[:shown])}{rest}"


def _translate(
    options: Mapping[str, object], sections: Mapping[str, Mapping[str, tuple[str, object]]], *, kind: str
) -> dict[str, object]:
    translated = {}
    for section, table in sections.items():
        given = options if section == "" else options.get(section) or {}
        prefix = f"{section}." if section else ""
        for name, value in given.items():
            if section == "" and (name in sections or _names_class(name, value, kind)):
                continue
            if name in table:
                translated[table[name][0]] = value
            elif name not in _HOW_NOT_WHAT:
                known = ", ".join(sorted(table))
                raise ValueError(
                    f"the {kind.lower()}'s option {prefix}{name} = {value!r} is not known here; "
                    f"known {f'in {section}' if section else 'besides the groups'}: {known}"
                )
        for name, (ours, default) in table.items():
            if default is _REQUIRED and ours not in translated:
                raise ValueError(f"the {kind.lower()}'s options lack {prefix}{name}")
            translated.setdefault(ours, default)
    return translated


def _names_class(name: str, value: object, kind: str) -> bool:
    """Option files of training runs also hold the class, under this name in its two editions."""
    editions = ("training.networks", "training.networks_stylegan2")
    return name == "class_name" and value in [f"{edition}.{kind}" for edition in editions]
