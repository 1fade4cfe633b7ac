"""What the row files share: one row a tick, appended at once, and cut back when a run goes on.

Lightning's own CSVLogger deletes the file of the run that it continues, and no logger of Lightning knows how
many values are behind a mean; hence these.
"""

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from stylegan.atomic import append_whole, replacing

# A row: name -> (num, mean, std), e.g. stylegan.training.stats.Stat. A scalar is (1, value, 0).
Row = Mapping[str, tuple[int, float, float]]
KIMG = "Progress/kimg"


class RowLogger(Logger):
    """A file in the run folder to which `callbacks.stats.StatsTicks` hands complete rows.

    It is a Lightning logger so that it stands among the others in the config; rows come by `log_row` alone.

    Args: folder: the run folder; made when the first row is written.
    """

    file_name: str

    def __init__(self, *, folder: str | os.PathLike) -> None:
        super().__init__()
        self.path = Path(folder) / self.file_name
        self.unwritten: list[Any] = []  # rows that found no room, and the newest

    @property
    def name(self) -> str:
        """The file's name; Lightning asks every logger for one."""
        return self.file_name

    @property
    def version(self) -> str:
        """Empty: the run folder's name is the only version there is."""
        return ""

    @abstractmethod
    def log_row(self, row: Row, *, timestamp: float) -> None:
        """Appends a row, at once. The row has `Progress/kimg`; the timestamp is in Unix seconds.

        Raises: OSError, as where the disk is full; the row comes with the next one then.
        """

    @abstractmethod
    def truncate_after(self, images: int) -> None:
        """Drops the rows past `images` images seen, and a last row that a kill cut short.

        A run that goes on from a checkpoint trains the steps after it again: their rows would appear twice.
        """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Does nothing: single values (`self.log`) lack the count and the standard deviation of a row."""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Does nothing: `config.yaml` in the run folder holds them."""

    def append(self, text: str) -> None:
        """Appends text at once, as `append_whole` does.  Raises: OSError, as where the disk is full."""
        append_whole(self.path, text)


def images_of(kimg: float) -> int:
    """Images seen from a row's `Progress/kimg` = images / 1000; the rounding undoes the division exactly."""
    return round(kimg * 1000)


def replace_file(path: Path, lines: Iterable[str]) -> None:
    """Rewrites a file so that at every moment either all of the old or all of the new text is there."""
    with replacing(path) as file:
        file.writelines(line.encode() for line in lines)
