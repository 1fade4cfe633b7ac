"""Sound files: decoded in blocks from any format that FFmpeg reads, and encoded beside a video."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from stylegan.machine.console import say
from stylegan.machine.files import refusal
from stylegan.machine.text import printable
from stylegan.media.packages import pyav

# A file may be a list of others, which FFmpeg would open: no protocol is allowed besides the file that is open already.
_ALONE = {"protocol_whitelist": "none"}
# In files of floats, 1 is the loudest of other files; encoders refuse what is far beyond.
_LOUDEST = 8.0


def refuse_without_sound(path: Path) -> None:
    """Raises: ValueError that begins with `audio` where a file is missing, is no sound, or PyAV is not installed."""
    with _opened(path):
        pass


def sound_sec(path: Path, start_sec: float = 0.0) -> float:
    """How many seconds of sound there are from `start_sec` on; by decoding, since headers may err.

    Raises: ValueError, as of `samples`.
    """
    rate = 8000
    return sum(block.shape[1] for block in samples(path, rate=rate, channels=1, start_sec=start_sec)) / rate


def samples(
    path: Path, *, rate: int, channels: int, start_sec: float = 0.0, count: int | None = None
) -> Iterator[np.ndarray]:
    """A sound in blocks, so that memory does not grow with its length.

    Args:
        rate: samples a second, to which it is resampled.
        channels: 1, into which all are mixed, or 2.
        start_sec: where it begins.
        count: of samples, at most; None = to the end.
    Returns: float32 [channels, n], nominally in -1..1.
    Raises: ValueError that begins with `audio` for what is no sound, with `start_sec` where the sound is over by then.
    """
    first = round(start_sec * rate)
    last = None if count is None else first + count
    place = 0
    for block in _resampled(path, rate, channels):
        begin, place = place, place + block.shape[1]
        end = place if last is None else min(place, last)
        if end > max(begin, first):
            yield block[:, max(0, first - begin) : end - begin]
        if last is not None and place >= last:
            return
    if place == 0:
        raise ValueError(f"audio={printable(str(path))}: there is no sound in this file")
    if place <= first:
        raise ValueError(f"start_sec={start_sec:g}: {printable(str(path))} lasts {place / rate:.4g} s")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The container of a file that has sound, and its first stream of sound."""
    av = pyav(f"audio={printable(str(path))}")
    named = f"audio={printable(str(path))}"
    if path.is_dir():
        raise ValueError(f"{named}: this is a folder, and a sound file is needed")
    try:
        file = open(path, "rb")
    except FileNotFoundError as error:
        raise ValueError(f"{named}: there is no such file") from error
    except OSError as error:
        raise ValueError(f"{named}: it cannot be read ({refusal(error)})") from error
    with file:
        try:
            container = av.open(file, options=_ALONE)
        except (av.FFmpegError, ValueError) as error:
            raise ValueError(f"{named}: this is no sound file, or none that FFmpeg reads") from error
        with container:
            if not container.streams.audio:
                raise ValueError(f"{named}: there is no sound in this file")
            yield container


def _resampled(path: Path, rate: int, channels: int) -> Iterator[np.ndarray]:
    """float32 [channels, n] from the start of the file on."""
    with _opened(path) as container:
        import av

        alone = container.streams.audio[0].codec_context.layout.nb_channels == 1
        resampler = av.AudioResampler(format="fltp", layout="mono" if alone else "stereo", rate=rate)
        begun = False
        try:
            for frame in container.decode(audio=0):
                if not begun:
                    begun = True
                    yield from _silence_before(frame, container, rate, channels)
                # Times of some formats are rounded; samples follow each other without a gap.
                frame.pts = None
                yield from (_mixed(block.to_ndarray(), channels) for block in resampler.resample(frame))
            if begun:
                yield from (_mixed(block.to_ndarray(), channels) for block in resampler.resample(None))
        except av.FFmpegError as error:
            if not begun:
                raise ValueError(
                    f"audio={printable(str(path))}: its sound cannot be decoded ({error.strerror})"
                ) from error
            say(
                f"audio={printable(str(path))}: the file is damaged, and its sound ends there ({error.strerror})"
            )


def _mixed(block: np.ndarray, channels: int) -> np.ndarray:
    """[1 or 2, n] → [channels, n]; both sides count half, which FFmpeg would weight by 0.7.

    Files of floats can hold what is no sound: not a number is silence, and what is beyond all levels is cut there.
    """
    block = np.nan_to_num(block, nan=0.0, posinf=_LOUDEST, neginf=-_LOUDEST).clip(-_LOUDEST, _LOUDEST)
    if len(block) == channels:
        return block
    return block.mean(axis=0, keepdims=True) if channels == 1 else block.repeat(channels, axis=0)


def _silence_before(frame: Any, container: Any, rate: int, channels: int) -> Iterator[np.ndarray]:
    """The sound of a film may begin later than its picture, and so later than the file."""
    start_sec = (container.start_time or 0) / 1e6
    late = round((float(frame.time or 0) - start_sec) * rate)
    if late > 0:
        yield np.zeros((channels, late), np.float32)
