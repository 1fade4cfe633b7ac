"""How often the report sees copies, and how often it sees some where there are none: the table of docs/report.md.

nice python -m benchmarks.studies.copying_rates [--seeds 20] [--fakes 100] [--emoji emoji64.zip]
    [--sets 100x32 500x64 2000x32]

Each set is drawn with every seed: training pictures, and fakes that are drawn afresh or made from them. With a zip of
other pictures, one half is the training set and some of the other half are the fakes.
"""

import argparse
import io
import json
import math
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.datasets import FlowersDataset
from stylegan.images import on_white
from stylegan.report.copies import Likeness, compare, likeness, reference_images
from stylegan.report.evidence import report_images
from stylegan.similarity.blends import Pairs
from stylegan.similarity.duplicates import first_of_equals
from stylegan.similarity.neighbours import Neighbours

SHARES = (0.3, 0.2, 0.1)


def flowers(seed: int, count: int, size: int) -> Tensor:
    """uint8 [count,3,size,size]."""
    data = FlowersDataset(seed=seed, num_items=count, size=(size, size), channels=3, labelled=False)
    return torch.stack([data.image(index) for index in range(count)])


def zipped(path: Path) -> Tensor:
    """The PNGs of a zip, on white: uint8 [N,3,H,W]."""
    images = []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".png"):
                pixels = np.array(Image.open(io.BytesIO(archive.read(name))).convert("RGBA"))
                images.append(on_white(torch.from_numpy(pixels).permute(2, 0, 1)))
    return torch.stack(images)


def shifted(images: Tensor, down: int, across: int) -> Tensor:
    """Moved by whole pixels; the edge is repeated."""
    height, width = images.shape[-2:]
    rows = (torch.arange(height) - down).clamp(0, height - 1)
    columns = (torch.arange(width) - across).clamp(0, width - 1)
    return images[..., rows, :][..., columns]


def recoloured(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each with a hue of its own, 0.7 to 1.3 of the contrast, up to 40 grey levels brighter or darker."""
    out = []
    axis = torch.ones(3) / math.sqrt(3)
    cross = torch.tensor([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    for image in images.to(torch.float32):
        turn, contrast, light = torch.rand(3, generator=generator).tolist()
        angle = (2 * turn - 1) * math.pi
        hue = torch.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
        colours = (hue @ (image.flatten(1) - 127.5)) * (0.7 + 0.6 * contrast) + 127.5 + 40 * (2 * light - 1)
        out.append(colours.clamp(0, 255).round().to(torch.uint8).view_as(image))
    return torch.stack(out)


def blended(one: Tensor, other: Tensor, generator: torch.Generator) -> Tensor:
    """a x one + (1 - a) x other, with an a of 0.3 to 0.7 for each."""
    a = 0.3 + 0.4 * torch.rand(len(one), 1, 1, 1, generator=generator)
    return (a * one + (1 - a) * other).round().to(torch.uint8)


def copiers(reals: Tensor, count: int, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Kind, and `count` fakes of it."""
    generator = torch.Generator().manual_seed(seed)
    pick = torch.randint(len(reals), (2, count), generator=generator)
    one, other = reals[pick[0]], reals[pick[1]]
    yield "plain", one
    yield "mirrored", one.flip(-1)
    yield "shifted by 2 px", shifted(one, 2, -2)
    yield "recoloured", recoloured(one, generator)
    yield "blended in pairs", blended(one, other, generator)


def mixed(some: Likeness, others: Likeness, share: float) -> Likeness:
    """The first of `some`, and for the rest those of `others`."""
    count = round(share * len(some.pairs.residual))

    def rows(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a[:count], b[count:]])

    near = Neighbours(
        *(rows(*pair) for pair in zip(*(vars(x.neighbours).values() for x in (some, others)), strict=True))
    )
    pairs = Pairs(
        *(rows(*pair) for pair in zip(*(vars(x.pairs).values() for x in (some, others)), strict=True))
    )
    return Likeness(near, pairs, None)


def outcomes(reals: Tensor, fresh: Tensor, seed: int, only: tuple[str, ...] = ()) -> dict[str, bool]:
    """Kind → whether the report says that images are copied."""
    real = report_images(reals)
    real = real.only(first_of_equals(real.thumbnails))
    reference = reference_images(real, None)
    found = {"drawn afresh": likeness(real, report_images(fresh))}
    for kind, fakes in copiers(reals, len(fresh), seed):
        if not only or kind in only:
            found[kind] = likeness(real, report_images(fakes))
    for share in SHARES:
        found[f"{share:.0%} plain copies"] = mixed(found["plain"], found["drawn afresh"], share)
    return {kind: compare(found_in, reference).verdict == "bad" for kind, found_in in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--fakes", type=int, default=100)
    parser.add_argument("--sets", nargs="*", default=["100x32", "500x64", "2000x32"])
    parser.add_argument("--emoji", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table: dict[str, dict[str, int]] = {}
    for name in options.sets + (["halves"] if options.emoji else []):
        counts: dict[str, int] = {}
        for seed in range(options.seeds):
            if name == "halves":
                images = zipped(options.emoji)
                order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
                half = len(images) // 2
                reals, fresh = images[order[:half]], images[order[half : half + options.fakes]]
                flags = outcomes(reals, fresh, seed, only=("plain", "recoloured"))
            else:
                count, size = (int(part) for part in name.split("x"))
                reals, fresh = flowers(1000 + seed, count, size), flowers(2000 + seed, options.fakes, size)
                flags = outcomes(reals, fresh, seed)
            for kind, flag in flags.items():
                counts[kind] = counts.get(kind, 0) + flag
            print(name, "after seed", seed, counts, file=sys.stderr, flush=True)
        table[name] = counts
        for kind, flagged in counts.items():
            print(f"| {name} | {kind} | {flagged} of {options.seeds} |", flush=True)
    print(json.dumps({"seeds": options.seeds, "fakes": options.fakes, "flagged": table}))


if __name__ == "__main__":
    main()
