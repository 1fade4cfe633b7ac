"""Console output: the logger "stylegan" with its one handler, and lines that are lost without harm.

    say        a line of the run, to the standard output, as it is
    warn       the same after the word "warning"
    say_error  a line to the standard error

With `logging.getLogger("stylegan").setLevel(logging.WARNING)` only warnings and errors are written.
"""

import io
import logging
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from stylegan.machine.files import is_full_disk, refusal

LOGGER_NAME = "stylegan"
# For a reader that is slow, where the stream itself does not wait for it.
_PATIENCE_SEC = 1.0


class LineHandler(logging.Handler):
    """Writes each record as one line, at once, also into a file, where Python would keep it back.

    It goes to the stream that `sys.stdout` is at that moment (errors: `sys.stderr`), so that a notebook's cell and a
    test's capture see it. A line that cannot be written is lost, and nothing else is: what calls this saves weights.
    Characters that the stream's encoding lacks are shown by escapes.
    """

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.levelno >= logging.ERROR:
            stream = sys.stderr
        else:
            stream = sys.stdout
            if record.levelno >= logging.WARNING:
                line = f"{'warning':<12}{' '.join(line.split())}"
        if stream is None:
            return  # closed before the program began
        with suppress(OSError, ValueError):  # ValueError: it was closed since
            try:
                print(line, file=stream, flush=True)
            except UnicodeEncodeError as error:
                shown = line.encode(error.encoding, "backslashreplace").decode(error.encoding)
                print(shown, file=stream, flush=True)


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
def surviving_lost_file(what: str) -> Iterator[None]:
    """Inside, a file that the system refuses costs `what` alone, with one warning.

    So where the disk is full or away, or where another program or user holds the file.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if is_full_disk(error):
            warn(f"the disk is full: {what} could not be written ({error})")
        elif isinstance(error, OSError):
            warn(f"{what} could not be written ({refusal(error)}); the rest continues")
        else:
            raise


@contextmanager
def surviving_lost_output() -> Iterator[None]:
    """Inside, lines that cannot be written are lost, and nothing else is: no write to the console raises OSError.

    So where the disk is full, the terminal gone, the other end of a pipe closed, or a stream closed from the start.
    Characters that the encoding lacks are shown by escapes. Streams of a notebook or of a test are left as they are.
    """
    _open_standard_descriptors()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_forgiving(stream) for stream in before)
    try:
        yield
    finally:
        for stream, old in zip((sys.stdout, sys.stderr), before, strict=True):
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.flush()
            if old is None:
                stream.close()
        sys.stdout, sys.stderr = before


def refuse_lost_output() -> None:
    """For commands that only show something: whoever reads it has seen enough, as `| head` has.

    Raises: BrokenPipeError where what was printed has had no reader since `surviving_lost_output`.
    """
    sys.stdout.flush()
    file = _log_file_of(sys.stdout)
    if file is not None and isinstance(file.lost, BrokenPipeError):
        raise file.lost


def _open_standard_descriptors() -> None:
    """Lets descriptors 0 to 2 lead nowhere where they are closed, as a daemon's.

    Else the next file that is opened gets such a number, and what C libraries print goes into a checkpoint.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)


class _LogFile(io.FileIO):
    """Args: as `io.FileIO`.  Attributes: lost: the last error that cost a line, or None."""

    lost: OSError | None = None

    def write(self, data: bytes) -> int:
        # As if it were written: kept back, it would fail again at the next line, and at the end of the program.
        try:
            written = super().write(data)
            if written is None and select.select([], [self], [], _PATIENCE_SEC)[1]:
                written = super().write(data)  # it does not block, and there was no room
        except OSError as error:
            self.lost = error
            return len(data)
        return len(data) if written is None else written


def _log_file_of(stream: TextIO) -> _LogFile | None:
    file = getattr(getattr(stream, "buffer", None), "raw", None)
    return file if isinstance(file, _LogFile) else None


def _forgiving(stream: TextIO | None) -> TextIO:
    """The same stream where it is not one of the system's."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8", errors="backslashreplace")
    if _log_file_of(stream) is not None:
        return stream
    try:
        number = stream.fileno()
        if sys.platform == "win32" and stream.isatty():
            return stream  # the console there takes text, and no bytes
    except (AttributeError, OSError, ValueError):
        return stream  # a notebook's or a test's
    with suppress(OSError, ValueError):
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_LogFile(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=True,
    )
