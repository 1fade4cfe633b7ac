"""Draw columns of a run's `stats.csv` over kimg, as PNG: how the curves in the README were made.

python -m benchmarks.studies.plot_stats runs/emoji/stats.csv docs/images/emoji_curves.png
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

PANELS = (
    ("p, the probability of augmentation", "Progress/augment", "#0b6e99"),
    ("sign statistic of real images (mean of the tick; target 0.6)", "Loss/signs/real", "#b3541e"),
)
WIDTH, HEIGHT, SCALE = 900, 260, 2
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 40, 40

# Points (kimg, value), and the colour.
Curve = tuple[Sequence[tuple[float, float]], str]


def read(path: Path, column: str) -> list[tuple[float, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [(float(row["Progress/kimg"]), float(row[column])) for row in rows if row[column]]


def nice_step(span: float) -> float:
    """A step of 1, 2 or 5 times a power of ten that cuts the span into four to ten parts."""
    step = 10.0 ** len(str(int(span))) if span >= 1 else 1.0
    while True:
        for divisor in (1, 2, 5):
            if span / (step / divisor) >= 4:
                return step / divisor
        step /= 10


def panel(draw: ImageDraw.ImageDraw, top: int, title: str, curves: Sequence[Curve]) -> None:
    """One diagram, `top` px from the upper edge, with all its curves."""
    font = ImageFont.load_default(size=14 * SCALE)
    small = ImageFont.load_default(size=12 * SCALE)
    last = max(x for points, _ in curves for x, _ in points)
    values = [y for points, _ in curves for _, y in points]
    low, high = min(0.0, *values), max(values) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / last
        down = top + HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - low) / (high - low)
        return across * SCALE, down * SCALE

    draw.text((LEFT * SCALE, (top + 10) * SCALE), title, fill="black", font=font)
    step = nice_step(high - low)
    for i in range(round(low / step), int(high / step) + 1):
        draw.line([place(0, i * step), place(last, i * step)], fill="#dddddd", width=SCALE)
        draw.text(place(0, i * step), f"{i * step:g} ", fill="#555555", font=small, anchor="rm")
    step = nice_step(last)
    for i in range(int(last / step) + 1):
        x, y = place(i * step, low)
        draw.text((x, y + 6 * SCALE), f"{i * step:g}", fill="#555555", font=small, anchor="mt")
    draw.text(
        ((WIDTH - RIGHT) * SCALE, (top + HEIGHT - 4) * SCALE), "kimg", fill="#555555", font=small, anchor="rb"
    )
    for points, colour in curves:
        draw.line([place(x, y) for x, y in points], fill=colour, width=2 * SCALE, joint="curve")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, metavar="CSV", help="a run's stats.csv")
    parser.add_argument("target", type=Path, metavar="PNG", help="the diagrams, written here")
    options = parser.parse_args(argv)
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * len(PANELS) * SCALE), "white")
    draw = ImageDraw.Draw(image)
    for i, (title, column, colour) in enumerate(PANELS):
        panel(draw, i * HEIGHT, title, [(read(options.source, column), colour)])
    image.resize((WIDTH, HEIGHT * len(PANELS)), Image.Resampling.LANCZOS).save(options.target, optimize=True)


if __name__ == "__main__":
    main()
