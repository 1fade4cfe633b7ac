"""TensorBoard's events, which a full disk interrupts and does not end."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger


class TensorBoardEvents(TensorBoardLogger):
    """Lightning's logger, but that events which cannot be written are lost, and nothing else is.

    Its thread dies of a full disk, and every later call raises, also those by which Lightning flushes and ends its
    loggers. Here one line says so, and each next row tries a new file of events.

    Args: as Lightning's.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failing = False
        _silence_writers()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with self._forgiving():
            super().log_metrics(metrics, step)

    def save(self) -> None:
        if self._failing and self._experiment is None:
            return  # Lightning flushes far more often than there are rows
        with self._forgiving():
            super().save()
            self._failing = False

    def finalize(self, status: str) -> None:
        with self._forgiving():
            super().finalize(status)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            # Lightning makes a ValueError of whatever fails in log_metrics.
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError):
                raise
            self._experiment = None
            if not self._failing:
                print(
                    f"warning     events of TensorBoard could not be written ({cause}); on with the rest",
                    flush=True,
                )
            self._failing = True


def _silence_writers() -> None:
    """No tracebacks of TensorBoard's threads: what they die of is raised again by the next call."""
    before = threading.excepthook
    if getattr(before, "silences_writers", False):
        return

    def hook(failure: threading.ExceptHookArgs) -> None:
        written = type(failure.thread).__module__ == "tensorboard.summary.writer.event_file_writer"
        if not (written and isinstance(failure.exc_value, OSError)):
            before(failure)

    hook.silences_writers = True
    threading.excepthook = hook
