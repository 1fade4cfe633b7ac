"""Formats of tasks that make a sheet or a video, as `format=` says."""

import math
from collections.abc import Callable

from stylegan.images import IMAGE_ENDINGS
from stylegan.latents.outputs import ImageFormat
from stylegan.latents.paths.loops import frames_of_loop
from stylegan.latents.paths.timing import MOST_FRAMES
from stylegan.media.settings import FORMATS, MediaSettings

# What can be both, png, png16 and webp, is a sheet.
SHEET_FORMATS = tuple(IMAGE_ENDINGS)
VIDEO_FORMATS = tuple(name for name in FORMATS if name not in SHEET_FORMATS)


def format_of(name: str, quality: int, media: Callable[[], MediaSettings]) -> ImageFormat | MediaSettings:
    """The settings of a sheet, or those of a video.

    Args: media: makes the latter, and checks them; it is not called for a sheet, whose formats they do not have.
    Raises: ValueError for a format that is neither, and for settings that are wrong.
    """
    if name in SHEET_FORMATS:
        return ImageFormat(format=name, quality=quality)
    if name in VIDEO_FORMATS:
        return media()
    raise ValueError(
        f"format must be one of {', '.join(SHEET_FORMATS)} for a sheet, or {', '.join(VIDEO_FORMATS)} for a video,"
        f" got {name!r}"
    )


def frames_in(duration_sec: float, media: MediaSettings) -> int:
    """How many frames a video has, at the rate of its file.

    Raises: ValueError for a duration that is none, or of more than a million frames.
    """
    if not (math.isfinite(duration_sec) and duration_sec > 0):
        raise ValueError(f"duration_sec must be above 0, got {duration_sec}")
    count, _ = frames_of_loop(duration_sec, media.rate)
    if count > MOST_FRAMES:
        raise ValueError(
            f"duration_sec={duration_sec:g} is {count:,} frames, and the most are {MOST_FRAMES:,}"
        )
    return count
