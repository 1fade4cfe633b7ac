"""Detectors: what frozen networks for metrics have in common: images in, numbers out, and words for what was done."""

from abc import ABC, abstractmethod
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan.images import on_white, visible
from stylegan.machine.devices import full_precision


class Detector(ABC):
    """A frozen network that turns images into features. Not a module: no checkpoint and no wrapper sees it.

    Channels: 1 is repeated to 3; 2 and 4 are composited on white; of more than 4 the first 3 count, as RGB.

    Attributes:
        name: as in `open_detector`. checksum: SHA-256 of the weights, in hexadecimal digits.
        resize: words for what is done to the size of an image. num_features: F.
        published: whether the weights have the digits that are known of the publisher's.
    """

    name: str
    checksum: str
    resize: str
    num_features: int
    published: bool = False

    def __init__(self, network: nn.Module):
        self.network = network.eval().requires_grad_(False)
        self.device = torch.device("cpu")

    def to(self, device: torch.device | str) -> Self:
        """Moves the network. Returns: itself."""
        self.network.to(device)
        self.device = next(self.network.parameters()).device
        return self

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """uint8 [N,C,H,W], on any device → float32 [N,F] on the detector's device, each row from its image alone.

        Raises: ValueError for anything but such images.
        """
        rgb = rgb_pixels(images).to(self.device)
        if not len(rgb):
            return torch.empty(0, self.num_features, device=self.device)
        with full_precision(self.device):
            return self._features(rgb).to(torch.float32)

    def protocol(self) -> dict[str, str]:
        """What has to stand next to a number for it to be compared with another one."""
        return {"detector": self.name, "detector_checksum": self.checksum, "resize": self.resize}

    @abstractmethod
    def _features(self, images: Tensor) -> Tensor:
        """uint8 [N,3,H,W] → [N,F]."""


class HasProbabilities(ABC):
    """A detector that also names what it sees."""

    @abstractmethod
    def features_and_probabilities(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N,C,H,W] → float32 [N,F] and [N,K], rows of the sum 1, on the detector's device; in one pass."""

    def probabilities(self, images: Tensor) -> Tensor:
        """The second of `features_and_probabilities`."""
        return self.features_and_probabilities(images)[1]


class HasEmbedding(ABC):
    """A detector that also knows how far apart two images look."""

    @abstractmethod
    def embedding(self, images: Tensor) -> Tensor:
        """float32 [N,C,H,W] in [-1, 1] → float32 [N,E]: the squared Euclidean distance of two rows is the perceptual
        distance of the images. Differentiable with respect to them."""


def rgb_pixels(images: Tensor) -> Tensor:
    """uint8 [N,C,H,W] → uint8 [N,3,H,W]; see `Detector`. Raises: ValueError for another dtype or shape."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] < 1:
        raise ValueError(
            f"a detector takes uint8 [N,C,H,W], got {images.dtype} {list(images.shape)}; convert floats with to_uint8"
        )
    images = on_white(visible(images))
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def rgb_floats(images: Tensor) -> Tensor:
    """float32 [N,C,H,W] in [-1, 1] → float32 [N,3,H,W]; see `Detector`.

    Raises: ValueError for another dtype or shape.
    """
    if images.dtype != torch.float32 or images.ndim != 4 or images.shape[1] < 1:
        raise ValueError(
            f"an embedding takes float32 [N,C,H,W] in [-1, 1], got {images.dtype} {list(images.shape)}; "
            f"convert pixels with to_float"
        )
    images = visible(images)
    if images.shape[1] in (2, 4):
        alpha = (images[:, -1:] + 1) / 2
        images = images[:, :-1] * alpha + (1 - alpha)  # white is 1
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def tf1_bilinear(images: Tensor, size: int) -> Tensor:
    """float32 [N,C,H,W] → [N,C,size,size] by linear interpolation of pixels, as TensorFlow 1 did by default.

    Pixel i of the result is taken at i·H/size: the corners of both lie on each other at the top left only. Nothing
    is averaged, so a smaller image has aliasing. Published numbers of Inception rest on both.
    """
    above, below, down = _neighbours(images.shape[2], size, images.device)
    left, right, across = _neighbours(images.shape[3], size, images.device)
    upper, lower = images[:, :, above], images[:, :, below]
    upper = upper[..., left] + (upper[..., right] - upper[..., left]) * across
    lower = lower[..., left] + (lower[..., right] - lower[..., left]) * across
    return upper + (lower - upper) * down[:, None]


def bicubic(images: Tensor, size: int) -> Tensor:
    """float32 [N,C,H,W] in 0..255 → [N,C,size,size] by an antialiased cubic filter; overshoots are cut off."""
    return F.interpolate(images, (size, size), mode="bicubic", antialias=True).clamp(0, 255)


def _neighbours(old: int, new: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each new place: the pixel before it, the pixel after it, and how far it is between the two, in 0..1."""
    places = torch.arange(new, dtype=torch.float32, device=device) * torch.tensor(
        old / new, dtype=torch.float32
    )
    before = places.long()
    return before, (before + 1).clamp_max(old - 1), places - before.float()
