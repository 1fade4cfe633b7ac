"""Report of a transfer: what became of each tensor, in a few lines for the terminal and as a whole table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Status = Literal["matched", "adapted", "random", "ignored"]
STATUSES: dict[Status, str] = {
    "matched": "as in the file, bit for bit",
    "adapted": "changed to fit",
    "random": "left as a new network begins: the file has nothing for it",
    "ignored": "in the file, and without a place in the new network",
}


class Row(NamedTuple):
    """One tensor.

    Args:
        name: as in `state_dict`.
        status: what became of it.
        before, now: its shape in the file and in the new network; "" = it is not there.
        parameters: numbers in the new network that are learned. taken: of these, how many come from the file.
        note: how it was changed.
    """

    name: str
    status: Status
    before: str
    now: str
    parameters: int
    taken: int
    note: str = ""


@dataclass(frozen=True)
class NetworkReport:
    """One network of the run.

    Args: rows: each tensor. source: which network of the file it is from, "" = from none.
    """

    rows: tuple[Row, ...]
    source: str = ""

    @property
    def share(self) -> float:
        """Of its parameters, how many come from the file, 0 to 1."""
        total = sum(row.parameters for row in self.rows)
        return sum(row.taken for row in self.rows) / total if total else 0.0

    def count(self, status: Status) -> int:
        """How many tensors."""
        return sum(row.status == status for row in self.rows)

    def line(self) -> str:
        """`98.3% of its parameters from the generator; tensors: 60 matched, 2 adapted, 4 left random`"""
        words = {"random": "left random"}
        counts = [
            f"{count} {words.get(status, status)}" for status in STATUSES if (count := self.count(status))
        ]
        source = self.source or "old network"
        return f"{self.share:.1%} of its parameters from the {source}; tensors: {', '.join(counts)}"


@dataclass(frozen=True)
class TransferReport:
    """All networks of the run.

    Args:
        path: the file, as it was found. sha256: its digest. facts: what it says of itself.
        networks: by what they are in the run. notes: further lines.
    """

    path: str
    sha256: str
    facts: Mapping[str, str]
    networks: Mapping[str, NetworkReport]
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """For the terminal."""
        kimg = f", kimg {self.facts['kimg']}" if "kimg" in self.facts else ""
        yield f"this run begins by a transfer from {self.path} (sha256 {self.sha256[:12]}{kimg})"
        for name, network in self.networks.items():
            label = name.replace("generator_ema", "EMA generator")
            yield f"{label}: {network.line() if network.source else 'left random, no network of the file is for it'}"
        yield from self.notes

    def as_json(self) -> dict[str, Any]:
        """The whole table, as plain values."""
        return {
            "path": self.path,
            "sha256": self.sha256,
            "facts": dict(self.facts),
            "statuses": dict(STATUSES),
            "notes": list(self.notes),
            "networks": {
                name: {
                    "from": network.source or None,
                    "share": round(network.share, 6),
                    "tensors": [row._asdict() for row in network.rows],
                }
                for name, network in self.networks.items()
            },
        }

    def table(self) -> str:
        """The whole table, as text."""
        return (
            "\n".join([*self.lines(), *(line for name in self.networks for line in self._rows(name))]) + "\n"
        )

    def _rows(self, name: str) -> Iterator[str]:
        rows: Sequence[Row] = self.networks[name].rows
        yield ""
        yield name
        columns = [(row.name, row.status, row.before or "-", row.now or "-", row.note) for row in rows]
        widths = [max((len(cells[i]) for cells in columns), default=0) for i in range(4)]
        for cells in columns:
            yield "  ".join(
                cell.ljust(width) for cell, width in zip(cells, [*widths, 0], strict=True)
            ).rstrip()
