"""Tracks: a value over the time of a video, by key frames, as a pulse, or as a wave over the cells."""

import bisect
import math
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from stylegan.latents.paths.curves import eased

# Which way a wave runs over the cells.
ALONG = ("columns", "rows", "diagonal")


class Moment(NamedTuple):
    """When and where a value is asked for.

    Args:
        time_sec: since the beginning. duration_sec: of the video.
        column, row: of the cell. columns, rows: how many there are.
    """

    time_sec: float
    duration_sec: float
    column: int = 0
    row: int = 0
    columns: int = 1
    rows: int = 1


class Shape(Protocol):
    """A number over time."""

    varies_by_cell: bool

    def at(self, moment: Moment) -> float:
        """The value at a moment."""
        ...


@dataclass(frozen=True)
class TrackKey:
    """A value at a time, and the easing of the way to the next key, one of `EASINGS`."""

    time_sec: float
    value: float | str
    easing: str = "linear"


@dataclass(frozen=True)
class Keys:
    """A value at each key, and between two of them what easing says; before the first and after the last it stays.

    Args: keys: at least one, at times that ascend.
    """

    keys: tuple[TrackKey, ...]
    varies_by_cell: bool = field(default=False, init=False)

    def between(self, time_sec: float) -> tuple[int, int, float]:
        """(key before, key after, eased part of the way); part 0 is the key before itself."""
        after = bisect.bisect_right(self.keys, time_sec, key=lambda key: key.time_sec)
        if after == 0:
            return 0, 0, 0.0
        if after == len(self.keys):
            return after - 1, after - 1, 0.0
        before, next_key = self.keys[after - 1], self.keys[after]
        part = eased(before.easing, (time_sec - before.time_sec) / (next_key.time_sec - before.time_sec))
        return after - 1, after, part

    def at(self, moment: Moment) -> float:
        before, after, part = self.between(moment.time_sec)
        first, last = float(self.keys[before].value), float(self.keys[after].value)
        return first if part == 0 else first + part * (last - first)


@dataclass(frozen=True)
class Pulse:
    """From `low` to `high` and back: low + (high − low)·(1 − cos 2πx)/2, x = rounds since the beginning.

    Args:
        low, high: its ends; it begins at `low`.
        period_sec: of one round; or
        times: rounds in the whole video; a whole number closes a loop.
    """

    low: float
    high: float
    period_sec: float | None = None
    times: float | None = None
    varies_by_cell: bool = field(default=False, init=False)

    def at(self, moment: Moment) -> float:
        return self._value(self._rounds(moment))

    def _rounds(self, moment: Moment) -> float:
        if self.times is not None:
            return moment.time_sec / moment.duration_sec * self.times
        return moment.time_sec / (self.period_sec or 1.0)

    def _value(self, rounds: float) -> float:
        return self.low + (self.high - self.low) * (1 - math.cos(2 * math.pi * (rounds % 1))) / 2


@dataclass(frozen=True)
class Wave(Pulse):
    """A pulse that reaches each cell later than the one before it; one wave covers all cells.

    Args: along: "columns" = from left to right, "rows" = from top to bottom, "diagonal" = both.
    """

    along: str = "columns"
    varies_by_cell: bool = field(default=True, init=False)

    def at(self, moment: Moment) -> float:
        delay = 0.0
        if self.along in ("columns", "diagonal"):
            delay += moment.column / moment.columns
        if self.along in ("rows", "diagonal"):
            delay += moment.row / moment.rows
        return self._value(self._rounds(moment) - delay)
