"""Writing of frames to a file: the one entrance to all formats."""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from stylegan.machine.console import say
from stylegan.machine.files import is_full_disk, refusal
from stylegan.machine.progress import with_progress
from stylegan.machine.text import printable
from stylegan.media.canvas import Canvas
from stylegan.media.frames import Frames
from stylegan.media.parts import Parts, flush_to_disk, parts_of
from stylegan.media.settings import OF_FRAMES, MediaSettings

# Chunks of frames that wait for the encoder, at most: it keeps up with drawing, or drawing waits for it.
_WAITING_CHUNKS = 2


class SegmentWriter(Protocol):
    """A file of a segment that is being written."""

    def add(self, pixels: np.ndarray) -> None:
        """Appends a frame, uint8 or uint16 [H,W,C]. Raises: OSError where the disk refuses."""
        ...

    def close(self) -> None:
        """Ends the file. Harmless when repeated. Raises: OSError where the disk refuses."""
        ...


class Format(Protocol):
    """How frames become segments, and segments the file.

    Attributes:
        segment_name: of a segment's file, with its number in place of `{}`.
        segment_frames: of a segment.
        canvas: of the frames.
        record: what else the bytes of a segment follow from, as versions.
    """

    segment_name: str
    segment_frames: int
    canvas: Canvas
    record: Mapping[str, object]

    def segment(self, path: Path, first: int) -> SegmentWriter:
        """A new segment that begins with frame `first`."""
        ...

    def frames_in(self, path: Path) -> int | None:
        """How many frames a segment's file holds; None where it cannot be read."""
        ...

    def join(self, parts: Parts, target: Path) -> None:
        """Makes the file of all segments, with provenance in it and next to it."""
        ...


def write_media(frames: Frames, path: Path, settings: MediaSettings, text: Mapping[str, str]) -> Path:
    """Draws frames and writes them, with progress; what was interrupted continues at its last finished segment.

    Frames are encoded in a thread of its own while the next are drawn.

    Args:
        path: without an ending; the format gives it. For formats of frames it is their folder.
        text: provenance, which goes into the file's metadata; parts of a rendering with another text are not used.
    Returns: the file, or the folder of frames.
    Raises: ValueError for what cannot be written; OSError where the disk refuses.
    """
    if frames.count < 1:
        raise ValueError(f"{path}: a video needs at least one frame, got {frames.count}")
    target = path.with_name(settings.name_of(path.name))
    # Neither can take the other's place, which would be noticed when all frames are drawn.
    if target.exists() and target.is_dir() != (settings.format in OF_FRAMES):
        there, wanted = ("folder", "file") if target.is_dir() else ("file", "folder")
        raise ValueError(
            f"{printable(str(target))} is a {there}, and format={settings.format} writes a {wanted} of that name; set"
            " out=... for another folder"
        )
    text = dict(text) | dict(settings.text)
    form = _format_of(frames, settings, text)
    for note in (*settings.notes, *form.canvas.notes):
        say(note)
    record = {
        "text": text,
        "frames": frames.count,
        "size": list(frames.size),
        "channels": frames.channels,
        "segment_frames": form.segment_frames,
        **form.record,
    }
    with parts_of(
        target, record, name=form.segment_name, frames=frames.count, segment_frames=form.segment_frames
    ) as parts:
        try:
            _render(frames, form, parts)
            form.join(parts, target)
        except OSError as error:
            reason = "the disk is full" if is_full_disk(error) else refusal(error)
            raise OSError(
                f"{target}: {reason}; the frames that are done are kept in {parts.folder}, from which the same"
                " command continues"
            ) from error
    height, width = form.canvas.size
    sec = frames.count / settings.rate
    say(f"{target}: {frames.count:,} frames of {width} x {height} px, {float(sec):.4g} s")
    return target


def _format_of(frames: Frames, settings: MediaSettings, text: Mapping[str, str]) -> Format:
    if settings.format in ("mp4", "webm"):
        from stylegan.media.video import Video

        return Video(frames.size, frames.channels, settings, text)
    if settings.format in ("png", "png16"):
        from stylegan.media.frame_files import FrameFiles

        return FrameFiles(frames.size, frames.channels, settings, text)
    from stylegan.media.animations import Animation

    return Animation(frames.size, frames.channels, settings, text)


def _render(frames: Frames, form: Format, parts: Parts) -> None:
    """Draws and encodes the segments that are missing."""
    ranges = parts.missing(form.frames_in)
    missing = sum(parts.frames_of(number) for first, last in ranges for number in range(first, last))
    done = frames.count - missing
    if done and missing:
        say(
            f"continuing from frame {ranges[0][0] * parts.segment_frames:,}: {done:,} of {frames.count:,} are there"
        )
    chunks = ((len(chunk), (first, chunk)) for first, chunk in _chunks(frames, parts, ranges))
    segments = _Segments(form, parts)
    with ThreadPoolExecutor(1, thread_name_prefix="encoder") as encoder:
        waiting: deque[Future] = deque()
        try:
            for first, chunk in with_progress(
                chunks, total=frames.count, what="frames", doing="rendering", done=done
            ):
                waiting.append(encoder.submit(segments.add, first, chunk))
                while len(waiting) > _WAITING_CHUNKS:
                    waiting.popleft().result()
            for future in waiting:
                future.result()
        finally:
            encoder.submit(segments.close).result()


def _chunks(frames: Frames, parts: Parts, ranges: list[tuple[int, int]]) -> Iterator[tuple[int, Tensor]]:
    """(number of the first frame, frames [n,C,H,W] on the CPU) of all ranges of segments."""
    for begin, end in ranges:
        number, last = begin * parts.segment_frames, min(end * parts.segment_frames, frames.count)
        for chunk in frames.draw(number, last):
            yield number, chunk.cpu()
            number += len(chunk)
        if number != last:
            raise ValueError(f"frames up to {last:,} were asked for, and {number:,} drawn")


class _Segments:
    """Frames in order, into one segment after the other; each has its name only when it is whole."""

    def __init__(self, form: Format, parts: Parts):
        self.form, self.parts = form, parts
        self._writer: SegmentWriter | None = None
        self._number = -1

    def add(self, first: int, chunk: Tensor) -> None:
        """Args: first: the number of the chunk's first frame; chunk: [n,C,H,W]."""
        for number, frame in enumerate(chunk, start=first):
            segment, place = divmod(number, self.parts.segment_frames)
            if place == 0:
                self._number = segment
                self._writer = self.form.segment(self._partial, number)
            self._writer.add(self.form.canvas.image(frame))
            if place == self.parts.frames_of(segment) - 1:
                self._finish()

    def close(self) -> None:
        """Gives up a segment that is not finished."""
        if self._writer is not None:
            with suppress(OSError):  # of a full disk, which was told before
                self._writer.close()
            self._writer = None
            self._partial.unlink(missing_ok=True)

    def _finish(self) -> None:
        self._writer.close()
        self._writer = None
        if self.form.frames_in(self._partial) != self.parts.frames_of(self._number):
            raise OSError(f"{self._partial} was not written whole")
        if self.parts.segment_frames > 1:  # single frames are too many to wait for each
            flush_to_disk(self._partial)
        os.replace(self._partial, self.parts.path(self._number))

    @property
    def _partial(self) -> Path:
        return self.parts.folder / f"partial-{self.parts.path(self._number).name}"
