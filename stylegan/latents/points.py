"""Points of latent space as a user names them: seeds, ranges of seeds, latents in files, and images of ours."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from stylegan.latents.latent_files import SUFFIXES, latents_of_image, read_latents
from stylegan.latents.provenance import IMAGE_SUFFIXES, is_image, stored_in
from stylegan.latents.seeds import MAX_SEEDS, seed_in
from stylegan.machine.files import expanded
from stylegan.machine.sidecars import read_sidecar
from stylegan.machine.text import printable

_NUMBER_OR_RANGE = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)
_FILE = re.compile(r"(?P<path>.*?)(?:\[(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?\])?", re.DOTALL | re.ASCII)


@dataclass(frozen=True, slots=True)
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

    @property
    def digest(self) -> str:
        """SHA-256 of the latent and its noise maps in hexadecimal digits, whatever its file; of a seed, of its number.

        A w whose L entries are equal has the digest of one of them.
        """
        digest = hashlib.sha256()
        w = self.w
        if w is not None and len(w) > 1 and bool((w == w[:1]).all()):
            w = w[:1]
        parts = {"seed": None if self.seed is None else np.array(self.seed), "z": self.z, "w": w}
        for name, values in (parts | dict(sorted((self.noise or {}).items()))).items():
            if values is not None:
                array = np.asarray(values, dtype="<i8" if name == "seed" else "<f4")
                digest.update(f"{name}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def noise_seed(self) -> int:
        """What its random noise is keyed by: the seed, or a number of 128 bits of its digest."""
        # Above all seeds, so that no latent shares the noise of one.
        return (1 << 128) + int(self.digest[:32], 16) if self.seed is None else self.seed

    @property
    def text(self) -> dict[str, str]:
        """What an image of it says: the seed, or the digest of the latent and where it was."""
        if self.seed is not None:
            return {"seed": str(self.seed)}
        return {"latent": self.digest, "source": Path(self.source).name}

    @property
    def short(self) -> str:
        """`42`, or `fox:1a2b3c4d5e6f` of a latent, with the first digits of its digest."""
        return f"{self.name}:{self.digest[:12]}" if self.seed is None else str(self.seed)


def parse_points(text: str | int, *, key: str = "seeds") -> tuple[Point, ...]:
    """`0-5,0,9-7,fox.npz,walk.npz[3],seed0042.png` → the points, in the order written.

    Repeats are kept, and ranges may run down. Commas divide, and so do blanks between seeds. A file stands for all its
    latents, `[3]` or `[0-5]` for some of them, counted from 0; a folder for its latent files by name; an image that
    this program drew for its seed or latent.

    Args: key: of the configuration, for messages.
    Raises: ValueError that names the key, the part that is wrong and the right form.
    """
    parts = [*_parts(str(text).strip())]
    # Counted before they are made, and again with those of files.
    too_many = sum(_length(part) for part in parts) > MAX_SEEDS
    points = [] if too_many else [point for part in parts for point in _points_of(part, key)]
    if too_many or len(points) > MAX_SEEDS:
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


def short_text(points: Sequence[Point]) -> str:
    """The points in few words: `0-15,20,fox:1a2b3c4d5e6f`; two lists have one text only where they are equal."""
    words: list[str] = []
    place = 0
    while place < len(points):
        last = place
        while last + 1 < len(points) and _follows(points[last], points[last + 1]):
            last += 1
        words.append(points[place].short if last == place else f"{points[place].seed}-{points[last].seed}")
        place = last + 1
    return ",".join(words)


def without_repeats(points: Sequence[Point], *, key: str = "seeds") -> tuple[Point, ...]:
    """The points, each once, for files by their names.

    Raises: ValueError where two different latents have one name.
    """
    found: dict[str, Point] = {}
    for point in points:
        other = found.setdefault(point.name, point)
        if other is not point and (
            other.seed != point.seed or (point.seed is None and other.digest != point.digest)
        ):
            raise ValueError(
                f"{key}: {printable(other.source)} and {printable(point.source)} would both be called"
                f" {printable(point.name)}; draw them into two folders"
            )
    return tuple(found.values())


def _follows(point: Point, later: Point) -> bool:
    return point.seed is not None and later.seed == point.seed + 1


def _parts(text: str) -> Iterator[str]:
    """What stands between commas; blanks divide as well where nothing but seeds stands between them."""
    # A path may hold commas.
    whole = (
        "," in text and Path(text).suffix.lower() in (*SUFFIXES, *IMAGE_SUFFIXES) and expanded(text).is_file()
    )
    for part in [text] if whole else text.split(","):
        part = re.sub(r"(?<=[0-9])\s+-\s+(?=[0-9])", "-", part.strip())
        if re.fullmatch(r"[\d\s-]+", part, re.ASCII):
            yield from part.split()
        elif part:
            yield part


def _length(part: str) -> int:
    """How many seeds a part stands for; 1 for a file, and for a seed that is too large to be read."""
    match = _NUMBER_OR_RANGE.fullmatch(part)
    if match is None or match[2] is None or max(len(match[1]), len(match[2])) > 20:
        return 1
    return abs(int(match[2]) - int(match[1])) + 1


def _points_of(part: str, key: str) -> Iterator[Point]:
    if match := _NUMBER_OR_RANGE.fullmatch(part):
        first = seed_in(match[1], key=key, text=part)
        last = first if match[2] is None else seed_in(match[2], key=key, text=part)
        step = 1 if last >= first else -1
        for seed in range(first, last + step, step):
            yield _of_seed(seed)
        return
    if "\0" in part:
        raise ValueError(f"{key}={printable(_short(part))}: no path holds a zero byte")
    yield from _in_file(part, key)


def _of_seed(seed: int) -> Point:
    return Point(name=f"seed{seed:04d}", source=str(seed), seed=seed)


def _in_file(part: str, key: str) -> Iterator[Point]:
    path = expanded(part, key=key)
    match = _FILE.fullmatch(part)
    # A file whose name ends in brackets is meant as it is.
    chosen = None if _is_there(path) or match is None else match["first"]
    if chosen is not None:
        path = expanded(match["path"], key=key)
    if not _is_there(path):
        if path.suffix.lower() in (*SUFFIXES, *IMAGE_SUFFIXES) or "/" in part:
            raise ValueError(f"{key}={printable(_short(part))}: there is no such file")
        raise ValueError(
            f"{key}={printable(_short(part))}: neither a seed, nor a range as in 0-15, nor a file of latents"
            f" ({', '.join(SUFFIXES)})"
        )
    if is_image(path) and path.is_file():
        yield point_of_image(path, key=key)
        return
    files = (
        sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if path.is_dir()
        else [path]
    )
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
                name=_stem(file) if alone else f"{_stem(file)}-{number:03d}",
                source=str(file) if alone else f"{file}[{number}]",
                z=rows[number].z,
                w=rows[number].w,
                noise=rows[number].noise,
            )


def point_of_image(path: Path, *, key: str = "seeds") -> Point:
    """The seed or latent that an image of this program was drawn from.

    Raises: ValueError where it does not say so, or where its latent is not next to it, or is another one.
    """
    text = stored_in(path) or read_sidecar(path) or {}
    seed, latent = text.get("seed"), text.get("latent")
    if isinstance(seed, str) and seed.isascii() and seed.isdigit():
        return _of_seed(seed_in(seed, key=key, text=f"{path.name}, seed {seed}"))
    if not isinstance(latent, str):
        raise ValueError(
            f"{key}={printable(str(path))}: this picture does not say which seed or latent it was drawn from;"
            f" task=projection target={printable(str(path))} finds one"
        )
    file = latents_of_image(path)
    if not file.is_file():
        raise ValueError(
            f"{key}={printable(str(path))}: its latent should be in {printable(file.name)}, and is not there"
        )
    rows = read_latents(file)
    point = Point(name=path.stem, source=str(path), z=rows[0].z, w=rows[0].w, noise=rows[0].noise)
    if len(rows) != 1 or point.digest != latent:
        raise ValueError(
            f"{key}={printable(str(path))}: {printable(file.name)} holds another latent than this picture's"
        )
    return point


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long for the file system
        return False


def _stem(file: Path) -> str:
    """The name without its ending, of the latent of an image (`fox.png.npz`) without both."""
    return Path(file.stem).stem if is_image(Path(file.stem)) else file.stem


def _short(text: str | int) -> str:
    return str(text) if len(str(text)) <= 60 else str(text)[:57] + "..."
