"""Search for the latent of a picture: w and noise maps by gradient descent, many pictures at a time."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stylegan.images import to_float
from stylegan.latents.projection.keys import key_of, normal_of
from stylegan.latents.projection.losses import PictureLoss, Target, distance
from stylegan.latents.projection.noise_maps import NoiseMaps, first_maps, normalise, regulariser
from stylegan.latents.projection.schedule import Schedule
from stylegan.machine.devices import full_precision
from stylegan.networks.precision import ResolutionBlock
from stylegan.sizes import Size

SPACES = ("w", "w+")
# Where a group takes no longer than a picture alone; then as many as take about as long on a GPU.
_MOST_IN_GROUP, _PX_OF_ALL = 8, 256


@dataclass(frozen=True)
class Found:
    """The latents of pictures.

    Args:
        ws: [N,L,W]. noise: {layer: [N,1,H,W]}; empty without. loss: [N]. best_step: [N], at which these were.
        path: [T,N,L,W], w at some of the steps and at last the found one; None where it was not asked for.
    """

    ws: Tensor
    noise: NoiseMaps
    loss: Tensor
    best_step: Tensor
    path: Tensor | None = None


def group_size(size: Size) -> int:
    """How many pictures are searched together: 8 up to 32 px, 4 at 64, 1 from 256 px on.

    A function of the size alone: kernels round by the size of a batch, and a picture's result must not depend on how
    many others there are.
    """
    return max(1, min(_MOST_IN_GROUP, _PX_OF_ALL // max(size)))


@contextmanager
def exact(generator: nn.Module) -> Iterator[None]:
    """Inside, a generator computes in the precision of its weights: gradients of half precision would mislead."""
    blocks = [module for module in generator.modules() if isinstance(module, ResolutionBlock)]
    before = [block.compute_dtype for block in blocks]
    try:
        for block in blocks:
            block.compute_dtype = None
        with full_precision(next(generator.parameters()).device):
            yield
    finally:
        for block, dtype in zip(blocks, before, strict=True):
            block.compute_dtype = dtype


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How latents are sought.

    Args:
        space: "w": one entry for all layers, "w+": each layer has its own.
        schedule: steps, rates and weights.
        seed: of the random numbers.
        with_noise: whether noise maps are sought; without, the image has no noise at all.
        group: rows that are computed together, filled up where there are fewer pictures; None = `group_size`.
        record_every: steps between the latents of `Found.path`; None = none.
    Raises: ValueError that names the value.
    """

    space: str = "w"
    schedule: Schedule = Schedule()
    seed: int = 0
    with_noise: bool = True
    group: int | None = None
    record_every: int | None = None

    def __post_init__(self):
        if self.space not in SPACES:
            raise ValueError(f"space must be one of {', '.join(SPACES)}, got {self.space!r}")
        if self.group is not None and self.group < 1:
            raise ValueError(f"batch must be at least 1, got {self.group}")


def search(
    generator: nn.Module,
    targets: Tensor,
    start: Tensor,
    spread: Tensor,
    *,
    loss: PictureLoss,
    settings: SearchSettings | None = None,
    masks: Tensor | None = None,
) -> Found:
    """Finds latents whose images are the targets, at once; all else as of `searching`."""
    steps = searching(generator, targets, start, spread, loss=loss, settings=settings, masks=masks)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def searching(
    generator: nn.Module,
    targets: Tensor,
    start: Tensor,
    spread: Tensor,
    *,
    loss: PictureLoss,
    settings: SearchSettings | None = None,
    masks: Tensor | None = None,
) -> Generator[int, None, Found]:
    """Finds latents whose images are the targets, a step at a time.

    Adam moves w and all noise maps of each picture; losses are summed over the pictures, and every random number is a
    function of the picture's pixels and the seed: what is found does not depend on the pictures beside it. The latents
    of the step with the smallest loss are kept, with the noise that was on w then.

    Args:
        generator: without gradients, on the device that computes.
        targets: uint8 [N,C,H,W].
        start: w of each, [N,L,W]; in space w the mean over its entries counts.
        spread: of w, [N], as of `WStatistics`, for the noise on w.
        masks: float [N,1,H,W] in 0..1, how much each pixel counts.
    Yields: after each step of a group, the number of its pictures; the result comes at the end.
    Source: Karras et al. 2020 (StyleGAN2), appendix D; w+ as of Abdal et al. 2019.
    """
    settings = settings or SearchSettings()
    group = settings.group or group_size(generator.size)
    parts = []
    for first in range(0, len(targets), group):
        count = len(targets[first : first + group])
        # The last row again where a group is not full, so that all have one size.
        picks = torch.tensor([min(first + i, first + count - 1) for i in range(group)])
        run = _Search(
            generator,
            targets[picks],
            start[picks.to(start.device)],
            spread[picks.to(spread.device)],
            None if masks is None else masks[picks],
            loss,
            settings,
        )
        for _ in run.steps():
            yield count
        parts.append(run.found(count))
    return _joined(parts)


class _Search:
    """One group on its way: what moves, the optimiser, and the best of each so far."""

    def __init__(
        self,
        generator: nn.Module,
        targets: Tensor,
        start: Tensor,
        spread: Tensor,
        masks: Tensor | None,
        loss: PictureLoss,
        settings: SearchSettings,
    ):
        self.generator, self.loss, self.settings = generator, loss, settings
        device = next(generator.parameters()).device
        self.keys = [key_of(target) for target in targets]
        masks = None if masks is None else masks.to(device)
        self.target = Target(loss, to_float(targets.to(device)), masks)
        start = start.to(device=device, dtype=torch.float32)
        first = start.mean(1, keepdim=True) if settings.space == "w" else start
        self.w = first.clone().requires_grad_()
        self.spread = spread.to(device=device, dtype=torch.float32)[:, None, None]
        layers = generator.synthesis.noise_layers if settings.with_noise else []
        maps = first_maps(self.keys, layers, settings.seed)
        self.maps = {name: values.to(device).requires_grad_() for name, values in maps.items()}
        self.moving = [self.w, *self.maps.values()]
        self.adam = torch.optim.Adam(self.moving, betas=settings.schedule.betas, foreach=False)
        self.best = torch.full((len(targets),), torch.inf, device=device)
        self.best_step = torch.zeros(len(targets), dtype=torch.long, device=device)
        self.best_w = self.w.detach().clone()
        self.best_maps = {name: values.detach().clone() for name, values in self.maps.items()}
        self.path: list[Tensor] = []

    def steps(self) -> Iterator[int]:
        """Makes all steps; gives the number of each."""
        schedule, record_every = self.settings.schedule, self.settings.record_every
        for step in range(schedule.steps):
            if record_every and step % record_every == 0:
                self.path.append(self._all_entries(self.w.detach()).cpu())
            # Not around the yield: the precision is whoever's turn it is.
            with exact(self.generator):
                off = self._evaluate(step)
                total = off.sum() + schedule.noise_weight * regulariser(self.maps).sum()
                gradients = torch.autograd.grad(total, self.moving)
            for value, gradient in zip(self.moving, gradients, strict=True):
                value.grad = gradient
            self.adam.param_groups[0]["lr"] = schedule.rate_at(step)
            self.adam.step()
            normalise(self.maps)
            yield step
        with torch.no_grad(), exact(self.generator):
            self._evaluate(schedule.steps)
        if record_every:
            self.path.append(self._all_entries(self.best_w).cpu())

    def found(self, count: int) -> Found:
        """The best of the first `count` pictures."""
        path = torch.stack([ws[:count] for ws in self.path]) if self.path else None
        maps = {name: values[:count] for name, values in self.best_maps.items()}
        ws = self._all_entries(self.best_w)[:count]
        return Found(ws, maps, self.best[:count], self.best_step[:count], path)

    def _evaluate(self, step: int) -> Tensor:
        """The losses [N] at a step; the best so far are kept."""
        w = self.w + self._noise_on_w(step)
        mode = "random" if self.maps else "none"
        images = self.generator.synthesis(self._all_entries(w), noise_mode=mode, noise=self.maps or None)
        off = distance(self.loss, images, self.target)
        with torch.no_grad():
            better = off < self.best
            self.best = torch.where(better, off, self.best)
            self.best_step = self.best_step.masked_fill(better, step)
            self.best_w = torch.where(better[:, None, None], w, self.best_w).detach()
            for name, values in self.maps.items():
                kept = self.best_maps[name]
                self.best_maps[name] = torch.where(better[:, None, None, None], values, kept).detach()
        return off

    def _noise_on_w(self, step: int) -> Tensor | float:
        scale = self.settings.schedule.w_noise_at(step)
        if not scale:
            return 0.0
        shape = tuple(self.w.shape[1:])
        noise = torch.stack([normal_of(key, self.settings.seed, "w", step, shape=shape) for key in self.keys])
        return noise.to(self.w.device) * (self.spread * scale)

    def _all_entries(self, w: Tensor) -> Tensor:
        return w.expand(-1, self.generator.num_ws, -1)


def _joined(parts: Sequence[Found]) -> Found:
    paths = [part.path for part in parts if part.path is not None]
    return Found(
        torch.cat([part.ws for part in parts]),
        {name: torch.cat([part.noise[name] for part in parts]) for name in parts[0].noise},
        torch.cat([part.loss for part in parts]),
        torch.cat([part.best_step for part in parts]),
        torch.cat(paths, 1) if paths else None,
    )
