"""What a person should read about a folder of pictures before training on it: one line each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from datamodules.datasets import FolderFiles, ZipFiles
from datamodules.datasets.decoding import Size
from datamodules.datasets.label_files import LabelSource, label_file_names
from datamodules.datasets.labels import Labels
from datamodules.datasets.scan import Facts

_FIRST = 5
_FIRST_OTHERS = 20


def about_files(
    files: FolderFiles | ZipFiles,
    facts: Mapping[str, Facts],
    bad: Sequence[str],
    source: LabelSource | None,
) -> list[str]:
    """Each file that cannot be read, and, together, those that are no pictures and labels of no picture."""
    notes = [f"left out, cannot be read: {name} ({facts[name].fault})" for name in bad]
    others = [name for name in files.others if name.rsplit("/", 1)[-1] not in label_file_names()]
    if others:
        notes.append(f"left out, no pictures by their names: {_some(others, _FIRST_OTHERS)}")
    if source is not None and source.strangers:
        notes.append(f"labels of no picture in {source.name}: {_some(source.strangers, _FIRST)}")
    return notes


def about_choices(idle: Sequence[str], labels: Labels, *, subset: int | None) -> list[str]:
    """Patterns that fit nothing, a subset that is larger than the set, and classes without a picture."""
    notes = [f"data.exclude: nothing is called {pattern}" for pattern in idle]
    count = len(labels.values)
    if subset is not None and count < subset:
        notes.append(f"data.subset={subset} asks for more pictures than there are: {count}")
    if labels.kind == "classes":
        seen = set(labels.values.tolist())
        empty = [name for number, name in enumerate(labels.names) if number not in seen]
        if empty:
            notes.append(f"classes without a picture: {_some(empty, _FIRST)}")
        if labels.width == 1:
            notes.append(
                f"there is one class only ({labels.names[0]}), which tells the network nothing; "
                f"point data.path at the folder of the classes, or use data.labels=none"
            )
    return notes


def about_sizes(sizes: Mapping[str, Size], target: Size) -> list[str]:
    """Pictures that are enlarged, which makes them soft."""
    # What is cut away to get the aspect does not count: the scale is that of the side that is kept whole.
    scales = {name: max(target[0] / size[0], target[1] / size[1]) for name, size in sizes.items()}
    small = [name for name, scale in scales.items() if scale > 1]
    if not small:
        return []
    worst = max(small, key=scales.__getitem__)
    height, width = sizes[worst]
    return [
        f"{len(small)} of {len(sizes)} pictures are smaller than {target[0]}x{target[1]} (height x width) and are "
        f"enlarged, {worst} ({height}x{width}) the most"
    ]


def too_many_bad(path: str | Path, facts: Mapping[str, Facts], bad: Sequence[str], max_bad: int) -> str:
    """The error of a set with more bad files than are allowed."""
    first = "; ".join(f"{name}: {facts[name].fault}" for name in bad[:_FIRST])
    more = f"; and {len(bad) - _FIRST} more" if len(bad) > _FIRST else ""
    way_out = "repair them, or give others"
    if len(bad) < len(facts):
        way_out = f"remove or repair them, or go on without them: data.max_bad={len(bad)}"
    return (
        f"data.path={path}: {len(bad)} of {len(facts)} pictures cannot be read, and {max_bad} may be "
        f"({first}{more}); {way_out}"
    )


def sizes_counted(sizes: Sequence[Size], most: int = 8) -> str:
    """Sizes with how often each occurs, the most frequent first."""
    counts = sorted(Counter(sizes).items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{height}x{width} ({count})" for (height, width), count in counts[:most])
    return listed + (f" and {len(counts) - most} more" if len(counts) > most else "")


def _some(words: Sequence[str], most: int) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
