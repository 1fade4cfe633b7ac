"""`stats.csv`: the means of each tick, for spreadsheets and `pandas.read_csv`."""

import csv
import io
import math
from collections.abc import Iterable

from stylegan.loggers.rows import KIMG, Row, RowLogger, images_of, replace_file

TIMESTAMP = "timestamp"


class CsvLogger(RowLogger):
    """Appends the means of each row to `stats.csv`, under a header with the statistics' names.

    Where a row lacks a statistic its cell is empty. New columns are added at the right, for which the file is
    written anew, atomically. Values that are not finite read `nan`, `inf`, `-inf`.
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
            [_line(columns), *(_cells(row, columns) for row in rows if _seen(row) <= images)]
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
        """All whole rows; of a last line without its end nobody knows whether a digit is missing."""
        whole = self._text().rpartition("\n")[0]
        return list(csv.DictReader(io.StringIO(whole)))


def _line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _cells(row: dict[str, object], columns: list[str]) -> str:
    return _line(row.get(name, "") for name in columns)


def _seen(row: dict[str, str]) -> float:
    """Images seen at a row; infinitely many where the row does not say."""
    try:
        return images_of(float(row[KIMG]))
    except (KeyError, TypeError, ValueError):
        return math.inf
