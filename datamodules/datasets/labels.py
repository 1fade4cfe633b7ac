"""Labels: what the items of a set are called, one class, several, or a vector of real numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stylegan.machine.text import counted

# A label as it is read: the number or the name of a class, or one number for each of K columns.
Label = int | str | tuple[float, ...]
# Numbers above this are identities rather than classes; the networks have a weight for each.
_MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Labels:
    """The labels of n items, K wide.

    kind: "none", "classes" (one class an item), "multi" (any number of classes) or "vector";
    values: int64 [n] for "classes", else float32 [n,K]; names: of the K classes, or of the single column of "multi",
      whose 0 is no class; [] for "none", "vector" and where a single column has no name.
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

    def counts(self) -> np.ndarray:
        """How many items have each class: int64 [K]."""
        if self.kind == "classes":
            return np.bincount(self.values, minlength=self.width)
        return (self.values != 0).sum(0)

    def digest_bytes(self) -> bytes:
        # A single column was called 0 once, and the digest of such a set stays what it was.
        names = ["0"] if self.kind == "multi" and not self.names else self.names
        head = "\0".join([self.kind, str(self.width), *names])
        kind = "<i8" if self.kind == "classes" else "<f4"
        return head.encode("utf-8", "surrogateescape") + b"\0" + self.values.astype(kind).tobytes()


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
        if not label:
            raise ValueError(f"{source}: the label of {name} is an empty list; give it numbers, or a class")
        if len(label) != width:
            raise ValueError(
                f"{source}: the label of {name} has {counted(len(label), 'number')}, that of {names[0]} has {width}; "
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
    if width == 1:
        # It has no class for 0, so it stays as it is; as a name "0" would be taken for the label 1.
        return Labels("multi", width, list(columns), values)
    classes = list(columns) or [str(number) for number in range(width)]
    if (values.sum(1) == 1).all():
        return Labels("classes", width, classes, values.argmax(1).astype(np.int64))
    return Labels("multi", width, classes, values)
