"""What the command says may reach nobody: a log file's disk may be full, a terminal may have been closed."""

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


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
