"""Settings of a video: format, rate, quality, size and sound."""

from dataclasses import dataclass

FORMATS = ("mp4", "webm", "gif", "webp", "apng", "png", "png16")
FITS = ("pad", "crop", "blur")


@dataclass(frozen=True, kw_only=True)
class MediaSettings:
    """How frames become a file.

    Args:
        format: one of `FORMATS`; png and png16 are a folder of frames.
        fps: frames of a second, above 0.
        quality: 1 to 100.
        size: `1080x1920`, width x height of the file in px; None = as drawn.
        fit: how frames fill `size`, one of `FITS`.
        scale: whole factor that pixels are repeated by, before `size`.
        fill: colour of padding, as Pillow names colours.
        audio: sound file; None = silent.
        start_sec: where in the sound the video begins.
        segment_frames: frames of a part of the file, after which an interrupted rendering continues.
    Raises: ValueError that names the value and the choices.
    """

    format: str = "mp4"
    fps: float = 30
    quality: int = 90
    size: str | None = None
    fit: str = "pad"
    scale: int = 1
    fill: str = "black"
    audio: str | None = None
    start_sec: float = 0.0
    segment_frames: int = 120

    def __post_init__(self):
        if self.format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}")
        if not 0 < self.fps <= 1000:
            raise ValueError(f"fps must be above 0 and at most 1000, got {self.fps}")
