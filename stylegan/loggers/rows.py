"""Row loggers: one row of statistics a tick, as JSON lines and as CSV, append-only.

Lightning's own CSVLogger deletes the file of the run that it continues, and no logger of Lightning knows how
many values are behind a mean; so these exist."""

import csv
import io
import json
import math
import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from stylegan.machine.files import append_whole, replacing

# A row: name -> (num, mean, std), e.g. stylegan.training.stats.Stat. A scalar is (1, value, 0).
Row = Mapping[str, tuple[int, float, float]]
KIMG = "Progress/kimg"


class RowLogger(Logger):
    """A file in the run folder to which `callbacks.stats.StatsTicks` hands complete rows.

    It is a Lightning logger so that it is among the others in the config; rows come by `log_row` alone.

    Args:
        folder: the run folder; made when the first row is written.
    """

    file_name: str

    def __init__(self, *, folder: str | os.PathLike) -> None:
        super().__init__()
        self.path = Path(folder) / self.file_name
        self.unwritten: list[Any] = []  # rows that found no room, and the newest

    @property
    def save_dir(self) -> str:
        """The run folder: Lightning puts what it writes by itself into `<save_dir>/<name>`."""
        return str(self.path.parent)

    @property
    def name(self) -> str:
        """Of that folder, as for the checkpoints of Lightning's own that a script without `KimgCheckpoint` gets."""
        return "lightning"

    @property
    def version(self) -> str:
        """Empty: the run folder's name is the only version there is."""
        return ""

    @abstractmethod
    def log_row(self, row: Row, *, timestamp: float) -> None:
        """Appends a row, at once. The row has `Progress/kimg`; the timestamp is in Unix seconds.

        Raises: OSError, as where the disk is full; the row comes with the next one then.
        """

    @abstractmethod
    def truncate_after(self, images: int) -> None:
        """Drops the rows past `images` images seen, and a last row that a kill cut short.

        A run that resumes from a checkpoint trains the steps after it again: their rows would appear twice.
        """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Does nothing: single values (`self.log`) lack the count and the standard deviation of a row."""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Does nothing: `config.yaml` in the run folder holds them."""

    def append(self, text: str) -> None:
        """Appends text at once, as `append_whole` does.  Raises: OSError, as where the disk is full."""
        append_whole(self.path, text)


def images_of(kimg: float) -> int:
    """Images seen from a row's `Progress/kimg` = images / 1000; the rounding undoes the division exactly."""
    return round(kimg * 1000)


def replace_file(path: Path, lines: Iterable[str]) -> None:
    """Rewrites a file so that at every moment either all of the old or all of the new text is there."""
    with replacing(path) as file:
        file.writelines(line.encode() for line in lines)


TIMESTAMP = "timestamp"


class CsvLogger(RowLogger):
    """Appends the means of each row to `stats.csv`, under a header with the statistics' names.

    Where a row lacks a statistic its cell is empty. New columns are added at the right, for which the file is
    written again, atomically. Values that are not finite read `nan`, `inf`, `-inf`.
    """

    file_name = "stats.csv"

    def log_row(self, row: Row, *, timestamp: float) -> None:
        means = {TIMESTAMP: timestamp} | {name: mean for name, (_, mean, _) in row.items()}
        self.unwritten.append(means)
        columns = self._columns()
        widened = list(dict.fromkeys([*columns, *(name for row in self.unwritten for name in row)]))
        if widened != columns:
            rows = self._rows()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.path, [_line(widened), *(_cells(old, widened) for old in rows)])
        self.append("".join(_cells(row, widened) for row in self.unwritten))
        self.unwritten.clear()

    def truncate_after(self, images: int) -> None:
        if not self.path.exists():
            return
        columns, rows = self._columns(), self._rows()
        text = (
            [_line(columns), *(_cells(row, columns) for row in rows if _images_of_row(row) <= images)]
            if columns
            else []
        )
        if "".join(text) != self._text():
            replace_file(self.path, text)

    def _text(self) -> str:
        if not self.path.exists():
            return ""
        with open(self.path, encoding="utf-8", newline="") as file:
            return file.read()

    def _columns(self) -> list[str]:
        """The header, read from the file: what is there may stem from the process before this one."""
        if not self.path.exists():
            return []
        with open(self.path, encoding="utf-8", newline="") as file:
            header = file.readline()
        return next(csv.reader([header])) if header.endswith("\n") else []

    def _rows(self) -> list[dict[str, str]]:
        """All whole rows; a last line without its end may lack a digit."""
        whole = self._text().rpartition("\n")[0]
        return list(csv.DictReader(io.StringIO(whole)))


def _line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _cells(row: dict[str, object], columns: list[str]) -> str:
    return _line(row.get(name, "") for name in columns)


def _images_of_row(row: dict[str, str]) -> float:
    """Images seen at a row; infinitely many where the row does not say."""
    try:
        return images_of(float(row[KIMG]))
    except (KeyError, TypeError, ValueError):
        return math.inf


class JsonlLogger(RowLogger):
    """Appends `{name: {"num": n, "mean": m, "std": s}, ..., "timestamp": t}` per row to `stats.jsonl`.

    JSON has no NaN or infinity, and many readers refuse them: a value that is not finite is written as null.
    """

    file_name = "stats.jsonl"

    def log_row(self, row: Row, *, timestamp: float) -> None:
        fields = {
            name: {"num": num, "mean": _finite(mean), "std": _finite(std)}
            for name, (num, mean, std) in row.items()
        }
        self.unwritten.append(json.dumps(fields | {"timestamp": timestamp}, allow_nan=False) + "\n")
        self.append("".join(self.unwritten))
        self.unwritten.clear()

    def truncate_after(self, images: int) -> None:
        if not self.path.exists():
            return
        with open(self.path, encoding="utf-8", newline="") as file:
            lines = file.readlines()
        kept = [line for line in lines if _images_of_line(line) <= images]
        if kept != lines:
            replace_file(self.path, kept)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _images_of_line(line: str) -> float:
    """Images seen at a line's row; infinitely many where the line is not a whole row."""
    if not line.endswith("\n"):
        return math.inf
    try:
        return images_of(json.loads(line)[KIMG]["mean"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return math.inf
