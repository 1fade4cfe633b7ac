"""Gradients of one network as one flat vector, Adam under lazy regularisation, and the step that they make."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stylegan.distributed.collectives import sum_over_ranks


class FlatGradients:
    """Makes every parameter's `.grad` a view of one vector.

    So a parameter that the loss does not touch has the gradient 0, not None, and its Adam state moves as in the
    reference; and clearing, repairing and summing over processes are one operation each. A frozen parameter has None,
    and Adam leaves it and its state alone; its place in the vector stays 0.

    Args:
        parameters: of one network.
    Attributes: `frozen`: the ids of those that do not learn now.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]):
        self.parameters = list(parameters)
        self.frozen: frozenset[int] = frozenset()
        like = self.parameters[0]
        self.vector = torch.zeros(
            sum(p.numel() for p in self.parameters), dtype=like.dtype, device=like.device
        )
        self.zero()

    def zero(self) -> None:
        """Sets all gradients to 0, and attaches them to the parameters that learn."""
        self.vector.zero_()
        offset = 0
        for parameter in self.parameters:
            view = self.vector[offset : offset + parameter.numel()].view_as(parameter)
            # Attached again each time: anyone may have set the gradients to None.
            parameter.grad = None if id(parameter) in self.frozen else view
            offset += parameter.numel()

    def repair(self) -> Tensor:
        """NaN → 0, ±inf → ±1e5, as the reference does before every step. Returns: how many, a 0-d tensor."""
        if self.vector.device.type == "cpu" and torch.isfinite(self.vector.sum()):
            # One pass instead of six, where looking at a number costs nothing.
            return torch.zeros((), dtype=torch.int64)
        bad = (~torch.isfinite(self.vector)).sum()
        torch.nan_to_num(self.vector, nan=0.0, posinf=1e5, neginf=-1e5, out=self.vector)
        return bad


def corrected_adam(
    *, lr: float, betas: Sequence[float], interval_iterations: int | None
) -> tuple[float, tuple[float, float]]:
    """Learning rate and betas for an Adam that takes interval + 1 steps in `interval` iterations.

    Args:
        lr: for one step an iteration.
        betas: likewise.
        interval_iterations: of the lazy regulariser; None = there is none, nothing is changed.
    Returns: with c = interval / (interval + 1): lr·c and beta^c.
    Source: Karras et al. 2020 (StyleGAN2), appendix B.
    """
    if interval_iterations is None:
        return lr, (float(betas[0]), float(betas[1]))
    c = interval_iterations / (interval_iterations + 1)
    return lr * c, (float(betas[0]) ** c, float(betas[1]) ** c)


def check_adam(*, generator_lr: float, discriminator_lr: float, betas: Sequence[float], eps: float) -> None:
    """Raises: ValueError, naming the argument, for settings of Adam that are out of range."""
    for name, lr in (("generator_lr", generator_lr), ("discriminator_lr", discriminator_lr)):
        if not 0 < lr < math.inf:
            raise ValueError(f"{name} must be above 0, got {lr}")
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas must be two numbers from 0 to below 1, got {list(betas)}")
    if not eps > 0:
        raise ValueError(f"eps must be above 0, got {eps}")


class AdamSettings(NamedTuple):
    """Of one network's Adam, the correction for lazy regularisation included.

    `lr_factor` is what the correction multiplies a learning rate by.
    """

    lr: float
    betas: tuple[float, float]
    eps: float
    lr_factor: float = 1.0

    @classmethod
    def lazy(
        cls, *, lr: float, betas: Sequence[float], eps: float, interval_iterations: int | None
    ) -> "AdamSettings":
        """As in `corrected_adam`."""
        factor, corrected = corrected_adam(lr=1.0, betas=betas, interval_iterations=interval_iterations)
        return cls(lr * factor, corrected, eps, factor)

    def arguments(self) -> dict[str, Any]:
        """Those of `torch.optim.Adam`."""
        return {"lr": self.lr, "betas": self.betas, "eps": self.eps}


class LearningSteps:
    """Steps of several networks, of which one alone learns at a time.

    Args:
        parameters: of each network, by its name. What learns is decided here: a parameter that is frozen already
            stays so.
        adam: of each network, by its name.
    Attributes: `learning`: the parameters that learn at some time, by network. `optimizers`: by network; empty until
        made.
    """

    def __init__(self, parameters: Mapping[str, Iterable[nn.Parameter]], adam: Mapping[str, AdamSettings]):
        self.learning = {name: [p for p in own if p.requires_grad] for name, own in parameters.items()}
        self.adam = adam
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {}
        self._gradients: dict[str, FlatGradients] = {}
        self._frozen: frozenset[int] = frozenset()
        self._now = self.learning_now()

    def make_optimizers(self) -> list[torch.optim.Optimizer]:
        """An Adam without moments for each network, all parameters in one kernel."""
        self.optimizers = {
            name: torch.optim.Adam(self.learning[name], **adam.arguments(), fused=True)
            for name, adam in self.adam.items()
        }
        return list(self.optimizers.values())

    def attach(self) -> None:
        """Gets ready; to be called once parameters and optimisers are on their device and restored.

        The settings win over those that a checkpoint restored.
        """
        if not self.optimizers:
            self.make_optimizers()
        for name, adam in self.adam.items():
            self.optimizers[name].param_groups[0].update(adam.arguments())
        self._gradients = {name: FlatGradients(learning) for name, learning in self.learning.items()}
        self._hand_over_frozen()

    def set_lr(self, name: str, lr: float) -> None:
        """Sets the learning rate of a network's Adam.  Args: lr: before the correction for lazy regularisation."""
        self.optimizers[name].param_groups[0]["lr"] = lr * self.adam[name].lr_factor

    def freeze(self, parameters: Iterable[nn.Parameter]) -> None:
        """These do not learn from now on, and all others do."""
        frozen = list(parameters)
        self._frozen = frozenset(map(id, frozen))
        for parameter in frozen:
            parameter.requires_grad_(False)
        self._hand_over_frozen()

    def learning_now(self) -> dict[str, list[nn.Parameter]]:
        """The parameters that learn and are not frozen, by network."""
        return {
            name: [parameter for parameter in parameters if id(parameter) not in self._frozen]
            for name, parameters in self.learning.items()
        }

    def _hand_over_frozen(self) -> None:
        self._now = self.learning_now()
        for gradients in self._gradients.values():
            gradients.frozen = self._frozen

    def learns(self, name: str) -> bool:
        """Whether any parameter of a network learns now."""
        return bool(self._now[name])

    @property
    def has_frozen(self) -> bool:
        """Whether some parameters are frozen now."""
        return bool(self._frozen)

    @contextmanager
    def step(self, name: str, report: Callable[[Tensor], None]) -> Iterator[None]:
        """Collects gradients of one network alone inside; at the end sums them over all processes, and steps.

        Args:
            name: the network that learns.
            report: gets the number of gradients that were not finite, a 0-d tensor.
        """
        for other, parameters in self._now.items():
            for parameter in parameters:
                parameter.requires_grad_(other == name)
        gradients = self._gradients[name]
        gradients.zero()
        yield
        sum_over_ranks(gradients.vector)
        report(gradients.repair())
        self.optimizers[name].step()
