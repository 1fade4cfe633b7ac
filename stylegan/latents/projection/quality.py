"""Quality of a projection: how far each result is from its picture, in a table with the worst first."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from stylegan.images import on_white

# Of equal pictures: no larger number would say more.
MOST_PSNR = 100.0


@dataclass(frozen=True)
class Quality:
    """Of one picture.

    Args:
        name: of the picture. psnr: dB, of pixels. mse: mean squared error of pixels in 0..1.
        loss: the perceptual distance. loss_name: which one.
        distance_to_mean: of w, in units of the spread of w: near 1 for a seed's.
        best_step: of the search, whose latents are kept. label: "" for a network without labels.
        tuned_rounds: of the tuning; None without.
    """

    name: str
    psnr: float
    mse: float
    loss: float
    loss_name: str
    distance_to_mean: float
    best_step: int
    label: str = ""
    tuned_rounds: int | None = None


def mean_squared_error(images: Tensor, targets: Tensor, masks: Tensor | None = None) -> Tensor:
    """Of pixels in 0..1 → [N]. Colours count as they look on white, and alpha as one more channel.

    Args: images, targets: uint8 [N,C,H,W]. masks: [N,1,H,W] in 0..1, how much each pixel counts; None = all alike.
    """
    error = (_comparable(images) - _comparable(targets)).square()
    if masks is None:
        return error.mean((1, 2, 3))
    weight = masks.to(error).expand_as(error)
    return (error * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1e-12)


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error of pixels in 0..1; at most 100."""
    return min(MOST_PSNR, -10 * math.log10(mse)) if mse > 0 else MOST_PSNR


def worst_first(rows: Sequence[Quality]) -> list[Quality]:
    """By PSNR, the smallest first; of equal ones by name."""
    return sorted(rows, key=lambda row: (row.psnr, row.name))


def as_csv(rows: Sequence[Quality]) -> bytes:
    """The table, worst first, a row a picture, with a header."""
    text = io.StringIO()
    table = csv.DictWriter(text, fieldnames=list(Quality.__dataclass_fields__), lineterminator="\n")
    table.writeheader()
    for row in worst_first(rows):
        table.writerow(
            {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in asdict(row).items()}
        )
    return text.getvalue().encode("utf-8", "backslashreplace")


def as_json(rows: Sequence[Quality]) -> bytes:
    """The table, worst first, a list of objects."""
    table = [asdict(row) for row in worst_first(rows)]
    return (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def as_lines(rows: Sequence[Quality], most: int = 20) -> list[str]:
    """The table for a terminal, worst first, and the means of all pictures."""
    shown = worst_first(rows)
    width = max([7, *(len(row.name) for row in shown[:most])])
    title = shown[0].loss_name if shown else "loss"
    lines = [f"{'picture':<{width}}  {'PSNR':>6}  {'MSE':>8}  {title:>12}  from the mean"]
    for row in shown[:most]:
        lines.append(
            f"{row.name:<{width}}  {row.psnr:6.2f}  {row.mse:8.5f}  {row.loss:12.5f}  {row.distance_to_mean:.2f}"
        )
    if len(shown) > most:
        lines.append(f"and {len(shown) - most} more, all better")
    if len(shown) > 1:
        mean = [
            sum(getattr(row, key) for row in shown) / len(shown)
            for key in ("psnr", "mse", "loss", "distance_to_mean")
        ]
        lines.append(f"{'mean':<{width}}  {mean[0]:6.2f}  {mean[1]:8.5f}  {mean[2]:12.5f}  {mean[3]:.2f}")
    return lines


def _comparable(images: Tensor) -> Tensor:
    values = images
    if images.shape[1] in (2, 4):
        values = torch.cat([on_white(images), images[:, -1:]], 1)
    return values.to(torch.float32) / 255
