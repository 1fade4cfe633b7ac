"""Schedules: settings that change in the course of a training, each a pure function of the images seen."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from torch import nn

from stylegan.losses import PathLengthPenalty, R1Penalty
from stylegan.machine.text import nearest_word
from stylegan.training.ada import AdaController
from stylegan.training.clock import images_of_kimg
from stylegan.training.gradients import LearningSteps

KINDS = ("constant", "steps", "linear", "cosine")
# What can follow a schedule: the key that it takes the place of, and the largest value.
SCHEDULABLE = {
    "r1_gamma": ("loss.r1_gamma", math.inf),
    "pl_weight": ("loss.pl_weight", math.inf),
    "generator_lr": ("optim.generator_lr", math.inf),
    "discriminator_lr": ("optim.discriminator_lr", math.inf),
    "p_init": ("ada.p_init", 1.0),
}
_EXAMPLE = "{kind: linear, points: [[0, 10], [1000, 3]]}"


class Schedule:
    """A value over the images seen, through given points.

    Before the first point it has the first value, after the last point the last one. In between, with t from 0 to 1 on
    the way from a point a to the next one, b:

        constant   there is a single point
        steps      a; the value of a point counts from its kimg on. The first point is at 0
        linear     a + (b − a)·t
        cosine     a + (b − a)·(1 − cos πt)/2, which starts and ends slowly

    Args:
        kind: one of `KINDS`.
        points: (kimg, value), at least one, of linear and cosine two; kimg rises from point to point.
    Raises: ValueError for points that make no such course.
    Source: cosine, Loshchilov and Hutter 2017 (SGDR), equation 5, without restarts.
    """

    def __init__(self, *, kind: str, points: Sequence[Sequence[float]]):
        if kind not in KINDS:
            near = nearest_word(str(kind), KINDS)
            hint = f"; did you mean {near}?" if near else ""
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind}{hint}")
        if not _is_sequence(points) or not points or not all(map(_is_point, points)):
            raise ValueError(f"points must be pairs [kimg, value], as in [[0, 10], [1000, 3]], got {points}")
        for (before, _), (after, _) in zip(points, points[1:], strict=False):
            if images_of_kimg(after) <= images_of_kimg(before):
                raise ValueError(f"points must be in the order of their kimg, got {after:g} after {before:g}")
        if points[0][0] < 0:
            raise ValueError(f"points must have a kimg of at least 0, got {points[0][0]:g}")
        if kind == "constant" and len(points) > 1:
            raise ValueError(f"points must be a single one for kind constant, got {len(points)}; try steps")
        if kind in ("linear", "cosine") and len(points) < 2:
            raise ValueError(f"points must be two or more for kind {kind}, got 1; try constant")
        if kind == "steps" and points[0][0]:
            raise ValueError(
                f"points must begin at kimg 0 for kind steps, got {points[0][0]:g}; add [0, VALUE], the value before"
            )
        self.kind = kind
        self.points = tuple((float(kimg), float(value)) for kimg, value in points)
        self._images = [images_of_kimg(kimg) for kimg, _ in self.points]

    def at(self, images: int) -> float:
        """The value once so many images have been seen; the next iteration is computed with it."""
        passed = sum(position <= images for position in self._images)
        if passed == 0 or passed == len(self.points) or self.kind == "steps":
            return self.points[max(passed, 1) - 1][1]
        start, end = self._images[passed - 1], self._images[passed]
        before, after = self.points[passed - 1][1], self.points[passed][1]
        t = (images - start) / (end - start)
        return before + (after - before) * (t if self.kind == "linear" else (1 - math.cos(math.pi * t)) / 2)

    @property
    def values(self) -> list[float]:
        """Those of the points; no value in between is smaller or larger than all of them."""
        return [value for _, value in self.points]

    def __str__(self) -> str:
        return f"{self.kind}, " + ", ".join(f"{value:g} at kimg {kimg:g}" for kimg, value in self.points)


class Schedules:
    """Which settings follow a schedule, and how they are set to its value.

    Args:
        r1_gamma: of the R1 penalty, at least 0; at 0 its phase does not run. Each of these arguments is a `Schedule`,
            its `kind` and `points` as a mapping, or None = the setting stays as it is.
        pl_weight: of the path-length penalty, likewise.
        generator_lr: before the correction for lazy regularisation, at least 0.
        discriminator_lr: likewise.
        p_init: p of an augmentation whose controller has the mode "fixed", 0..1.
    Attributes: `by_name`: the schedules that there are. `now`: the values that were last set.
    Raises: ValueError, beginning with the argument's name.
    """

    def __init__(
        self,
        *,
        r1_gamma: Mapping[str, Any] | Schedule | None = None,
        pl_weight: Mapping[str, Any] | Schedule | None = None,
        generator_lr: Mapping[str, Any] | Schedule | None = None,
        discriminator_lr: Mapping[str, Any] | Schedule | None = None,
        p_init: Mapping[str, Any] | Schedule | None = None,
    ):
        given = {
            "r1_gamma": r1_gamma,
            "pl_weight": pl_weight,
            "generator_lr": generator_lr,
            "discriminator_lr": discriminator_lr,
            "p_init": p_init,
        }
        self.by_name = {name: _schedule(name, of) for name, of in given.items() if of is not None}
        self.now: dict[str, float] = {}

    def __contains__(self, name: object) -> bool:
        return name in self.by_name

    def values_at(self, images: int) -> dict[str, float]:
        """{name: value} once so many images have been seen."""
        return {name: schedule.at(images) for name, schedule in self.by_name.items()}

    def largest(self) -> dict[str, float]:
        """{name: value}, the largest of each: with these every phase runs that ever will."""
        return {name: max(schedule.values) for name, schedule in self.by_name.items()}

    def lines_at(self, images: int) -> Iterator[str]:
        """A line for each: the key, its value now, and its course."""
        for name, schedule in self.by_name.items():
            key, now = SCHEDULABLE[name][0], schedule.at(images)
            yield f"schedule    {key} is {now:g} at kimg {images / 1000:.3f}: {schedule}"

    def check_fit(
        self, *, r1: R1Penalty | None, path_length: PathLengthPenalty | None, ada: AdaController
    ) -> None:
        """Raises: ValueError where a schedule has nothing to set."""
        for name, penalty, attribute in (("r1_gamma", r1, "gamma"), ("pl_weight", path_length, "weight")):
            if name in self and not hasattr(penalty, attribute):
                kind = "null" if penalty is None else type(penalty).__name__
                raise ValueError(
                    f"{SCHEDULABLE[name][0]} cannot follow a schedule: the penalty is {kind}, which has no {attribute}"
                )
        if "r1_gamma" in self and not _weight_follows_gamma(r1):
            raise ValueError(
                f"loss.r1_gamma cannot follow a schedule: weight of {type(r1).__name__} does not follow its gamma; make"
                " it a property"
            )
        if "p_init" in self and ada.mode != "fixed":
            raise ValueError(
                f"ada.p_init can follow a schedule with ada=fixed alone, and ada is {ada.mode}: there p is not set"
            )
        if "p_init" in self and ada.p_max is not None and self.largest()["p_init"] > ada.p_max:
            raise ValueError(f"ada.p_init must be at most p_max, {ada.p_max}, in its schedule")

    def set(self, values: Mapping[str, float], training: "HasSettings") -> None:
        """Sets what can follow a schedule; numbers of the host alone, so that no device is waited for.

        Args:
            values: {name: value}, as of `values_at`.
            training: whose settings they are.
        """
        for name, value in values.items():
            if name == "r1_gamma":
                training.r1.gamma = value
            elif name == "pl_weight":
                training.path_length.weight = value
            elif name == "p_init":
                training.ada.fix(value, training.augment)
            else:
                training.gradients.set_lr(name.removesuffix("_lr"), value)
        self.now = dict(values)


class HasSettings(Protocol):
    """What of a training can follow a schedule."""

    r1: Any
    path_length: Any
    ada: AdaController
    augment: nn.Module | None
    gradients: LearningSteps


def _schedule(name: str, of: Mapping[str, Any] | Schedule) -> Schedule:
    """The schedule of an argument, checked. Raises: ValueError, beginning with its name."""
    if not isinstance(of, Schedule | Mapping):
        raise ValueError(f"{name} must be a kind and points, as in {_EXAMPLE}, got {of}")
    if isinstance(of, Mapping):
        given = dict(of)
        if unknown := [str(key) for key in given if key not in ("kind", "points")]:
            raise ValueError(f"{name}: there is no {unknown[0]}; a schedule is {_EXAMPLE}")
        if missing := [key for key in ("kind", "points") if given.get(key) is None]:
            raise ValueError(f"{name}: {missing[0]} is missing; a schedule is {_EXAMPLE}")
        try:
            of = Schedule(**given)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    most = SCHEDULABLE[name][1]
    for kimg, value in of.points:
        if not 0 <= value <= most:
            allowed = "at least 0" if most == math.inf else f"from 0 to {most:g}"
            raise ValueError(f"{name}: values must be {allowed}, got {value:g} at kimg {kimg:g}")
    return of


def _weight_follows_gamma(r1: Any) -> bool:
    """Whether another gamma gives another weight; a penalty of the user's may have taken its weight once."""
    gamma, weight = r1.gamma, r1.weight
    r1.gamma = gamma + 1
    follows = r1.weight != weight
    r1.gamma = gamma
    return follows


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_point(point: Any) -> bool:
    return _is_sequence(point) and len(point) == 2 and all(map(_is_finite, point))


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
