"""Label sources: where the label of each file stands, the sub-folder it is in, dataset.json or a table, and which
name there means which file."""

import codecs
import csv
import json
import os
import posixpath
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from datamodules.datasets.files import FolderFiles, ZipFiles
from datamodules.datasets.label_json import read_json
from datamodules.datasets.label_table import NO_NAMES, Table, read_table
from datamodules.datasets.labels import Label, Labels, build_labels
from datamodules.datasets.names import first_folder, one_form, relative_name, top_folder
from stylegan.machine.files import expanded
from stylegan.machine.text import some

_USUAL_NAMES = {"json": "dataset.json", "csv": "labels.csv"}
_WITHOUT_LABEL = "without a label; add it, or leave such pictures out: 'data.exclude=[...]'"


class LabelSource:
    """Labels of files, from one place.

    found: relative name -> label; strangers: names in the place that no file has; notes: lines about what was
      taken for what.
    Args:
        name: what to call the place.
        listed: name in the place -> label.
        columns: names of the numbers of a label.
        missing: what to say of a file that has none.
    """

    def __init__(
        self,
        name: str,
        listed: Mapping[str, Label],
        *,
        columns: Sequence[str] = (),
        missing: str,
        notes: Iterable[str] = (),
    ):
        self.name = name
        self.columns = [unicodedata.normalize("NFC", column) for column in columns]
        self.missing = missing
        self.notes = list(notes)
        self._listed = {
            stored: unicodedata.normalize("NFC", label) if isinstance(label, str) else label
            for stored, label in listed.items()
        }
        self.found: dict[str, Label] = {}
        self.strangers: list[str] = []

    def match(self, meant: "Names") -> None:
        """Looks up which file each name means.  Raises: ValueError where two names mean one file."""
        rank, pairs = meant.ranked(self._listed)
        listed_of: dict[str, str] = {}
        for listed, name in pairs.items():
            if name in listed_of:
                both = listed if listed == listed_of[name] else f"{listed_of[name]} and {listed}, one file,"
                raise ValueError(f"{self.name}: {both} has two labels; keep one")
            listed_of[name] = listed
        self.found = {name: self._listed[listed] for name, listed in listed_of.items()}
        self.strangers = sorted(self._listed.keys() - pairs.keys())
        if pairs and rank:
            listed, name = next(iter(pairs.items()))
            self.notes.append(f"{self.name} names files otherwise; {listed} is taken for {name}, and so on")

    def labels_of(self, names: Sequence[str]) -> Labels:
        """Raises: ValueError, in one line, where a file has no label, or the labels do not go together."""
        missing = [name for name in names if name not in self.found]
        if missing and not self.found and self.strangers:
            raise ValueError(
                f"{self.name}: none of its {len(self.strangers)} names, as {self.strangers[0]}, is that of a "
                f"picture, as {missing[0]}; write them relative to the folder of the table, and once each"
            )
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ValueError(f"{self.name}: {missing[0]}{more} {self.missing}")
        labels = build_labels(names, self.found, source=self.name, columns=self.columns)
        if labels.kind == "vector" and self.columns:
            self.notes.append(f"{self.name}: a label is {some(self.columns, 8)}, in this order")
        return labels


class Names:
    """Files of a set, as a table may name them.

    Args:
        names: of the files, relative.
        folders: that a table's names may be relative to, the likeliest first.
    """

    def __init__(self, names: Sequence[str], folders: Sequence[str] = ("",)):
        self.names = names
        self.folders = folders
        self._indices: dict[tuple[bool, bool], dict[str, str]] = {}

    def ranked(self, listed: Collection[str]) -> tuple[int, dict[str, str]]:
        """Which files listed names mean.

        Relative names are looked for first, and then, where no listed one is any, full paths or names without
        folders, and last names with another ending or none. So in a table that is right, a name of no file is not
        taken for that of another.

        Returns: how far from relative names those are, 0 (not at all) to 3, or 4 where none means a file; and
            listed name -> file, for those that mean one.
        """
        found = ((rank, self.at_rank(listed, rank)) for rank in range(NO_NAMES))
        return next(((rank, pairs) for rank, pairs in found if pairs), (NO_NAMES, {}))

    def at_rank(self, listed: Collection[str], rank: int) -> dict[str, str]:
        """Listed name -> file, for those that mean one in this way."""
        ending, whole = rank < 2, rank % 2 == 0
        index = self._index(ending, whole)
        pairs = {name: _looked_up(index, name, ending=ending, whole=whole) for name in listed}
        return {name: file for name, file in pairs.items() if file is not None}

    def _index(self, ending: bool, whole: bool) -> dict[str, str]:
        """What a listed name may be -> the one file that it means."""
        if (ending, whole) not in self._indices:
            index: dict[str, str | None] = {}
            for folder in self.folders:
                below: dict[str, str | None] = {}
                for name in self.names:
                    for form in _forms(name.removeprefix(folder), ending, whole):
                        # None: it may mean either of several files.
                        below[form] = name if below.get(form, name) == name else None
                index = {**below, **index}
            self._indices[ending, whole] = {form: name for form, name in index.items() if name is not None}
        return self._indices[ending, whole]


def _forms(name: str, ending: bool, whole: bool) -> Iterator[str]:
    if not ending:
        name = _without_ending(name)
    yield name
    yield name.strip()
    if not whole:
        while "/" in name:
            name = name.split("/", 1)[1]
            yield name


def _looked_up(index: Mapping[str, str], listed: str, *, ending: bool, whole: bool) -> str | None:
    key = relative_name(listed)
    key = one_form(listed) if key is None else key
    keys = [key, key.strip()]
    if not ending:
        keys += [_without_ending(key.strip())]
    if not whole:
        # Only a full path may have folders more than the file: half of one and half of the other is no name.
        keys += [tail for tail in _tails(keys[-1]) if tail in index]
    return next((index[key] for key in keys if key in index), None)


def _tails(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.split("/", 1)[1]
        yield path


def _without_ending(name: str) -> str:
    return posixpath.splitext(name)[0]


def read_labels(kind: str, files: FolderFiles | ZipFiles, path: str | Path | None) -> LabelSource:
    """The labels of the files of a set, from a table.

    Args:
        kind: "json" or "csv".
        path: of the table, None = within the set, by its usual name.
    Raises: ValueError, in one line, where there is no such table, or it cannot be understood.
    """
    below, where, data = _find(kind, files, path)
    meant = Names(files.names, list(dict.fromkeys((below, *_folders_of_all(files.names)))))
    text = _text(kind, where, data)
    try:
        table = read_table(where, text, meant) if kind == "csv" else Table(read_json(where, text), [], [])
        source = LabelSource(
            where, table.labels, columns=table.columns, missing=_WITHOUT_LABEL, notes=table.notes
        )
        source.match(meant)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"data.labels={kind}: {error}") from error
    return source


def label_file_names() -> tuple[str, ...]:
    """How label files within a set are called."""
    return tuple(_USUAL_NAMES.values())


def tables_with_labels(files: FolderFiles | ZipFiles) -> list[tuple[str, str]]:
    """Tables of labels that lie in a set by their usual names: kind, and place."""
    found = []
    for kind in _USUAL_NAMES:
        try:
            _, where, data = _find(kind, files, None)
            # NVIDIA's tools write one without labels, too.
            if kind == "csv" or json.loads(data)["labels"]:
                found.append((kind, where))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return found


def _text(kind: str, where: str, data: bytes) -> str:
    # Spreadsheets write UTF-16 as "Unicode text", with a mark at its start.
    wide = kind == "csv" and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
        bad = text.find("\0")  # as UTF-16 without a mark is full of
    except UnicodeDecodeError as error:
        text, bad = "", error.start
    if bad >= 0:
        line = data.count(b"\n", 0, bad) + 1
        raise ValueError(f"data.labels={kind}: {where} is not UTF-8 text (line {line}); save it as UTF-8")
    return text


def labels_from_folders(names: Sequence[str], top: str) -> LabelSource:
    """The first sub-folder of each file as its class.

    Args:
        names: the files that are used.
        top: the folder with all files of the set, as `animals/`, or "".
    Raises: ValueError, in one line, where no file lies in a sub-folder.
    """
    folders = _folders_below(top, names)
    deeper = top_folder(names)
    # Where what is used lies in one folder it may hold the classes, as where a title picture beside it is excluded.
    if len(set(folders.values())) == 1 and deeper and len(_folders_below(deeper, names)) == len(names):
        top, folders = deeper, _folders_below(deeper, names)
    if not folders:
        raise ValueError(
            "data.labels=folders, but no picture lies in a sub-folder; put each class into one of its own, "
            "or use data.labels=none"
        )
    classes = ",".join(sorted(set(folders.values()))[:3])
    source = LabelSource(
        "data.labels=folders",
        folders,
        missing=f"not in a sub-folder{' of ' + top if top else ''}; move it into one, or name the classes: "
        f"'data.include=[{classes}]'",
        notes=[f"all pictures lie in {top}, and the classes are the folders below it"] if top else (),
    )
    source.found = folders
    return source


def _folders_below(top: str, names: Sequence[str]) -> dict[str, str]:
    folders = {name: first_folder(name.removeprefix(top)) for name in names}
    return {name: folder for name, folder in folders.items() if folder}


def _folders_of_all(names: Sequence[str]) -> list[str]:
    """The folders with all files, from the outermost: "", "a/", "a/b/"."""
    shared = os.path.commonprefix([name.split("/")[:-1] for name in names])
    return ["".join(f"{part}/" for part in shared[:depth]) for depth in range(len(shared) + 1)]


def _find(kind: str, files: FolderFiles | ZipFiles, path: str | Path | None) -> tuple[str, str, bytes]:
    """The folder within the set that names are relative to, the place of the table, and its content."""
    if path is not None:
        path = expanded(path)
        try:
            return "", str(path), path.read_bytes()
        except OSError as error:
            raise ValueError(
                f"data.labels_path cannot be read: {path} ({error.strerror or error}); give the table of labels"
            ) from error
    usual = _USUAL_NAMES[kind]
    # A zip of a folder holds that folder, and the table is in it.
    for below in _folders_of_all(files.names):
        if below + usual in files.others:
            try:
                return below, files.where(below + usual), files.read(below + usual)
            except (OSError, ValueError, RuntimeError) as error:
                raise ValueError(f"data.labels={kind}: {files.where(below + usual)}: {error}") from error
    raise ValueError(
        f"data.labels={kind}, but there is no {files.where(usual)}; put it there, or name the table by "
        f"data.labels_path=..."
    )
