"""Non-finite guard: weights and losses are checked before they are saved."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from callbacks.control import Place, RunCallback, RunControl, check_every_kimg
from stylegan.distributed.collectives import disagreement, largest_over_ranks
from stylegan.errors import TrainingUnstableError

LOSSES = ("Loss/G/loss", "Loss/D/loss")


class NonFiniteGuard(RunCallback):
    """Checks the weights and losses, and raises TrainingUnstableError where they are not finite, or not the same.

    At every multiple of `every_kimg`, and before each checkpoint, so that none holds such weights: where the
    checkpoint is foreseen, before other callbacks score and draw; in any case right before it is written.
    A loss counts only where it was not finite at two checks in a row: a single bad batch is repaired by itself.
    Of several processes it also sees whether they still have the same weights, EMA and p.

    Args:
        every_kimg: cadence in thousands of images, > 0.
        max_rollbacks: how often a run goes back to its last good checkpoint before it is given up, at least 0.
    Raises: ValueError for values out of range.
    """

    place = Place.GUARD

    def __init__(self, *, every_kimg: float = 4.0, max_rollbacks: int = 3) -> None:
        self.every_kimg = check_every_kimg("every_kimg", every_kimg)
        if max_rollbacks < 0:
            raise ValueError(f"max_rollbacks must be at least 0, got {max_rollbacks}")
        self.max_rollbacks = max_rollbacks
        self._bad_losses = 0

    @property
    def state_key(self) -> str:
        return "TroubleGuard"  # the first name of the class, under which older checkpoints hold its state

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        RunControl.of(trainer).verify_with(self.verify_weights)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        due = module.due(self.every_kimg)
        if due or trainer.should_stop or RunControl.of(trainer).will_save(module):
            self.verify_weights(module)
        if due:
            bad = [name for name in LOSSES if not module.stats.is_finite(name)]
            self._bad_losses = self._bad_losses + 1 if bad else 0
            if self._bad_losses >= 2:
                raise TrainingUnstableError(f"{bad[0]} stays non-finite", max_rollbacks=self.max_rollbacks)

    def verify_weights(self, module: nn.Module) -> None:
        """Raises: TrainingUnstableError where the weights must not be saved.  To be called on all processes."""
        # Those of one process alone stop all: the others would wait for it.
        if largest_over_ranks(int(not all_finite(module))):
            raise TrainingUnstableError("weights are not finite", max_rollbacks=self.max_rollbacks)
        if differ := disagreement(_replicated(module)):
            names = ", ".join(differ[:3]) + (f" and {len(differ) - 3} more" if len(differ) > 3 else "")
            raise TrainingUnstableError(
                f"not the same on all processes: {names}", max_rollbacks=self.max_rollbacks
            )

    def state_dict(self) -> dict[str, int]:
        return {"bad_losses": self._bad_losses}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self._bad_losses = state_dict["bad_losses"]


@torch.no_grad()
def all_finite(module: nn.Module) -> bool:
    """Whether all parameters and buffers are finite."""
    # Floats alone: counts cannot go bad. One number crosses to the host.
    tensors = [tensor for tensor in module.state_dict().values() if tensor.is_floating_point()]
    return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())


def _replicated(module: nn.Module) -> dict[str, torch.Tensor]:
    """What is the same on all processes: everything but the signs since the last move of p."""
    own = {"ada.sign_sum", "ada.sign_count"}
    return {name: tensor for name, tensor in module.state_dict().items() if name not in own}
