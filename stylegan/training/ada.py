"""Adaptive discriminator augmentation (ADA): the controller of the augmentation's probability p."""

import torch
from torch import Tensor, nn

from stylegan.distributed.collectives import sum_over_ranks

MODES = ("adaptive", "fixed", "none")


class AdaController(nn.Module):
    """Owns p, the probability of each augmentation.

    r_t, the mean sign of the discriminator's real logits, shows overfitting. Above `target` p rises, below it
    falls. `target` is a value of r_t, not of p; the ceiling of p is `p_max`.

    Args:
        mode: "adaptive"; "fixed": p stays at p_init; "none": no augmentation.
        target: of r_t, −1..1.
        kimg: thousands of images in which p can go from 0 to 1.
        interval_iterations: iterations from one move of p to the next.
        p_init: start, 0..1.
        p_max: ceiling; None = none.
    Buffers: `p`; `sign_sum` and `sign_count`, since the last move; `sign_mean`, r_t at the last move.
    Raises: ValueError for values out of range.
    Source: Karras et al. 2020 (ADA), section 3.1.
    """

    p: Tensor
    sign_sum: Tensor
    sign_count: Tensor
    sign_mean: Tensor

    def __init__(
        self,
        *,
        mode: str = "adaptive",
        target: float = 0.6,
        kimg: float = 500,
        interval_iterations: int = 4,
        p_init: float = 0.0,
        p_max: float | None = 1.0,
    ):
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
        if not -1 <= target <= 1:
            raise ValueError(f"target must be a mean of signs, from -1 to 1, got {target}")
        if kimg <= 0:
            raise ValueError(f"kimg must be above 0, got {kimg}")
        if interval_iterations < 1:
            raise ValueError(f"interval_iterations must be at least 1, got {interval_iterations}")
        if not 0 <= p_init <= 1:
            raise ValueError(f"p_init must be from 0 to 1, got {p_init}")
        if p_max is not None and p_max < p_init:
            raise ValueError(f"p_max must be at least p_init, {p_init}, or null for no ceiling, got {p_max}")
        self.mode, self.target, self.kimg, self.p_max = mode, target, kimg, p_max
        self.interval_iterations, self.p_init = interval_iterations, p_init
        self.register_buffer("p", torch.tensor(float(p_init)))
        self.register_buffer("sign_sum", torch.zeros([]))
        self.register_buffer("sign_count", torch.zeros([]))
        self.register_buffer("sign_mean", torch.zeros([]))
        self.apply_mode()

    @torch.no_grad()
    def apply_mode(self) -> None:
        """Sets a p that does not adapt to the value of its mode, not to what a checkpoint restored."""
        if self.mode != "adaptive":
            self.p.fill_(0.0 if self.mode == "none" else self.p_init)

    @torch.no_grad()
    def fix(self, p: float, pipe: nn.Module | None) -> None:
        """Sets p, of mode "fixed", here and in the augmentation, whose host knows it then without asking the device."""
        self.p.fill_(p)
        if pipe is not None:
            pipe.p = p

    @torch.no_grad()
    def update(self, signs: Tensor) -> None:
        """Adds the signs, any shape, of one pass over real images."""
        self.sign_sum += signs.sum().to(self.sign_sum)
        self.sign_count += signs.numel()

    @torch.no_grad()
    def adjust(self, batch_size: int) -> None:
        """Moves p by one step, from all that was reported since the last move, on all processes.

        The step is batch_size·interval/(1000·kimg). Where nothing was reported the previous mean counts.
        """
        sums = self.pending()
        # Decided on the device: no host waits for it.
        mean = torch.where(sums[1] > 0, sums[0] / sums[1].clamp_min(1), self.sign_mean)
        self.sign_mean.copy_(mean)
        self.sign_sum.zero_()
        self.sign_count.zero_()
        if self.mode == "adaptive":
            step = batch_size * self.interval_iterations / (1000 * self.kimg)
            self.p.add_(torch.sign(mean - self.target) * step).clamp_(min=0, max=self.p_max)

    def hand_over(self, pipe: nn.Module | None) -> None:
        """Gives p as it is now to the augmentation; None = there is none.

        Called where p may have moved, not at each iteration: random numbers are made on the host, and to see there
        a p that was written on a GPU is to wait for it.
        """
        if pipe is not None:
            pipe.p = self.p

    @torch.no_grad()
    def pending(self) -> Tensor:
        """[2]: sum and count of the signs since the last move, of all processes."""
        return sum_over_ranks(torch.stack([self.sign_sum, self.sign_count]))
