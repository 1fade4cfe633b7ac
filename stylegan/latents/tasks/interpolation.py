"""The task `interpolation` of the generate command: a video through latent space."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylegan.latents.cells import (
    Blend,
    Sheet,
    best_shape,
    colour_of,
    deal,
    parse_shape,
    shares_of_masks,
    side_by_side,
)
from stylegan.latents.drawer import Drawer
from stylegan.latents.labels import ALL
from stylegan.latents.latent_video import KeyLatents, LatentVideo, LoopLatents
from stylegan.latents.modulation import Modulation
from stylegan.latents.outputs import Output
from stylegan.latents.paths.curves import CURVES, check_easing
from stylegan.latents.paths.loops import LARGEST_DIAMETER, Loop, frames_of_loop, loop_of_seed
from stylegan.latents.paths.through import Through
from stylegan.latents.paths.timing import MOST_FRAMES, legs_of, seconds_of_legs
from stylegan.latents.points import Point, parse_points, seeds_of
from stylegan.latents.timeline import Timeline, read_timeline
from stylegan.latents.tracks import parse_audio_tracks
from stylegan.machine.console import say
from stylegan.media.settings import MediaSettings
from stylegan.media.write import write_media

PATHS = ("walk", "through", "circle", "noise")
SPACES = ("z", "w")
_USUAL_DURATION_SEC = 30
_LONGEST_SEC = 86_400


class _Keys(NamedTuple):
    """What a cell passes: points, and the label of each."""

    points: tuple[Point, ...]
    labels: tuple[Tensor | None, ...]


class Interpolation:
    """A video through latent space.

    Args:
        seeds: as in `parse_points`.
        label: one for all, or one for each point (of loops: for each cell), divided by semicolons; `all` shows a
            loop of one seed in every class.
        path: "walk", "through", "circle" or "noise"; None = walk for one seed, else through.
        space: "z" or "w", in which `through` interpolates. Where a point is given as w it is w.
        curve: "linear", "slerp" or "cubic"; None = slerp in z, linear in w.
        easing: speed between key frames, one of `EASINGS`.
        leg_sec: from a key frame to the next, one number or one for each leg.
        loop: whether `through` returns to its first key; the others are loops in any case.
        duration_sec: of walk, circle and noise at slowdown 1; None = 30.
        smoothing_sec: of a walk: the standard deviation of the Gaussian over time.
        slowdown: how many times as long the same path takes, 1 or more.
        diameter: of circle and noise.
        grid: `3x2`, columns x rows of cells; None = the best shape.
        timeline: file of tracks.
        audio_tracks: as in `parse_audio_tracks`.
        media: how the video becomes a file.
    Raises: ValueError that names the value and the way out.
    """

    def __init__(
        self,
        *,
        seeds: str | int,
        label: str | float | None = None,
        path: str | None = None,
        space: str = "z",
        curve: str | None = None,
        easing: str = "linear",
        leg_sec: str | float = 5,
        loop: bool = False,
        duration_sec: float | None = None,
        smoothing_sec: float = 3,
        slowdown: float = 1,
        diameter: float = 1,
        grid: str | None = None,
        timeline: str | None = None,
        audio_tracks: str | None = None,
        media: MediaSettings | None = None,
    ):
        self.media = media or MediaSettings()
        self.points, self.label = parse_points(seeds), label
        is_one_seed = len(self.points) == 1 and self.points[0].seed is not None
        self.path = path or ("walk" if is_one_seed else "through")
        _one_of("path", self.path, PATHS)
        _one_of("space", space, SPACES)
        self.is_loop = self.path != "through"
        self.curve = curve
        if curve is not None:
            _one_of("curve", curve, CURVES)
        self.easing, self.leg_sec = check_easing(easing), seconds_of_legs(leg_sec)
        self.loop = bool(loop)
        self.smoothing_sec = _within("smoothing_sec", smoothing_sec, 0, _LONGEST_SEC)
        self.slowdown = _within("slowdown", slowdown, 1, 1000)
        self.diameter = _within("diameter", diameter, 1e-6, LARGEST_DIAMETER)
        duration = _USUAL_DURATION_SEC if duration_sec is None else duration_sec
        self.duration_sec = _within("duration_sec", duration, 1e-6, _LONGEST_SEC)
        self.shape = None if grid is None else parse_shape(grid)
        self.timeline = Timeline() if timeline is None else read_timeline(timeline)
        if self.shape and self.timeline.cells:
            raise ValueError(
                f"grid={grid}: the timeline has frame:, several latents in one image; leave one of them out"
            )
        self.audio_tracks = parse_audio_tracks(audio_tracks)
        if self.audio_tracks and self.media.audio is None:
            raise ValueError("audio_tracks follows a sound: set audio=song.wav")
        colour_of(self.media.fill, 3)
        if self.is_loop:
            self._check_loop(space, duration_sec)
        else:
            self._check_through(space, duration_sec)

    def run(self, drawer: Drawer, output: Output) -> None:
        """Draw, write and say where.  Raises: ValueError for what does not fit the network; OSError of the disk."""
        video = self.video(drawer)
        text = drawer.text | self.text
        if output.claim(self.media.name_of(self.name), text):
            output.folder.mkdir(parents=True, exist_ok=True)
            write_media(video, output.folder / self.name, self.media, text)

    def video(self, drawer: Drawer) -> LatentVideo:
        """The frames, of which any part can be drawn.  Raises: ValueError for what does not fit the network."""
        return self._video_of_loops(drawer) if self.is_loop else self._video_through(drawer)

    @property
    def name(self) -> str:
        """Of the file, without its ending: `walk-seed0000`, `through-seed0000-seed0008`."""
        first, last = self.points[0].name, self.points[-1].name
        return "-".join([self.path, first, *([last] if len(self.points) > 1 else [])])

    @property
    def text(self) -> dict[str, str]:
        """What the file says of the path."""
        text = {"path": self.path, "seeds": short_text(self.points)}
        if self.label is not None:
            text |= {"label": str(self.label)}
        if self.is_loop:
            text |= {"duration_sec": f"{self.duration_sec:g}"}
            if self.path == "walk":
                text |= {"smoothing_sec": f"{self.smoothing_sec:g}"}
            else:
                text |= {"diameter": f"{self.diameter:g}"}
        else:
            text |= {
                "space": self.space,
                "curve": self.curve_in_space,
                "easing": self.easing,
                "leg_sec": ",".join(f"{float(seconds):g}" for seconds in self.leg_sec),
                "loop": str(self.loop).lower(),
            }
        if self.slowdown != 1:
            text |= {"slowdown": f"{self.slowdown:g}"}
        if self.shape:
            text |= {"grid": f"{self.shape[0]}x{self.shape[1]}"}
        if self.timeline.text:
            text |= {"timeline": self.timeline.text}
        if self.audio_tracks:
            text |= {"audio_tracks": ",".join(track.text for track in self.audio_tracks)}
        return text

    @property
    def curve_in_space(self) -> str:
        """The curve between key frames."""
        return self.curve or ("slerp" if self.space == "z" else "linear")

    def _check_loop(self, space: str, duration_sec: float | None) -> None:
        self.seeds = seeds_of(self.points)
        self.space = "z"
        if space != "z":
            raise ValueError(f"space={space}: a {self.path} is a path of z; space counts for path=through")
        if self.curve is not None:
            raise ValueError(
                f"curve={self.curve}: it counts for path=through; a {self.path} has a curve of its own"
            )
        length, count = frames_of_loop(self.duration_sec, self.media.rate, self.slowdown)
        if count > MOST_FRAMES:
            raise ValueError(f"duration_sec makes {count:,} frames, and a video has at most {MOST_FRAMES:,}")
        shape = self.shape
        if shape and len(self.seeds) > 1 and shape[0] * shape[1] < len(self.seeds):
            raise ValueError(
                f"grid={shape[0]}x{shape[1]} has {shape[0] * shape[1]} cells, and there are {len(self.seeds)} seeds:"
                " give a larger grid, fewer seeds, or one seed that fills all cells"
            )

    def _check_through(self, space: str, duration_sec: float | None) -> None:
        given_as_w = [point for point in self.points if point.w is not None]
        self.space = "w" if given_as_w else space
        if self.space != space:
            say(f"interpolating in w, since {given_as_w[0].source} is given as w")
        if duration_sec is not None:
            raise ValueError(
                f"duration_sec={duration_sec:g}: path=through takes leg_sec, the seconds from a key frame to the next"
            )

    def _video_of_loops(self, drawer: Drawer) -> LatentVideo:
        length, count = frames_of_loop(self.duration_sec, self.media.rate, self.slowdown)
        labels = self._labels(drawer)
        shows_classes = str(self.label).strip() == ALL and len(labels) > 1
        if shows_classes and (len(self.seeds) > 1 or self.shape or self.timeline.cells):
            raise ValueError(
                "label=all shows one seed in every class: give one seed, and neither grid nor frame:"
            )
        seeds = self.seeds * len(labels) if shows_classes else self.seeds
        layout = self._layout(drawer, len(seeds), fills=len(self.seeds) == 1 and not shows_classes)
        if len(seeds) == 1 and layout.count > 1:
            loops = self._loops(drawer, seeds[0], layout.count, length)
            seeds = seeds * layout.count
        else:
            loops = [self._loops(drawer, seed, None, length)[0] for seed in seeds]
        if len(labels) not in (1, layout.count):
            raise ValueError(
                f"label has {len(labels)} labels, and the video {layout.count} cells: one for all, or each"
            )
        each = labels * layout.count if len(labels) == 1 else labels
        latents = LoopLatents(drawer, loops, seeds, None if each[0] is None else torch.stack(each))
        return self._video(drawer, latents, layout, count, ratio=(length, count))

    def _loops(self, drawer: Drawer, seed: int, cells: int | None, length: int) -> list[Loop]:
        return loop_of_seed(
            self.path,
            seed,
            cells,
            drawer.generator.z_dim,
            length=length,
            smoothing_frames=self.smoothing_sec * float(self.media.rate),
            diameter=self.diameter,
        )

    def _video_through(self, drawer: Drawer) -> LatentVideo:
        labels = self._labels(drawer)
        if len(labels) not in (1, len(self.points)):
            raise ValueError(
                f"label has {len(labels)} labels, and there are {len(self.points)} key frames: one for all, or each"
            )
        each = labels * len(self.points) if len(labels) == 1 else labels
        layout = self._layout(drawer, 1, fills=True)
        shape = f"grid={self.shape[0]}x{self.shape[1]}" if self.shape else "the timeline's frame"
        cells = [
            _Keys(points, tuple(some))
            for points, some in zip(
                deal(self.points, layout.count, shape), deal(each, layout.count, shape), strict=True
            )
        ]
        keys = len(cells[0].points)
        if keys < 2:
            raise ValueError(
                f"seeds has one point for each of {layout.count} cells, and path=through needs two or more"
                if layout.count > 1
                else "seeds has one point, and path=through needs two or more; path=walk moves about a single seed"
            )
        # A last key that repeats the first is the return itself.
        if self.loop and keys > 2 and all(_is_closed(cell) for cell in cells):
            cells = [_Keys(cell.points[:-1], cell.labels[:-1]) for cell in cells]
            keys -= 1
        legs = legs_of(
            keys, self.leg_sec, self.media.rate, loop=self.loop, easing=self.easing, slowdown=self.slowdown
        )
        latents = KeyLatents(
            drawer,
            Through(legs, self.curve_in_space),
            [cell.points for cell in cells],
            None if each[0] is None else [torch.stack(cell.labels) for cell in cells],
            self.space,
        )
        return self._video(drawer, latents, layout, legs.frames)

    def _labels(self, drawer: Drawer) -> list[Tensor | None]:
        """The labels that are given: one, or several."""
        if self.is_loop and isinstance(self.label, str) and self.label.strip() == ALL:
            return [label for _, label in drawer.labels(self.label)]
        if isinstance(self.label, str) and ";" in self.label:
            return [drawer.label(part.strip()) for part in self.label.split(";")]
        return [drawer.label(self.label)]

    def _layout(self, drawer: Drawer, count: int, *, fills: bool) -> Sheet | Blend:
        """How `count` loops make a frame.  Args: fills: whether they are as many as there are cells."""
        if (cells := self.timeline.cells) is not None:
            if cells.mask is not None:
                blend = Blend(shares_of_masks(cells.mask, drawer.size))
            else:
                shares = side_by_side(cells.columns, cells.rows, drawer.size, cells.softness)
                blend = Blend(shares, cells.columns, cells.rows)
            if not fills and blend.count != count:
                raise ValueError(
                    f"timeline: frame has {blend.count} cells, and there are {count} seeds: give {blend.count}, or one"
                    " seed that fills all"
                )
            return blend
        columns, rows = self.shape or best_shape(count)
        return Sheet(columns, rows, columns * rows if fills and self.shape else count, self.media.fill)

    def _video(
        self,
        drawer: Drawer,
        latents: KeyLatents | LoopLatents,
        layout: Sheet | Blend,
        count: int,
        ratio: tuple[int, int] = (1, 1),
    ) -> LatentVideo:
        modulation = Modulation(
            drawer,
            self.timeline,
            self.audio_tracks,
            sounds=self._sounds(count),
            fps=float(self.media.rate),
            count=count,
            layout=layout,
        )
        video = LatentVideo(
            drawer, latents, count=count, layout=layout, modulation=modulation, frames_of_path=ratio
        )
        if (self.is_loop or self.loop) and video.rounds is not None:
            if not np.allclose(video.rounds, np.round(video.rounds), atol=1e-6):
                say(
                    f"speed: the path is travelled {video.rounds.max():.3g} times, which is no whole number, so the"
                    " video does not end where it begins"
                )
        return video

    def _sounds(self, count: int) -> Mapping[str, np.ndarray]:
        if not self.audio_tracks:
            return {}
        from stylegan.media.audio_features import track

        return {
            kind: track(self.media.audio_path, kind, float(self.media.rate), self.media.start_sec, count)
            for kind in dict.fromkeys(following.sound for following in self.audio_tracks)
        }


def _is_closed(cell: _Keys) -> bool:
    """Whether the last key of a cell is the first one again."""
    a, b = cell.points[0], cell.points[-1]
    same_label = cell.labels[0] is None or torch.equal(cell.labels[0], cell.labels[-1])
    return same_label and a.digest == b.digest


def _one_of(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def _within(name: str, value: object, low: float, high: float) -> float:
    """A number. Raises: ValueError for one outside of the range, or none."""
    try:
        number = float("nan") if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if not low <= number <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    return number
