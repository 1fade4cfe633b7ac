"""Parts of a file that is being rendered: a hidden folder next to it, from which an interrupted rendering continues."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stylegan.machine.console import say
from stylegan.machine.files import replacing
from stylegan.machine.folder_lock import lock_folder
from stylegan.machine.sidecars import write_sidecar

_RECORD = "record.json"


class Parts:
    """The finished segments of a file: `.walk.mp4.parts/segments/000003.mp4` and so on.

    Args:
        folder: the hidden one; made and locked by `parts_of`.
        name: of a segment's file, with its number in place of `{}`.
        frames: of the whole file.
        segment_frames: of a segment; the last one may have fewer.
    """

    def __init__(self, folder: Path, *, name: str, frames: int, segment_frames: int):
        self.folder, self.name = folder, name
        self.segments = folder / "segments"
        self.frames, self.segment_frames = frames, segment_frames

    def __len__(self) -> int:
        return -(-self.frames // self.segment_frames)

    def path(self, number: int) -> Path:
        """The file of a segment, whether it is there or not."""
        return self.segments / self.name.format(f"{number:06d}")

    def paths(self) -> list[Path]:
        """The files of all segments, in order."""
        return [self.path(number) for number in range(len(self))]

    def frames_of(self, number: int) -> int:
        """How many frames a segment has."""
        return min(self.segment_frames, self.frames - number * self.segment_frames)

    def missing(self, frames_in: Callable[[Path], int | None]) -> list[tuple[int, int]]:
        """The ranges of segments that are still to be made: [(first, after the last), ...].

        Args: frames_in: of a segment's file, how many it holds; None = it cannot be read. Such a file is deleted.
        """
        ranges: list[tuple[int, int]] = []
        for number in range(len(self)):
            path = self.path(number)
            if path.exists():
                if frames_in(path) == self.frames_of(number):
                    continue
                path.unlink()
            if ranges and ranges[-1][1] == number:
                ranges[-1] = (ranges[-1][0], number + 1)
            else:
                ranges.append((number, number + 1))
        return ranges


@contextmanager
def parts_of(
    target: Path, record: Mapping[str, object], *, name: str, frames: int, segment_frames: int
) -> Iterator[Parts]:
    """The parts of a file that is to be made, for this process alone; they stay where the block fails.

    Args:
        target: the file.
        record: all that the segments' bytes follow from; segments of another record are deleted.
        name, frames, segment_frames: as of `Parts`.
    Raises: ValueError where another process renders the same file; OSError where the folder cannot be written.
    """
    parts = Parts(
        target.with_name(f".{target.name}.parts"), name=name, frames=frames, segment_frames=segment_frames
    )
    parts.folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = lock_folder(parts.folder)
    except BlockingIOError as error:
        raise ValueError(
            f"{target}: another process renders this file; wait for it, or set out=..."
        ) from error
    try:
        if _record_in(parts.folder) != record:
            if parts.segments.exists():
                say(f"{parts.folder} holds parts of a rendering with other settings; they are deleted")
                shutil.rmtree(parts.segments)
            with replacing(parts.folder / _RECORD, durable=False) as file:
                file.write(json.dumps(record, indent=1).encode())
        parts.segments.mkdir(exist_ok=True)
        yield parts
        shutil.rmtree(parts.folder)
    finally:
        if lock is not None:
            lock.release()


def _record_in(folder: Path) -> object:
    try:
        return json.loads((folder / _RECORD).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def flush_to_disk(path: Path) -> None:
    """Waits until a file is on the disk, so that a power cut after its renaming leaves it whole."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(whole: Path, target: Path, text: Mapping[str, str]) -> None:
    """Gives a finished file its name, and says next to it how it was made.

    The file comes last: whoever sees it sees what it says of itself.
    """
    flush_to_disk(whole)
    target.unlink(missing_ok=True)
    write_sidecar(target, text)
    os.replace(whole, target)
