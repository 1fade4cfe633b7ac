"""Modulation: what the tracks of a timeline and of a sound make of each frame and cell."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylegan.latents.cells import Blend, Sheet
from stylegan.latents.directions.movement import Movement, parse_directions
from stylegan.latents.drawer import Drawer
from stylegan.latents.layers import layer_mask, parse_layers
from stylegan.latents.points import Point, parse_points
from stylegan.latents.timeline import Timeline, Track, inside
from stylegan.latents.tracks import AudioTrack, Keys, Moment


class Row(NamedTuple):
    """One image of a video: its frame, its cell, and where on its path it is."""

    frame: int
    cell: int
    position: float


class Style(NamedTuple):
    """Another latent whose layers come in."""

    track: Track
    point: Point
    mask: Tensor


class Modulation:
    """Settings over time, by the timeline and the sound; each a function of the number of the frame and of the cell.

    Args:
        drawer: whose labels, layers and directions are meant.
        timeline: of the video.
        following: what follows the sound.
        sounds: by name, each [count] in 0..1.
        fps: frames of a second. count: of frames.
        layout: of the cells.
    Raises: ValueError for a label, layer, point, direction or cell that is not there.
    """

    def __init__(
        self,
        drawer: Drawer,
        timeline: Timeline,
        following: Sequence[AudioTrack] = (),
        *,
        sounds: Mapping[str, np.ndarray] | None = None,
        fps: float,
        count: int,
        layout: Sheet | Blend,
    ):
        self._drawer, self._layout = drawer, layout
        self._fps, self._duration_sec = float(fps), count / float(fps)
        self._tracks = {(track.kind, track.what): track for track in timeline.tracks}
        self._following: dict[tuple[str, str], list[tuple[float, np.ndarray]]] = defaultdict(list)
        for track in following:
            self._following[track.kind, track.what].append((track.amount, (sounds or {})[track.sound]))
        self._labels = self._labels_of_tracks()
        self._mixed_in = [
            (drawer.label(what), amount, sound)
            for (kind, what), heard in self._following.items()
            if kind == "label"
            for amount, sound in heard
        ]
        self._styles = [self._style(track, timeline) for track in timeline.tracks if track.kind == "styles"]
        self._movement = self._directions(timeline)
        for track in timeline.tracks:
            if track.kind == "weight" and (int(track.what) >= layout.count or not isinstance(layout, Blend)):
                raise ValueError(
                    f"timeline: track weight.{track.what} is of a cell, and the frame has"
                    f" {layout.count if isinstance(layout, Blend) else 'none; frame: names cells or a mask'}"
                )

    def moment(self, frame: int, cell: int) -> Moment:
        """When and where an image of the video is."""
        row, column = divmod(cell, self._layout.columns)
        return Moment(
            frame / self._fps, self._duration_sec, column, row, self._layout.columns, self._layout.rows
        )

    def number(self, kind: str, rows: Sequence[Row], usual: float, what: str = "") -> list[float] | None:
        """The value of each image; None where neither a track nor a sound moves it. Args: usual: without a track."""
        track, heard = self._tracks.get((kind, what)), self._following.get((kind, what), ())
        if track is None and not heard:
            return None
        return [
            (usual if track is None else track.shape.at(self.moment(row.frame, row.cell)))
            + sum(amount * float(sound[row.frame]) for amount, sound in heard)
            for row in rows
        ]

    def psi(self, rows: Sequence[Row]) -> Tensor | None:
        """psi of each image, [n]; None = as the drawer has it."""
        values = self.number("psi", rows, self._drawer.truncation)
        return None if values is None else torch.tensor(values, dtype=torch.float32)

    def noise(self, rows: Sequence[Row]) -> list[float] | None:
        """The factor of the noise maps of each image, at least 0; None = as they are."""
        values = self.number("noise", rows, 1.0)
        return None if values is None else [max(0.0, value) for value in values]

    def speeds(self, count: int) -> np.ndarray | None:
        """The speed along the path, [count, cells]; None = 1 throughout."""
        if ("speed", "") not in self._tracks and ("speed", "") not in self._following:
            return None
        cells = range(self._layout.count)
        return np.array(
            [self.number("speed", [Row(i, cell, 0) for cell in cells], 1.0) for i in range(count)]
        )

    def weights(self, frames: Sequence[int]) -> Tensor | None:
        """The weight of each cell in a frame, [n, cells]; None = all 1."""
        if not any(kind == "weight" for kind, _ in self._tracks):
            return None
        cells = [
            self.number("weight", [Row(frame, cell, 0) for frame in frames], 1.0, str(cell))
            or [1.0] * len(frames)
            for cell in range(self._layout.count)
        ]
        return torch.tensor(cells, dtype=torch.float32).T

    def labels(self, rows: Sequence[Row], usual: Tensor | None) -> Tensor | None:
        """The label of each image, [n,K]. Args: usual: [n,K] without a track; None for a network without labels."""
        if usual is None:
            return None
        if self._labels is not None:
            track = self._tracks["label", ""].shape
            found = []
            for row in rows:
                before, after, part = track.between(self.moment(row.frame, row.cell).time_sec)
                first = self._labels[before]
                found.append(first if part == 0 else first + part * (self._labels[after] - first))
            usual = torch.stack(found)
        for label, amount, sound in self._mixed_in:
            share = torch.tensor([min(1.0, max(0.0, amount * float(sound[row.frame]))) for row in rows])
            usual = usual + share[:, None] * (label - usual)
        return usual

    @property
    def sets_labels(self) -> bool:
        """Whether labels change over time."""
        return self._labels is not None or bool(self._mixed_in)

    def mixed(self, ws: Tensor, rows: Sequence[Row], labels: Tensor | None, psi: Tensor | None) -> Tensor:
        """ws [n,L,W] with the layers of other latents mixed in."""
        for style in self._styles:
            amounts = self.number("styles", rows, 0.0, style.track.what) or []
            other = self._drawer.raw_ws([style.point] * len(rows), labels)
            if style.point.w is None:
                other = self._drawer.truncated(other, psi)
            amount = torch.tensor(amounts).to(ws)[:, None, None] * style.mask.to(ws)[:, None]
            ws = torch.lerp(ws, other, amount)
        return ws

    def moved(self, ws: Tensor, rows: Sequence[Row]) -> tuple[Tensor, Mapping[str, Tensor] | None]:
        """ws [n,L,W] along all directions, and what they add to styles {layer: [n,C]}; None = as the drawer has it."""
        if self._movement is None:
            return self._drawer.moved(ws), None
        usual = self._movement.strengths.tolist()
        strengths = torch.tensor(
            [
                self.number("direction", rows, written, name) or [written] * len(rows)
                for name, written in zip(self._names, usual, strict=True)
            ],
            dtype=torch.float32,
        ).T
        strengths = strengths.to(ws.device)
        return ws + self._movement.shift(strengths).to(ws), self._movement.style_offsets(strengths)

    def _labels_of_tracks(self) -> list[Tensor] | None:
        """The label of each key of the label track."""
        track = self._tracks.get(("label", ""))
        if track is None:
            return None
        if self._drawer.generator.c_dim == 0:
            raise ValueError(
                f"timeline: it has a track label, and {self._drawer.name} was trained without labels"
            )
        assert isinstance(track.shape, Keys)
        return [self._drawer.label(key.value) for key in track.shape.keys]

    def _style(self, track: Track, timeline: Timeline) -> Style:
        key = f"timeline: track styles.{track.what}"
        text = track.what if track.what.isdigit() else str(inside(timeline.folder, track.what))
        points = parse_points(text, key=key)
        if len(points) != 1:
            raise ValueError(f"{key}: it names {len(points)} latents, and one at a time is mixed in")
        generator = self._drawer.generator
        layers = parse_layers(track.layers, generator, key=f"{key}: layers")
        return Style(track, points[0], layer_mask(layers, generator.num_ws))

    def _directions(self, timeline: Timeline) -> Movement | None:
        """All directions, where any of them has a track or follows a sound; else None.

        A name of `directions=` means that one. Else it is a file: of a timeline next to it, of a sound as any other on
        the command line.
        """
        layers = {track.what: track.layers for track in timeline.tracks if track.kind == "direction"}
        wanted = dict.fromkeys([*layers, *(what for kind, what in self._following if kind == "direction")])
        if not wanted:
            return None
        drawer = self._drawer
        self._names, parts = [*drawer.movement.names], [*drawer.movement.parts]
        for what in wanted:
            if what in drawer.movement.names:
                continue
            path = str(inside(timeline.folder, what)) if what in layers else what
            chosen = "" if layers.get(what) is None else "@" + layers[what].replace(" ", "").replace(",", "+")
            key = f"timeline: track direction.{what}" if what in layers else "audio_tracks"
            found = parse_directions(path + chosen, drawer.generator, network=drawer.name, key=key).parts
            # Without a track or a sound that says more it moves nothing.
            parts += [replace(part, strength=0.0) for part in found]
            self._names += [what] * len(found)
        return Movement(parts, drawer.generator, network=drawer.name)
