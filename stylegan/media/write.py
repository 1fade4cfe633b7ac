"""Writing of frames to a file: the one entrance to all formats."""

from collections.abc import Mapping
from pathlib import Path

from stylegan.media.frames import Frames
from stylegan.media.settings import MediaSettings


def write_media(frames: Frames, path: Path, settings: MediaSettings, text: Mapping[str, str]) -> Path:
    """Draws frames and writes them, with progress; what was interrupted continues at its last finished segment.

    Args:
        path: without an ending; the format gives it. For formats of frames it is their folder.
        text: provenance, which goes into the file's metadata; parts of a rendering with another text are not used.
    Returns: the file, or the folder of frames.
    Raises: ValueError for what cannot be written; OSError where the disk refuses.
    """
    raise NotImplementedError
