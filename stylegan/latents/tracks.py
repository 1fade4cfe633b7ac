"""Tracks: a value over the time of a video, by key frames, as a pulse, or as a wave over the cells."""

import bisect
import math
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from stylegan.latents.paths.curves import eased
from stylegan.machine.text import printable

# Which way a wave runs over the cells.
ALONG = ("columns", "rows", "diagonal")
# What can be heard in a sound, each a number from 0 to 1 over time.
SOUNDS = ("rms", "bass", "mid", "high", "onset", "percussive", "harmonic")
_FOLLOWING = ("psi", "speed", "noise", "direction", "label", "network")
LARGEST_AMOUNT = 1000


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


@dataclass(frozen=True)
class AudioTrack:
    """What follows a sound: `amount` times the sound, which is 0 to 1, is added to a setting.

    Args:
        sound: one of `SOUNDS`.
        kind, what: of the setting, as of a track of the timeline: `psi`, or `direction` and `smile.npz`. Of a label,
            `what` is the label that is mixed in.
    """

    sound: str
    kind: str
    what: str
    amount: float

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.sound}>{self.kind}{'.' * bool(self.what)}{self.what}:{self.amount:.12g}"


def parse_audio_tracks(text: str | None) -> tuple[AudioTrack, ...]:
    """`bass>psi:0.4,onset>speed:2,high>direction.smile.npz:3,mid>label.fox:1` → the tracks, in order.

    Raises: ValueError that names the part that is wrong and the right form.
    """
    tracks = []
    for part in ("" if text is None else str(text)).split(","):
        if not (part := part.strip()):
            continue
        shown = printable(part[:60])
        sound, arrow, rest = part.partition(">")
        target, colon, number = rest.rpartition(":")
        if not arrow or not colon:
            raise ValueError(
                f"audio_tracks={shown}: write sound>setting:amount, as in bass>psi:0.4,onset>speed:2"
            )
        sound = sound.strip().removeprefix("audio.")
        if sound not in SOUNDS:
            raise ValueError(f"audio_tracks={shown}: there is no such sound; there are {', '.join(SOUNDS)}")
        kind, _, what = target.strip().partition(".")
        if kind not in _FOLLOWING or (kind in ("direction", "label")) != bool(what):
            raise ValueError(
                f"audio_tracks={shown}: a sound moves psi, speed, noise, network, direction.<name> or label.<label>"
            )
        try:
            amount = float(number)
        except ValueError:
            amount = math.nan
        if not abs(amount) <= LARGEST_AMOUNT:
            raise ValueError(
                f"audio_tracks={shown}: the amount must be a number from -{LARGEST_AMOUNT} to {LARGEST_AMOUNT}"
            )
        tracks.append(AudioTrack(sound, kind, what, amount))
    return tuple(tracks)
