"""Movement: several directions with their strengths, as `directions=smile.npz:2,age.npz[1]:-1` names them."""

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from stylegan.latents.directions.direction import Direction, read_directions
from stylegan.latents.layers import parse_layers
from stylegan.latents.style_layers import style_layers
from stylegan.latents.truncation import number_text
from stylegan.machine.files import expanded
from stylegan.machine.text import printable

_PART = re.compile(
    r"(?P<path>.+?\.np[zy])(?:\[(?P<number>\d{1,6})\])?(?:@(?P<layers>[\w.+-]+))?(?::(?P<strength>[^:]*))?",
    re.DOTALL | re.ASCII | re.IGNORECASE,
)
_FORM = "write files with strengths, as in smile.npz:2,age.npz[1]:-1"
# Beyond any image, and short of what float32 can add to w.
LARGEST_STRENGTH = 1000


@dataclass(frozen=True)
class Part:
    """A direction as it was written.

    Args:
        source: path, number in the file and layers, as in `age.npz[1]@middle`.
        direction: with the layers that were asked for.
        strength: None where none was written.
    """

    source: str
    direction: Direction
    strength: float | None


class Movement:
    """Directions that every image is moved along.

    Args:
        parts: in the order written.
        generator: whose w and styles are moved.
        network: what to call it in errors.
    Attributes:
        names: D of them, for tracks: `smile`, `age-1`.
        strengths: float32 [D], as written; 1 where none was.
    Raises: ValueError where a direction does not fit the network, or stands twice.
    """

    def __init__(self, parts: Sequence[Part], generator: nn.Module, *, network: str = "the network"):
        self.parts = tuple(parts)
        self.names = tuple(part.direction.name for part in parts)
        for part in self.parts:
            part.direction.check(generator, source=part.source, network=network)
            called = [other for other in self.parts if other.direction.name == part.direction.name]
            if len(called) > 1:
                same = len({other.source for other in called}) == 1
                way_out = "add the strengths up" if same else "rename one of the files"
                raise ValueError(f"directions: {part.direction.name} stands there more than once; {way_out}")
        written = [1.0 if part.strength is None else part.strength for part in parts]
        self.strengths = torch.tensor(written, dtype=torch.float32)
        self._in_w = {
            place: part.direction.basis(generator.num_ws)
            for place, part in enumerate(self.parts)
            if part.direction.channel is None
        }
        self._in_styles = [place for place in range(len(self.parts)) if place not in self._in_w]
        self._channels = {name: layer.channels for name, layer in style_layers(generator).items()}
        self._shape = (generator.num_ws, generator.w_dim)

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def text(self) -> dict[str, str]:
        """For provenance: the directions as written, and a digest of what they are; nothing without any."""
        if not self.parts:
            return {}
        written = ",".join(
            part.source + ("" if part.strength is None else f":{number_text(part.strength)}")
            for part in self.parts
        )
        digest = hashlib.sha256()
        for place, part in enumerate(self.parts):
            moved = self._in_w.get(place)
            digest.update(
                repr((part.direction.channel, part.direction.sigma)).encode()
                if moved is None
                else moved.numpy().tobytes()
            )
        return {"directions": written, "directions_sha256": digest.hexdigest()[:16]}

    def shift(self, strengths: Tensor | None = None) -> Tensor:
        """What the directions in w add to ws: strengths [N,D] → [N,L,W] on their device; None = as written, N = 1.

        A row depends on its own strengths alone, bit for bit.
        Raises: ValueError for another number of strengths than of directions.
        """
        strengths = self._checked(strengths)
        total = torch.zeros(len(strengths), *self._shape, device=strengths.device)
        for place, basis in self._in_w.items():
            total = total + strengths[:, place, None, None] * basis.to(strengths.device)
        return total

    def style_offsets(self, strengths: Tensor | None = None) -> dict[str, Tensor]:
        """What the style channels add to the styles: strengths [N,D] → {layer: [N,C]}, of the moved layers alone."""
        strengths = self._checked(strengths)
        offsets: dict[str, Tensor] = {}
        for place in self._in_styles:
            direction = self.parts[place].direction
            layer, number = direction.channel
            if layer not in offsets:
                offsets[layer] = torch.zeros(len(strengths), self._channels[layer], device=strengths.device)
            offsets[layer][:, number] += strengths[:, place] * direction.sigma
        return offsets

    def _checked(self, strengths: Tensor | None) -> Tensor:
        strengths = self.strengths[None] if strengths is None else strengths.to(torch.float32)
        if strengths.ndim != 2 or strengths.shape[1] != len(self.parts):
            raise ValueError(
                f"strengths must have the shape [N, {len(self.parts)}], got {list(strengths.shape)}"
            )
        return strengths


def parse_directions(
    text: str | None, generator: nn.Module, *, network: str = "the network", key: str = "directions"
) -> Movement:
    """`smile.npz:2,age.npz[1]@middle:-1` → these directions with their strengths; None = no direction.

    `[1]` is which of a file's directions, counted from 0; `@middle` or `@0-3+7` the layers that are moved in place of
    the file's own, as in `parse_layers` with + for commas. The strength is in units of the direction's sigma.

    Args: key: of the configuration, for messages. network: what to call it in errors.
    Raises: ValueError that names the key, the part that is wrong and the right form.
    """
    parts = [] if text is None else [_part(part, generator, key) for part in _split(str(text), key)]
    return Movement(parts, generator, network=network)


def with_files(text: str, find: Callable[[str], str | None]) -> str | None:
    """Directions as written, each with the path that `find` gives for its own; None where it gives none for one."""
    parts = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _PART.fullmatch(part)
        place = None if match is None else find(match["path"])
        if match is None or place is None or "," in place:
            return None
        parts.append(place + part[match.end("path") :])
    return ",".join(parts) or None


def _split(text: str, key: str) -> Iterator[str]:
    parts = [part.strip() for part in text.split(",")]
    if not any(parts):
        raise ValueError(f"{key} is empty: {_FORM}")
    yield from (part for part in parts if part)


def _part(text: str, generator: nn.Module, key: str) -> Part:
    match = _PART.fullmatch(text)
    if match is None:
        raise ValueError(f"{key}={printable(text)}: this is no direction; {_FORM}")
    path, number, layers, strength = (match[name] for name in ("path", "number", "layers", "strength"))
    direction = _of_file(path, number, f"{key}={printable(text)}", key)
    source = path + ("" if number is None else f"[{number}]")
    if layers is not None:
        if direction.channel is not None:
            raise ValueError(f"{key}={printable(text)}: a style channel has its layer; leave @{layers} out")
        numbers = parse_layers(layers.replace("+", ","), generator, key=f"{key}={printable(source)}@layers")
        direction = replace(direction, layers=numbers, name=f"{direction.name}@{layers}")
        source += f"@{layers}"
    return Part(
        source, direction, None if strength is None else strength_in(strength, f"{key}={printable(text)}")
    )


def _of_file(path: str, number: str | None, shown: str, key: str) -> Direction:
    place = expanded(path, key=key)
    if not place.is_file():
        raise ValueError(f"{shown}: there is no such file")
    found = read_directions(place)
    if number is None and len(found) > 1:
        raise ValueError(
            f"{shown}: the file holds {len(found)} directions: say which, as in {printable(path)}[0]:2"
        )
    if int(number or 0) >= len(found):
        raise ValueError(f"{shown}: the file has {len(found)} directions, numbered 0 to {len(found) - 1}")
    return found[int(number or 0)]


def strength_in(text: str, shown: str) -> float:
    """A strength. Raises: ValueError, beginning with `shown`, where it is no number, or beyond ±1000."""
    try:
        strength = float(text)
    except ValueError:
        strength = math.nan
    if not abs(strength) <= LARGEST_STRENGTH:
        raise ValueError(
            f"{shown}: a strength is a number from -{LARGEST_STRENGTH} to {LARGEST_STRENGTH}, as in :2 or :-1.5"
        )
    return strength
