"""The user's own pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules import folder_notes
from datamodules.datasets import FolderFiles, ImageDataset, PictureDataset, ZipFiles, open_pictures
from datamodules.datasets.choice import filter_names, place_in_lot
from datamodules.datasets.decoding import MOST_PICTURE_CHANNELS
from datamodules.datasets.label_files import LabelSource, read_labels
from datamodules.datasets.labels import no_labels
from datamodules.datasets.names import first_folder
from datamodules.datasets.scan import MOST_DECODED, Facts, scan
from datamodules.datasets.scan_cache import ScanCache
from datamodules.image_datamodule import ImageDataModule
from datamodules.one_size import agreed_size
from datamodules.option_checks import check_patterns, check_whole
from stylegan.machine.files import cache_folder

_LABELS = ("none", "folders", "json", "csv")


class FolderData(ImageDataModule):
    """Pictures in a folder (with the folders below it) or in a zip, used as they are.

    They are turned upright as their EXIF says, cropped to the largest centred rectangle of the aspect asked for
    and resized by Lanczos where they differ. With 1 and 3 channels transparency is put on white, with 2 and
    4 it is kept. Sorted by name, so that a folder and a zip of it are the same set.

    Args: path: folder or zip; resolution: None = that of the pictures, if it is one; labels: "none", "folders"
      (the first sub-folder is the class), "json" (dataset.json) or "csv" (labels.csv); labels_path: the table,
      None = within the set; include, exclude: globs for relative names, or classes; subset: use so many
      pictures, chosen by the seed; max_bad: go on without so many files that cannot be read, None = the larger
      of 20 and 1 % of them; cache_dir: folder for what a look at the files found, None = the user's
      cache folder; the others as in `ImageDataModule`.
    Raises: `setup`: ValueError for a set that does not fit the options; an item: BadImageError.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        resolution: int | Sequence[int] | None,
        channels: int = 3,
        labels: str = "none",
        labels_path: str | Path | None = None,
        balanced: bool = False,
        include: Sequence[str] | str = (),
        exclude: Sequence[str] | str = (),
        subset: int | None = None,
        val_fraction: float = 0.0,
        max_bad: int | None = None,
        cache_dir: str | Path | None = None,
        cache: Any = "auto",
        devices: int | str | Sequence[int] = 1,
        batch_size: int,
        seed: int = 0,
        xflip: bool = False,
        workers: int | None = None,
        worker_timeout_sec: float | None = 300.0,
    ):
        super().__init__(
            resolution=resolution,
            channels=channels,
            balanced=balanced,
            val_fraction=val_fraction,
            cache=cache,
            devices=devices,
            batch_size=batch_size,
            seed=seed,
            xflip=xflip,
            workers=workers,
            worker_timeout_sec=worker_timeout_sec,
        )
        if not isinstance(path, str | Path) or not str(path):
            raise ValueError(
                f"data.path must name a folder or a zip of pictures, got {path!r}; try data.path=pictures.zip"
            )
        if labels not in _LABELS:
            raise ValueError(f"data.labels={labels} is not known for data=folder; use {' | '.join(_LABELS)}")
        if labels_path is not None and labels not in ("json", "csv"):
            raise ValueError(
                f"data.labels_path={labels_path} is read with data.labels=json or csv only; try data.labels=json"
            )
        if subset is not None:
            check_whole("data.subset", subset, at_least=1)
        if max_bad is not None:
            check_whole("data.max_bad", max_bad, at_least=0)
        self.path = path
        self.label_source, self.labels_path = labels, labels_path
        self.include = check_patterns("data.include", include)
        self.exclude = check_patterns("data.exclude", exclude)
        self.subset = subset
        self.max_bad = max_bad
        self.cache_dir = cache_dir

    def open_dataset(self) -> ImageDataset:
        files = open_pictures(self.path, self.channels)
        source = None
        if self.label_source != "none":
            source = read_labels(self.label_source, files, self.labels_path)
        names, idle = filter_names(
            files.names,
            lambda name: _classes_of(name, source),
            include=self.include,
            exclude=self.exclude,
        )
        # Before any is left out by chance or damage: the classes and their numbers depend on neither.
        labels = source.labels_of(names) if source is not None else no_labels(len(names))
        place_of = {name: place for place, name in enumerate(names)}
        facts = self._look(files, names)
        good, bad, max_bad = self._sort_out(facts)
        if self._size is None:
            self._size = agreed_size(self.path, [facts[name].size for name in good])
        labels = labels.choose(np.array([place_of[name] for name in good]))
        self.notes += folder_notes.about_files(files, facts, bad, source)
        self.notes += folder_notes.about_choices(idle, labels, subset=self.subset)
        self.notes += folder_notes.about_sizes({name: facts[name].size for name in good}, self.size)
        return PictureDataset(
            files,
            names=good,
            size=self.size,
            channels=self.channels,
            labels=labels,
            max_bad=max_bad,
            left_out=len(bad),
            checksums=np.array([facts[name].checksum for name in good], dtype=np.int64),
        )

    def _look(self, files: FolderFiles | ZipFiles, names: Sequence[str]) -> dict[str, Facts]:
        """What can be found out about the files before training; with `subset` about enough of them."""
        wanted = len(names) if self.subset is None else min(self.subset, len(names))
        lot = list(names)
        if wanted < len(names):
            lot.sort(key=lambda name: (place_in_lot(self.seed, "subset", name), name))
        whole = wanted <= MOST_DECODED
        place = Path(self.path).expanduser().resolve()
        kind = self.channels if self.channels > MOST_PICTURE_CHANNELS else "pictures"
        folder = cache_folder("scans") if self.cache_dir is None else Path(self.cache_dir).expanduser()
        cache = ScanCache(folder, (place, kind, whole))
        facts: dict[str, Facts] = {}
        # Each that cannot be read makes room for the next in the lot.
        while missing := wanted - sum(not fact.fault for fact in facts.values()):
            more = lot[len(facts) : len(facts) + missing]
            if not more:
                break
            facts |= scan(files, more, channels=self.channels, whole=whole, cache=cache)
        return {name: facts[name] for name in names if name in facts}

    def _sort_out(self, facts: dict[str, Facts]) -> tuple[list[str], list[str], int]:
        """Files that can be used, those that cannot, and how many of the latter are allowed."""
        bad = [name for name, fact in facts.items() if fact.fault]
        good = [name for name, fact in facts.items() if not fact.fault]
        max_bad = self.max_bad if self.max_bad is not None else max(20, len(facts) // 100)
        if len(bad) > max_bad or not good:
            raise ValueError(folder_notes.too_many_bad(self.path, facts, bad, max_bad))
        return good, bad, max_bad


def _classes_of(name: str, source: LabelSource | None) -> list[str]:
    """What a pattern may call a picture's class: its first sub-folder, and its label if that is a class."""
    label = source.found.get(name) if source is not None else None
    classes = [first_folder(name)]
    return [*classes, str(label)] if isinstance(label, int | str) and label != classes[0] else classes
