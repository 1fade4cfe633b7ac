"""Boundary: the direction from latents with low scores to those with high ones, by logistic regression."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylegan.latents.latent_files import SUFFIXES, LatentRow, read_latents
from stylegan.latents.points import Point
from stylegan.latents.seeds import seed_in
from stylegan.machine.text import printable

_LATENT = re.compile(
    rf"(?P<file>.+(?:{'|'.join(map(re.escape, SUFFIXES))}))(?:\[(?P<number>\d{{1,9}})\])?",
    re.ASCII | re.IGNORECASE,
)
# Of the latents at each end, those that are held out to count how many are told apart.
HELD_OUT = 0.3
# Where nothing is said: the share at each end, and the fewest latents that it may come to.
_SHARE, _FEWEST = 0.02, 100
# Of labelled latents at each end, without which nothing can be held out and counted.
_LEAST = 5
# Keeps the choice of those held out apart from all else that is ever drawn from a seed.
_SPLIT_STREAM = 0x73706C69


class Scored(NamedTuple):
    """Labelled latents: points, and the score of each, float64 [N]."""

    points: tuple[Point, ...]
    scores: Tensor


class Boundary(NamedTuple):
    """The hyperplane normal·w = offset between low scores and high ones.

    Args:
        normal: unit vector float32 [W], towards high scores.
        offset: of the plane.
        accuracy: share of the held-out latents on their side of it.
        held_out, trained: how many latents of both ends.
        share: of all latents, at each end.
    """

    normal: Tensor
    offset: float
    accuracy: float
    held_out: int
    trained: int
    share: float


def read_scores(path: Path, *, key: str = "scores") -> Scored:
    """A CSV of `seed,score` or `latent file,score`, with or without a line of headings.

    Latent files are named from the CSV's folder, `fox.npz` or `walk.npz[3]`, and are in it or below it.

    Args: key: of the configuration, for messages.
    Raises: ValueError that names the file, the line and what is wrong with it; OSError where it cannot be read.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [
                (number, row)
                for number, row in enumerate(csv.reader(file), start=1)
                if any(map(str.strip, row))
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{key}={printable(str(path))}: this is no CSV of seed,score ({error})") from error
    if rows and _is_heading(rows[0][1]):
        rows = rows[1:]
    points: list[Point] = []
    scores: list[float] = []
    read: dict[str, list[LatentRow]] = {}
    for number, row in rows:
        where = f"{key}={printable(str(path))}, line {number}"
        if len(row) != 2 or (score := _number(row[1])) is None:
            shown = printable(",".join(row))[:60]
            raise ValueError(f"{where}: {shown}: a line is seed,score or latent file,score, as in 42,0.9")
        points.append(_point(row[0].strip(), path.parent, where, read))
        scores.append(score)
    return Scored(tuple(points), torch.tensor(scores, dtype=torch.float64))


def ends_of(scores: Tensor, share: float | None = None) -> tuple[Tensor, Tensor, float]:
    """Which latents are labelled low and high, by scores [N]: the lowest and the highest share.

    Of scores that have two values only, as 0 and 1, each value is an end.

    Args: share: of all, up to 0.5; None = 0.02, or what gives 100 latents at each end.
    Returns: numbers of the low ones, of the high ones, and the share of the smaller end.
    Raises: ValueError for a share outside of 0 to 0.5, or fewer than 5 latents at an end.
    """
    if share is not None and not 0 < share <= 0.5:
        raise ValueError(f"share must be above 0 and at most 0.5, got {share}")
    count = len(scores)
    values = scores.unique()
    if len(values) == 2:
        low, high = ((scores == value).nonzero().flatten() for value in values)
    else:
        chosen = min(0.5, max(_SHARE, _FEWEST / max(count, 1))) if share is None else share
        at_end = int(chosen * count)
        order = scores.argsort(stable=True)
        low, high = order[:at_end], order[count - at_end :]
        # A run of equal scores must not be torn in two.
        if at_end and scores[low[-1]] == scores[high[0]]:
            raise ValueError(
                "scores: the lowest and the highest share meet in equal scores; set a smaller share"
            )
    fewest = min(len(low), len(high))
    if fewest < _LEAST:
        raise ValueError(
            f"scores: {count} latents have {fewest} at an end, and at least {_LEAST} are needed: give more latents,"
            " or a larger share"
        )
    return low, high, fewest / count


def find_boundary(ws: Tensor, scores: Tensor, *, share: float | None = None, l2: float = 1e-3) -> Boundary:
    """The boundary between the lowest and the highest scores.

    30 % of each end are held out, drawn by a fixed key, and their accuracy is that of the normal that is returned.

    Args:
        ws: [N,W]. scores: [N].
        share: as in `ends_of`.
        l2: as in `logistic_regression`, where w is scaled to unit variance.
    Raises: ValueError as `ends_of`.
    Source: Shen et al. 2020 (InterFaceGAN), section 3, with logistic regression for the support vector machine.
    """
    low, high, share = ends_of(scores, share)
    ws = ws.to("cpu", torch.float64)
    held_out, trained = [], []
    for end, numbers in enumerate((low, high)):
        order = np.random.default_rng([_SPLIT_STREAM, end]).permutation(len(numbers))
        rest = max(1, round(HELD_OUT * len(numbers)))
        shuffled = numbers[torch.from_numpy(order)]
        held_out.append(shuffled[:rest])
        trained.append(shuffled[rest:])
    rows = ws[torch.cat(trained)]
    # One scale for all, which leaves the direction as it is.
    centre, scale = rows.mean(dim=0), rows.std(dim=0).square().mean().sqrt().clamp_min(1e-12)
    is_high = torch.cat([torch.full([len(numbers)], float(end)) for end, numbers in enumerate(trained)])
    weights, bias = logistic_regression((rows - centre) / scale, is_high, l2=l2)
    length = weights.norm()
    if not float(length) > 1e-9:
        raise ValueError("scores: both ends have the same latents; nothing tells them apart")
    normal = weights / length
    offset = float(normal @ centre - bias * scale / length)
    right = (ws[held_out[1]] @ normal > offset).sum() + (ws[held_out[0]] @ normal <= offset).sum()
    count = sum(map(len, held_out))
    return Boundary(normal.to(torch.float32), offset, int(right) / count, count, len(rows), share)


def logistic_regression(
    rows: Tensor, is_high: Tensor, *, l2: float, most_steps: int = 100
) -> tuple[Tensor, Tensor]:
    """L2-regularised logistic regression by Newton's method, both classes counting the same.

    Minimises mean_c log(1 + exp(∓(w·x + b))) + l2/2·|w|², the mean being taken in each class and then over both.

    Args:
        rows: float64 [N,W]. is_high: [N], 1 of the class where w·x + b shall be above 0, else 0.
        l2: above 0, which makes the minimum the only one.
    Returns: w [W] and b [].
    Raises: ValueError where a class is empty, or l2 is not above 0.
    """
    if not l2 > 0:
        raise ValueError(f"l2 must be above 0, got {l2}")
    target = is_high.to(torch.float64)
    if not 0 < float(target.sum()) < len(target):
        raise ValueError("logistic regression needs both classes")
    x = torch.cat([rows.to(torch.float64), torch.ones(len(rows), 1, dtype=torch.float64)], dim=1)
    share = torch.where(target > 0.5, 0.5 / target.sum(), 0.5 / (1 - target).sum())
    ridge = torch.full([x.shape[1]], float(l2), dtype=torch.float64)
    ridge[-1] = 0  # the plane may be anywhere

    def loss(theta: Tensor) -> Tensor:
        margin = (x @ theta) * (2 * target - 1)
        return (share * torch.nn.functional.softplus(-margin)).sum() + (ridge * theta.square()).sum() / 2

    theta = torch.zeros(x.shape[1], dtype=torch.float64)
    now = loss(theta)
    for _ in range(most_steps):
        high = torch.sigmoid(x @ theta)
        gradient = x.T @ (share * (high - target)) + ridge * theta
        curvature = (share * high * (1 - high)).clamp_min(1e-12)
        hessian = x.T @ (x * curvature[:, None]) + torch.diag(ridge)
        step = torch.linalg.solve(hessian, gradient)
        decrease = float(gradient @ step)
        size = 1.0
        # Half as far, until the loss falls by a part of what its slope promises (Armijo).
        while size > 1e-10 and loss(theta - size * step) > now - 1e-4 * size * decrease:
            size /= 2
        if decrease < 1e-16 or size <= 1e-10:
            break
        theta = theta - size * step
        now = loss(theta)
    return theta[:-1], theta[-1]


def _point(text: str, folder: Path, where: str, read: dict[str, list[LatentRow]]) -> Point:
    """A seed, or a latent of a file. Args: read: files that were read before, by name."""
    shown = f"{where}: {printable(text)[:60]}"
    if text.isascii() and text.isdigit():
        return Point(name=text, source=text, seed=seed_in(text, text=text, key=where))
    match = _LATENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown}: neither a seed nor a file of latents ({', '.join(SUFFIXES)})")
    name = match["file"]
    if ".." in (PurePosixPath(name).parts + PureWindowsPath(name).parts) or _is_absolute(name):
        raise ValueError(f"{shown}: latent files are in the folder of the CSV, or below it")
    if name not in read:
        if not (folder / name).is_file():
            raise ValueError(f"{shown}: there is no such file in {printable(str(folder))}")
        read[name] = read_latents(folder / name)
    rows = read[name]
    if match["number"] is None and len(rows) > 1:
        raise ValueError(
            f"{shown}: the file has {len(rows)} latents; write one a line, as in {printable(name)}[3]"
        )
    if int(match["number"] or 0) >= len(rows):
        raise ValueError(f"{shown}: the file has {len(rows)} latents, numbered 0 to {len(rows) - 1}")
    row = rows[int(match["number"] or 0)]
    return Point(name=text, source=text, z=row.z, w=row.w)


def _is_absolute(text: str) -> bool:
    return text.startswith("~") or PurePosixPath(text).is_absolute() or bool(PureWindowsPath(text).anchor)


def _is_heading(row: Sequence[str]) -> bool:
    return _number(row[-1]) is None and not row[0].strip().isdigit() and "." not in row[0]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
