"""Seeds: how they are written, and the random numbers that belong to each."""

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stylegan.sizes import Size

MAX_SEED = 2**32 - 1
# Far more than anyone draws at once; a slip such as 0-4000000000 must not fill the memory with numbers.
MAX_SEEDS = 1_000_000

_RIGHT_FORM = "write single numbers and ascending ranges, as in 0-15,20"
_NUMBER_OR_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")
# Keeps a seed's noise apart from all else that is ever drawn from the same seed.
_NOISE_STREAM = 0x6E6F6973


def parse_seeds(text: str | int) -> tuple[int, ...]:
    """`0-15,20` → (0, 1, ..., 15, 20).

    Commas or blanks divide; blanks may stand around a range's dash. The order is kept, and of a seed that is
    named twice the first counts.

    Raises: ValueError that names the text, what is wrong with it and the right form.
    """
    joined = re.sub(r"(?<=[0-9])\s+-\s+(?=[0-9])", "-", str(text).strip())
    seeds: dict[int, None] = {}
    for part in re.split(r"\s*,\s*|\s+", joined):
        match = _NUMBER_OR_RANGE.fullmatch(part)
        if match is None:
            raise _wrong(text, f"{part!r} is neither a number nor a range")
        first = seed_in(match[1], text=text)
        last = first if match[2] is None else seed_in(match[2], text=text)
        if last < first:
            raise _wrong(text, f"{part} runs backwards")
        if last - first >= MAX_SEEDS - len(seeds):
            raise _wrong(text, f"these are more than {MAX_SEEDS:,}, the most at once")
        seeds.update(dict.fromkeys(range(first, last + 1)))
    return tuple(seeds)


def latents_of(seeds: Sequence[int], z_dim: int) -> Tensor:
    """z of each seed, float32 [N,Z]. Which numbers: those that the public implementation draws for a seed."""
    rows = [np.random.RandomState(seed).randn(1, z_dim) for seed in seeds]
    return torch.from_numpy(np.concatenate(rows).astype(np.float32))


def noise_of(seeds: Sequence[int], noise_layers: Sequence[tuple[str, Size]]) -> dict[str, Tensor]:
    """Unit normal noise of each seed, {layer: float32 [N,1,H,W]}, for `noise_mode="random"`.

    A function of the seed and the layer's place in the network alone: the same among other seeds.
    `noise_layers`: [(name, (height, width)), ...].
    """
    return {
        name: torch.stack([_noise(seed, layer, size) for seed in seeds])
        for layer, (name, size) in enumerate(noise_layers)
    }


def _noise(seed: int, layer: int, size: Size) -> Tensor:
    random = np.random.default_rng([_NOISE_STREAM, layer, seed])
    return torch.from_numpy(random.standard_normal((1, *size), dtype=np.float32))


def seed_in(digits: str, *, text: str | int, key: str = "seeds") -> int:
    """A seed in decimal digits.

    Args: text: all that was written for `key`, for the message.
    Raises: ValueError for one that is too large.
    """
    digits = digits.lstrip("0") or "0"
    # By length first: Python refuses to read numbers of thousands of digits.
    if len(digits) > len(str(MAX_SEED)) or int(digits) > MAX_SEED:
        shown = f"{digits[:12]}{'...' if len(digits) > 12 else ''}"
        raise ValueError(
            f"{key}={_short(text)}: {shown} is above {MAX_SEED}; write numbers and ranges, as in 0-15,20"
        )
    return int(digits)


def _wrong(text: str | int, what: str) -> ValueError:
    return ValueError(f"seeds={_short(text)}: {what}; {_RIGHT_FORM}")


def _short(text: str | int) -> str:
    return str(text) if len(str(text)) <= 60 else str(text)[:57] + "..."
