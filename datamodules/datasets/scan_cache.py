"""What a look at the files found, kept for the next run in a folder of the user's."""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

# Counted up when something is found in another way, so that older findings are not believed.
_FORMAT = 1

Stamps = Mapping[str, tuple[int, int]]
Row = tuple[int, int, int, str]  # height, width, checksum, fault


class ScanCache:
    """Findings about the files of one place; a file counts as known while its stamp is the same.

    What cannot be read or written is done without: the cache saves time, nothing else.

    Args: folder: where findings are kept, None = nowhere; place: what tells them from those of other places.
    """

    def __init__(self, folder: Path | None, place: Iterable[object]):
        digest = hashlib.blake2b(repr([_FORMAT, *map(str, place)]).encode(), digest_size=12).hexdigest()
        self.path = folder / f"{digest}.npz" if folder is not None else None

    def load(self, stamps: Stamps) -> dict[str, Row]:
        """What is known of the files that still have the stamps they were seen with."""
        if self.path is None:
            return {}
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                names, faults = (_unpacked(stored[key]) for key in ("names", "faults"))
                numbers = stored["numbers"].tolist()
            rows = zip(names, numbers, faults, strict=True)
            return {
                name: (height, width, checksum, fault)
                for name, (*stamp, height, width, checksum), fault in rows
                if stamps.get(name) == tuple(stamp)
            }
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile):
            return {}

    def save(self, stamps: Stamps, rows: Mapping[str, Row]) -> None:
        """Keeps the findings, in place of those before."""
        if self.path is None:
            return
        numbers = np.array([(*stamps[name], *rows[name][:3]) for name in rows], dtype=np.int64)
        temporary = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path.parent, suffix=".part", delete=False) as file:
                temporary = file.name
                faults = [row[3] for row in rows.values()]
                np.savez(file, names=_packed(rows), faults=_packed(faults), numbers=numbers)
            os.replace(temporary, self.path)
        except OSError:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)


def _packed(words: Iterable[str]) -> np.ndarray:
    """Texts without NUL as one array of bytes: far quicker to read than many small ones."""
    return np.array(bytearray("\0".join(words).encode("utf-8", "surrogateescape")), dtype=np.uint8)


def _unpacked(data: np.ndarray) -> list[str]:
    return data.tobytes().decode("utf-8", "surrogateescape").split("\0")
