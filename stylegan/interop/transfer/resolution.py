"""Resolution: blocks that are added above the highest one or left out, and constants of another shape.

A block is the same in two networks if it is as many doublings away from the constant. New blocks grow in: at first the
generator draws the old image, upsampled, and the discriminator hardly sees more than the downsampled image.

- Generator `skip`: toRGB of new blocks is 0, so the image is exactly the upsampled old one.
- Discriminator `skip`: the last layer of the lowest new block is 0, so old blocks get exactly the downsampled image.
- Discriminator `resnet`: the new blocks' convolutions end in 0, and their shortcuts carry features of a new fromRGB
  from which those of the old one are put together: exactly where there are as many, else by least squares over flat
  colours. Downwards, the new fromRGB is fitted to what the blocks that are left out made of flat colours.
- The other architectures have no way past their convolutions: new blocks, and a toRGB or fromRGB that is at another
  place, are left as they were built."""

import itertools

import torch
from torch import Tensor

from stylegan.interop.transfer.draft import Draft, least_squares
from stylegan.interop.transfer.image_channels import channel_map
from stylegan.ops.bias_act import ACTIVATIONS, bias_act
from stylegan.sizes import Size

_MOST_COLOURS = 343
_INVERTIBLE = ("lrelu", "linear")
# A flat image of this side at the lowest block has a centre that no border reaches.
_FLAT_PX = 12
_HALF = 0.5**0.5  # gain of both ways through a residual block


def reshape_constants(draft: Draft, old: Size, new: Size) -> None:
    """The generator's constant, its noise buffers and the discriminator's last features, at another height and width.

    The centre stays the centre; what is beyond an edge repeats. Args: old, new: of the constant, in px.
    """
    if old == new:
        return
    for name, value in list(draft.values.items()):
        if name.endswith((".const", ".noise_const")):
            doublings = value.shape[-1] // old[1]
            draft.put(name, _placed(value, old, new, doublings), _about(old, new))
    name = "b4.fc.weight"
    if name in draft.values:
        value = draft.values[name]
        features = value.view(len(value), -1, *old)
        # A flat image gives the same sum, of more features or of fewer.
        gain = ((old[0] * old[1]) / (new[0] * new[1])) ** 0.5
        draft.put(name, _placed(features, old, new, 1).flatten(1) * gain, _about(old, new))


def _placed(value: Tensor, old: Size, new: Size, doublings: int) -> Tensor:
    for axis, (before, now) in zip((-2, -1), zip(old, new, strict=True), strict=True):
        shift = (now - before) // 2 * doublings
        index = (torch.arange(now * doublings) - shift) % (before * doublings)
        value = value.index_select(axis, index)
    return value


def _about(old: Size, new: Size) -> str:
    return f"the constant {old[0]}x{old[1]} tiled or cropped to {new[0]}x{new[1]}"


def leave_out_blocks(draft: Draft, prefix: str) -> None:
    """Drops the blocks above the new network's highest.  Args: prefix: `synthesis.` or ""."""
    top = draft.blocks(draft.new, prefix)[-1]
    for level in draft.blocks(draft.old, prefix):
        if level > top:
            draft.drop(lambda name, level=level: name.startswith(f"{prefix}b{level}."))


@torch.no_grad()
def fromrgb_of_smaller(draft: Draft, channels: tuple[int, int]) -> None:
    """The new highest block's fromRGB, where the old discriminator had one only above it.

    Args: channels: of the images, (old, new).
    """
    levels = draft.blocks(draft.old)
    top = draft.blocks(draft.new)[-1]
    name = f"b{top}.fromrgb"
    activation = draft.old.options["activation"]
    fits = draft.old.options["architecture"] == "resnet" == draft.new.options["architecture"]
    if not fits or top >= levels[-1] or top not in levels or top == 4 or activation not in _INVERTIBLE:
        return
    colours = _colours(channels[1])
    matrix, added = channel_map(channels[1], channels[0])
    features = _features_of(draft, colours @ matrix.T + added, levels, top)
    spec = ACTIVATIONS[activation]
    wanted = features / spec.gain
    if activation == "lrelu":
        wanted = torch.where(wanted < 0, wanted / spec.alpha, wanted)
    solution = least_squares(torch.cat([colours, torch.ones(len(colours), 1)], dim=1), wanted)
    weight = solution[:-1].T[:, :, None, None] * channels[1] ** 0.5
    note = "fitted to the features that flat colours had at this resolution"
    draft.put(f"{name}.weight", weight, note)
    draft.put(f"{name}.bias", solution[-1], note)
    above = [f"b{level}." for level in levels if level > top]
    draft.consumed |= {old for old in draft.old.state_dict() if old.startswith(tuple(above))}


def _features_of(draft: Draft, colours: Tensor, levels: list[int], top: int) -> Tensor:
    """What the old blocks above `top` give for flat images, [n, channels] at the centre."""
    side = _FLAT_PX * levels[-1] // top
    found = []
    for part in colours.split(16):
        x, image = None, part[:, :, None, None].expand(-1, -1, side, side)
        for level in reversed([level for level in levels if level > top]):
            x, image = getattr(draft.old, f"b{level}")(x, image)
        found.append(x[:, :, x.shape[2] // 2, x.shape[3] // 2])
    return torch.cat(found).float()


def grow_generator(draft: Draft) -> None:
    """New blocks of a generator add nothing to the image at first, where every block has a toRGB."""
    if draft.new.options["architecture"] != "skip":
        return
    for level in _new_levels(draft, "synthesis."):
        for part in ("weight", "bias"):
            name = f"synthesis.b{level}.torgb.{part}"
            draft.put(
                name,
                torch.zeros_like(draft.first(name)),
                "0 at first: the image is the upsampled one",
                taken=0,
            )


@torch.no_grad()
def grow_discriminator(draft: Draft) -> None:
    """New blocks of a discriminator pass on the downsampled image, or features of it."""
    levels = _new_levels(draft, "")
    architecture = draft.new.options["architecture"]
    if not levels or architecture == "orig":
        return
    if architecture == "skip":
        _end_in_zero(draft, levels[0], "0 at first: lower blocks see the downsampled image")
        return
    if draft.old.options["architecture"] == "orig" or draft.old.options["activation"] not in ACTIVATIONS:
        return
    for level in levels:
        _end_in_zero(draft, level, "0 at first: the shortcut carries all")
    shortcut = _new_fromrgb(draft, levels[-1])
    for level in levels:
        first = draft.first(f"b{level}.skip.weight")
        inner = torch.eye(*first.shape[:2])
        if level == levels[0]:
            inner = torch.zeros(first.shape[:2])
            rows = min(len(inner), len(shortcut))
            inner[:rows, : shortcut.shape[1]] = shortcut[:rows]
        raw = inner / _HALF * first.shape[1] ** 0.5
        draft.put(f"b{level}.skip.weight", raw[:, :, None, None], "carries the features of the old fromRGB")


def _new_levels(draft: Draft, prefix: str) -> list[int]:
    old = draft.blocks(draft.old, prefix)[-1]
    return [level for level in draft.blocks(draft.new, prefix) if level > old]


def _end_in_zero(draft: Draft, level: int, note: str) -> None:
    for part in ("weight", "bias"):
        name = f"b{level}.conv1.{part}"
        draft.put(name, torch.zeros_like(draft.first(name)), note, taken=0)


def _new_fromrgb(draft: Draft, top: int) -> Tensor:
    """Puts the fromRGB of the new highest block.

    Returns: [old features, new features], the sum over new features that is nearest to each old one.
    """
    old_top = draft.blocks(draft.old)[-1]
    weight, bias = (draft.values[f"b{old_top}.fromrgb.{part}"] for part in ("weight", "bias"))
    new_weight, new_bias = (draft.first(f"b{top}.fromrgb.{part}").clone() for part in ("weight", "bias"))
    rows = min(len(weight), len(new_weight))
    new_weight[:rows], new_bias[:rows] = weight[:rows], bias[:rows]
    for part, value in (("weight", new_weight), ("bias", new_bias)):
        taken = rows * (value[0].numel() if value.ndim > 1 else 1)
        draft.put(f"b{top}.fromrgb.{part}", value, f"of the old b{old_top}.fromrgb", taken=taken)
    draft.consumed |= {f"b{old_top}.fromrgb.weight", f"b{old_top}.fromrgb.bias"}
    if len(new_weight) >= len(weight):
        return torch.eye(len(weight), len(new_weight))
    colours, activation = _colours(weight.shape[1]), draft.new.options["activation"]
    wanted, features = (
        bias_act(colours @ w[:, :, 0, 0].T / weight.shape[1] ** 0.5, b, act=activation)
        for w, b in ((weight, bias), (new_weight, new_bias))
    )
    return least_squares(features, wanted).T


def _colours(channels: int) -> Tensor:
    """Flat colours [n, channels] that fill -1 to 1: a grid, or, of many channels, draws that are always the same."""
    steps = int(_MOST_COLOURS ** (1 / channels) + 1e-9)
    if steps < 3:
        draws = torch.Generator().manual_seed(0)
        return torch.rand(_MOST_COLOURS, channels, generator=draws) * 2 - 1
    return torch.tensor(
        list(itertools.product(torch.linspace(-1, 1, min(steps, 65)).tolist(), repeat=channels))
    )
