"""Surgery: weights of one network for another one, of another size, other channels, classes, widths or depth.

Each step brings a draft of the weights nearer to the new network, in an order in which each finds what it needs.
What both networks have goes over bit for bit."""

from collections.abc import Sequence

import torch
from torch import nn

from stylegan.interop.transfer.draft import Draft, is_constant, shape_text
from stylegan.interop.transfer.image_channels import add_constant, convert_discriminator, convert_generator
from stylegan.interop.transfer.labels import (
    labels_for_discriminator,
    labels_for_generator,
    no_labels_in_discriminator,
    no_labels_in_generator,
    other_classes,
    places_of_classes,
)
from stylegan.interop.transfer.mapping_depth import change_depth
from stylegan.interop.transfer.report import NetworkReport, Row
from stylegan.interop.transfer.resolution import (
    fromrgb_of_smaller,
    grow_discriminator,
    grow_generator,
    leave_out_blocks,
    reshape_constants,
)
from stylegan.interop.transfer.widths import fit_discriminator, fit_generator
from stylegan.networks import Discriminator, Generator


def transfer_generator(old: Generator, new: Generator) -> NetworkReport:
    """Gives `new` the weights of `old`, in place; what `old` has nothing for stays as it was.

    Args: both on the CPU in float32. Classes go by `label_names` where both have them.
    Returns: what became of each tensor.
    """
    draft = Draft.of(old, new)
    change_depth(draft, new.mapping.num_layers)
    embed = _embed_width(new)
    draft_embed = _embed_width(old)
    if old.c_dim and new.c_dim:
        places = places_of_classes(old.label_names, new.label_names, old.c_dim, new.c_dim)
        other_classes(draft, places, old.c_dim)
    elif new.c_dim and "mapping.fc0.weight" in draft.values:
        labels_for_generator(draft)
        draft_embed = embed
    elif old.c_dim and "mapping.fc0.weight" in draft.values:
        no_labels_in_generator(draft, old.z_dim)
        draft_embed = 0
    convert_generator(draft, old.channels, new.channels)
    reshape_constants(draft, *(_constant_size(network, "synthesis.b4.const") for network in (old, new)))
    leave_out_blocks(draft, "synthesis.")
    fit_generator(draft, z_dims=(old.z_dim, new.z_dim), embeds=(draft_embed, embed))
    grow_generator(draft)
    last = f"synthesis.{new.synthesis.block_names[-1]}.torgb.bias"
    add_constant(draft, old.channels, new.channels, last)
    return _finished(draft)


def transfer_discriminator(
    old: Discriminator, new: Discriminator, *, old_names: Sequence[str] = (), new_names: Sequence[str] = ()
) -> NetworkReport:
    """As `transfer_generator`.  Args: old_names, new_names: of the classes, which a discriminator does not know."""
    draft = Draft.of(old, new)
    if old.c_dim and new.c_dim:
        change_depth(draft, new.mapping.num_layers)
        places = places_of_classes(old_names, new_names, old.c_dim, new.c_dim)
        other_classes(draft, places, old.c_dim)
    elif old.c_dim:
        no_labels_in_discriminator(draft)
    convert_discriminator(draft, old.channels, new.channels)
    reshape_constants(draft, _lowest(old), _lowest(new))
    leave_out_blocks(draft, "")
    fromrgb_of_smaller(draft, (old.channels, new.channels))
    fit_discriminator(
        draft,
        mbstd=(old.b4.mbstd_channels, new.b4.mbstd_channels),
        embeds=(_embed_width(old), _embed_width(new)),
    )
    grow_discriminator(draft)
    if new.c_dim and not old.c_dim:
        labels_for_discriminator(draft)
    return _finished(draft)


def _embed_width(network: Generator | Discriminator) -> int:
    return len(network.mapping.embed.weight) if network.c_dim else 0


def _constant_size(network: nn.Module, name: str) -> tuple[int, int]:
    height, width = network.get_parameter(name).shape[-2:]
    return height, width


def _lowest(network: Discriminator) -> tuple[int, int]:
    """Height and width of the discriminator's last features."""
    doublings = len(network.block_names)
    return network.size[0] >> doublings, network.size[1] >> doublings


def _finished(draft: Draft) -> NetworkReport:
    """Loads the draft into the new network, and says what became of each tensor."""
    old, new = draft.old.state_dict(), draft.new.state_dict()
    rows = []
    for name, first in new.items():
        if is_constant(name):
            continue
        value = draft.values.get(name)
        before = shape_text(old[name]) if name in old else ""
        row = Row(name, "random", before, shape_text(first), _learned(name, first), 0)
        if value is not None and value.shape == first.shape:
            equal = name in old and old[name].shape == value.shape and torch.equal(old[name], value)
            taken = _learned(name, first) and draft.taken.get(name, first.numel())
            note = "; ".join(dict.fromkeys(draft.notes.get(name, ())))
            row = row._replace(
                status="matched" if equal else "adapted", taken=taken, note="" if equal else note
            )
            new[name] = value.to(first.dtype)
        rows.append(row)
    ignored = {name for name in old if name not in new and not is_constant(name)} - draft.consumed
    rows += [Row(name, "ignored", shape_text(old[name]), "", 0, 0) for name in old if name in ignored]
    draft.new.load_state_dict(new)
    return NetworkReport(tuple(rows))


def _learned(name: str, value: torch.Tensor) -> int:
    """Numbers that are learned: noise buffers go along, but count for nothing."""
    return 0 if name.endswith(".noise_const") else value.numel()
