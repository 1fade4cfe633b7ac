"""Random numbers of a training that come from a fixture."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from torch import Tensor

from stylegan.training.draws import Draw, Kind


@dataclass
class RecordedDraws:
    """Takes the place of `KeyedDraws`: gives what a function of (phase, iteration) finds in the file."""

    read: Callable[[str, int], Draw]

    def draw(
        self,
        phase: str,
        iteration: int,
        n: int,
        like: Tensor,
        kinds: Collection[Kind],
        own: Callable[..., None],
    ) -> Draw:
        draw = self.read(phase, iteration)
        tensors = {k: _like(v, like)[:n] for k, v in vars(draw).items() if isinstance(v, Tensor)}
        noise = None if draw.noise is None else {k: _like(v, like)[:n] for k, v in draw.noise.items()}
        rest = {"mixing_cutoff": draw.mixing_cutoff, "augment_fake": draw.augment_fake}
        return Draw(**tensors, noise=noise, augment_real=draw.augment_real, **rest)


def _like(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor.to(like.dtype)
