"""Timeline: a YAML file of tracks, read with the line of each mistake."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from stylegan.latents.cells import parse_shape
from stylegan.latents.layers import check_layers
from stylegan.latents.paths.curves import EASINGS
from stylegan.latents.tracks import ALONG, Keys, Pulse, Shape, TrackKey, Wave
from stylegan.machine.files import expanded
from stylegan.machine.text import printable

_LARGEST_FILE = 2**20
# The least and the largest value of each kind of track; None = text.
RANGES: dict[str, tuple[float, float] | None] = {
    "psi": (-100, 100),
    "label": None,
    "speed": (-100, 100),
    "noise": (0, 100),
    "direction": (-1000, 1000),
    "styles": (0, 1),
    "weight": (0, 1000),
    "network": (0, 1),
}
# Those that are followed by what they move, after a dot.
_NAMED = {
    "direction": "a file of a direction, as in direction.smile.npz",
    "styles": "a seed or a latent file, as in styles.85",
    "weight": "the number of a cell, from 0, as in weight.1",
}
BLENDS = ("features", "pixels")
_KEY_FIELDS = ("time_sec", "value", "easing")
_PULSE_FIELDS = ("low", "high", "period_sec", "times")


@dataclass(frozen=True)
class Track:
    """One line of values over time.

    Args:
        kind: a key of `RANGES`.
        what: that it moves, of kinds that have a name: `smile.npz`, `85`, `1`; else "".
        shape: its values. Of a label they are texts, in `Keys`.
        layers: that it counts for; None = all.
    """

    kind: str
    what: str
    shape: Shape
    layers: str | None = None


@dataclass(frozen=True)
class FrameCells:
    """Several latents in one image.

    Args:
        columns, rows: regions side by side; 0 where a mask says where which latent is.
        softness: width over which a region passes into the next, as a part of a region.
        mask: picture, or folder of pictures.
        blend: one of `BLENDS`: what is blended, the network's feature maps or the pixels of whole images.
    """

    columns: int = 0
    rows: int = 0
    softness: float = 0.0
    mask: Path | None = None
    blend: str = "features"


@dataclass(frozen=True)
class Timeline:
    """What changes over a video.

    Args:
        tracks: in the order of the file.
        cells: where a frame holds several latents; None = one latent an image.
        folder: that names of files in it are relative to.
        text: of the file, for provenance.
    """

    tracks: tuple[Track, ...] = ()
    cells: FrameCells | None = None
    folder: Path = Path()
    text: str = ""


def read_timeline(path: str | Path) -> Timeline:
    """Reads a timeline.

    Raises: ValueError in one line, with the file, its line, the track and the way out.
    """
    place = expanded(path, key="timeline")
    try:
        with place.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"timeline={printable(str(path))}: the file cannot be read ({reason})") from error
    if len(data) > _LARGEST_FILE:
        raise ValueError(f"timeline={printable(str(path))}: a timeline has at most 1 MiB")
    return parse_timeline(text, name=printable(str(path)), folder=place.parent)


def parse_timeline(text: str, *, name: str = "timeline", folder: Path = Path()) -> Timeline:
    """The text of a timeline. Args: name: of the file, for messages. Raises: ValueError as of `read_timeline`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        reason = " ".join(str(getattr(error, "problem", None) or getattr(error, "reason", error)).split())
        raise ValueError(f"{name}{where}: this is not YAML ({printable(reason)})") from error
    except (RecursionError, ValueError) as error:
        raise ValueError(f"{name}: this is not YAML that can be read ({type(error).__name__})") from error
    if root is None:
        return Timeline(folder=folder, text=text)
    reader = _Reader(name)
    tracks: list[Track] = []
    cells = None
    for key, node in reader.pairs(root, "the timeline"):
        if key == "frame":
            cells = _frame(reader, node, folder)
        else:
            tracks.append(_track(reader, key, node))
    return Timeline(tuple(tracks), cells, folder, text)


def inside(folder: Path, text: str) -> Path:
    """A file that a timeline names, next to it or in a folder there. Raises: ValueError for one elsewhere."""
    path = Path(text)
    if path.is_absolute() or ".." in path.parts or text.startswith("~"):
        raise ValueError(
            f"{printable(text)}: files of a timeline lie in its own folder, and are named from there"
        )
    return folder / path


class _Reader:
    """Nodes of YAML to values, or to an error with its line."""

    def __init__(self, name: str):
        self.name = name

    def wrong(self, node: yaml.Node, what: str) -> ValueError:
        return ValueError(f"{self.name}, line {node.start_mark.line + 1}: {what}")

    def pairs(
        self, node: yaml.Node, what: str, allowed: tuple[str, ...] = ()
    ) -> Iterator[tuple[str, yaml.Node]]:
        """(name, value) of a mapping; each name once, and one of `allowed` where that is given."""
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{what} must be written as name: value")
        seen: set[str] = set()
        for key, value in node.value:
            name = self.text(key, "a name")
            if name in seen:
                raise self.wrong(key, f"{what} has {printable(name)} twice")
            if allowed and name not in allowed:
                raise self.wrong(key, f"{what} has no {printable(name)}; it has {', '.join(allowed)}")
            seen.add(name)
            yield name, value

    def text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or node.tag.endswith(":null"):
            raise self.wrong(node, f"{what} must be a word or a number")
        return str(node.value)

    def number(self, node: yaml.Node, what: str, low: float, high: float) -> float:
        text = self.text(node, what)
        try:
            number = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise self.wrong(
                node, f"{what} must be a number from {low:g} to {high:g}, got {printable(text[:40])}"
            )
        return number


def _track(reader: _Reader, name: str, node: yaml.Node) -> Track:
    kind, _, what = name.partition(".")
    if kind not in RANGES:
        known = [
            f"{kind}.<{'cell' if kind == 'weight' else 'name'}>" if kind in _NAMED else kind
            for kind in RANGES
        ]
        raise reader.wrong(
            node, f"unknown track {printable(name[:40])}; there are {', '.join(known)}, and frame"
        )
    if (kind in _NAMED) != bool(what):
        needs = f"{kind} needs {_NAMED[kind]}" if kind in _NAMED else f"{kind} has no part of its own"
        raise reader.wrong(node, f"track {printable(name[:40])}: {needs}")
    # Written in one way only: a track weight.01 would be beside weight.1, and move nothing.
    if kind == "weight" and not (
        what.isascii() and what.isdigit() and what == str(int(what)) and len(what) <= 4
    ):
        raise reader.wrong(node, f"track {printable(name[:40])}: weight needs {_NAMED[kind]}")
    layers = None
    if isinstance(node, yaml.MappingNode):
        fields = dict(reader.pairs(node, f"track {name}", ("keys", "pulse", "wave", "layers")))
        if "layers" in fields:
            layers = _checked(reader, fields["layers"], f"track {name}: layers", check_layers)
            if kind not in ("styles", "direction"):
                raise reader.wrong(node, f"track {name}: layers count for styles and direction alone")
        shapes = [field for field in fields if field != "layers"]
        if len(shapes) != 1:
            raise reader.wrong(node, f"track {name} needs one of keys, pulse and wave")
        shape = _shape(reader, f"track {name}", kind, shapes[0], fields[shapes[0]])
    else:
        shape = _shape(reader, f"track {name}", kind, "keys", node)
    return Track(kind, what, shape, layers)


def _shape(reader: _Reader, track: str, kind: str, form: str, node: yaml.Node) -> Shape:
    if form == "keys":
        return _keys(reader, track, kind, node)
    if RANGES[kind] is None:
        raise reader.wrong(node, f"{track}: a {kind} has keys, neither pulse nor wave")
    if kind == "network" and form == "wave":
        raise reader.wrong(node, f"{track}: one network draws all cells, so there is no wave over them")
    low, high = RANGES[kind]
    names = _PULSE_FIELDS if form == "pulse" else (*_PULSE_FIELDS, "along")
    fields = dict(reader.pairs(node, f"{track}: {form}", names))
    if missing := [name for name in ("low", "high") if name not in fields]:
        raise reader.wrong(node, f"{track}: {form} lacks {missing[0]}")
    if ("period_sec" in fields) == ("times" in fields):
        raise reader.wrong(node, f"{track}: {form} needs period_sec, or times = rounds in the whole video")
    numbers = {name: reader.number(fields[name], f"{track}: {name}", low, high) for name in ("low", "high")}
    for name in ("period_sec", "times"):
        if name in fields:
            numbers[name] = reader.number(fields[name], f"{track}: {name}", 1e-3, 1e6)
    if form == "pulse":
        return Pulse(**numbers)
    along = reader.text(fields["along"], f"{track}: along") if "along" in fields else "columns"
    if along not in ALONG:
        raise reader.wrong(
            node, f"{track}: along must be one of {', '.join(ALONG)}, got {printable(along[:40])}"
        )
    return Wave(**numbers, along=along)


def _keys(reader: _Reader, track: str, kind: str, node: yaml.Node) -> Keys:
    """A list of keys, or one value for the whole video."""
    if not isinstance(node, yaml.SequenceNode):
        return Keys((TrackKey(0.0, _value(reader, track, kind, node)),))
    keys: list[TrackKey] = []
    for item in node.value:
        fields = dict(reader.pairs(item, f"{track}: a key", _KEY_FIELDS))
        if missing := [name for name in ("time_sec", "value") if name not in fields]:
            raise reader.wrong(item, f"{track}: a key lacks {missing[0]}")
        time_sec = reader.number(fields["time_sec"], f"{track}: time_sec", 0, 1e6)
        if keys and time_sec <= keys[-1].time_sec:
            raise reader.wrong(
                item, f"{track}: time_sec must ascend, and {time_sec:g} follows {keys[-1].time_sec:g}"
            )
        easing = reader.text(fields["easing"], f"{track}: easing") if "easing" in fields else "linear"
        if easing not in EASINGS:
            raise reader.wrong(
                fields["easing"],
                f"{track}: easing must be one of {', '.join(EASINGS)}, got {printable(easing[:40])}",
            )
        keys.append(TrackKey(time_sec, _value(reader, track, kind, fields["value"]), easing))
    if not keys:
        raise reader.wrong(node, f"{track} has no keys")
    return Keys(tuple(keys))


def _value(reader: _Reader, track: str, kind: str, node: yaml.Node) -> float | str:
    span = RANGES[kind]
    return (
        reader.text(node, f"{track}: value")
        if span is None
        else reader.number(node, f"{track}: value", *span)
    )


def _frame(reader: _Reader, node: yaml.Node, folder: Path) -> FrameCells:
    fields: Mapping[str, yaml.Node] = dict(
        reader.pairs(node, "frame", ("cells", "softness", "mask", "blend"))
    )
    if ("cells" in fields) == ("mask" in fields):
        raise reader.wrong(node, "frame needs cells, as in 3x1, or mask, a picture")
    blend = reader.text(fields["blend"], "frame: blend") if "blend" in fields else BLENDS[0]
    if blend not in BLENDS:
        raise reader.wrong(
            fields["blend"], f"frame: blend must be one of {', '.join(BLENDS)}, got {printable(blend[:40])}"
        )
    if "mask" in fields:
        if "softness" in fields:
            raise reader.wrong(node, "frame: softness counts for cells; a mask is as soft as its picture")
        mask = _checked(reader, fields["mask"], "frame: mask", lambda text: inside(folder, text), keep=True)
        return FrameCells(mask=mask, blend=blend)
    columns, rows = _checked(
        reader, fields["cells"], "frame", lambda text: parse_shape(text, key="cells"), keep=True
    )
    softness = reader.number(fields["softness"], "frame: softness", 0, 1) if "softness" in fields else 0.0
    return FrameCells(columns, rows, softness, blend=blend)


def _checked(reader: _Reader, node: yaml.Node, what: str, check: Callable, *, keep: bool = False):
    """A text that `check` accepts, or with `keep` what it makes of it; its error gets the line."""
    text = reader.text(node, what)
    try:
        made = check(text)
    except ValueError as error:
        raise reader.wrong(node, f"{what}: {error}") from error
    return made if keep else text
