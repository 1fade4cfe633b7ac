"""Channels of the images: RGB to grey, to RGB with alpha, and back, in toRGB and fromRGB.

The generator's image goes through a linear map, the discriminator sees its image through the map back. So the new
generator draws what the old one drew, converted, and the new discriminator says of an image what the old one says of
the converted one."""

import torch
from torch import Tensor

from stylegan.interop.transfer.draft import Draft

# Rec. 601 luma, as Pillow converts to grey and so the data are read.
LUMA = (0.299, 0.587, 0.114)
OPAQUE = 1.0
# How many channels are colour, of images whose channels have a meaning; the next one is alpha.
_COLOURS = {1: 1, 2: 1, 3: 3, 4: 3}


def channel_map(source: int, target: int) -> tuple[Tensor, Tensor]:
    """Images of `source` channels as such of `target` channels: matrix [target, source], and what is added [target].

    Grey becomes three equal channels, RGB its luma; alpha becomes opaque where there was none, and is left out where
    there is none. Planes of other numbers of channels keep their place; those that are new are 0.
    """
    matrix, added = torch.zeros(target, source), torch.zeros(target)
    if source not in _COLOURS or target not in _COLOURS:
        return torch.eye(target, source), added
    colours, of_target = _COLOURS[source], _COLOURS[target]
    if colours == of_target:
        matrix[:colours, :colours] = torch.eye(colours)
    elif colours == 1:
        matrix[:of_target, 0] = 1
    else:
        matrix[0, :colours] = torch.tensor(LUMA)
    if target > of_target:
        if source > colours:
            matrix[of_target, colours] = 1
        else:
            added[of_target] = OPAQUE
    return matrix, added


def convert_generator(draft: Draft, old_channels: int, new_channels: int) -> None:
    """Every toRGB draws the new channels; `add_constant` adds what belongs to the image as a whole."""
    if old_channels == new_channels:
        return
    matrix, _ = channel_map(old_channels, new_channels)
    note = _note(old_channels, new_channels)
    for name, value in list(draft.values.items()):
        if name.endswith((".torgb.weight", ".torgb.bias")):
            draft.put(name, torch.einsum("ts,s...->t...", matrix, value), note)


def add_constant(draft: Draft, old_channels: int, new_channels: int, last_bias: str) -> None:
    """The constant part of the conversion, opaque alpha, in the last toRGB alone: images are sums over resolutions."""
    _, added = channel_map(old_channels, new_channels)
    if added.any() and last_bias in draft.values:
        bias = draft.values[last_bias] + added
        draft.put(last_bias, bias, "alpha begins opaque", taken=draft.taken.get(last_bias))


def convert_discriminator(draft: Draft, old_channels: int, new_channels: int) -> None:
    """Every fromRGB sees the new channels as the old ones.

    The weight's gain is 1/√channels: it is undone, so that the product stays.
    """
    if old_channels == new_channels:
        return
    matrix, added = channel_map(new_channels, old_channels)
    note = _note(old_channels, new_channels)
    for name in [name for name in draft.values if name.endswith(".fromrgb.weight")]:
        weight = draft.values[name]
        bias_name = f"{name.removesuffix('weight')}bias"
        gain = (new_channels / old_channels) ** 0.5
        draft.put(name, torch.einsum("cohw,on->cnhw", weight, matrix) * gain, note)
        constant = torch.einsum("cohw,o->c", weight, added) / old_channels**0.5
        if constant.any():
            draft.put(bias_name, draft.values[bias_name] + constant, note)


def _note(old: int, new: int) -> str:
    return f"from {old} to {new} channels of the image"
