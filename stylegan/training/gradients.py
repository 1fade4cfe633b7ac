"""Gradients of one network as one flat vector, the step they make, and Adam under lazy regularisation."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stylegan.distributed.collectives import sum_over_ranks


class FlatGradients:
    """Makes every parameter's `.grad` a view of one vector.

    So a parameter that the loss does not touch has the gradient 0, not None, and its Adam state moves as in the
    reference; and clearing, repairing and summing over processes are one operation each.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]):
        self.parameters = list(parameters)
        like = self.parameters[0]
        self.vector = torch.zeros(
            sum(p.numel() for p in self.parameters), dtype=like.dtype, device=like.device
        )
        self.zero()

    def zero(self) -> None:
        self.vector.zero_()
        offset = 0
        for parameter in self.parameters:
            view = self.vector[offset : offset + parameter.numel()].view_as(parameter)
            # Attached anew each time: anyone may have set the gradients to None.
            parameter.grad = view
            offset += parameter.numel()

    def repair(self) -> Tensor:
        """NaN → 0, ±inf → ±1e5, as the reference does before every step. Returns: how many, a 0-d tensor."""
        if self.vector.device.type == "cpu" and torch.isfinite(self.vector.sum()):
            # One pass instead of six, where looking at a number costs nothing.
            return torch.zeros((), dtype=torch.int64)
        bad = (~torch.isfinite(self.vector)).sum()
        torch.nan_to_num(self.vector, nan=0.0, posinf=1e5, neginf=-1e5, out=self.vector)
        return bad


class LearningSteps:
    """Steps of several players, of which one alone learns at a time.

    Args: players: what learns is decided here; a parameter that is frozen already stays so.
    """

    def __init__(self, players: Sequence[nn.Module]):
        self.learning = {player: [p for p in player.parameters() if p.requires_grad] for player in players}
        self._gradients: dict[nn.Module, FlatGradients] = {}

    def attach(self) -> None:
        """To be called once the parameters are on their device."""
        self._gradients = {player: FlatGradients(learning) for player, learning in self.learning.items()}

    @contextmanager
    def step(
        self, player: nn.Module, optimizer: torch.optim.Optimizer, report: Callable[[Tensor], None]
    ) -> Iterator[None]:
        """Collects gradients of `player` alone inside; at the end sums them over all processes, and steps.

        Args: report: gets the number of gradients that were not finite, a 0-d tensor.
        """
        for other, parameters in self.learning.items():
            for parameter in parameters:
                parameter.requires_grad_(other is player)
        gradients = self._gradients[player]
        gradients.zero()
        yield
        sum_over_ranks(gradients.vector)
        report(gradients.repair())
        optimizer.step()


def corrected_adam(
    *, lr: float, betas: Sequence[float], interval_iterations: int | None
) -> tuple[float, tuple[float, float]]:
    """Learning rate and betas for an Adam that takes interval + 1 steps in `interval` iterations.

    With c = interval / (interval + 1): lr·c and beta^c. None = no lazy regulariser, nothing is changed.
    Source: Karras et al. 2020 (StyleGAN2), appendix B.
    """
    if interval_iterations is None:
        return lr, (float(betas[0]), float(betas[1]))
    c = interval_iterations / (interval_iterations + 1)
    return lr * c, (float(betas[0]) ** c, float(betas[1]) ** c)


def lazy_adam(
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    betas: Sequence[float],
    eps: float,
    interval_iterations: int | None,
) -> torch.optim.Adam:
    """Adam with the correction above, all parameters in one kernel."""
    lr, betas = corrected_adam(lr=lr, betas=betas, interval_iterations=interval_iterations)
    return torch.optim.Adam(parameters, lr=lr, betas=betas, eps=eps, fused=True)
