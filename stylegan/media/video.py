"""mp4 and webm by PyAV: segments of closed groups of pictures, joined by packet copy, with sound and provenance.

A segment is a file of its own from a fresh encoder without B-frames, so that its bytes follow from its frames alone,
and the joined file's bytes from the segments: an interrupted rendering ends in the same file as any other.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from stylegan.media.canvas import Canvas
from stylegan.media.packages import pyav
from stylegan.media.parts import Parts, publish
from stylegan.media.settings import MediaSettings
from stylegan.media.sound import samples
from stylegan.media.sound_track import SoundTrack
from stylegan.sizes import Size

# ITU-T H.273: what browsers, phones and platforms expect of video of any size.
_BT709, _LIMITED = 1, 1
# From so many pixels on one thread would be slower than drawing on a fast device. A function of the size alone, since
# the number of threads may change the bytes.
_LARGE_PX = 512 * 512
_THREADS_OF_LARGE = 4


class Video:
    """The formats mp4 (h264) and webm (VP9, with alpha where the frames have it); as `write.Format`.

    Raises: ValueError where PyAV is not installed.
    """

    def __init__(self, drawn: Size, channels: int, settings: MediaSettings, text: Mapping[str, str]):
        self.av = pyav(f"format={settings.format}", "format=gif, webp, apng and png do without it")
        self.settings, self.text = settings, text
        self.ending = settings.format
        self.segment_name = f"{{}}.{settings.format}"
        self.segment_frames = settings.segment_frames
        self.canvas = Canvas(
            drawn, channels, settings, alpha=settings.format == "webm", grey=False, even=True
        )
        if settings.audio_path is not None:
            # Else a start after the sound's end would be noticed when all frames are drawn.
            next(samples(settings.audio_path, rate=8000, channels=1, start_sec=settings.start_sec, count=1))
        self.record = {
            "pyav": self.av.__version__,
            "libavcodec": list(self.av.library_versions["libavcodec"]),
        }

    @property
    def codec(self) -> str:
        return "libx264" if self.settings.format == "mp4" else "libvpx-vp9"

    @property
    def pixels(self) -> str:
        """The pixel format of the file; one that every player knows."""
        return "yuva420p" if self.canvas.alpha else "yuv420p"

    @property
    def options(self) -> dict[str, str]:
        """Of the encoder. Quality 90 is crf 17.5 of x264, which few eyes tell from the original."""
        lost = 100 - self.settings.quality
        if self.settings.format == "mp4":
            # No B-frames: each packet is shown when it is stored, so segments join by counting.
            return {
                "crf": f"{15 + 0.25 * lost:g}",
                "preset": "medium",
                "bf": "0",
                "g": str(self.segment_frames),
            }
        return {
            "crf": f"{round(20 + 0.4 * lost)}",
            "b": "0",
            "g": str(self.segment_frames),
            "row-mt": "0",
            "cpu-used": "4",
            # Hidden reference frames do not go with alpha, nor with one packet a frame.
            "auto-alt-ref": "0",
            "lag-in-frames": "0",
        }

    def segment(self, path: Path, first: int) -> "VideoSegment":
        return VideoSegment(self, path)

    def frames_in(self, path: Path) -> int | None:
        try:
            with (
                open(path, "rb") as file,
                self.av.open(file, format=_demuxer(self.settings.format)) as container,
            ):
                return sum(packet.size > 0 for packet in container.demux(video=0))
        except (self.av.FFmpegError, OSError, IndexError):
            return None

    def join(self, parts: Parts, target: Path) -> None:
        whole = parts.folder / f"whole.{self.ending}"
        with self.av.open(
            f"file:{whole}", "w", format=self.ending, options=self._container_options
        ) as output:
            output.metadata["comment"] = json.dumps(dict(self.text), ensure_ascii=False)
            with open(parts.path(0), "rb") as file, self.av.open(file) as first:
                stream = output.add_stream_from_template(first.streams.video[0])
            stream.time_base = 1 / self.settings.rate
            # Else a WebM does not say its rate, which readers then guess from times in whole milliseconds.
            stream.codec_context.framerate = self.settings.rate
            sound = self._sound(output, parts.frames)
            for number, packet in enumerate(self._packets(parts)):
                packet.stream = stream
                output.mux(packet)
                if sound is not None:
                    output.mux(sound.until(number / self.settings.rate))
            if sound is not None:
                output.mux(sound.until(None))
        publish(whole, target, self.text)

    def _sound(self, output: Any, frames: int) -> SoundTrack | None:
        settings = self.settings
        if settings.audio_path is None:
            return None
        return SoundTrack(
            output,
            settings.format,
            settings.audio_path,
            start_sec=settings.start_sec,
            video_sec=frames / settings.rate,
        )

    @property
    def _container_options(self) -> dict[str, str]:
        # The table of contents comes first, so that a browser begins to play before it has all.
        # And a webm has no random number as its name.
        return {"movflags": "+faststart"} if self.settings.format == "mp4" else {"fflags": "+bitexact"}

    def _packets(self, parts: Parts) -> Iterator:
        """The packets of all segments, a frame each, with times counted through."""
        number, duration = 0, 1 / self.settings.rate
        for path in parts.paths():
            with open(path, "rb") as file, self.av.open(file) as container:
                for packet in container.demux(video=0):
                    if packet.size:
                        packet.pts = packet.dts = number
                        packet.duration = 1
                        packet.time_base = duration
                        number += 1
                        yield packet


class VideoSegment:
    """As `write.SegmentWriter`."""

    def __init__(self, video: Video, path: Path):
        self._av, self._canvas, self._pixels = video.av, video.canvas, video.pixels
        self._container = video.av.open(f"file:{path}", "w", format=video.ending)
        height, width = video.canvas.size
        self._stream = self._container.add_stream(
            video.codec, rate=video.settings.rate, options=video.options
        )
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, video.pixels
        coder = self._stream.codec_context
        coder.time_base = 1 / Fraction(video.settings.rate)
        coder.thread_count = 1 if height * width < _LARGE_PX else _THREADS_OF_LARGE
        coder.colorspace = coder.color_primaries = coder.color_trc = _BT709
        coder.color_range = _LIMITED
        self._reformatter = video.av.video.reformatter.VideoReformatter()
        self._count = 0

    def add(self, pixels: np.ndarray) -> None:
        frame = self._av.VideoFrame.from_ndarray(pixels, format="rgba" if pixels.shape[-1] == 4 else "rgb24")
        frame = self._reformatter.reformat(
            frame, format=self._pixels, dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        frame.pts, frame.time_base = self._count, self._stream.codec_context.time_base
        self._count += 1
        with as_oserror(self._av):
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        if self._container is not None:
            container, self._container = self._container, None
            with as_oserror(self._av):
                try:
                    container.mux(self._stream.encode(None))
                finally:
                    container.close()


@contextmanager
def as_oserror(av: Any) -> Iterator[None]:
    """Inside, errors of FFmpeg's files are the system's, as that of a full disk."""
    try:
        yield
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


def _demuxer(form: str) -> str:
    return "mp4" if form == "mp4" else "matroska"
