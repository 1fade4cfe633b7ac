"""Network track: a video in which the network itself changes, from one to a relative."""

from collections.abc import Callable, Iterator

from torch import Tensor

from stylegan.latents.blending import Relatives
from stylegan.latents.drawer import Drawer
from stylegan.machine.console import say
from stylegan.media.frames import Frames
from stylegan.networks.digest import weights_sha256


def with_relative(drawer: Drawer, high: str, *, unrelated: bool = False) -> tuple[Drawer, Relatives]:
    """A drawer like this one, of a network that can be set to anything between the drawer's and `high`.

    Args:
        high: name of the other network, as the drawer opens it.
        unrelated: also without a common ancestor.
    Returns: the drawer, whose images say which the two networks are, and the networks.
    Raises: ValueError, as of `check_relatives`, or where there is no such network.
    """
    if drawer.open_other is None:
        raise ValueError(f"high={high}: this drawer opens no other networks")
    other = drawer.open_other(high, "high").to(drawer.device)
    relatives = Relatives(drawer.generator, other, unrelated=unrelated)
    say(f"cosine of the weights: {relatives.cosine:.3f} (1 = the same network, 0 = no common ancestor)")
    both = drawer.with_generator(relatives.generator, name=drawer.name, weights=drawer.weights)
    both.text |= {"high": weights_sha256(other), "cosine": f"{relatives.cosine:.4f}"}
    return both, relatives


class BetweenNetworks:
    """Frames of a video, each drawn by a network of its own.

    Args:
        frames: drawn by `relatives.generator`.
        relatives: the two networks.
        weight: number of a frame → how much of the second one is in it, 0 to 1.
    Attributes: count, size, channels: as of `stylegan.media.frames.Frames`.
    """

    def __init__(self, frames: Frames, relatives: Relatives, weight: Callable[[int], float]):
        self._frames, self._relatives, self._weight = frames, relatives, weight
        self.count, self.size, self.channels = frames.count, frames.size, frames.channels

    def draw(self, first: int, last: int) -> Iterator[Tensor]:
        """The frames `first` to `last` - 1, uint8 [1,C,H,W] each."""
        for frame in range(first, last):
            self._relatives.set_weight(self._weight(frame))
            yield from self._frames.draw(frame, frame + 1)
