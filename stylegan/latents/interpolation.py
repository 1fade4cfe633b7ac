"""Interpolation: videos of loops from seeds, and of paths through key frames."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from stylegan.latents.cells import Blend, Sheet, best_shape, check_room, deal, shares_of_masks, side_by_side
from stylegan.latents.drawer import Drawer
from stylegan.latents.latent_video import KeyLatents, LatentVideo, LoopLatents
from stylegan.latents.modulation import Modulation
from stylegan.latents.paths.loops import frames_of_loop, loop_of_seed
from stylegan.latents.paths.through import Through
from stylegan.latents.paths.timing import legs_of
from stylegan.latents.points import Point
from stylegan.latents.timeline import Timeline
from stylegan.latents.tracks import AudioTrack
from stylegan.machine.console import say


def _silence(count: int) -> Mapping[str, np.ndarray]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What all kinds of paths have in common: rate, cells, and what changes over time.

    Args:
        rate: frames of a second.
        grid: (columns, rows) of cells; None = the best shape.
        fill: colour of spare cells.
        timeline: tracks, and several latents in one image.
        following: what follows a sound.
        sounds: number of frames → the sounds by name, each [frames] in 0..1.
    """

    rate: float | Fraction = 30
    grid: tuple[int, int] | None = None
    fill: str = "black"
    timeline: Timeline = field(default_factory=Timeline)
    following: Sequence[AudioTrack] = ()
    sounds: Callable[[int], Mapping[str, np.ndarray]] = _silence

    def layout(self, drawer: Drawer, count: int, *, fills: bool) -> Sheet | Blend:
        """How cells make a frame.

        Args:
            count: how many paths there are.
            fills: whether there are, in place of `count`, as many as there are cells.
        Raises: ValueError that names the shape where they do not fit in.
        """
        cells = self.timeline.cells
        if cells is None:
            columns, rows = self.grid or best_shape(count)
            check_room(columns, rows, count)
            return Sheet(columns, rows, columns * rows if fills and self.grid else count, self.fill)
        in_features = cells.blend == "features"
        if cells.mask is not None:
            blend = Blend(shares_of_masks(cells.mask, drawer.size), in_features=in_features)
        else:
            shares = side_by_side(cells.columns, cells.rows, drawer.size, cells.softness)
            blend = Blend(shares, cells.columns, cells.rows, in_features=in_features)
        if not fills and blend.count != count:
            raise ValueError(
                f"timeline: frame has {blend.count} cells, and there are {count} seeds: give {blend.count}, or one"
                " seed that fills all"
            )
        return blend

    def modulation(self, drawer: Drawer, layout: Sheet | Blend, count: int) -> Modulation:
        """What changes over `count` frames."""
        return Modulation(
            drawer,
            self.timeline,
            self.following,
            sounds=self.sounds(count),
            fps=float(self.rate),
            count=count,
            layout=layout,
        )


def loops_of_seeds(
    drawer: Drawer,
    seeds: Sequence[int],
    kind: str = "walk",
    *,
    labels: Sequence[Tensor | None] = (None,),
    duration_sec: float = 30,
    smoothing_sec: float = 3,
    slowdown: float = 1,
    diameter: float = 1,
    scene: Scene | None = None,
) -> LatentVideo:
    """A video of loops, whose last frame leads into the first.

    Several seeds have a cell each. One seed fills all cells, where the scene has some: with the random numbers that
    follow each other, so that each cell is another loop. One seed with several labels shows the same loop in each.

    Args:
        kind: "walk", "circle" or "noise", as of `loop_of_seed`.
        labels: [K] each, one for all cells or one for each; None for a network without labels.
        duration_sec: at slowdown 1. smoothing_sec: of a walk. diameter: of circle and noise.
        slowdown: the same path takes so many times as long, 1 or more.
    Raises: ValueError for what does not fit together.
    """
    scene = scene or Scene()
    length, count = frames_of_loop(duration_sec, scene.rate, slowdown)
    has_cells = bool(scene.grid or scene.timeline.cells)
    if len(seeds) == 1 and len(labels) > 1 and not has_cells:
        seeds = [*seeds] * len(labels)
    layout = scene.layout(drawer, len(seeds), fills=len(seeds) == 1)
    if len(labels) not in (1, layout.count):
        raise ValueError(
            f"label has {len(labels)} labels, and the video {layout.count} cells: give one for all, or one for each"
        )

    def of(seed: int, cells: int | None = None):
        return loop_of_seed(
            kind,
            seed,
            cells,
            drawer.generator.z_dim,
            length=length,
            smoothing_frames=float(smoothing_sec) * float(scene.rate),
            diameter=diameter,
        )

    if len(seeds) == 1 and layout.count > 1:
        loops, seeds = of(seeds[0], layout.count), [*seeds] * layout.count
    else:
        loops = [of(seed)[0] for seed in seeds]
    each = [*labels] * (layout.count // len(labels))
    latents = LoopLatents(drawer, loops, seeds, None if each[0] is None else torch.stack(each))
    modulation = scene.modulation(drawer, layout, count)
    video = LatentVideo(
        drawer, latents, count=count, layout=layout, modulation=modulation, frames_of_path=(length, count)
    )
    _say_whether_closed(video)
    return video


def through_points(
    drawer: Drawer,
    points: Sequence[Point],
    *,
    labels: Sequence[Tensor | None] = (None,),
    leg_sec: Sequence[Fraction] = (Fraction(5),),
    space: str = "z",
    curve: str | None = None,
    easing: str = "linear",
    loop: bool = False,
    slowdown: float = 1,
    scene: Scene | None = None,
) -> LatentVideo:
    """A video through key frames, which are the images of the points, in the order given.

    Where the scene has several cells, the first ones take the first points, and each as many.

    Args:
        labels: [K] each, one for all points or one for each; None for a network without labels.
        leg_sec: from a key frame to the next, one for all legs or one for each.
        space: "z" or "w", in which is interpolated; where a point is given as w, it is w.
        curve: "linear", "slerp" or "cubic"; None = slerp in z, linear in w.
        easing: of each leg, one of `EASINGS`.
        loop: back to the first key at the end. A last key that repeats the first is that return.
        slowdown: all takes so many times as long.
    Raises: ValueError for what does not fit together.
    """
    scene = scene or Scene()
    space = space_of(points, space)
    if len(labels) not in (1, len(points)):
        raise ValueError(
            f"label has {len(labels)} labels, and there are {len(points)} key frames: give one for all, or one for each"
        )
    each = [*labels] * (len(points) // len(labels))
    layout = scene.layout(drawer, 1, fills=True)
    shape = f"grid={scene.grid[0]}x{scene.grid[1]}" if scene.grid else "the timeline's frame"
    keys = [
        list(zip(*some, strict=True))
        for some in zip(*(deal(all_, layout.count, shape) for all_ in (points, each)), strict=True)
    ]
    if len(keys[0]) < 2:
        raise ValueError(
            f"seeds has one point for each of {layout.count} cells, and path=through needs two or more"
            if layout.count > 1
            else "seeds has one point, and path=through needs two or more; path=walk moves about a single seed"
        )
    if loop and len(keys[0]) > 2 and all(_is_same(some[0], some[-1]) for some in keys):
        keys = [some[:-1] for some in keys]
    legs = legs_of(len(keys[0]), leg_sec, scene.rate, loop=loop, easing=easing, slowdown=slowdown)
    latents = KeyLatents(
        drawer,
        Through(legs, curve or ("slerp" if space == "z" else "linear")),
        [[point for point, _ in some] for some in keys],
        None if each[0] is None else [torch.stack([label for _, label in some]) for some in keys],
        space,
    )
    modulation = scene.modulation(drawer, layout, legs.frames)
    video = LatentVideo(drawer, latents, count=legs.frames, layout=layout, modulation=modulation)
    if loop:
        _say_whether_closed(video)
    return video


def space_of(points: Sequence[Point], space: str) -> str:
    """The space that points are interpolated in: w where one of them is given as w, which has no z."""
    return "w" if any(point.w is not None for point in points) else space


def _is_same(a: tuple[Point, Tensor | None], b: tuple[Point, Tensor | None]) -> bool:
    """Whether two keys are one image."""
    same_label = a[1] is None or b[1] is None or torch.equal(a[1], b[1])
    return same_label and a[0].digest == b[0].digest


def _say_whether_closed(video: LatentVideo) -> None:
    """A line where a track of speed ends a loop in the middle of a round."""
    rounds = video.rounds
    if rounds is not None and not np.allclose(rounds, np.round(rounds), atol=1e-6):
        say(
            f"speed: the path is travelled {rounds.max():.4g} times, which is no whole number, so the video does not"
            " end where it begins"
        )
