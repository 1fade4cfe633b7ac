"""Labels: what the items of a set are called (one class, several, or a vector of real numbers), and the tables and
folders that say so."""

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.datasets.files import FolderFiles, ZipFiles, first_folder

# A label as it is read: the number or the name of a class, or one number for each of K columns.
Label = int | str | tuple[float, ...]
# Numbers above this are identities rather than classes; the networks have a weight for each.
_MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Labels:
    """The labels of n items, K wide.

    kind: "none", "classes" (one class an item), "multi" (any number of classes) or "vector";
    values: int64 [n] for "classes", else float32 [n,K]; names: of the K classes, [] for "none" and "vector".
    """

    kind: str
    width: int
    names: list[str]
    values: np.ndarray

    def rows(self, indices: Tensor) -> Tensor:
        """int64 [n] -> float32 [n,K]."""
        chosen = torch.from_numpy(self.values[indices.numpy()])
        if self.kind == "classes":
            # one_hot makes whole numbers first, which take twice the memory of the result.
            return torch.zeros(len(chosen), self.width).scatter_(1, chosen[:, None], 1.0)
        return chosen

    def choose(self, indices: np.ndarray) -> "Labels":
        return Labels(self.kind, self.width, self.names, self.values[indices])

    def digest_bytes(self) -> bytes:
        head = "\0".join([self.kind, str(self.width), *self.names])
        kind = "<i8" if self.kind == "classes" else "<f4"
        return head.encode() + b"\0" + self.values.astype(kind).tobytes()


def no_labels(count: int) -> Labels:
    return Labels("none", 0, [], np.zeros((count, 0), np.float32))


def build_labels(
    names: Sequence[str], found: Mapping[str, Label], *, source: str, columns: Sequence[str] = ()
) -> Labels:
    """The labels of the files `names`, each of which must have one in `found`.

    Class numbers stand for themselves, 0 to the largest; class names are sorted. Columns of nothing but 0 and
    1 are classes, too.

    Args:
        source: what to call the place of the labels in a message.
        columns: their names.
    Raises: ValueError, in one line, for labels that do not go together.
    """
    labels = [found[name] for name in names]
    for kind, build in ((int, _by_number), (str, _by_name), (tuple, _by_columns)):
        odd = next((i for i, label in enumerate(labels) if not isinstance(label, kind)), None)
        if odd is None:
            return build(names, labels, source, columns)
        if odd > 0:
            raise ValueError(
                f"{source}: the label of {names[odd]} is {_text(labels[odd])}, of another kind than that of "
                f"{names[0]}, {_text(labels[0])}; give all as class numbers, as names or as lists"
            )
    raise ValueError(f"{source}: the label of {names[0]} is {_text(labels[0])}; give a class or a list")


def _text(label: Label) -> str:
    words = str(list(label)) if isinstance(label, tuple) else repr(label)
    return words if len(words) <= 60 else f"{words[:57]}..."


def _by_number(names: Sequence[str], labels: Sequence[int], source: str, _: Sequence[str]) -> Labels:
    for extreme in (min(labels), max(labels)):
        if not 0 <= extreme < _MOST_CLASSES:
            raise ValueError(
                f"{source}: the label of {names[labels.index(extreme)]} is {str(extreme)[:30]}; number the classes "
                f"from 0, to less than {_MOST_CLASSES}"
            )
    values = np.array(labels, dtype=np.int64)
    width = int(values.max()) + 1
    return Labels("classes", width, [str(number) for number in range(width)], values)


def _by_name(names: Sequence[str], labels: Sequence[str], source: str, _: Sequence[str]) -> Labels:
    classes = sorted(set(labels))
    if len(classes) > _MOST_CLASSES:
        raise ValueError(f"{source} has {len(classes)} classes; at most {_MOST_CLASSES} are allowed")
    number_of = {name: number for number, name in enumerate(classes)}
    values = np.array([number_of[label] for label in labels], dtype=np.int64)
    return Labels("classes", len(classes), classes, values)


def _by_columns(names: Sequence[str], labels: Sequence[tuple], source: str, columns: Sequence[str]) -> Labels:
    width = len(labels[0])
    for name, label in zip(names, labels, strict=True):
        if len(label) != width or width == 0:
            raise ValueError(
                f"{source}: the label of {name} has {len(label)} numbers, that of {names[0]} has {width}; "
                f"give each picture equally many"
            )
        if not all(map(math.isfinite, label)):
            raise ValueError(f"{source}: the label of {name} is {_text(label)}; give numbers that are finite")
    with np.errstate(over="ignore"):
        values = np.array(labels, dtype=np.float32)
    if not np.isfinite(values).all():
        name = names[int(np.argwhere(~np.isfinite(values))[0, 0])]
        raise ValueError(f"{source}: the label of {name} holds a number too large; scale the labels")
    if not np.isin(values, (0, 1)).all():
        return Labels("vector", width, [], values)
    classes = list(columns) or [str(number) for number in range(width)]
    # A single column of 0 and 1 has no class for 0; so it stays as it is.
    if width > 1 and (values.sum(1) == 1).all():
        return Labels("classes", width, classes, values.argmax(1).astype(np.int64))
    return Labels("multi", width, classes, values)


_USUAL_NAMES = {"json": "dataset.json", "csv": "labels.csv"}
_FILE_COLUMNS = ("file", "path", "filename")
_WITHOUT_LABEL = "without a label; add it, or leave such pictures out: data.exclude=[...]"
_WHOLE = re.compile(r"[+-]?\d+")


class LabelSource:
    """Labels by file name, from one place.

    found: relative name -> label; strangers: names in the table that no file has.
    Args:
        name: what to call the place.
        columns: names of the numbers of a label.
        missing: what to say of a file that has none.
    """

    def __init__(self, name: str, found: dict[str, Label], *, columns: Sequence[str] = (), missing: str):
        self.name = name
        self.columns = list(columns)
        self.missing = missing
        self._by_key = {_key(file): label for file, label in found.items()}
        self._spelled = {_key(file): file for file in found}
        if len(self._by_key) < len(found):
            twice = next(file for file in found if self._spelled[_key(file)] != file)
            raise ValueError(f"{name}: {twice} has two labels; keep one")
        self.found: dict[str, Label] = {}
        self.strangers: list[str] = []

    def match(self, names: Sequence[str], below: str = "") -> None:
        """Looks the files `names` up.

        Args:
            below: the folder that the names in the place are relative to.
        """
        key_of = {name: _key(name.removeprefix(below)) for name in names}
        self.found = {name: self._by_key[key] for name, key in key_of.items() if key in self._by_key}
        self.strangers = sorted(self._spelled[key] for key in self._by_key.keys() - set(key_of.values()))

    def labels_of(self, names: Sequence[str]) -> Labels:
        """Raises: ValueError, in one line, where a file has no label, or the labels do not go together."""
        missing = [name for name in names if name not in self.found]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ValueError(f"{self.name}: {missing[0]}{more} {self.missing}")
        return build_labels(names, self.found, source=self.name, columns=self.columns)


def read_labels(kind: str, files: FolderFiles | ZipFiles, path: str | Path | None) -> LabelSource:
    """The labels of the files of a set.

    Args:
        kind: "folders", "json" or "csv".
        path: of the table, None = within the set, by its usual name.
    Raises: ValueError, in one line, where there is no such table, or it cannot be understood.
    """
    if kind == "folders":
        return _from_folders(files.names)
    below, where, data = _find(kind, files, path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"data.labels={kind}: {where} is not UTF-8 text; save it as UTF-8") from error
    try:
        source = _from_json(where, text) if kind == "json" else _from_csv(where, text)
    except (ValueError, csv.Error, RecursionError) as error:
        raise ValueError(f"data.labels={kind}: {error}") from error
    source.match(files.names, below)
    return source


def label_file_names() -> tuple[str, ...]:
    """How label files within a set are called."""
    return tuple(_USUAL_NAMES.values())


def _key(name: str) -> str:
    """One spelling of a relative name: systems differ in slashes and in how they compose accents."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))


def _from_folders(names: Sequence[str]) -> LabelSource:
    folders = {name: first_folder(name) for name in names if first_folder(name)}
    if not folders:
        raise ValueError(
            "data.labels=folders, but no picture lies in a sub-folder; put each class into one of its own, "
            "or use data.labels=none"
        )
    classes = ",".join(sorted(set(folders.values()))[:3])
    source = LabelSource(
        "data.labels=folders",
        folders,
        missing=f"not in a sub-folder; move it into one, or name the classes: data.include=[{classes}]",
    )
    source.match(names)
    return source


def _find(kind: str, files: FolderFiles | ZipFiles, path: str | Path | None) -> tuple[str, str, bytes]:
    """The folder within the set that names are relative to, the place of the table, and its content."""
    if path is not None:
        path = Path(path).expanduser()
        try:
            return "", str(path), path.read_bytes()
        except OSError as error:
            raise ValueError(
                f"data.labels_path cannot be read: {path} ({error.strerror or error}); give the table of labels"
            ) from error
    usual = _USUAL_NAMES[kind]
    # A zip of a folder holds that folder, and the table is in it.
    folders = {first_folder(name) for name in files.names}
    only = folders.pop() + "/" if len(folders) == 1 else ""
    for below in dict.fromkeys(("", only)):
        if below + usual in files.others:
            try:
                return below, files.where(below + usual), files.read(below + usual)
            except (OSError, ValueError, RuntimeError) as error:
                raise ValueError(f"data.labels={kind}: {files.where(below + usual)}: {error}") from error
    raise ValueError(
        f"data.labels={kind}, but there is no {files.where(usual)}; put it there, or name the table by "
        f"data.labels_path=..."
    )


def _from_json(where: str, text: str) -> LabelSource:
    try:
        pairs = json.loads(text)["labels"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f'{where} is not of the form {{"labels": [["a.png", 0], ...]}} ({error})') from error
    if pairs is None:
        raise ValueError(f'{where} says "labels": null, which is none; use data.labels=none')
    if isinstance(pairs, dict):
        pairs = list(pairs.items())
    if not isinstance(pairs, list):
        raise ValueError(f'{where}: "labels" must be a list of [file, label]')
    found: dict[str, Label] = {}
    for number, pair in enumerate(pairs):
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise ValueError(f'{where}: entry {number} of "labels" is {str(pair)[:60]}, not [file, label]')
        name, label = pair
        if name in found:
            raise ValueError(f"{where}: {name} has two labels; keep one")
        found[name] = _json_label(where, name, label)
    return LabelSource(where, found, missing=_WITHOUT_LABEL)


def _json_label(where: str, name: str, label: object) -> Label:
    if isinstance(label, list) and all(type(number) in (int, float) for number in label):
        return tuple(float(number) for number in label)
    if type(label) is float:
        return (label,)
    if type(label) in (int, str):
        return label
    raise ValueError(
        f"{where}: the label of {name} is {str(label)[:60]}; give a class number, a class name, or a list of numbers"
    )


def _from_csv(where: str, text: str) -> LabelSource:
    head = text.split("\n", 1)[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
    header = [cell.strip() for cell in next(rows, [])]
    if len(header) < 2 or len(set(header)) < len(header):
        raise ValueError(
            f"{where} must begin with a line of different names for its columns, as in file,class; it is {head[:60]!r}"
        )
    place = next((i for i, name in enumerate(header) if name.lower() in _FILE_COLUMNS), 0)
    cells: dict[str, list[str]] = {}
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header) or not all(cell.strip() for cell in row):
            raise ValueError(
                f"{where}, line {rows.line_num}: {len(header)} filled cells are needed, as in the first line"
            )
        name = row.pop(place)
        if name in cells:
            raise ValueError(f"{where}, line {rows.line_num}: {name} has two labels; keep one")
        cells[name] = [cell.strip() for cell in row]
    columns = header[:place] + header[place + 1 :]
    if len(columns) == 1:
        return LabelSource(
            where,
            _one_column({name: row[0] for name, row in cells.items()}),
            columns=columns,
            missing=_WITHOUT_LABEL,
        )
    return LabelSource(
        where,
        {name: _numbers(where, name, row) for name, row in cells.items()},
        columns=columns,
        missing=_WITHOUT_LABEL,
    )


def _one_column(cells: dict[str, str]) -> dict[str, Label]:
    """Whole numbers are class numbers, decimal ones a vector of one, and all else names of classes."""
    if all(_WHOLE.fullmatch(cell) for cell in cells.values()):
        return {name: int(cell) for name, cell in cells.items()}
    try:
        return {name: (float(cell),) for name, cell in cells.items()}
    except ValueError:
        return dict(cells)


def _numbers(where: str, name: str, row: Sequence[str]) -> tuple[float, ...]:
    try:
        return tuple(float(cell) for cell in row)
    except ValueError as error:
        raise ValueError(
            f"{where}: the label of {name} is {', '.join(row)[:60]}; of several columns each must hold numbers"
        ) from error
