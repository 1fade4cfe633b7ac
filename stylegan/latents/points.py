"""Points of latent space as a user names them: seeds, ranges of seeds, and latents in files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from stylegan.latents.latent_files import SUFFIXES, read_latents
from stylegan.latents.seeds import MAX_SEEDS, seed_in
from stylegan.machine.files import expanded
from stylegan.machine.text import printable

_NUMBER_OR_RANGE = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)
_FILE = re.compile(r"(?P<path>.*?)(?:\[(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?\])?", re.DOTALL | re.ASCII)


@dataclass(frozen=True)
class Point:
    """One point of latent space: a seed, or a latent z or w of a file.

    Args:
        name: for names of files: `seed0042`, `fox`, `walk-003`.
        source: as it was written: `42`, `fox.npz`, `walk.npz[3]`.
        seed: None for a latent of a file.
        z: [Z]; None for a seed, whose z follows from the generator's z_dim, and for a w.
        w: [1,W] or [L,W], drawn as it is: truncation leaves it alone.
        noise: maps that belong to w, {layer: [1,H,W]}; None = as `noise_mode` says.
    """

    name: str
    source: str
    seed: int | None = None
    z: Tensor | None = None
    w: Tensor | None = None
    noise: Mapping[str, Tensor] | None = None


def parse_points(text: str | int, *, key: str = "seeds") -> tuple[Point, ...]:
    """`0-5,0,9-7,fox.npz,walk.npz[3]` → the points, in the order written; repeats are kept, and ranges may run down.

    Commas divide, and so do blanks between seeds. A file stands for all its latents, `[3]` or `[0-5]` for some of
    them, counted from 0; a folder for its latent files by name.

    Args: key: of the configuration, for messages.
    Raises: ValueError that names the key, the part that is wrong and the right form.
    """
    points: list[Point] = []
    for part in _parts(str(text).strip()):
        for point in _points_of(part, key):
            points.append(point)
            if len(points) > MAX_SEEDS:
                raise ValueError(f"{key}={_short(text)}: these are more than {MAX_SEEDS:,}, the most at once")
    if not points:
        raise ValueError(f"{key} is empty: write seeds, ranges or latent files, as in {key}=0-5,fox.npz")
    return tuple(points)


def seeds_of(points: Sequence[Point], *, key: str = "seeds") -> tuple[int, ...]:
    """The seeds of points that must all be seeds. Raises: ValueError that names the first which is none."""
    for point in points:
        if point.seed is None:
            raise ValueError(f"{key}={printable(point.source)}: only seeds, and ranges of them, count here")
    return tuple(point.seed for point in points if point.seed is not None)


def _parts(text: str) -> Iterator[str]:
    """What stands between commas; blanks divide as well where nothing but seeds stands between them."""
    for part in text.split(","):
        part = re.sub(r"(?<=[0-9])\s+-\s+(?=[0-9])", "-", part.strip())
        if re.fullmatch(r"[\d\s-]+", part, re.ASCII):
            yield from part.split()
        elif part:
            yield part


def _points_of(part: str, key: str) -> Iterator[Point]:
    if match := _NUMBER_OR_RANGE.fullmatch(part):
        first = seed_in(match[1], key=key, text=part)
        last = first if match[2] is None else seed_in(match[2], key=key, text=part)
        if abs(last - first) >= MAX_SEEDS:
            raise ValueError(f"{key}={part}: these are more than {MAX_SEEDS:,}, the most at once")
        step = 1 if last >= first else -1
        for seed in range(first, last + step, step):
            yield Point(name=f"seed{seed:04d}", source=str(seed), seed=seed)
        return
    yield from _in_file(part, key)


def _in_file(part: str, key: str) -> Iterator[Point]:
    path = expanded(part, key=key)
    match = _FILE.fullmatch(part)
    # A file whose name ends in brackets is meant as it is.
    chosen = None if path.exists() or match is None else match["first"]
    if chosen is not None:
        path = expanded(match["path"], key=key)
    if not path.exists():
        if path.suffix.lower() in SUFFIXES or "/" in part:
            raise ValueError(f"{key}={printable(part)}: there is no such file")
        raise ValueError(
            f"{key}={printable(_short(part))}: neither a seed, nor a range as in 0-15, nor a file of latents"
            f" ({', '.join(SUFFIXES)})"
        )
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{key}={printable(part)}: the folder holds no latents ({', '.join(SUFFIXES)})")
    for file in files:
        rows = read_latents(file)
        numbers = range(len(rows))
        if chosen is not None:
            numbers = range(int(chosen), int(match["last"] or chosen) + 1)
            if not numbers or numbers[-1] >= len(rows):
                raise ValueError(
                    f"{key}={printable(part)}: the file has {len(rows)} latents, numbered 0 to {len(rows) - 1}"
                )
        for number in numbers:
            alone = len(rows) == 1
            yield Point(
                name=file.stem if alone else f"{file.stem}-{number:03d}",
                source=str(file) if alone else f"{file}[{number}]",
                z=rows[number].z,
                w=rows[number].w,
                noise=rows[number].noise,
            )


def _short(text: str | int) -> str:
    return str(text) if len(str(text)) <= 60 else str(text)[:57] + "..."
