"""Network track: a video in which the network itself changes, from one to a relative."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from stylegan.latents.blending import Relatives, check_relatives, mean_cosine
from stylegan.latents.cells import Sheet, best_shape
from stylegan.latents.drawer import Drawer
from stylegan.latents.points import Point
from stylegan.latents.style_mixing import drawn, styles_of
from stylegan.machine.console import say
from stylegan.machine.text import printable
from stylegan.media.frames import Frames
from stylegan.networks.digest import weights_sha256
from stylegan.sizes import Size


def open_relative(drawer: Drawer, high: str, *, unrelated: bool = False) -> nn.Module:
    """Another network, on the device of the drawer's, of which it must be a relative; the cosine of both is printed.

    Args:
        high: its name, as the drawer opens it.
        unrelated: also without a common ancestor.
    Raises: ValueError, as of `check_relatives`, or where there is no such network.
    """
    if drawer.open_other is None:
        raise ValueError(f"high={high}: this drawer opens no other networks")
    other = drawer.open_other(high, "high").to(drawer.device)
    try:
        cosine = check_relatives(drawer.generator, other, unrelated=unrelated)
    except ValueError as error:
        raise ValueError(f"high={printable(high)}: {error}") from error
    say(f"cosine of the weights: {cosine:.3f} (1 = the same network, 0 = no common ancestor)")
    return other


def text_of_relatives(low: nn.Module, high: nn.Module) -> dict[str, str]:
    """What a file says of a second network."""
    return {"high": weights_sha256(high), "cosine": f"{mean_cosine(low, high):.4f}"}


def drawer_between(drawer: Drawer, relatives: Relatives) -> Drawer:
    """A drawer like this one, whose network is `relatives.generator`.

    Raises: ValueError for settings that follow from the weights of one network.
    """
    for key in ("canvas", "layer"):
        if key in drawer.text:
            raise ValueError(f"{key}={drawer.text[key]}: it counts for one network, and this one changes")
    if drawer.center.clusters:
        raise ValueError(
            f"center={drawer.text['center']}: clusters are those of one network, and this one changes; take mean, or"
            " a seed"
        )
    return drawer.with_generator(relatives.generator, name=drawer.name, weights=drawer.weights)


class BetweenNetworks:
    """Frames of a video, each drawn by a network of its own.

    Args:
        frames: a video that `drawer` draws.
        drawer: as of `drawer_between`.
        relatives: the two networks.
        weight: number of a frame → how much of the second one is in it, 0 to 1.
    Attributes: count, size, channels: as of `stylegan.media.frames.Frames`.
    """

    def __init__(self, frames: Frames, drawer: Drawer, relatives: Relatives, weight: Callable[[int], float]):
        self._frames, self._drawer, self._relatives, self._weight = frames, drawer, relatives, weight
        self.count, self.size, self.channels = frames.count, frames.size, frames.channels

    def draw(self, first: int, last: int) -> Iterator[Tensor]:
        """The frames `first` to `last` - 1, uint8 [1,C,H,W] each."""
        for frame in range(first, last):
            self._relatives.set_weight(self._weight(frame))
            # A seed that truncation pulls to is another w in each network.
            self._drawer.center.forget()
            yield from self._frames.draw(frame, frame + 1)


class StillFrames:
    """Frames that all show the same points, for a network that changes.

    Args:
        drawer: draws them.
        points: of the cells, row by row in the shape of `best_shape`.
        label: of all points, [K]; None for a network without labels.
        count: of frames.
        fill: colour of spare cells.
    Attributes: count, size, channels: as of `stylegan.media.frames.Frames`.
    """

    def __init__(
        self,
        drawer: Drawer,
        points: Sequence[Point],
        *,
        label: Tensor | None = None,
        count: int,
        fill: str = "white",
    ):
        self._drawer, self._points, self._label = drawer, points, label
        self._sheet = Sheet(*best_shape(len(points)), len(points), fill)
        self.count = count
        self.channels = 3 if drawer.channels > 4 else drawer.channels
        self.size: Size = self._sheet.size(drawer.size)

    def draw(self, first: int, last: int) -> Iterator[Tensor]:
        """The frames `first` to `last` - 1, uint8 [1,C,H,W] each."""
        for _ in range(first, last):
            styles = styles_of(self._drawer, self._points, self._label)
            images = torch.cat(list(drawn(self._drawer, styles)))
            yield self._sheet.frames(images[None])
