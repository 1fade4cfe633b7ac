"""Layers of the synthesis network as a user names them: numbers, ranges, coarse, middle and fine, and blocks.

A layer is one entry of ws [N,L,W], counted from 0: that of a convolution (`b4.conv1`, `b8.conv0`, `b8.conv1`, ...), and
the last one that of the last block's torgb alone. The torgb of a lower block has no layer of its own: it takes that of
the next block's first convolution, as published.
"""

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from stylegan.machine.text import printable

# The blocks that each name means, by the level in their own name: lowest and highest.
STYLES = {"coarse": (4, 8), "middle": (16, 32), "fine": (64, 1 << 30)}
# A network whose last block is below it has no block, or a single one, for a name: there, names are thirds of layers.
_FIRST_LEVEL_BY_BLOCK = 128
_NUMBERS = re.compile(r"(\d{1,9})(?: *- *(\d{1,9}))?", re.ASCII)
_BLOCK = re.compile(r"b\d{1,9}(?:\.(?:conv0|conv1|torgb))?", re.ASCII)
_FORM = "write numbers, ranges, coarse, middle or fine, as in coarse,8-11"


def layer_names(generator: nn.Module) -> list[str]:
    """What each of the L entries of w feeds, in order: `b4.conv1`, `b8.conv0`, `b8.conv1`, ..., `b32.torgb`."""
    names = []
    for block in generator.synthesis.block_names:
        convs = ["conv1"] if generator.synthesis.get_submodule(block).is_first else ["conv0", "conv1"]
        names += [f"{block}.{conv}" for conv in convs]
    return [*names, f"{generator.synthesis.block_names[-1]}.torgb"]


def check_layers(text: str | int | None, *, key: str = "layers") -> None:
    """Checks how layers are written, without a network. Raises: ValueError, as of `parse_layers`."""
    for part in _parts(text, key):
        if part in STYLES or part == "all" or _BLOCK.fullmatch(part):
            continue
        _range(part, key)


def parse_layers(text: str | int | None, generator: nn.Module, *, key: str = "layers") -> tuple[int, ...]:
    """`coarse,8-11` → the numbers of these layers in ascending order, each once.

    Commas divide. `coarse`, `middle` and `fine` are the blocks b4 to b8, b16 to b32, and b64 and above, which in a
    square network are 4-8, 16-32 and 64 px and more. In a network whose last block is below b128 they are thirds of the
    layers, the first ones longer where they are unequal. `b16` is a whole block, `b16.conv0` one layer of it, `all` is
    every layer, and so is None.

    Args:
        generator: whose layers they are.
        key: of the configuration, for messages.
    Raises: ValueError in one line that names the key, the part that is wrong and the way out: an empty range, a layer
        that this network lacks, or an unknown word.
    """
    names = layer_names(generator)
    chosen: set[int] = set()
    for part in _parts(text, key):
        if part == "all":
            chosen |= set(range(len(names)))
        elif part in STYLES:
            chosen |= set(layers_of_style(part, names))
        elif _BLOCK.fullmatch(part):
            found = {number for number, name in enumerate(names) if part in (name, _block_of(name))}
            if not found:
                raise ValueError(f"{key}={part}: this network lacks it; {_there_are(names)}")
            chosen |= found
        else:
            numbers = _range(part, key)
            if numbers[-1] >= len(names):
                raise ValueError(f"{key}={part}: this network lacks layer {numbers[-1]}; {_there_are(names)}")
            chosen |= set(numbers)
    return tuple(sorted(chosen))


def layers_of_style(style: str, names: Sequence[str]) -> range:
    """The layers that `coarse`, `middle` or `fine` means in a network with these layers."""
    levels = [level_of(name) for name in names]
    if levels[-1] >= _FIRST_LEVEL_BY_BLOCK:
        lowest, highest = STYLES[style]
        found = [number for number, level in enumerate(levels) if lowest <= level <= highest]
        return range(found[0], found[-1] + 1)
    third, rest = divmod(len(names), 3)
    bounds = [0]
    for place in range(3):
        bounds.append(bounds[-1] + third + (place < rest))
    place = list(STYLES).index(style)
    return range(bounds[place], bounds[place + 1])


def describe_layers(layers: Iterable[int], generator: nn.Module) -> str:
    """Layers with the blocks they belong to: `layers 0-2 of 10: b4 (0), b8 (1-2)`."""
    names, layers = layer_names(generator), sorted(layers)
    by_block: dict[str, list[int]] = {}
    for number in layers:
        by_block.setdefault(_block_of(names[number]), []).append(number)
    blocks = ", ".join(f"{block} ({_ranges(numbers)})" for block, numbers in by_block.items())
    return f"layers {_ranges(layers) or 'none'} of {len(names)}" + (f": {blocks}" if blocks else "")


def level_of(name: str) -> int:
    """The level in the name of a block, or of what is in it: `b64.conv1.weight` → 64."""
    return int(_block_of(name).removeprefix("b"))


def layer_mask(layers: Iterable[int], count: int) -> Tensor:
    """Layers → bool [L], true for those that are meant, L = `count`."""
    mask = torch.zeros(count, dtype=torch.bool)
    mask[list(layers)] = True
    return mask


def _parts(text: str | int | None, key: str) -> list[str]:
    parts = [part.strip() for part in str("all" if text is None else text).split(",")]
    parts = [part for part in parts if part]
    if not parts:
        raise ValueError(f"{key} is empty: {_FORM}")
    return parts


def _range(part: str, key: str) -> range:
    match = _NUMBERS.fullmatch(part)
    if match is None:
        shown = part if len(part) <= 40 else part[:37] + "..."
        raise ValueError(f"{key}={printable(shown)}: these are no layers; {_FORM}")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError(f"{key}={part}: this range is empty; write {last}-{first}")
    return range(first, last + 1)


def _there_are(names: Sequence[str]) -> str:
    first, last = _block_of(names[0]), _block_of(names[-1])
    return f"it has {len(names)}, numbered 0 to {len(names) - 1}, in blocks {first} to {last}"


def _block_of(name: str) -> str:
    return name.partition(".")[0]


def _ranges(numbers: Sequence[int]) -> str:
    """[0, 1, 2, 5] → `0-2,5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
