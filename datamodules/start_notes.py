"""Start notes: what was understood of a set, in lines that a person reads before training; none where there is nothing
worth saying."""

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from datamodules.datasets import FolderFiles, ImageDataset, ZipFiles
from datamodules.datasets.decoding import MOST_IMAGE_CHANNELS, UNREADABLE, decode_image
from datamodules.datasets.label_sources import LabelSource, label_file_names, tables_with_labels
from datamodules.datasets.names import first_folder, top_folder
from datamodules.datasets.scan import Facts
from stylegan.machine.text import counted, some
from stylegan.sizes import Size, nearest_sizes, parse_size, size_text

_FIRST = 5
_FIRST_OTHERS = 20
_FIRST_CLASSES = 8
# A picture of 4 to 3 loses a quarter to a square.
_CUT_WORTH_SAYING = 0.1
_NEAR = 5  # sizes of about the same area, of which the one that cuts least is proposed
_LOOKED_AT, _LOOKING_SECONDS = 16, 3.0
# Folders that share pictures out rather than tell kinds apart.
_SHARES = re.compile(
    r"\d{4,}|train(ing)?|val(id(ation)?)?|dev|test(ing)?|images?|img|pictures|photos", re.IGNORECASE
)


def about_files(
    files: FolderFiles | ZipFiles,
    facts: Mapping[str, Facts],
    bad: Sequence[str],
    source: LabelSource | None,
) -> list[str]:
    """Each file that cannot be read, and, together, those that are not images, and labels without an image."""
    notes = [f"left out, cannot be read: {name} ({facts[name].fault})" for name in bad]
    notes += files.notes
    others = [name for name in files.others if name.rsplit("/", 1)[-1] not in label_file_names()]
    if others:
        kind = "not picture files" if len(others) > 1 else "not a picture file"
        notes.append(f"skipped, {kind}: {some(others, _FIRST_OTHERS)}")
    if source is not None:
        notes += source.notes
        if source.strangers:
            notes.append(
                f"{source.name} has labels for pictures that are not there: {some(source.strangers, _FIRST)}"
            )
    return notes


def about_choices(idle: Sequence[str], count: int, *, subset: int | None) -> list[str]:
    """Patterns that fit nothing, and a subset that is larger than the set."""
    notes = [f"data.exclude: nothing is called {pattern}" for pattern in idle]
    if subset is not None and count < subset:
        notes.append(f"data.subset={subset} asks for more pictures than there are: {count}")
    return notes


def about_labels(dataset: ImageDataset, held_out: ImageDataset | None, *, source: str) -> list[str]:
    """What the labels were taken for, their number, and the first of them; classes that are not trained.

    Args:
        source: the option they come from.
    """
    width, names = dataset.label_width, list(dataset.label_names)
    if dataset.label_kind == "none":
        return []
    if dataset.label_kind == "vector":
        first = ", ".join(f"{number:g}" for number in dataset.labels(torch.tensor([0]))[0, :_FIRST].tolist())
        each = f"vectors of {width} numbers" if width > 1 else "one number each"
        return [f"{source}: {each}, as {first}{', ...' if width > _FIRST else ''} for {dataset.key(0)}"]
    counts = dataset.label_counts()
    if dataset.label_kind == "multi" and width == 1:
        column = f" ({names[0]})" if names else ""
        line = f"{source}: one column of 0 and 1{column}, 1 for {counts[0]} of {len(dataset)} pictures"
        return [line, *_about_one_value(int(counts[0]), len(dataset), held_out)]
    filled = np.flatnonzero(counts).tolist()
    listed = some([f"{names[number]} ({counts[number]})" for number in filled], _FIRST_CLASSES)
    of_these = f", {len(filled)} with pictures" if len(filled) < width else ""
    kind = "any number of " if dataset.label_kind == "multi" else ""
    notes = [f"{source}: {kind}{width} class{'es' * (width != 1)}{of_these}: {listed}"]
    empty = [number for number in range(width) if not counts[number]]
    if empty:
        notes.append(f"classes without a picture: {some([names[number] for number in empty], _FIRST)}")
        elsewhere = held_out.label_counts() if held_out is not None else np.zeros(width)
        lost = [names[number] for number in empty if elsewhere[number]]
        if lost:
            notes.append(f"data.val_fraction holds out all pictures of {some(lost, _FIRST)}")
    if dataset.label_kind == "classes" and width == 1:
        notes.append(
            f"there is only one class ({names[0]}), from which the network learns nothing; "
            f"give each class a folder of its own, or a label in a table, or use data.labels=none"
        )
    return notes


def _about_one_value(ones: int, count: int, held_out: ImageDataset | None) -> list[str]:
    """A column of 0 and 1 that is the same for all pictures that are trained on."""
    if 0 < ones < count:
        return []
    value, other = (1, 0) if ones else (0, 1)
    notes = []
    if held_out is not None and len(held_out):
        ones_held_out = int(held_out.label_counts()[0])
        if ones_held_out if other else ones_held_out < len(held_out):
            notes.append(f"data.val_fraction holds out all pictures with {other}")
    return [*notes, f"all pictures to train on have {value}, from which the network learns nothing"]


def about_shares(names: Sequence[str]) -> list[str]:
    """Folders that were taken for classes, and are called as shares of one set.

    Args:
        names: of the images used.
    """
    top = top_folder(names)
    counts = Counter(first_folder(name.removeprefix(top)) for name in names)
    # Numbers alone may well be those of classes, as of persons.
    if len(counts) < 2 or not all(map(_SHARES.fullmatch, counts)) or all(map(str.isdigit, counts)):
        return []
    largest = max(counts, key=counts.__getitem__)
    below = [name for name in names if name.startswith(f"{top}{largest}/")]
    way_out = "data.labels=none does without classes"
    if top_folder(below):
        way_out = f"'data.include=[{largest}]' takes the folders below {largest} for classes"
    return [f"the classes {some(sorted(counts), _FIRST_CLASSES)} look like shares of one set; {way_out}"]


def about_unused_labels(files: FolderFiles | ZipFiles, names: Sequence[str]) -> list[str]:
    """What a set without labels might take them from: a table, or sub-folders that look like classes.

    Args:
        names: of the images used.
    """
    tables = tables_with_labels(files)
    if tables:
        kind, table = tables[0]
        return [f"{table} is not used; data.labels={kind} reads labels from it"]
    top = top_folder(names)
    counts = Counter(first_folder(name.removeprefix(top)) for name in names)
    if len(counts) < 2 or "" in counts or all(map(_SHARES.fullmatch, counts)) or 2 * len(counts) > len(names):
        return []
    listed = some([f"{folder} ({count})" for folder, count in sorted(counts.items())], _FIRST_CLASSES)
    return [f"{len(counts)} sub-folders are not used as classes: {listed}; data.labels=folders does so"]


def about_channels(
    files: FolderFiles | ZipFiles, names: Sequence[str], channels: int, size: Size
) -> list[str]:
    """Transparency that is put on white, alpha that is kept for nothing, and grey images with three channels.

    A few images tell, spread over the set, decoded as training does.
    """
    if channels > MOST_IMAGE_CHANNELS:
        return []
    seen, transparent, grey = 0, 0, 0
    end = time.monotonic() + _LOOKING_SECONDS
    for place in np.unique(np.linspace(0, len(names) - 1, _LOOKED_AT).astype(int)):
        try:
            pixels = decode_image(files.read(names[place]), size=size, channels=4)
        except UNREADABLE:
            continue  # it is named when it is trained on
        seen += 1
        transparent += bool((pixels[3] < 255).any())
        grey += bool((pixels[:3] == pixels[0]).all())
        if time.monotonic() > end:
            break
    if not seen:
        return []
    looked_at = f"{counted(seen, 'picture')} looked at"
    if channels == 4 and not transparent and grey == seen:
        return [f"neither transparency nor colour in {looked_at}; data.channels=1 is grey alone"]
    notes = []
    if channels in (1, 3) and transparent:
        notes.append(
            f"transparency, which {transparent} of {looked_at} {'has' if transparent == 1 else 'have'}, is put on"
            f" white; data.channels={channels + 1} keeps it"
        )
    if channels in (2, 4) and not transparent:
        notes.append(f"no transparency in {looked_at}; data.channels={channels - 1} leaves alpha out")
    if channels in (3, 4) and grey == seen:
        notes.append(f"no colour in {looked_at}; data.channels={channels - 2} is grey")
    return notes


def about_crop(sizes: Sequence[Size], target: Size) -> list[str]:
    """How much of a typical image the crop cuts away, and a size of the same area for which it is far less."""
    cut = _share_cut(sizes, target)
    order = np.argsort(cut, kind="stable")
    typical = order[len(order) // 2]
    if cut[typical] < _CUT_WORTH_SAYING:
        return []
    height, width = sizes[typical]
    side = "width" if width * target[0] > height * target[1] else "height"
    line = (
        f"the crop to {size_text(target)} (height x width) cuts {_percent(cut[typical])} of the {side} of a typical "
        f"picture ({height}x{width})"
    )
    turned = target[::-1]
    if _is_drawn(turned) and np.median(_share_cut(sizes, turned)) <= _CUT_WORTH_SAYING:
        return [f"{line}; did you mean resolution={size_text(turned)}?"]
    scale = (target[0] * target[1] / (height * width)) ** 0.5
    near = nearest_sizes(round(height * scale), round(width * scale), _NEAR)
    best = min(near, key=lambda size: float(np.median(_share_cut(sizes, size))))
    left = float(np.median(_share_cut(sizes, best)))
    if left <= cut[typical] / 2:
        return [f"{line}; resolution={size_text(best)} cuts {_percent(left)}"]
    return [line]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _share_cut(sizes: Sequence[Size], target: Size) -> np.ndarray:
    """Which share of its longer side each image loses: float64 [n]."""
    heights, widths = np.array(sizes, dtype=np.float64).T
    ratio = widths * target[0] / (heights * target[1])
    return 1 - np.minimum(ratio, 1 / ratio)


def _is_drawn(size: Size) -> bool:
    try:
        return parse_size(size) == size
    except ValueError:
        return False


def about_sizes(sizes: Mapping[str, Size], target: Size) -> list[str]:
    """Images that are enlarged, which makes them soft."""
    # What is cut away to get the aspect does not count: the scale is that of the side that is kept whole.
    scales = {name: max(target[0] / size[0], target[1] / size[1]) for name, size in sizes.items()}
    small = [name for name, scale in scales.items() if scale > 1]
    if not small:
        return []
    worst = max(small, key=scales.__getitem__)
    height, width = sizes[worst]
    verb, most = ("is", "") if len(small) == 1 else ("are", " the most")
    return [
        f"{len(small)} of {counted(len(sizes), 'picture')} {verb} smaller than {target[0]}x{target[1]} (height x width)"
        f" and {verb} enlarged, {worst} ({height}x{width}){most}"
    ]
