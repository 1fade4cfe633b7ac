"""Draw the scores of a run over kimg, one diagram a result, with the interval where there is one, as PNG.

python -m benchmarks.studies.plot_metrics emoji_metrics.png runs/emoji/metric-*_builtin.jsonl

Scores of different protocols never share a curve: those of each protocol get a diagram of their own.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from benchmarks.studies.plot_stats import HEIGHT, SCALE, WIDTH, panel
from stylegan.evaluation import read_records
from stylegan.evaluation.score_history import ranked

COLOUR, PALE = "#0b6e99", "#9cc7d8"

Points = list[tuple[float, float]]


def read(path: Path) -> dict[tuple[str, str], dict[str, Points]]:
    """(result, protocol) → its curve and, where the records have them, those of its interval, by suffix."""
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


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, metavar="PNG", help="the diagrams, written here")
    parser.add_argument("sources", type=Path, nargs="+", metavar="JSONL", help="a run's metric-*.jsonl")
    options = parser.parse_args(argv)
    diagrams = [item for source in options.sources for item in read(source).items()]
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * len(diagrams) * SCALE), "white")
    draw = ImageDraw.Draw(image)
    for place, ((name, protocol), curves) in enumerate(diagrams):
        shown = [
            (points, COLOUR if suffix == "" else PALE)
            for suffix, points in sorted(curves.items(), reverse=True)
        ]
        band = ", between the ends of its 95 % interval" if "_low" in curves else ""
        panel(draw, place * HEIGHT, f"{name} (protocol {protocol}){band}", shown)
    image.resize((WIDTH, HEIGHT * len(diagrams)), Image.Resampling.LANCZOS).save(
        options.target, optimize=True
    )


if __name__ == "__main__":
    main()
