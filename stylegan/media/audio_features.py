"""Features of sound over time, for each frame of a video: loudness, bands, onsets, percussive and harmonic parts.

Sound is read in blocks, so memory does not grow with its length. Windows are centred on their time, and averages are
taken over the time that a frame is shown, so that a long video stays with its sound.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stylegan.media.settings import rate_of
from stylegan.media.sound import samples

RATE = 22_050
# In Hz; what lies between 0 and the first is not heard as a tone.
BANDS = {"bass": (20, 250), "mid": (250, 4_000), "high": (4_000, RATE / 2)}
KINDS = ("rms", *BANDS, "onset", "percussive", "harmonic")

# Sound before the video and after it that windows and medians reach into.
_MARGIN_SEC = 1.0
# Windows of a block.
_BLOCK = 512


class _Window(NamedTuple):
    """Args: samples: of a window; hop: samples from one to the next."""

    samples: int
    hop: int


_LOUDNESS = _Window(64, 64)
_SPECTRUM = _Window(2048, 256)
_ATTACK = _Window(512, 64)
_SEPARATION = _Window(1024, 256)
# Of the medians, in windows and in frequencies. Source: Fitzgerald 2010, section 4.
_MEDIAN = 17
# A window rises most when the sound's beginning has come this share of it past its centre: between 2 and 7 ms for
# clicks, bursts and tones of any level.
_ATTACK_AHEAD = 3 / 16
# Below it the logarithm is linear: a fiftieth of a full sine.
_QUIET = 0.01


def track(path: str | Path, kind: str, fps: float | Fraction, start_sec: float, frames: int) -> np.ndarray:
    """A feature of a sound, one number for each frame of a video.

    Frame i is shown from start_sec + i/fps to start_sec + (i+1)/fps, and has the feature of that time. The loudest
    frame has 1, silence and what follows the sound's end have 0: the same excerpt has the same numbers, whatever
    else is in the file.

    Args:
        path: of a sound in any format that FFmpeg reads.
        kind: rms; bass (20 to 250 Hz), mid (to 4 kHz) or high; onset (spectral flux: where something begins);
            percussive or harmonic (the parts of short and of long sounds).
        fps: frames of a second.
        start_sec: where in the sound the video begins.
        frames: how many there are.
    Returns: float64 [frames] in 0..1.
    Raises: ValueError for an unknown kind, what is no sound, or a start after its end.
    Source: percussive and harmonic by medians over frequency and time, Fitzgerald, DAFx 2010; spectral flux of
      logarithmic magnitudes, Böck, Krebs and Schedl, ISMIR 2012.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}")
    excerpt = _Excerpt(Path(path), start_sec, Fraction(frames) / rate_of(float(fps)))
    edges = np.arange(frames + 1) / float(rate_of(float(fps)))
    if kind == "onset":
        values = _most_between(edges, *_onsets(excerpt))
    else:
        values = np.sqrt(_mean_between(edges, *_power(excerpt, kind)))
    loudest = values.max()
    return values / loudest if loudest > 0 else np.zeros(frames)


class _Excerpt:
    """A part of a sound with margins. Args: start_sec: of the part without them; sec: its length."""

    def __init__(self, path: Path, start_sec: float, sec: Fraction):
        self._path = path
        self._begin_sec = max(0.0, start_sec - _MARGIN_SEC)
        self.lead = round((start_sec - self._begin_sec) * RATE)
        self._count = self.lead + round((float(sec) + _MARGIN_SEC) * RATE)
        next(samples(path, rate=RATE, channels=1, start_sec=start_sec, count=1))

    def blocks(self) -> Iterator[np.ndarray]:
        """float32 [n], silent after the sound's end."""
        place = 0
        for block in samples(self._path, rate=RATE, channels=1, start_sec=self._begin_sec, count=self._count):
            place += block.shape[1]
            yield block[0]
        while place < self._count:
            silent = min(RATE, self._count - place)
            place += silent
            yield np.zeros(silent, np.float32)

    def windows(self, window: _Window) -> Iterator[np.ndarray]:
        """Blocks of windows [n, samples]; window m of all is centred on sample m·hop, with silence before the first."""
        size, hop = window
        rest = np.zeros(size // 2, np.float32)
        for block in self.blocks():
            rest = np.concatenate([rest, block])
            while len(rest) >= size + (_BLOCK - 1) * hop:
                yield np.lib.stride_tricks.sliding_window_view(rest, size)[: _BLOCK * hop : hop]
                rest = rest[_BLOCK * hop :]
        if len(rest) >= size:
            yield np.lib.stride_tricks.sliding_window_view(rest, size)[::hop]

    def spectra(self, window: _Window) -> Iterator[np.ndarray]:
        """Blocks of magnitudes [n, samples/2 + 1] under a Hann window; a full sine has 1/2 at its frequency."""
        from scipy.fft import rfft
        from scipy.signal import get_window

        weights = get_window("hann", window.samples).astype(np.float32)
        weights /= weights.sum()
        for windows in self.windows(window):
            yield np.abs(rfft(windows * weights, axis=1))

    def times(self, count: int, window: _Window) -> np.ndarray:
        """When the first `count` windows are, in seconds from the start of the part."""
        return (np.arange(count) * window.hop - self.lead) / RATE


def _power(excerpt: _Excerpt, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(times, mean squares) of a kind of loudness."""
    if kind == "rms":
        window, blocks = _LOUDNESS, excerpt.windows(_LOUDNESS)
        parts = [np.mean(np.square(block, dtype=np.float64), axis=1) for block in blocks]
    elif kind in BANDS:
        window = _SPECTRUM
        low, high = BANDS[kind]
        hertz = np.fft.rfftfreq(window.samples, 1 / RATE)
        chosen = (hertz >= low) & (hertz < high)
        parts = [
            np.square(spectra[:, chosen], dtype=np.float64).sum(axis=1) for spectra in excerpt.spectra(window)
        ]
    else:
        window = _SEPARATION
        parts = [
            np.square(part, dtype=np.float64).sum(axis=1)
            for part in _separated(excerpt.spectra(window), percussive=kind == "percussive")
        ]
    values = np.concatenate(parts)
    return excerpt.times(len(values), window), values


def _separated(spectra: Iterator[np.ndarray], *, percussive: bool) -> Iterator[np.ndarray]:
    """The percussive or the harmonic part of blocks of magnitudes [n, frequencies], by soft masks.

    Long sounds are lines along time, short ones along frequency; a median along one removes those of the other.
    Source: Fitzgerald 2010, equations 3 to 6, with p = 2.
    """
    reach = _MEDIAN // 2

    def masked(block: np.ndarray, before: int, after: int) -> np.ndarray:
        from scipy.ndimage import median_filter

        harmonic = np.square(median_filter(block, size=(_MEDIAN, 1)))
        struck = np.square(median_filter(block, size=(1, _MEDIAN)))
        chosen = struck if percussive else harmonic
        whole = harmonic + struck
        mask = np.divide(chosen, whole, out=np.zeros_like(whole), where=whole > 0)
        return (block * mask)[before : len(block) - after]

    yield from _with_margins(spectra, reach, masked)


def _with_margins(
    blocks: Iterator[np.ndarray], reach: int, function: Callable[[np.ndarray, int, int], np.ndarray]
) -> Iterator[np.ndarray]:
    """`function` of each block with `reach` rows of its neighbours on both sides, as if of all rows at once.

    Args: function: (rows, how many of them are before, how many after) → of the rows between.
    """
    held, before = None, 0
    for block in blocks:
        held = block if held is None else np.concatenate([held, block])
        if len(held) - before > 2 * reach:
            yield function(held, before, reach)
            held, before = held[len(held) - 2 * reach :], reach
    if held is not None and len(held) > before:
        yield function(held, before, 0)


def _onsets(excerpt: _Excerpt) -> tuple[np.ndarray, np.ndarray]:
    """(times, strength of what begins there): the rise of the spectrum above what is usual around it."""
    from scipy.ndimage import median_filter

    last, parts = None, []
    for spectra in excerpt.spectra(_ATTACK):
        levels = np.log1p(spectra / _QUIET)
        before = np.concatenate([levels[:1] * 0 if last is None else last[None], levels[:-1]])
        parts.append(np.maximum(levels - before, 0).sum(axis=1, dtype=np.float64))
        last = levels[-1]
    rises = np.concatenate(parts)
    usual = median_filter(rises, size=int(0.5 * RATE / _ATTACK.hop) | 1)
    ahead = _ATTACK_AHEAD * _ATTACK.samples / RATE
    return excerpt.times(len(rises), _ATTACK) + ahead, np.maximum(rises - usual, 0)


def _mean_between(edges: np.ndarray, times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean between neighbouring edges of values that each count for the time around their own, evenly spaced."""
    half = (times[1] - times[0]) / 2
    summed = np.concatenate([[0.0], np.cumsum(values)]) * 2 * half
    at_edges = np.interp(edges, np.append(times - half, times[-1] + half), summed)
    # Differences of sums may fall below 0 by rounding.
    return np.maximum(np.diff(at_edges) / np.diff(edges), 0)


def _most_between(edges: np.ndarray, times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The largest value between neighbouring edges, or at the middle where none is."""
    most = np.interp((edges[:-1] + edges[1:]) / 2, times, values)
    frames = np.searchsorted(edges, times, side="right") - 1
    inside = (frames >= 0) & (frames < len(most))
    np.maximum.at(most, frames[inside], values[inside])
    return most
