"""Console output: the logger "stylegan" with its one handler, and lines that survive a full disk.

    say        a line of the run, to the standard output, as it is
    warn       the same after the word "warning"
    say_error  a line to the standard error

With `logging.getLogger("stylegan").setLevel(logging.WARNING)` only warnings and errors are written.
"""

import io
import logging
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from stylegan.machine.files import is_full_disk

LOGGER_NAME = "stylegan"


class LineHandler(logging.Handler):
    """Writes each record as one line, at once, also into a file, where Python would keep it back.

    It goes to the stream that `sys.stdout` is at that moment (errors: `sys.stderr`), so that a notebook's cell and a
    test's capture see it. What a stream raises passes on, as from `print`.
    """

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.levelno >= logging.ERROR:
            stream = sys.stderr
        else:
            stream = sys.stdout
            if record.levelno >= logging.WARNING:
                line = f"{'warning':<12}{' '.join(line.split())}"
        print(line, file=stream, flush=True)


def _logger() -> logging.Logger:
    logger = logging.getLogger(LOGGER_NAME)
    if not any(isinstance(handler, LineHandler) for handler in logger.handlers):
        logger.addHandler(LineHandler())
        logger.setLevel(logging.INFO)
        # Else a root handler, as Hydra's or a notebook's, would write each line a second time.
        logger.propagate = False
    return logger


_LOGGER = _logger()


def say(line: str) -> None:
    """Writes a line of the run to the standard output, at once."""
    _LOGGER.info("%s", line)


def warn(text: str) -> None:
    """Writes a warning among the lines of the run, as one line, at once."""
    _LOGGER.warning("%s", text)


def say_error(line: str) -> None:
    """Writes a line to the standard error, at once."""
    _LOGGER.error("%s", line)


@contextmanager
def surviving_full_disk(what: str) -> Iterator[None]:
    """Inside, a full disk costs `what` alone, with one warning."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not is_full_disk(error):
            raise
        warn(f"the disk is full: {what} could not be written ({error})")


@contextmanager
def surviving_lost_output() -> Iterator[None]:
    """Inside, lines that cannot be written are lost, and nothing else is: no write to the console raises OSError."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_forgiving(stream) for stream in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # it was closed before the program began
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
