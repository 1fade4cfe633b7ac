"""Row loggers: one row of statistics a tick, as JSON lines and as CSV, append-only.

Lightning's own CSVLogger deletes the file of the run that it continues, and no logger of Lightning knows how
many values are behind a mean; so these exist."""

import codecs
import csv
import io
import json
import math
import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pytorch_lightning.loggers import Logger

from stylegan.machine.console import warn
from stylegan.machine.files import append_whole
from stylegan.machine.line_files import keep_lines, put_aside, replace_lines

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
        """Drops the rows past `images` images seen; what cannot be read is set aside, and a line reports it.

        A run that resumes from a checkpoint trains the steps after it again: their rows would appear twice.
        """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Does nothing: single values (`self.log`) lack the count and the standard deviation of a row."""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Does nothing: `config.yaml` in the run folder holds them."""

    def append(self, text: str | bytes) -> None:
        """Appends text at once, as `append_whole` does.  Raises: OSError, as where the disk is full."""
        append_whole(self.path, text)


def images_of(kimg: float) -> int:
    """Images seen from a row's `Progress/kimg` = images / 1000; the rounding undoes the division exactly."""
    return round(kimg * 1000)


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
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._rewrite(widened, self._table())
        self.append(b"".join(_lines(widened, self.unwritten)[1:]))
        self.unwritten.clear()

    def truncate_after(self, images: float) -> None:
        if not self.path.exists():
            return
        table = self._table()
        rows = [row for row in table.rows if images_of(float(row[KIMG])) <= images]
        self._rewrite(table.columns, table._replace(rows=rows))

    def _rewrite(self, columns: list[str], table: "Table") -> None:
        if said := put_aside(self.path, table.unreadable):
            warn(said)
        lines = _lines(columns, table.rows) if columns else []
        if not self.path.exists() or b"".join(lines) != self.path.read_bytes():
            replace_lines(self.path, lines)

    def _columns(self) -> list[str]:
        """The header, read from the file: what is there may stem from the process before this one."""
        if not self.path.exists():
            return []
        with open(self.path, "rb") as file:
            header = file.readline()
        columns = _cells_of(header, ",")
        if KIMG not in columns or not columns[-1] or _lines(columns, []) != [header]:
            # Another program has saved the file, as a spreadsheet does, perhaps during the training.
            self.truncate_after(math.inf)
            columns = self._table().columns
        return columns

    def _table(self) -> "Table":
        return read_table(self.path.read_bytes() if self.path.exists() else b"")


class Table(NamedTuple):
    """Rows of numbers, as text: column -> cell. `unreadable`: lines that are no row of it, as they are in the file."""

    columns: list[str]
    rows: list[dict[str, str]]
    unreadable: list[bytes]


def read_table(content: bytes) -> Table:
    """The rows of a `stats.csv`, also where a spreadsheet has saved it.

    That is with semicolons or tabs, decimal commas, a byte order mark, CRLF, in UTF-16, without trailing empty cells. A
    last line without its end is unreadable: a number of it may lack digits.
    """
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        with suppress(UnicodeDecodeError):
            content = content.decode("utf-16").encode()
    lines = content.removeprefix(codecs.BOM_UTF8).splitlines(keepends=True)
    unreadable = []
    for number, header in enumerate(lines):
        for delimiter in ",;\t":
            columns = _without_last_empty(_cells_of(header, delimiter))
            if KIMG in columns and header.endswith((b"\n", b"\r")):
                rows, others = _rows_of(lines[number + 1 :], columns, delimiter)
                return Table(columns, rows, unreadable + others)
        unreadable.append(header)
    return Table([], [], unreadable)


def _rows_of(
    lines: Iterable[bytes], columns: list[str], delimiter: str
) -> tuple[list[dict[str, str]], list[bytes]]:
    rows, others = [], []
    for line in lines:
        cells = _cells_of(line, delimiter)
        cells = cells[: len(columns)] + _without_last_empty(cells[len(columns) :])
        if not any(cells) and not line.strip(b' \r\n\t;,"'):
            continue
        if delimiter != ",":
            cells = [cell.replace(",", ".") for cell in cells]
        row = dict(zip(columns, cells, strict=False))
        whole = line.endswith((b"\n", b"\r")) and len(cells) <= len(columns)
        if whole and row.get(KIMG) and math.isfinite(_number(row[KIMG])) and all(map(_is_number, cells)):
            rows.append(row)
        else:
            others.append(line)
    return rows, others


def _cells_of(line: bytes, delimiter: str) -> list[str]:
    """The cells of a line; none where it is no text."""
    try:
        return [cell.strip() for cell in next(csv.reader([line.decode("utf-8")], delimiter=delimiter), [])]
    except (UnicodeDecodeError, csv.Error):
        return []


def _without_last_empty(cells: list[str]) -> list[str]:
    """Without empty columns at the right."""
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def _is_number(cell: str) -> bool:
    return not cell or not math.isnan(_number(cell)) or cell.lower() == "nan"


def _number(cell: str) -> float:
    """NaN where it is none."""
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _lines(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> list[bytes]:
    """The header, and a line a row."""
    return [_line(columns), *(_line(row.get(name, "") for name in columns) for row in rows)]


def _line(cells: Iterable[object]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()


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
        if said := keep_lines(self.path, lambda row: images_of(row[KIMG]["mean"]) <= images):
            warn(said)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
