"""Draw the scores of runs over kimg, one diagram a result, with the interval where there is one, as PNG.

python -m benchmarks.studies.plot_metrics emoji_metrics.png runs/emoji/metric-*_builtin.jsonl
python -m benchmarks.studies.plot_metrics compared.png runs/emoji runs/emoji-bg     # both on one axis, by their names

Scores of different protocols never share a curve or a diagram: those of each protocol get one of their own.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.studies.plot_stats import HEIGHT, LEFT, SCALE, WIDTH, panel
from stylegan.evaluation import read_records
from stylegan.evaluation.records import ranked

# Colour of a run's scores and of the ends of their intervals; of more runs they begin again.
COLOURS = (
    ("#0b6e99", "#9cc7d8"),
    ("#b3541e", "#e3bfa9"),
    ("#3b7a2a", "#b4d3ab"),
    ("#7b3fa0", "#cfb5de"),
    ("#8a6d00", "#dccf96"),
    ("#a0305a", "#e0b0c3"),
)

Points = list[tuple[float, float]]
# Of one run: its curve and, where the records have them, those of its interval, by suffix.
Curves = dict[str, Points]


def read(path: Path) -> dict[tuple[str, str], Curves]:
    """(result, protocol) → the curves in a file of records."""
    found: dict[tuple[str, str], dict[str, dict[float, float]]] = {}
    for record in read_records(path):
        if record.get("kimg") is None:
            continue
        for name in ranked(record["results"]):
            curves = found.setdefault((name, record["protocol_id"]), {})
            for suffix in ("", "_low", "_high"):
                value = record["results"].get(name + suffix)
                if value is not None:
                    # Of a network that was scored twice the last score counts.
                    curves.setdefault(suffix, {})[record["kimg"]] = value
    return {
        key: {suffix: sorted(curve.items()) for suffix, curve in curves.items()}
        for key, curves in found.items()
        if curves
    }


def diagrams_of(sources: Sequence[Path]) -> dict[tuple[str, str], dict[str, Curves]]:
    """(result, protocol) → name of the run → its curves.

    Args: sources: files of records, or run folders. A run is called as its folder; with the folder above it where two
        are called alike.
    """
    files = [file for source in sources for file in _records_at(source)]
    folders = list(dict.fromkeys(file.absolute().parent for file in files))
    names = [folder.name for folder in folders]
    called = {
        folder: folder.name if names.count(folder.name) == 1 else f"{folder.parent.name}/{folder.name}"
        for folder in folders
    }
    found: dict[tuple[str, str], dict[str, Curves]] = {}
    for file in files:
        for key, curves in read(file).items():
            found.setdefault(key, {})[called[file.absolute().parent]] = curves
    return found


def _records_at(source: Path) -> Iterator[Path]:
    yield from sorted(source.glob("metric-*.jsonl")) if source.is_dir() else [source]


def _drawn(draw: ImageDraw.ImageDraw, top: int, title: str, runs: dict[str, Curves]) -> None:
    """One diagram with the curves of all runs and, of several, their names."""
    chosen = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(runs)}
    # The ends of intervals first, so that they hide no curve.
    ends = [
        (points, chosen[name][1])
        for name, curves in runs.items()
        for suffix, points in curves.items()
        if suffix
    ]
    panel(
        draw,
        top,
        title,
        [*ends, *((curves[""], chosen[name][0]) for name, curves in runs.items() if "" in curves)],
    )
    if len(runs) > 1:
        font = ImageFont.load_default(size=12 * SCALE)
        left = LEFT * SCALE
        for name, (colour, _) in chosen.items():
            draw.text((left, (top + 26) * SCALE), name, fill=colour, font=font)
            left += draw.textlength(f"{name}    ", font=font)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, metavar="PNG", help="the diagrams, written here")
    parser.add_argument(
        "sources", type=Path, nargs="+", metavar="SOURCE", help="metric-*.jsonl, or run folders"
    )
    options = parser.parse_args(argv)
    diagrams = diagrams_of(options.sources)
    if not diagrams:
        parser.error(f"no scores of a known kimg in {', '.join(map(str, options.sources))}")
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * len(diagrams) * SCALE), "white")
    draw = ImageDraw.Draw(image)
    for place, ((name, protocol), runs) in enumerate(diagrams.items()):
        has_band = any("_low" in curves for curves in runs.values())
        band = ", between the ends of its 95 % interval" if has_band else ""
        _drawn(draw, place * HEIGHT, f"{name} (protocol {protocol}){band}", runs)
    image.resize((WIDTH, HEIGHT * len(diagrams)), Image.Resampling.LANCZOS).save(
        options.target, optimize=True
    )


if __name__ == "__main__":
    main()
