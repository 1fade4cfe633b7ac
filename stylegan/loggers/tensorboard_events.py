"""TensorBoard's events: on a disk that fills up, with the configuration in the tab HPARAMS, over images seen."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment

from stylegan.machine.console import warn
from stylegan.machine.files import refusal

# Of the names of event files whose steps are images seen. Earlier versions counted thousands of them, and wrote none.
AXIS_SUFFIX = ".images"
# Shown next to the configuration. Charts of scores carry their protocol in their names, so that none is known here.
HPARAM_CHARTS = ("Progress/kimg", "Progress/augment", "Loss/signs/real", "Loss/G/loss", "Loss/D/loss")

_PLAIN = bool | int | float | str


class TensorBoardEvents(TensorBoardLogger):
    """Lightning's logger, but that events which cannot be written are lost, and nothing else is.

    Its thread dies of a full disk, and every later call raises, also those by which Lightning flushes and ends its
    loggers. Here one line says so, and each next row tries a new file of events.

    Its arguments are those of Lightning's.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, filename_suffix=AXIS_SUFFIX, **kwargs)
        self._failing = False
        _silence_writers()

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of events; one that writes nowhere while its file cannot be made. Lightning asks for it, too."""
        try:
            return super().experiment
        except OSError as error:
            self._lose(error)
            return _Nowhere()

    def log_hyperparams(
        self,
        params: Mapping[str, Any],
        metrics: Mapping[str, float] | None = None,
        step: int | None = None,
    ) -> None:
        """Fills the tab HPARAMS with a configuration, by dotted keys, next to the newest values of some charts.

        Lightning's own method fills it only where there is a metric to write with it.

        Args:
            metrics: names of charts; None = `HPARAM_CHARTS`. Their values are those that the charts have.
            step: unused.
        """
        from torch.utils.tensorboard.summary import hparams  # loads TensorBoard

        values = {key: value if isinstance(value, _PLAIN) else str(value) for key, value in _flat(params)}
        # Without its third summary, the end of the run, which has not come.
        summaries = hparams(values, dict.fromkeys(HPARAM_CHARTS if metrics is None else metrics, 0.0))[:2]
        with self.forgiving():
            set_aside_kimg_axis(Path(self.log_dir))
            for summary in summaries:
                self.experiment.file_writer.add_summary(summary, 0)
            # Lightning writes this file where there is none, and reads what looks like `${...}` as a reference.
            text = yaml.safe_dump(_plain(params), sort_keys=False, allow_unicode=True)
            (Path(self.log_dir) / self.NAME_HPARAMS_FILE).write_text(text, encoding="utf-8")
            self.save()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with self.forgiving():
            super().log_metrics(metrics, step)

    def save(self) -> None:
        if self._failing and self._experiment is None:
            return  # Lightning flushes far more often than there are rows
        with self.forgiving():
            super().save()
            self._failing = False

    def finalize(self, status: str) -> None:
        with self.forgiving():
            super().finalize(status)

    @contextmanager
    def forgiving(self) -> Iterator[None]:
        """Inside, events that cannot be written are lost, and nothing else is."""
        try:
            yield
        except (OSError, ValueError) as error:
            # Lightning makes a ValueError of any failure in log_metrics.
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError):
                raise
            self._lose(cause)

    def _lose(self, error: OSError) -> None:
        self._experiment = None
        if not self._failing:
            warn(f"events of TensorBoard could not be written ({refusal(error)}); the rest continues")
        self._failing = True


class _Nowhere:
    """A writer that takes every call, and does nothing."""

    def __getattr__(self, _: str) -> "_Nowhere":
        return self

    def __call__(self, *_: Any, **__: Any) -> "_Nowhere":
        return self


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


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "null" if value is None else value


def _plain(value: Any) -> Any:
    """A tree as YAML takes it; the texts of what it does not."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or type(value) in (bool, int, float, str) else str(value)


def set_aside_kimg_axis(folder: Path) -> None:
    """Moves events of earlier versions, whose steps are kimg, into a sub-folder: a curve of their own."""
    older = [path for path in folder.glob("events.out.tfevents.*") if not path.name.endswith(AXIS_SUFFIX)]
    for path in older:
        (folder / "kimg_axis").mkdir(exist_ok=True)
        path.rename(folder / "kimg_axis" / path.name)
