"""Labels from NVIDIA's `dataset.json`, from a CSV table, and from the folders that the pictures lie in."""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from datamodules.datasets.folder import FolderFiles
from datamodules.datasets.labels import Label, Labels, build_labels
from datamodules.datasets.names import first_folder
from datamodules.datasets.zip_file import ZipFiles

_USUAL_NAMES = {"json": "dataset.json", "csv": "labels.csv"}
_FILE_COLUMNS = ("file", "path", "filename")
_WITHOUT_LABEL = "without a label; add it, or leave such pictures out: data.exclude=[...]"
_WHOLE = re.compile(r"[+-]?\d+")


class LabelSource:
    """Labels by file name, from one place.

    found: relative name -> label; strangers: names in the place that no file has.
    Args: name: what to call the place; columns: names of the numbers of a label; missing: what to say of a
      file that has none.
    """

    def __init__(self, name: str, found: dict[str, Label], *, columns: Sequence[str] = (), missing: str):
        self.name = name
        self.columns = list(columns)
        self.missing = missing
        self._by_key = {_key(file): label for file, label in found.items()}
        self._spelled = {_key(file): file for file in found}
        if len(self._by_key) < len(found):
            twice = next(file for file in found if self._spelled[_key(file)] != file)
            raise ValueError(f"{name}: {twice} has two labels; leave one")
        self.found: dict[str, Label] = {}
        self.strangers: list[str] = []

    def match(self, names: Sequence[str], below: str = "") -> None:
        """Looks the files `names` up. Args: below: the folder that the names in the place are relative to."""
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

    Args: kind: "folders", "json" or "csv"; path: of the table, None = within the set, by its usual name.
    Raises: ValueError, in one line, where there is no such table, or it cannot be understood.
    """
    if kind == "folders":
        return _from_folders(files.names)
    below, where, data = _find(kind, files, path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"data.labels={kind}: {where} is no text in UTF-8; save it as such") from error
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
    # A zip of a folder holds that folder, and the table lies in it.
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
            raise ValueError(f"{where}: {name} has two labels; leave one")
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
                f"{where}, line {rows.line_num}: {len(header)} filled cells are wanted, as in the first line"
            )
        name = row.pop(place)
        if name in cells:
            raise ValueError(f"{where}, line {rows.line_num}: {name} has two labels; leave one")
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
