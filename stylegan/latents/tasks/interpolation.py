"""The task `interpolation` of the generate command: a video through latent space."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from stylegan.latents.blending import Relatives
from stylegan.latents.cells import check_room, parse_shape
from stylegan.latents.drawer import Drawer
from stylegan.latents.interpolation import Scene, loops_of_seeds, space_of, through_points
from stylegan.latents.labels import ALL
from stylegan.latents.latent_video import LatentVideo
from stylegan.latents.network_track import (
    BetweenNetworks,
    drawer_between,
    open_relative,
    text_of_relatives,
)
from stylegan.latents.outputs import Output
from stylegan.latents.paths.curves import CURVES, check_easing
from stylegan.latents.paths.loops import LARGEST_DIAMETER, frames_of_loop
from stylegan.latents.paths.timing import MOST_FRAMES, seconds_of_legs
from stylegan.latents.points import parse_points, seeds_of, short_text
from stylegan.latents.timeline import Timeline, read_timeline
from stylegan.latents.tracks import parse_audio_tracks
from stylegan.machine.console import say
from stylegan.media.settings import MediaSettings
from stylegan.media.write import write_media

PATHS = ("walk", "through", "circle", "noise")
SPACES = ("z", "w")
_USUAL_DURATION_SEC = 30
_LONGEST_SEC = 86_400


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
        high: name of a network that the track `network` passes into; None = there is none.
        unrelated: `high` may also be without a common ancestor.
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
        high: str | None = None,
        unrelated: bool = False,
        media: MediaSettings | None = None,
    ):
        self.media = media or MediaSettings()
        self.points, self.label = parse_points(seeds), label
        is_one_seed = len(self.points) == 1 and self.points[0].seed is not None
        self.path = path or ("walk" if is_one_seed else "through")
        _one_of("path", self.path, PATHS)
        _one_of("space", space, SPACES)
        self.is_through = self.path == "through"
        self.space, self.curve = space, curve
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
                f"grid={grid}: the timeline has frame, several latents in one image; leave one of both out"
            )
        self.following = parse_audio_tracks(audio_tracks)
        if self.following and self.media.audio is None:
            raise ValueError("audio_tracks follows a sound: set audio=song.wav")
        self.high, self.unrelated = high, unrelated
        self._check_network()
        if self.is_through:
            self._check_through(duration_sec)
        else:
            self._check_loop()

    def run(self, drawer: Drawer, output: Output) -> None:
        """Draw, write and say where.  Raises: ValueError for what does not fit the network; OSError of the disk."""
        output.check_folder("the video")
        text = drawer.text | self.text
        if self.high is None:
            frames = video = self.video(drawer)
        else:
            other = open_relative(drawer, self.high, unrelated=self.unrelated)
            text |= text_of_relatives(drawer.generator, other)
            relatives = Relatives(drawer.generator, other, unrelated=True)
            drawer = drawer_between(drawer, relatives)
            video = self.video(drawer)
            frames = BetweenNetworks(video, drawer, relatives, video.network_weight)
        text |= video.text
        if output.claim(self.media.name_of(self.name), text | dict(self.media.text)):
            output.folder.mkdir(parents=True, exist_ok=True)
            write_media(frames, output.folder / self.name, self.media, text)

    def video(self, drawer: Drawer) -> LatentVideo:
        """The frames, of which any part can be drawn.  Raises: ValueError for what does not fit the network."""
        scene = Scene(
            rate=self.media.rate,
            grid=self.shape,
            fill=self.media.fill,
            timeline=self.timeline,
            following=self.following,
            sounds=self._sounds,
            floats=self.media.format == "png16",
        )
        labels = self._labels(drawer)
        if self.is_through:
            return through_points(
                drawer,
                self.points,
                labels=labels,
                leg_sec=self.leg_sec,
                space=self.space,
                curve=self.curve,
                easing=self.easing,
                loop=self.loop,
                slowdown=self.slowdown,
                scene=scene,
            )
        return loops_of_seeds(
            drawer,
            self.seeds,
            self.path,
            labels=labels,
            duration_sec=self.duration_sec,
            smoothing_sec=self.smoothing_sec,
            slowdown=self.slowdown,
            diameter=self.diameter,
            scene=scene,
        )

    @property
    def name(self) -> str:
        """Of the file, without its ending: `walk-seed0000`, `through-seed0000-seed0008`."""
        first, last = self.points[0].name, self.points[-1].name
        return "-".join([self.path, first, *([last] if len(self.points) > 1 else [])])

    @property
    def text(self) -> dict[str, str]:
        """What the file says of the path; numbers with all their digits, since another path is another file."""
        text = {"path": self.path, "seeds": short_text(self.points)}
        if self.is_through:
            text |= {
                "space": self.space,
                "curve": self.curve or ("slerp" if self.space == "z" else "linear"),
                "easing": self.easing,
                "leg_sec": ",".join(f"{float(seconds):.12g}" for seconds in self.leg_sec),
                "loop": str(self.loop).lower(),
            }
        else:
            text |= {"duration_sec": f"{self.duration_sec:.12g}"}
            walks = self.path == "walk"
            text |= (
                {"smoothing_sec": f"{self.smoothing_sec:.12g}"}
                if walks
                else {"diameter": f"{self.diameter:.12g}"}
            )
        # Said also where they are not set: a file of other settings must differ from one without.
        text |= {
            "slowdown": f"{self.slowdown:.12g}",
            "grid": "best" if self.shape is None else f"{self.shape[0]}x{self.shape[1]}",
            "timeline": self.timeline.text,
            "audio_tracks": ",".join(following.text for following in self.following),
        }
        return text | ({} if self.label is None else {"label": str(self.label)})

    def _check_network(self) -> None:
        moved = any(track.kind == "network" for track in (*self.timeline.tracks, *self.following))
        if moved and self.high is None:
            raise ValueError(
                "high is missing: a track network passes into another network, as in high=runs/foxes"
            )
        if self.high is not None and not moved:
            raise ValueError(
                f"high={self.high}: nothing passes into it; give the timeline a track network, with values 0 to 1"
            )

    def _check_loop(self) -> None:
        self.seeds = seeds_of(self.points)
        for key, value, usual in (("space", self.space, "z"), ("curve", self.curve, None)):
            if value != usual:
                raise ValueError(
                    f"{key}={value}: it counts for path=through; a {self.path} has a way of its own"
                )
        _, count = frames_of_loop(self.duration_sec, self.media.rate, self.slowdown)
        if count > MOST_FRAMES:
            raise ValueError(f"duration_sec makes {count:,} frames, and a video has at most {MOST_FRAMES:,}")
        # Checked here too, before a network is loaded.
        if self.shape:
            check_room(*self.shape, len(self.seeds))

    def _check_through(self, duration_sec: float | None) -> None:
        space = space_of(self.points, self.space)
        if space != self.space:
            given = next(point for point in self.points if point.w is not None)
            say(f"interpolating in w, since {given.source} is given as w")
        self.space = space
        if duration_sec is not None:
            raise ValueError(
                f"duration_sec={duration_sec}: path=through takes leg_sec, the seconds from a key frame to the next"
            )

    def _labels(self, drawer: Drawer) -> Sequence[Tensor | None]:
        """The labels that are given: one, or several."""
        text = self.label.strip() if isinstance(self.label, str) else self.label
        if text == ALL and ALL not in drawer.generator.label_names:
            if self.is_through:
                raise ValueError(
                    "label=all: path=through takes one label, or one for each key frame, as in label=fox;dog"
                )
            if len(self.points) > 1 or self.shape or self.timeline.cells:
                raise ValueError(
                    "label=all shows one seed in every class: give one seed, and neither grid nor frame"
                )
            return [label for _, label in drawer.labels(text)]
        if isinstance(text, str) and ";" in text and text not in drawer.generator.label_names:
            return [drawer.label(part.strip()) for part in text.split(";")]
        return [drawer.label(text)]

    def _sounds(self, count: int) -> Mapping[str, np.ndarray]:
        if not self.following:
            return {}
        from stylegan.media.audio_features import track

        rate, path = float(self.media.rate), self.media.audio_path
        kinds = dict.fromkeys(following.sound for following in self.following)
        return {kind: track(path, kind, rate, self.media.start_sec, count) for kind in kinds}


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
