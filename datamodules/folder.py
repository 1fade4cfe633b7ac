"""Folder data: a user's own images in a folder or a zip, chosen, labelled and checked before training."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.datasets import FileDataset, FolderFiles, ImageDataset, ZipFiles, open_image_files
from datamodules.datasets.decoding import MOST_IMAGE_CHANNELS
from datamodules.datasets.image_dataset import filter_names, place_in_lot
from datamodules.datasets.label_sources import labels_from_folders, read_labels
from datamodules.datasets.labels import Label, no_labels
from datamodules.datasets.names import first_folder, top_folder
from datamodules.datasets.scan import MOST_DECODED, Facts, ScanCache, scan
from datamodules.image_datamodule import ImageDataModule, check_patterns, check_whole
from datamodules.start_notes import (
    about_channels,
    about_choices,
    about_crop,
    about_files,
    about_shares,
    about_sizes,
    about_unused_labels,
)
from stylegan.machine.files import cache_folder, expanded
from stylegan.machine.text import counted, nearest_word
from stylegan.sizes import Size, nearest_sizes, parse_size, size_text

_LABELS = ("none", "folders", "json", "csv")


class FolderData(ImageDataModule):
    """Images in a folder (with the folders below it) or in a zip, used as they are.

    They are turned upright as their EXIF says, cropped to the largest centred rectangle of the requested aspect
    and resized by Lanczos where they differ. With 1 and 3 channels transparency is put on white, with 2 and
    4 it is kept. Sorted by name, so that a folder and a zip of it are the same set.

    Args:
        path: folder or zip.
        resolution: None = that of the images, if it is one.
        labels: "none", "folders" (the first sub-folder is the class), "json" (dataset.json) or "csv" (labels.csv).
        labels_path: the table, None = within the set.
        include, exclude: globs for relative names, or classes.
        subset: use this many images, chosen by the seed.
        max_bad: continue without up to this many files that cannot be read, None = the larger of 20 and 1 % of them.
        patience_sec: how long a file that the system does not give (a network folder that is away) is tried again while
            training.
        cache_dir: folder for what a look at the files found, None = the user's cache folder.
        The others as in `ImageDataModule`.
    Raises: `setup`: ValueError for a set that does not fit the options; an item: BadImageError, ImagesAwayError.
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
        patience_sec: float = 300.0,
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
            raise ValueError(f"path must name a folder or a zip of pictures, got {path!r}; try pictures.zip")
        if labels not in _LABELS:
            near = nearest_word(str(labels), _LABELS)
            hint = f"; did you mean labels={near}?" if near else ""
            raise ValueError(f"labels must be one of {', '.join(_LABELS)}, got {labels!r}{hint}")
        if labels_path is not None and labels not in ("json", "csv"):
            raise ValueError(
                f"labels_path is read with labels json or csv only, got {labels_path} with labels {labels}"
            )
        if subset is not None:
            check_whole("subset", subset, at_least=1)
        if max_bad is not None:
            check_whole("max_bad", max_bad, at_least=0)
        _check_patience(patience_sec)
        self.path = path
        self.label_source, self.labels_path = labels, labels_path
        self.labels_from = f"data.labels={labels}"
        self.include = check_patterns("include", include)
        self.exclude = check_patterns("exclude", exclude)
        self.subset = subset
        self.max_bad = max_bad
        self.patience_sec = patience_sec
        self.cache_dir = cache_dir

    def open_dataset(self) -> ImageDataset:
        files = open_image_files(self.path, self.channels)
        self.num_found = len(files.names) * (1 + self.xflip)
        source = None
        if self.label_source in ("json", "csv"):
            source = read_labels(self.label_source, files, self.labels_path)
        top = top_folder(files.names)
        names, idle = filter_names(
            files.names,
            lambda name: _classes_of(name.removeprefix(top), source.found.get(name) if source else None),
            include=self.include,
            exclude=self.exclude,
            top=top,
        )
        if self.label_source == "folders":
            source = labels_from_folders(names, top)
        # Before any is left out by chance or damage: the classes and their numbers depend on neither.
        labels = source.labels_of(names) if source is not None else no_labels(len(names))
        place_of = {name: place for place, name in enumerate(names)}
        wanted = len(names) if self.subset is None else min(self.subset, len(names))
        whole = wanted <= MOST_DECODED
        cache = self._scan_cache(whole)
        facts = self._look(files, names, wanted, whole=whole, cache=cache)
        good, bad, max_bad = self._sort_out(facts)
        if self._size is None:
            self._size = agreed_size(self.path, [facts[name].size for name in good])
        labels = labels.choose(np.array([place_of[name] for name in good]))
        sizes = {name: facts[name].size for name in good}
        self.notes += about_files(files, facts, bad, source)
        self.notes += about_choices(idle, len(good), subset=self.subset)
        self.notes += about_unused_labels(files, good) if source is None else []
        self.notes += about_shares(good) if self.label_source == "folders" else []
        self.notes += about_channels(files, good, self.channels, self.size)
        self.notes += about_crop(list(sizes.values()), self.size)
        self.notes += about_sizes(sizes, self.size)
        return FileDataset(
            files,
            names=good,
            size=self.size,
            channels=self.channels,
            labels=labels,
            max_bad=max_bad,
            left_out=len(bad),
            patience_sec=self.patience_sec,
            checksums=np.array([facts[name].checksum for name in good], dtype=np.int64),
            forget=cache.forget,
        )

    def _scan_cache(self, whole: bool) -> ScanCache:
        kind = self.channels if self.channels > MOST_IMAGE_CHANNELS else "pictures"
        folder = cache_folder("scans") if self.cache_dir is None else expanded(self.cache_dir)
        return ScanCache(folder, (expanded(self.path).resolve(), kind, whole))

    def _look(
        self,
        files: FolderFiles | ZipFiles,
        names: Sequence[str],
        wanted: int,
        *,
        whole: bool,
        cache: ScanCache,
    ) -> dict[str, Facts]:
        """What can be found out about the files before training; with `subset` about enough of them."""
        lot = list(names)
        if wanted < len(names):
            lot.sort(key=lambda name: (place_in_lot(self.seed, "subset", name), name))
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
            raise ValueError(too_many_bad(self.path, facts, bad, max_bad))
        return good, bad, max_bad


def _check_patience(value: float) -> None:
    """Raises ValueError unless the argument is a time of 0 or more."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(f"patience_sec must be seconds, 0 for no wait, got {value!r}; try 300")


def _classes_of(name: str, label: Label | None) -> list[str]:
    """What a pattern may call an image's class: its first sub-folder, and its label if that is a class."""
    classes = [first_folder(name)]
    return [*classes, str(label)] if isinstance(label, int | str) and label != classes[0] else classes


_FIRST = 5


def too_many_bad(path: str | Path, facts: Mapping[str, Facts], bad: Sequence[str], max_bad: int) -> str:
    """The error of a set with more bad files than are allowed."""
    first = "; ".join(f"{name}: {facts[name].fault}" for name in bad[:_FIRST])
    more = f"; and {len(bad) - _FIRST} more" if len(bad) > _FIRST else ""
    way_out = "repair them, or give others"
    if len(bad) < len(facts):
        way_out = f"remove or repair them, or continue without them: data.max_bad={len(bad)}"
    return (
        f"data.path={path}: {len(bad)} of {counted(len(facts), 'picture')} cannot be read, and at most {max_bad}"
        f" {'is' if max_bad == 1 else 'are'} allowed ({first}{more}); {way_out}"
    )


def sizes_counted(sizes: Sequence[Size], most: int = 8) -> str:
    """Sizes with how often each occurs, the most frequent first."""
    counts = sorted(Counter(sizes).items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{height}x{width} ({count})" for (height, width), count in counts[:most])
    return listed + (f" and {len(counts) - most} more" if len(counts) > most else "")


def agreed_size(path: str | Path, sizes: Sequence[Size]) -> Size:
    """The one size of all images.

    Args:
        sizes: height and width of each.

    Raises: ValueError, with sizes that work, where there are several, or no network has that size.
    """
    if len(set(sizes)) > 1:
        proposal = size_text(propose_size(sizes))
        raise ValueError(
            f"resolution=null needs pictures of one size, and those of {path} have {len(set(sizes))} "
            f"(height x width): {sizes_counted(sizes)}; set one for all, as in resolution={proposal}"
        )
    size = sizes[0]
    try:
        return parse_size(size)
    except ValueError:
        nearest = " or ".join(f"resolution={size_text(near)}" for near in nearest_sizes(*size))
        raise ValueError(
            f"resolution=null: the pictures of {path} are {size_text(size)} (height x width), which no network "
            f"draws; set {nearest}"
        ) from None


def propose_size(sizes: Sequence[Size]) -> Size:
    """A size for which three of four images need not be enlarged, as near as networks come to it."""
    heights, widths = np.array(sizes).T
    lower = (int(np.quantile(side, 0.25, method="lower")) for side in (heights, widths))
    return nearest_sizes(*lower)[0]
