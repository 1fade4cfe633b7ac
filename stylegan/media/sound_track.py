"""Sound beside a video: encoded packet by packet as the video's packets are written."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from stylegan.machine.console import say
from stylegan.media.packages import pyav
from stylegan.media.sound import samples

_RATE = 48_000
_BITS_A_SEC = 192_000
# By the format of the file: the encoder, and its kind of numbers.
_CODERS = {"mp4": ("aac", "fltp"), "webm": ("libopus", "flt")}


class SoundTrack:
    """A sound that is as long as its video: cut at the video's end, or silent after its own.

    Args:
        output: the container, before its first packet.
        form: mp4 or webm.
        path: the sound file.
        start_sec: where in it the video begins.
        video_sec: how long the video is.
    Raises: ValueError, as of `samples`, from the first `packets`.
    """

    def __init__(self, output: Any, form: str, path: Path, *, start_sec: float, video_sec: Fraction):
        codec, self._numbers = _CODERS[form]
        self._path, self._start_sec = path, start_sec
        self._count = round(video_sec * _RATE)
        self._stream = output.add_stream(codec, rate=_RATE, layout="stereo", format=self._numbers)
        self._stream.bit_rate = _BITS_A_SEC
        self._packets = self._encoded()
        self._waiting: Any = None

    def until(self, sec: Fraction | None) -> Iterator[Any]:
        """The packets of sound up to a time of the video; None = all that is left."""
        while True:
            self._waiting = self._waiting or next(self._packets, None)
            packet = self._waiting
            if packet is None or sec is not None and (packet.pts or 0) * packet.time_base > sec:
                return
            self._waiting = None
            yield packet

    def _encoded(self) -> Iterator[Any]:
        av = pyav("audio")
        place = 0
        for block in self._whole():
            if self._numbers == "flt":
                block = block.T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block), format=self._numbers, layout="stereo"
            )
            frame.sample_rate, frame.pts, frame.time_base = _RATE, place, Fraction(1, _RATE)
            place += frame.samples
            yield from self._stream.encode(frame)
        yield from self._stream.encode(None)

    def _whole(self) -> Iterator[np.ndarray]:
        """float32 [2,n] as long as the video."""
        place = 0
        # One sample more tells whether the sound is longer.
        for block in samples(
            self._path, rate=_RATE, channels=2, start_sec=self._start_sec, count=self._count + 1
        ):
            kept = block[:, : self._count - place]
            place += block.shape[1]
            if kept.shape[1]:
                yield kept
        if place > self._count:
            say(f"{self._path} is longer than the video, and ends with it")
            return
        if place < self._count:
            say(
                f"{self._path} ends {(self._count - place) / _RATE:.4g} s before the video, whose rest is silent"
            )
        while place < self._count:
            silent = min(_RATE, self._count - place)
            place += silent
            yield np.zeros((2, silent), np.float32)
