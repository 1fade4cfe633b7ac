r"""Compare runs in fp32 with runs in bf16: curves as PNG, and a table of how far precisions and seeds are apart.

python -m benchmarks.studies.compare_precision \
    --fp32 runs/a0 runs/a1 --bf16 runs/b0 runs/b1 --until_kimg 100 --out precision.png

The runs of a precision differ in their seed. The table is of the second half of the ticks: the mean of each precision,
their difference, and with it how far the means of two seeds of one precision differ at the most. The last two columns
are the root mean square, over the ticks, of the differences of two curves: of two seeds, and of two precisions.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from pathlib import Path
from statistics import fmean

from PIL import Image, ImageDraw, ImageFont

from benchmarks.studies.plot_stats import HEIGHT, RIGHT, SCALE, WIDTH, panel

QUANTITIES = (
    ("loss of D", "Loss/D/loss"),
    ("loss of G", "Loss/G/loss"),
    ("p, the probability of augmentation", "Progress/augment"),
    ("sign statistic of real images (target 0.6)", "Loss/signs/real"),
)
COLOURS = {"fp32": "#0b6e99", "bf16": "#b3541e"}

# Value by kimg.
Curve = Mapping[float, float]


def read(run: Path, until_kimg: float) -> dict[str, Curve]:
    """The curves of a run, by column.  Raises: ValueError where it has none so far."""
    file = run / "stats.jsonl"
    if not file.is_file():
        raise ValueError(f"{run} has no stats.jsonl; give the folders of runs")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    curves = {
        # Of a tick that was trained twice, after an interruption, the last one counts.
        column: {
            row["Progress/kimg"]["mean"]: row[column]["mean"]
            for row in rows
            if column in row and row["Progress/kimg"]["mean"] <= until_kimg
        }
        for _, column in QUANTITIES
    }
    for column, curve in curves.items():
        if not curve:
            raise ValueError(f"{file} has no {column} up to kimg {until_kimg:g}; set a larger --until_kimg")
    return curves


def apart(pairs: Iterable[tuple[Curve, Curve]], ticks: Sequence[float]) -> float:
    """Root mean square of the differences of curves, over all pairs and ticks; nan without a pair."""
    squares = [(first[tick] - second[tick]) ** 2 for first, second in pairs for tick in ticks]
    return fmean(squares) ** 0.5 if squares else float("nan")


def table(runs: Mapping[str, Sequence[Mapping[str, Curve]]], until_kimg: float) -> list[str]:
    """Raises: ValueError where the runs have no tick of the second half in common."""
    lines = [f"{'':44}{'means':27}{'':7}{'ticks, root mean square':>29}"]
    lines += [f"{'':44}{'fp32':>8}{'bf16':>9}{'bf16-fp32':>11}{'seeds':>9}{'seeds':>13}{'precisions':>13}"]
    for title, column in QUANTITIES:
        fp32, bf16 = ([run[column] for run in runs[precision]] for precision in COLOURS)
        ticks = sorted(tick for tick in set.intersection(*map(set, fp32 + bf16)) if tick > until_kimg / 2)
        if not ticks:
            raise ValueError(
                f"the runs have no tick in common from kimg {until_kimg / 2:g} to {until_kimg:g}"
            )
        means = [[fmean(curve[tick] for tick in ticks) for curve in curves] for curves in (fp32, bf16)]
        low, high = map(fmean, means)
        spread = max(max(of_seeds) - min(of_seeds) for of_seeds in means)
        seeds = apart([*combinations(fp32, 2), *combinations(bf16, 2)], ticks)
        precisions = apart(product(fp32, bf16), ticks)
        numbers = f"{low:8.4f}{high:9.4f}{high - low:+11.4f}{spread:9.4f}{seeds:13.4f}{precisions:13.4f}"
        lines.append(f"{title:44}{numbers}")
    return lines


def drawn(runs: Mapping[str, Sequence[Mapping[str, Curve]]]) -> Image.Image:
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * len(QUANTITIES) * SCALE), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=14 * SCALE)
    for i, (title, column) in enumerate(QUANTITIES):
        curves = [
            (sorted(run[column].items()), COLOURS[precision])
            for precision in COLOURS
            for run in runs[precision]
        ]
        panel(draw, i * HEIGHT, title, curves)
        for k, (precision, colour) in enumerate(reversed(COLOURS.items())):
            corner = ((WIDTH - RIGHT - 50 * k) * SCALE, (i * HEIGHT + 10) * SCALE)
            draw.text(corner, precision, fill=colour, font=font, anchor="ra")
    return image.resize((WIDTH, HEIGHT * len(QUANTITIES)), Image.Resampling.LANCZOS)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for precision in COLOURS:
        parser.add_argument(
            f"--{precision}", type=Path, nargs="+", required=True, metavar="RUN", help="run folders"
        )
    parser.add_argument("--until_kimg", type=float, required=True, help="later ticks are left out")
    parser.add_argument("--out", type=Path, required=True, help="the PNG that is written")
    options = parser.parse_args(argv)
    try:
        runs = {
            precision: [read(run, options.until_kimg) for run in getattr(options, precision)]
            for precision in COLOURS
        }
        lines = table(runs, options.until_kimg)
    except ValueError as error:
        parser.error(str(error))
    print("\n".join(lines))
    drawn(runs).save(options.out, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
