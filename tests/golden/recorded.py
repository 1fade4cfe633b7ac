"""A training module whose random numbers come from a fixture, and that steps without a Trainer."""

from dataclasses import dataclass

from torch import Tensor

from stylegan.training import StyleGAN2ADA
from stylegan.training.draws import Draw


@dataclass
class RecordedDraws:
    """Stands in for `KeyedDraws`: hands out what a function of (phase, iteration) finds in the file."""

    read: callable

    def phase(self, phase: str, iteration: int, n: int, like: Tensor) -> Draw:
        draw = self.read(phase, iteration)
        tensors = {k: _like(v, like)[:n] for k, v in vars(draw).items() if isinstance(v, Tensor)}
        noise = None if draw.noise is None else {k: _like(v, like)[:n] for k, v in draw.noise.items()}
        rest = {"mixing_cutoff": draw.mixing_cutoff, "augment_fake": draw.augment_fake}
        return Draw(**tensors, noise=noise, augment_real=draw.augment_real, **rest)


def _like(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor.to(like.dtype)


class StandaloneModule(StyleGAN2ADA):
    """Backward and optimisers without Lightning's Trainer; the phases themselves are untouched."""

    class _Trainer:
        should_stop = False

    @property
    def trainer(self):
        return self._Trainer()

    def prepare(self, draws: RecordedDraws) -> "StandaloneModule":
        self.draws = draws
        self._optimizers = self.configure_optimizers()
        self.on_train_start()
        return self

    def optimizers(self):
        return self._optimizers

    def manual_backward(self, loss, *args, **kwargs):
        loss.backward()


class FrozenModule(StandaloneModule):
    """Leaves the weights as they are, so that the gradients of one phase can be read."""

    class _NoStep:
        param_groups = ({},)

        def step(self):
            pass

    def optimizers(self):
        return self._NoStep(), self._NoStep()
