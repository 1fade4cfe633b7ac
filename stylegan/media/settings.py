"""Settings of a video: format, rate, quality, size and sound."""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from PIL import ImageColor

from stylegan.machine.files import expanded
from stylegan.machine.text import printable
from stylegan.sizes import Size

FORMATS = ("mp4", "webm", "gif", "webp", "apng", "png", "png16")
FITS = ("pad", "crop", "blur")
WITH_SOUND = ("mp4", "webm")
OF_FRAMES = ("png", "png16")

MOST_PX = 8192
MOST_SCALE = 64
# Most viewers show a GIF with a shorter delay at 10 frames a second.
_SHORTEST_GIF_DELAY = 2


@dataclass(frozen=True, kw_only=True)
class MediaSettings:
    """How frames become a file.

    Args:
        format: one of `FORMATS`; png and png16 are a folder of frames.
        fps: frames of a second, 0.01 to 1000; 23.976 and 29.97 mean television's rates, as 24000/1001.
        quality: 1 to 100, of mp4, webm and webp; 100 is lossless in webp. Others lose nothing, or what they must.
        size: `1080x1920`, width x height of the file in px; None = as drawn.
        fit: how frames fill `size`, one of `FITS`: pad with `fill`, crop, or on a blurred copy of themselves.
        scale: whole factor that pixels are repeated by, before `size`.
        fill: colour of padding, and behind transparent frames where the format has no transparency; as Pillow names
            colours.
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
        if not 0.01 <= _number(self.fps) <= 1000:
            raise ValueError(f"fps must be 0.01 to 1000, got {self.fps}")
        if not 1 <= _whole(self.quality) <= 100:
            raise ValueError(f"quality must be a whole number of 1 to 100, got {self.quality}")
        if self.fit not in FITS:
            raise ValueError(f"fit must be one of {', '.join(FITS)}, got {self.fit!r}")
        if not 1 <= _whole(self.scale) <= MOST_SCALE:
            raise ValueError(f"scale must be a whole number of 1 to {MOST_SCALE}, got {self.scale}")
        if not 1 <= _whole(self.segment_frames) <= 100_000:
            raise ValueError(
                f"segment_frames must be a whole number of 1 to 100,000, got {self.segment_frames}"
            )
        if not 0 <= _number(self.start_sec) < math.inf:
            raise ValueError(f"start_sec must be at least 0, got {self.start_sec}")
        self.fill_rgba  # noqa: B018  Checks the colour.
        self.output_size  # noqa: B018
        if self.audio is not None:
            from stylegan.media.sound import refuse_without_sound

            refuse_without_sound(self.audio_path)

    @property
    def rate(self) -> Fraction:
        """Frames of a second as the file has them: the nearest that a GIF can have, which counts 1/100 s."""
        asked = rate_of(self.fps)
        if self.format != "gif":
            return asked
        # The nearest rate is not always the nearest delay: 30 is 3.33 hundredths, and 3 of them are 33.3 a second.
        longer = max(math.ceil(100 / asked), _SHORTEST_GIF_DELAY)
        shorter = max(math.floor(100 / asked), _SHORTEST_GIF_DELAY)
        return min((Fraction(100, delay) for delay in (longer, shorter)), key=lambda rate: abs(rate - asked))

    @property
    def output_size(self) -> Size | None:
        """(height, width) in px that `size` asks for; None = as drawn."""
        if self.size is None:
            return None
        match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", str(self.size).strip(), re.ASCII | re.IGNORECASE)
        if match is None or not all(2 <= int(side) <= MOST_PX for side in match.groups()):
            raise ValueError(
                f"size must be width x height of 2 to {MOST_PX} px, as in 1080x1920, got {printable(str(self.size))}"
            )
        return int(match[2]), int(match[1])

    @property
    def fill_rgba(self) -> tuple[int, int, int, int]:
        """`fill` as red, green, blue and alpha of 0 to 255."""
        try:
            color = ImageColor.getrgb(str(self.fill))
        except ValueError as error:
            raise ValueError(
                f"fill must be a colour, as in black, #ff8800 or rgb(255,136,0), got {printable(str(self.fill))}"
            ) from error
        return (*color, 255) if len(color) == 3 else color

    @property
    def audio_path(self) -> Path | None:
        """The sound file; None = silent."""
        return None if self.audio is None else expanded(str(self.audio), key="audio")

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, a line each."""
        asked = rate_of(self.fps)
        slower = f"format=gif counts 1/100 s: {float(self.rate):.4g} frames a second in place of fps={float(asked):.4g}"
        silent = f"format={self.format} holds no sound: audio is followed, and not stored"
        return tuple(
            note
            for note, counts in (
                (slower, self.rate != asked),
                (silent, self.audio is not None and self.format not in WITH_SOUND),
            )
            if counts
        )

    @property
    def text(self) -> Mapping[str, str]:
        """What a file says of these settings: those that change what is seen or heard."""
        found = {
            "format": self.format,
            "fps": f"{float(self.fps):.12g}",
            "quality": str(self.quality),
            "size": "as drawn" if self.size is None else str(self.size),
            "fit": self.fit,
            "scale": str(self.scale),
            "fill": str(self.fill),
        }
        if self.audio_path is not None:
            with open(self.audio_path, "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()[:16]
            found |= {"audio": f"{self.audio_path.name} {content}", "start_sec": f"{self.start_sec:.12g}"}
        return found

    def name_of(self, name: str) -> str:
        """The name of the file, or of the folder of frames: `walk` → `walk.mp4`, `walk`."""
        if self.format in OF_FRAMES:
            return name
        return f"{name}.png" if self.format == "apng" else f"{name}.{self.format}"


def _number(value: object) -> float:
    """NaN, with which no comparison is true, for what is no number."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _whole(value: object) -> float:
    number = _number(value)
    return number if number == number // 1 else math.nan


def rate_of(fps: float) -> Fraction:
    """Frames of a second, exactly: 30 → 30, 29.97 → 30000/1001, 12.5 → 25/2.

    Both its numbers fit in 16 bits, as an animated PNG stores them.
    """
    television = Fraction(math.ceil(fps) * 1000, 1001)
    if fps != int(fps) and fps < 65 and abs(float(television) - fps) < 0.002:
        return television
    return Fraction(fps).limit_denominator(65_535 // math.ceil(fps))
