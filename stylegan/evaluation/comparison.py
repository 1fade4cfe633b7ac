"""Comparison: scores of several networks in one table, in which only those of one protocol are ranked."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stylegan.evaluation.definitions import higher_is_better
from stylegan.evaluation.protocol import difference_in_data, in_words, protocol_id
from stylegan.evaluation.records import ranked, read_records
from stylegan.machine.console import warn
from stylegan.machine.text import printable

_EQUAL = "equal within the interval"


class Entry(NamedTuple):
    """One result of one network.

    Attributes:
        result: its name.
        value: NaN where there is none.
        interval: low and high end; None = the metric has none.
        kimg: seen in training, None = unknown.
        place: the run's folder, or the file of the network.
        protocol: under which it was computed.
    """

    result: str
    value: float
    interval: tuple[float, float] | None
    kimg: float | None
    place: str
    protocol: Mapping[str, Any]

    @property
    def group(self) -> tuple[str, str]:
        """What it may be compared with: the same result under the same protocol."""
        return self.result, protocol_id(self.protocol)


def short_path(path: Path) -> str:
    """A path as a person in this folder would type it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def entries_of(
    results: Mapping[str, float | None], protocol: Mapping[str, Any], *, kimg: float | None, place: str
) -> list[Entry]:
    """The results of one score. Args: kimg, place, protocol: as in `Entry`."""
    found = []
    for name, value in ranked(results).items():
        low, high = results.get(f"{name}_low"), results.get(f"{name}_high")
        interval = None if low is None or high is None else (low, high)
        found.append(Entry(name, math.nan if value is None else value, interval, kimg, place, protocol))
    return found


def best_recorded(folder: Path) -> list[Entry]:
    """The best of each result that a run has recorded, under each protocol; of equal ones the first.

    Scores that are not of its training do not count: those at kimg 0, and of files whose kimg is unknown. Files that
    cannot be read are reported.
    """
    best: dict[tuple[str, str], Entry] = {}
    for path in sorted(folder.glob("metric-*.jsonl")):
        try:
            records = list(read_records(path))
        except OSError as error:
            warn(f"{path} cannot be read ({error.strerror or error}); its scores are missing here")
            continue
        for record in records:
            if not isinstance(record.get("protocol"), dict) or not record.get("kimg"):
                continue
            found = entries_of(
                record["results"], record["protocol"], kimg=record["kimg"], place=short_path(folder)
            )
            for entry in found:
                known = best.get(entry.group)
                if known is None or _rank(entry) < _rank(known):
                    best[entry.group] = entry
    return list(best.values())


def table(entries: Iterable[Entry]) -> list[str]:
    """The lines of a table: one part a result and protocol, the best score first."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry)
    lines = []
    for (result, protocol), members in groups.items():
        words = "higher is better" if higher_is_better(result) else "lower is better"
        lines.append(f"{result}, {words}  (protocol {protocol}: {_words_on(members[0].protocol)})")
        lines += _rows(sorted(members, key=_rank))
    names = [result for result, _ in groups]
    if len(set(names)) < len(names):
        for result in dict.fromkeys(names):
            protocols = [members[0].protocol for (name, _), members in groups.items() if name == result]
            if apart := difference_in_data(protocols):
                lines.append(f"{result}: these protocols differ in the data: {apart}.")
        lines.append("Scores of different protocols do not compare: they stand apart.")
    # A run's folder may be a stranger's.
    return list(map(printable, lines))


def _words_on(protocol: Mapping[str, Any]) -> str:
    try:
        return in_words(protocol)
    except (LookupError, TypeError, ValueError, ArithmeticError):  # of another version
        return "in other words than this version has"


def _rows(members: Sequence[Entry]) -> list[str]:
    cells = [(_score(entry), _kimg(entry), entry.place) for entry in members]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    rows = []
    for entry, row in zip(members, cells, strict=True):
        padded = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        note = _EQUAL if entry is not members[0] and may_be_equal(members[0], entry) else ""
        rows.append("  ".join(["", *padded, note]).rstrip())
    return rows


def may_be_equal(one: Entry, other: Entry) -> bool:
    """Whether the intervals of two scores overlap; never where the protocols differ, or one has no interval."""
    if one.group != other.group or one.interval is None or other.interval is None:
        return False
    return max(one.interval[0], other.interval[0]) <= min(one.interval[1], other.interval[1])


def _score(entry: Entry) -> str:
    if entry.interval is None:
        return f"{entry.value:.4g}"
    low, high = entry.interval
    half = (high - low) / 2
    if abs((low + high) / 2 - entry.value) <= 0.01 * half:
        return f"{entry.value:.4g} ± {half:.2g}"
    return f"{entry.value:.4g} ({low:.4g} to {high:.4g})"


def _kimg(entry: Entry) -> str:
    return "kimg unknown" if entry.kimg is None else f"kimg {entry.kimg:.3f}"


def _rank(entry: Entry) -> float:
    if entry.value != entry.value:  # NaN is not a score
        return math.inf
    return -entry.value if higher_is_better(entry.result) else entry.value
