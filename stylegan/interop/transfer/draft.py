"""Draft of a network in surgery: which weights it will have, how each came to be, how much of it is from the file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

# Taps of the resampling are part of what a network is, not of what it has learned.
_CONSTANT = ".resample_filter"


def is_constant(name: str) -> bool:
    """Whether an entry of `state_dict` follows from the constructor's options alone."""
    return name.endswith(_CONSTANT)


@dataclass
class Draft:
    """Weights on their way from an old network into a new one; each step of surgery changes some of them.

    Args:
        old: the network of the file. new: that of the run, with the first weights that it was built with.
        values: by the new network's names. notes: how a value differs from the old one of its name.
        taken: elements that come from the file, of values that have others as well.
        consumed: names of the old network whose content went into a value of another name.
    """

    old: nn.Module
    new: nn.Module
    values: dict[str, Tensor] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    consumed: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, old: nn.Module, new: nn.Module) -> "Draft":
        """Before the first step: everything is as in the old network."""
        values = {name: value.detach() for name, value in old.state_dict().items() if not is_constant(name)}
        return cls(old, new, values)

    def first(self, name: str) -> Tensor:
        """The value that the new network was built with."""
        return self.new.state_dict()[name].detach()

    def put(self, name: str, value: Tensor, note: str, *, taken: int | None = None) -> None:
        """Sets a value.

        Args:
            note: in a few words, how it came to be.
            taken: elements that come from the file; None = as before, which at first is all.
        """
        self.values[name] = value
        self.notes.setdefault(name, []).append(note)
        if taken is not None:
            self.taken[name] = taken

    def drop(self, chosen: Callable[[str], bool]) -> None:
        """Leaves out the values whose names are chosen: the new network keeps its own."""
        for name in [name for name in self.values if chosen(name)]:
            del self.values[name]

    def blocks(self, network: nn.Module, prefix: str = "") -> list[int]:
        """The levels of a network's blocks, lowest first: 4, 8, ... Args: prefix: `synthesis.` or ""."""
        names = {name.removeprefix(prefix).partition(".")[0] for name in network.state_dict()}
        return sorted(int(name[1:]) for name in names if name[0] == "b" and name[1:].isdigit())


class Inputs(NamedTuple):
    """Inputs of a layer that lie side by side.

    Args:
        old, new: how many. scale: of the weights of those that both have.
        is_open: whether those that are new keep the first weights that the network was built with, since they are 0
            themselves at first. Else their weights are 0, and learn from the first step on.
    """

    old: int
    new: int
    scale: float = 1.0
    is_open: bool = False


def fitted(value: Tensor, first: Tensor, inputs: Sequence[Inputs] = ()) -> tuple[Tensor, int]:
    """A weight [out, in, ...] or a vector [out] cut or padded to the shape of the new network's.

    What the old network computes stays: its outputs take nothing from inputs that it lacks. Outputs that it lacks begin
    as the new network was built.
    Args: inputs: () = all are of one kind, with scale 1.
    Returns: the value; how many of its elements come from the file.
    """
    result, rows = first.clone(), min(len(value), len(first))
    if value.ndim == 1:
        result[:rows] = value[:rows]
        return result, rows
    at_old = at_new = columns = 0
    for part in inputs or (Inputs(value.shape[1], first.shape[1]),):
        shared = min(part.old, part.new)
        if not part.is_open:
            result[:rows, at_new : at_new + part.new] = 0
        result[:rows, at_new : at_new + shared] = value[:rows, at_old : at_old + shared] * part.scale
        at_old, at_new, columns = at_old + part.old, at_new + part.new, columns + shared
    return result, rows * columns * first[0, 0].numel()


def shape_text(value: Tensor) -> str:
    """`512x256x3x3`; `1` for a single number."""
    return "x".join(map(str, value.shape)) or "1"


def least_squares(features: Tensor, wanted: Tensor, *, ridge: float = 1e-6) -> Tensor:
    """X of the least |features·X − wanted|², [n,a] and [n,b] → [a,b]; in float64, with a little weight against large X.

    Args: ridge: of the mean square of the features.
    """
    a, b = features.double(), wanted.double()
    gram = a.T @ a
    gram += ridge * gram.diagonal().mean().clamp(min=1e-12) * torch.eye(len(gram), dtype=gram.dtype)
    return torch.linalg.solve(gram, a.T @ b).to(features.dtype)
