"""What a command says: lines at once, warnings, and output that nobody can take."""

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from stylegan.machine.files import is_full_disk


@contextmanager
def going_on_without(what: str) -> Iterator[None]:
    """Inside, a full disk costs `what` alone: one line says so."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not is_full_disk(error):
            raise
        say(f"the disk is full: {what} could not be written ({error})")


def say(line: str) -> None:
    """A warning among the lines of the run, at once."""
    print(f"warning     {' '.join(line.split())}", flush=True)


@contextmanager
def outliving_its_log() -> Iterator[None]:
    """Inside, lines that cannot be written are lost, and nothing else is: `print` raises no OSError."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_forgiving(stream) for stream in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


class _LogFile(io.FileIO):
    def write(self, data: bytes) -> int:
        try:
            return super().write(data)
        except OSError:
            # As if it were written: kept back, it would fail again at the next line, and at the end of the program.
            return len(data)


def _forgiving(stream: TextIO) -> TextIO:
    """The same stream where it is neither a file on a disk nor a terminal."""
    try:
        stream.flush()
        number = stream.fileno()
        if not (stat.S_ISREG(os.fstat(number).st_mode) or os.isatty(number)):
            return stream
    except (AttributeError, OSError, ValueError):
        return stream  # a notebook's or a test's, or none at all
    raw = _LogFile(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=True
    )
