"""Output of a task: where its files go, what each says of its origin, and which are there already."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stylegan.machine.console import say
from stylegan.machine.sidecars import read_sidecar, sidecar_of, write_sidecar
from stylegan.machine.text import printable

__all__ = ["ORIGIN", "Output", "read_sidecar", "sidecar_of", "write_sidecar"]

# What says where weights came from. The weights themselves decide: they may have several files, and a file others.
ORIGIN = ("network", "run", "kimg", "version")


@dataclass(frozen=True)
class Output:
    """Where a task writes.

    Args:
        folder: for its files; made where it is missing. For a task with one file `file` may be its name instead.
        overwrite: whether files of other settings are replaced.
    """

    folder: Path
    overwrite: bool = False

    def claim(self, name: str, text: Mapping[str, str]) -> bool:
        """Whether a file is still to be made: not where it is there with the same settings.

        Args: text: its provenance, as of `write_sidecar`.
        Raises: ValueError where another file is in the way, unless `overwrite`.
        """
        path = self.folder / name
        if not path.exists():
            return True
        there = read_sidecar(path)
        other = (
            None
            if there is None
            else [key for key in text if key not in ORIGIN and there.get(key) != text[key]]
        )
        if other == []:
            say(f"{path} is there already, and stays as it is")
            return False
        if not self.overwrite:
            drawn = (
                "and does not say how it was made"
                if there is None
                else "made with "
                + ", ".join(f"{key}={_short(there.get(key, '(not stored)'))}" for key in other or ())
            )
            raise ValueError(
                f"{printable(str(path))} is there already, {drawn}; nothing was drawn: set out=... for another"
                " folder, or overwrite=true to replace it"
            )
        return True


def _short(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= 40 else f"{text[:37]}..."
