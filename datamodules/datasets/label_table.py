"""Label table: a CSV file as spreadsheets and programs write it, understood by rule, each guess with a line that says
so.

The files' column is the one with names of files, and the delimiter the one that shows it. What may mean two things is
refused.
"""

import csv
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from datamodules.datasets.labels import Label
from datamodules.datasets.names import is_image_name

_DELIMITERS = ",;\t"
_FILE_COLUMNS = ("file", "path", "filename")
# What spreadsheets and pandas call a column that counts the lines.
_INDEX_COLUMN = re.compile(r"|#|id|index|no\.?|nr\.?|row|unnamed: \d+", re.IGNORECASE)
# Of these the names that a person gives to what tells pictures apart, too.
_PERHAPS_A_LABEL = re.compile(r"id|no\.?|nr\.?|row", re.IGNORECASE)
# Digits of ASCII alone: Python's own float takes 10_20, nan and Arabic digits as well.
_WHOLE = re.compile(r"[+-]?[0-9]{1,300}")
_POINT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?([0-9]+,[0-9]*|,[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+")
# Marks between thousands, whichever way, and percentages: no number here, and hardly ever the name of a class.
_GROUPED = re.compile(
    r"[+-]?[0-9]{1,3}([., '\u2019\u00a0\u202f\u2009][0-9]{3})+([.,][0-9]+)?|[+-]?[0-9]+([.,][0-9]+)?[ \u00a0\u202f]?%"
)
_NO_VALUE = (
    "nan",
    "na",
    "n/a",
    "#n/a",
    "null",
    "none",
    "inf",
    "-inf",
    "+inf",
    "infinity",
    "-infinity",
    "?",
    "-",
)
# pandas writes columns of 0 and 1 so.
_TRUTH = {"true": 1.0, "false": 0.0}
# Blanks between a quote that closes a cell and the delimiter, which Python's reader takes for a fault.
_AFTER_QUOTE = re.compile(r'(?<=[^\s",;])" +(?=[,;\t]|\r?$)', re.MULTILINE)
# Enough lines to tell the columns by.
_LINES_TO_TELL = 1000

NO_NAMES = 4  # the rank where nothing names a file

Row = tuple[int, list[str]]  # number of its line, and its cells


class MeantNames(Protocol):
    """Which files names mean, in ways from rank 0, relative names, to rank 3: listed name -> file."""

    def at_rank(self, listed: Collection[str], rank: int) -> dict[str, str]: ...


@dataclass(frozen=True)
class Table:
    """Labels by name of a file; the names of the columns of a label; lines about what was taken for what."""

    labels: dict[str, Label]
    columns: list[str]
    notes: list[str]


def read_table(where: str, text: str, meant: MeantNames) -> Table:
    """The table in `text`.

    Args:
        where: its place, for messages.
        meant: the files it should name.
    Raises: ValueError, in one line, where it cannot be understood.
    """
    rows, rank, place = _told_apart(where, text, meant)
    header, rows, notes = _without_header(where, rows, place, rank, meant)
    kept = [place, *_label_columns(where, header, rows, place, notes)]
    for line, cells in rows:
        if len(cells) != len(header) or not all(cells[column] for column in kept):
            raise ValueError(
                f"{where}, line {line}: {len(header)} filled cells are needed, as in the first line"
            )
    seen: set[str] = set()
    for line, cells in rows:
        if cells[place] in seen:
            raise ValueError(f"{where}, line {line}: {cells[place]} has two labels; keep one")
        seen.add(cells[place])
    names = [cells[place] for _, cells in rows]
    columns = [[(line, cells[column]) for line, cells in rows] for column in kept[1:]]
    labels = _one_column(where, columns[0], notes) if len(columns) == 1 else _vectors(where, columns, notes)
    unnamed = any(not header[column] for column in kept[1:])
    return Table(
        dict(zip(names, labels, strict=True)), [] if unnamed else [header[c] for c in kept[1:]], notes
    )


def _told_apart(where: str, text: str, meant: MeantNames) -> tuple[list[Row], int, int]:
    """The rows, by the delimiter that separates names of files best; the rank of these, and their column."""
    if "\n" not in text:
        text = text.replace("\r", "\n")  # as spreadsheets of old Macs end lines
    text = _AFTER_QUOTE.sub('"', text)
    first, _, rest = text.partition("\n")
    # Excel's own way to state it.
    stated = re.fullmatch(r"sep=(.)\s*", first, re.IGNORECASE)
    skipped, text = (1, rest) if stated else (0, text)
    readings, faults = [], []
    for delimiter in stated[1] if stated else _DELIMITERS:
        if delimiter not in text:
            continue
        try:
            rows = _rows(text, delimiter, skipped)
        except ValueError as error:
            faults.append((-text.count(delimiter), f"{where}, {error}"))
            continue
        if rows and len(rows[0][1]) > 1:
            rank, place = _file_column(rows[:_LINES_TO_TELL], meant)
            uneven = any(len(cells) != len(rows[0][1]) for _, cells in rows)
            readings.append(((rank, uneven, -len(rows[0][1])), rows, place))
    if readings:
        (rank, *_), rows, place = min(readings, key=lambda reading: reading[0])
        return rows, rank, place
    if faults:
        raise ValueError(min(faults)[1])
    raise ValueError(_must_begin(where, first))


def _must_begin(where: str, first: str) -> str:
    return (
        f"{where} must begin with a line of different names for its columns, as in file,class; "
        f"it is {first.strip()[:60]!r}"
    )


def _rows(text: str, delimiter: str, skipped: int) -> list[Row]:
    """Cells without blanks around them; lines without any are left out."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    rows = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if any(cells):
                rows.append((reader.line_num + skipped, cells))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num + skipped}: {error}") from error
    return rows


def _file_column(rows: Sequence[Row], meant: MeantNames) -> tuple[int, int]:
    """The rank of the names of files, and in which column they are."""
    header = [name.lower() for name in rows[0][1]]
    columns = [[cells[c] for _, cells in rows if len(cells) > c] for c in range(len(header))]
    # What is called so is it, where it names any file at all, and the first one, where nothing does.
    called = [name in _FILE_COLUMNS for name in header]
    for rank in range(NO_NAMES):
        found = [len(meant.at_rank(cells, rank)) for cells in columns]
        if any(found):
            best = max(range(len(header)), key=lambda c: (called[c] and found[c] > 0, found[c], -c))
            return rank, best
    return NO_NAMES, called.index(True) if True in called else 0


def _without_header(
    where: str, rows: list[Row], place: int, rank: int, meant: MeantNames
) -> tuple[list[str], list[Row], list[str]]:
    """Names of the columns, "" where there is no line of them; the other rows; and a line where there is none."""
    header = rows[0][1]
    cell = header[place]
    is_file = is_image_name(cell) or rank < NO_NAMES and bool(meant.at_rank([cell], rank))
    if cell.lower() not in _FILE_COLUMNS and is_file:
        note = f"{where} has no line of names for its columns; column {place + 1} names the files"
        return [""] * len(header), rows, [note]
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        raise ValueError(_must_begin(where, ",".join(header)))
    return header, rows[1:], []


def _label_columns(where: str, header: list[str], rows: list[Row], place: int, notes: list[str]) -> list[int]:
    """The columns that are labels: not the files', not empty ones at the end, not one that counts the lines."""
    others = [column for column in range(len(header)) if column != place]
    whole = [(line, cells) for line, cells in rows if len(cells) == len(header)]
    filled = [c for c in others if header[c] or any(cells[c] for _, cells in whole)]
    counting = [c for c in filled if _INDEX_COLUMN.fullmatch(header[c]) and _counts([r[c] for _, r in whole])]
    # One that counts and is all there is may be the label.
    if counting and len(counting) < len(filled):
        words = ", ".join(header[c] or f"column {c + 1}" for c in counting)
        notes.append(f"{where}: {words} counts the lines, and is left out")
        filled = [c for c in filled if c not in counting]
    doubtful = [c for c in filled if header[c] and _may_count(header[c], [r[c] for _, r in whole])]
    if doubtful and len(doubtful) < len(filled):
        raise ValueError(
            f"{where}: {header[doubtful[0]]} may count the lines or be a label; delete it, or give it another name"
        )
    if not filled:
        raise ValueError(_must_begin(where, ",".join(header)))
    blank = next((c for c in filled if not header[c]), None)
    if blank is not None and any(header):
        raise ValueError(f"{where}: column {blank + 1} has no name; name it in the first line, or delete it")
    return filled


def _counts(cells: Sequence[str]) -> bool:
    """Whether these are 0, 1, 2, ... or 1, 2, 3, ..."""
    return any(cells == [str(start + number) for number in range(len(cells))] for start in (0, 1))


def _may_count(name: str, cells: Sequence[str]) -> bool:
    """Whether these may be numbers of lines that were sorted, or of which some were left out, or joined."""
    if not _INDEX_COLUMN.fullmatch(name) or not all(map(_POINT.fullmatch, cells)):
        return False
    apart = len(set(cells)) == len(cells) or not _PERHAPS_A_LABEL.fullmatch(name)
    return apart and all(float(cell).is_integer() for cell in cells)


Cells = Sequence[tuple[int, str]]  # of one column: number of the line, and what stands there


def _one_column(where: str, cells: Cells, notes: list[str]) -> list[Label]:
    """Whole numbers are class numbers, decimal ones a vector of one, and all else names of classes."""
    if all(_WHOLE.fullmatch(cell) for _, cell in cells):
        return [int(cell) for _, cell in cells]
    numbers = _numbers(where, cells, notes)
    if numbers is not None:
        return [(number,) for number in numbers]
    line, odd = next((line, cell) for line, cell in cells if not _like_number(cell))
    if all(_like_number(cell) or _GROUPED.fullmatch(cell) for _, cell in cells):
        raise ValueError(
            f"{where}, line {line}: {odd[:60]} looks like a number with marks between thousands, or a percentage; "
            f"write plain numbers with a point"
        )
    decimal = any(_like_number(cell) and not _WHOLE.fullmatch(cell) for _, cell in cells)
    if decimal or odd.lower() in _NO_VALUE and any(_WHOLE.fullmatch(cell) for _, cell in cells):
        raise ValueError(
            f"{where}, line {line}: {odd[:60]} stands among numbers; give numbers alone, or leave such pictures out"
        )
    return [cell for _, cell in cells]


def _vectors(where: str, columns: Sequence[Cells], notes: list[str]) -> list[Label]:
    numbers = []
    for cells in columns:
        truth = [_TRUTH.get(cell.lower()) for _, cell in cells]
        column = _numbers(where, cells, notes) if None in truth else truth
        if column is None:
            line, odd = next((line, cell) for line, cell in cells if not _like_number(cell))
            row = next(row for row in zip(*columns, strict=True) if row[0][0] == line)
            raise ValueError(
                f"{where}, line {line}: the label is {', '.join(cell for _, cell in row)[:60]}; of several columns "
                f"each must hold numbers ({odd[:60]} is none); for classes leave one column besides the files'"
            )
        numbers.append(column)
    return list(zip(*numbers, strict=True))


def _numbers(where: str, cells: Cells, notes: list[str]) -> list[float] | None:
    """A column as numbers, with points or with commas; None where it holds anything else.

    Raises: ValueError where commas may be either a point or between thousands.
    """
    if all(_POINT.fullmatch(cell) for _, cell in cells):
        return [float(cell) for _, cell in cells]
    commas = [(line, cell) for line, cell in cells if "," in cell]
    like_numbers = all(_like_number(cell) for _, cell in cells)
    if like_numbers and all(_THOUSANDS.fullmatch(cell) for _, cell in commas):
        line, cell = commas[0]
        raise ValueError(
            f"{where}, line {line}: {cell} may be {cell.replace(',', '.', 1)} or {cell.replace(',', '')}; "
            f"write such numbers with a point, or without a comma"
        )
    other = next((cell for _, cell in cells if not (_WHOLE.fullmatch(cell) or _COMMA.fullmatch(cell))), None)
    if other is None:
        notes.append(
            f"{where} has numbers with a decimal comma; {commas[0][1]} is {commas[0][1].replace(',', '.')}"
        )
        return [float(cell.replace(",", ".")) for _, cell in cells]
    if like_numbers:
        line, comma = commas[0]
        raise ValueError(
            f"{where}, line {line}: {comma} has a comma, unlike {other}; write all numbers in one way, with points"
        )
    return None


def _like_number(cell: str) -> bool:
    return any(form.fullmatch(cell) for form in (_POINT, _COMMA, _THOUSANDS))
