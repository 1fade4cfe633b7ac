"""Where a search starts: the mean, the best of some seeds, a latent; and the label of a picture, given or found."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from stylegan.images import to_float
from stylegan.latents.drawer import Drawer
from stylegan.latents.points import Point, parse_points, short_text
from stylegan.latents.projection.losses import PictureLoss, Target, distance
from stylegan.latents.projection.schedule import Schedule
from stylegan.latents.projection.search import SearchSettings, exact, search
from stylegan.latents.projection.statistics import WStatistics, w_statistics
from stylegan.latents.seeds import latents_of
from stylegan.machine.text import printable

# As a label: found by the search itself.
FIND = "find"
_BEST_OF = re.compile(r"best\s+of\s+(\d{1,5})", re.ASCII | re.IGNORECASE)
# Of the steps of a search: trying a label, and finding one.
_PART_OF_TRIAL, _PART_OF_FINDING = 10, 4
_SEEDS_A_CLASS = 8


@dataclass(frozen=True)
class Start:
    """Args: best_of: so many seeds are drawn, and the nearest counts; 0 = none. points: latents; empty = the mean."""

    best_of: int = 0
    points: tuple[Point, ...] = ()

    @property
    def text(self) -> str:
        """For provenance; of latents of files with a digest."""
        if self.points:
            return short_text(self.points)
        return f"best of {self.best_of}" if self.best_of else "mean"


def parse_start(text: str | int | None) -> Start:
    """`mean`, `best of 64`, a seed or a latent file.  Raises: ValueError that names the value and the choices."""
    words = "mean" if text is None else str(text).strip()
    if words.lower() == "mean":
        return Start()
    if match := _BEST_OF.fullmatch(words):
        if int(match[1]) < 1:
            raise ValueError(f"start={words}: at least 1, as in start='best of 64'")
        return Start(best_of=int(match[1]))
    try:
        return Start(points=parse_points(words, key="start"))
    except ValueError as error:
        raise ValueError(f"{error}; or write mean, or 'best of 64'") from error


class Starts:
    """Labels, statistics of w and first latents of pictures.

    Args: loss: that is made small. settings: of the search; trying a label and finding one take parts of its steps.
    """

    def __init__(self, drawer: Drawer, start: Start, *, loss: PictureLoss, settings: SearchSettings):
        self.drawer, self.start, self.loss, self.settings = drawer, start, loss, settings
        self._statistics: dict[bytes, WStatistics] = {}

    def statistics(self, label: Tensor | None) -> WStatistics:
        """Of w, under a label [K]; computed once for each."""
        key = b"" if label is None else label.cpu().numpy().tobytes()
        if key not in self._statistics:
            self._statistics[key] = w_statistics(self.drawer.generator, label)
        return self._statistics[key]

    def check(self, text: str | float | None) -> None:
        """Raises: ValueError where the network has no such label, as of `Drawer.labels`."""
        if not self._is_find(text):
            self.drawer.labels(text)

    def labels(
        self, text: str | float | None, targets: Tensor, masks: Tensor | None
    ) -> list[tuple[str, Tensor | None]]:
        """Name and label of each picture: given, `all` = each is tried, `find` = any mixture of classes.

        Args: targets: uint8 [N,C,H,W]. masks: [N,1,H,W] in 0..1, or None.
        Raises: ValueError, as of `Drawer.label`.
        """
        if self._is_find(text):
            return [(_mixture(label, self.drawer), label) for label in self._found_labels(targets, masks)]
        choices = self.drawer.labels(text)
        if len(choices) == 1:
            return choices * len(targets)
        tried = torch.stack([self._trial(label, targets, masks) for _, label in choices])
        return [choices[place] for place in tried.argmin(0).tolist()]

    def first_ws(
        self, targets: Tensor, labels: Sequence[Tensor | None], masks: Tensor | None, places: range
    ) -> Tensor:
        """Where the search of each picture starts, [N,L,W].

        Args: places: the numbers of the pictures among all, for latents that are given one for each.
        """
        count = self.drawer.generator.num_ws
        if not self.start.best_of and not self.start.points:
            return torch.stack([self.statistics(label).mean.expand(count, -1) for label in labels])
        rows = []
        for row, (label, place) in enumerate(zip(labels, places, strict=True)):
            if self.start.points:
                several = len(self.start.points) > 1
                point = self.start.points[place % len(self.start.points) if several else 0]
                rows.append(self.drawer.raw_ws([point], label)[0])
            else:
                mask = None if masks is None else masks[row : row + 1]
                seeds = range(self.start.best_of)
                rows.append(self._nearest(seeds, label, targets[row : row + 1], mask)[0])
        return torch.stack(rows)

    def _is_find(self, text: str | float | None) -> bool:
        generator = self.drawer.generator
        return generator.c_dim > 1 and str(text).strip().lower() == FIND and FIND not in generator.label_names

    def _nearest(
        self, seeds: Sequence[int], label: Tensor | None, target: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, int]:
        """Of one picture [1,C,H,W]: w [L,W] of the nearest seed's image, its distance, and the seed."""
        device = self.drawer.device
        mask = None if mask is None else mask.to(device)
        wanted = Target(self.loss, to_float(target.to(device)), mask)
        best: tuple[Tensor, Tensor, int] | None = None
        sampler = self.drawer.sampler
        for first in range(0, len(seeds), sampler.chunk):
            some = list(seeds[first : first + sampler.chunk])
            z = latents_of(some, self.drawer.generator.z_dim)
            ws = sampler.map(z, None if label is None else label.expand(len(some), -1))
            off = torch.cat([distance(self.loss, image[None], wanted) for image in sampler.draw(ws)])
            place = int(off.argmin())
            if best is None or off[place] < best[1]:
                best = ws[place], off[place], some[place]
        assert best is not None
        return best

    def _trial(self, label: Tensor | None, targets: Tensor, masks: Tensor | None) -> Tensor:
        """The distances [N] that a short search under a label reaches."""
        labels = [label] * len(targets)
        schedule = Schedule(steps=max(1, self.settings.schedule.steps // _PART_OF_TRIAL))
        found = search(
            self.drawer.generator,
            targets,
            self.first_ws(targets, labels, masks, range(len(targets))),
            torch.full((len(targets),), self.statistics(label).spread),
            loss=self.loss,
            settings=replace(
                self.settings, space="w", schedule=schedule, with_noise=False, record_every=None
            ),
            masks=masks,
        )
        return found.loss

    def _found_labels(self, targets: Tensor, masks: Tensor | None) -> list[Tensor]:
        found = []
        for row in range(len(targets)):
            mask = None if masks is None else masks[row : row + 1]
            nearest = [
                self._nearest(range(_SEEDS_A_CLASS), label, targets[row : row + 1], mask)
                for label in torch.eye(self.drawer.generator.c_dim)
            ]
            off = torch.stack([distance for _, distance, _ in nearest])
            found.append(
                find_label(
                    self.drawer.generator,
                    targets[row],
                    self.loss,
                    off,
                    steps=max(1, self.settings.schedule.steps // _PART_OF_FINDING),
                    seed=nearest[int(off.argmin())][2],
                    mask=mask,
                )
            )
        return found


def find_label(
    generator: nn.Module,
    target: Tensor,
    loss: PictureLoss,
    class_distances: Tensor,
    *,
    steps: int,
    seed: int,
    mask: Tensor | None = None,
) -> Tensor:
    """The mixture of classes under which a picture is drawn best, float32 [K] on the CPU, of sum 1.

    z and the label, a point of the simplex by a softmax, are sought together.

    Args:
        target: uint8 [C,H,W]. mask: [1,1,H,W] in 0..1, or None.
        class_distances: [K], of the nearest image of each class: where the search starts.
        seed: whose z it starts from.
    """
    device = next(generator.parameters()).device
    schedule = Schedule(steps=steps)
    z = latents_of([seed], generator.z_dim).to(device).requires_grad_()
    off = class_distances.to(device=device, dtype=torch.float32)
    logits = (-(off - off.mean()) / off.std().clamp_min(1e-12))[None].requires_grad_()
    wanted = Target(loss, to_float(target.to(device)[None]), None if mask is None else mask.to(device))
    adam = torch.optim.Adam([z, logits], betas=schedule.betas, foreach=False)
    best, label = torch.inf, logits.detach().softmax(1)
    with exact(generator):
        for step in range(steps):
            current = logits.softmax(1)
            ws = generator.mapping(z, current, track_average=False)
            now = distance(loss, generator.synthesis(ws), wanted).sum()
            if (off := float(now.detach())) < best:
                best, label = off, current.detach()
            z.grad, logits.grad = torch.autograd.grad(now, [z, logits])
            adam.param_groups[0]["lr"] = schedule.rate_at(step)
            adam.step()
    return label[0].cpu()


def _mixture(label: Tensor, drawer: Drawer, most: int = 3) -> str:
    """`0.71*fox+0.2*dog+0.09*cat`, the largest parts of a label."""
    names = drawer.generator.label_names or [str(number) for number in range(len(label))]
    parts = sorted(range(len(label)), key=lambda number: -float(label[number]))[:most]
    return "+".join(f"{float(label[number]):.2g}*{printable(names[number])}" for number in parts)
