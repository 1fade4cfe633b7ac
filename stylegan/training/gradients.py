"""The gradients of one player as one flat vector."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class FlatGradients:
    """Makes every parameter's `.grad` a view of one vector.

    So a parameter that the loss does not touch has the gradient 0, not None, and its Adam state moves as in the
    reference; and clearing, repairing and (later) summing over ranks are one operation each.
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
        bad = (~torch.isfinite(self.vector)).sum()
        torch.nan_to_num(self.vector, nan=0.0, posinf=1e5, neginf=-1e5, out=self.vector)
        return bad
