"""Distances of pictures that a projection makes small: LPIPS, ST-LPIPS, or a multi-scale distance that needs no file.

Each is the squared Euclidean distance of two embeddings, so that a target is embedded once for all steps.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan.features.registry import open_detector
from stylegan.features.stlpips import STLPIPS_FILE, StLpips
from stylegan.features.vgg import LPIPS_FILE, VGG16_FILE
from stylegan.features.weights import find_weights, read_weights
from stylegan.sizes import Size

LOSSES = ("auto", "lpips", "stlpips", "multiscale")
# Networks trained on photographs of 224 px see nothing of what a small picture shows.
_SMALLEST_FOR_NETWORKS_PX = 64
# Below it the networks see nothing at all.
_SMALLEST_PX = 32
# As published: larger pictures are averaged down to it.
_LARGEST_PX = 256
_SMALLEST_LEVEL_PX = 4
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


class PictureLoss(Protocol):
    """A distance of pictures.

    Attributes:
        name: for tables and provenance.
        tuned_at: the distance at which a generator counts as tuned to a picture.
    """

    name: str
    tuned_at: float

    def embedding(self, images: Tensor) -> Tensor:
        """float32 [N,C,H,W] in [-1, 1] → [N,E], differentiable; squared distances of rows are those of pictures."""
        ...


def distance(loss: PictureLoss, images: Tensor, target: "Target") -> Tensor:
    """How far images [N,C,H,W] are from their targets → [N], as they are seen."""
    return (loss.embedding(target.as_seen(images)) - target.embedded).square().sum(1)


class Target:
    """Pictures to be found, with what is computed of them once.

    Args:
        images: float32 [N,C,H,W] in [-1, 1].
        masks: [N,1,H,W] in 0..1, how much each pixel counts; None = all alike.
    """

    def __init__(self, loss: PictureLoss, images: Tensor, masks: Tensor | None = None):
        self.images, self.masks = images, masks
        with torch.no_grad():
            self.embedded = loss.embedding(images)

    def as_seen(self, images: Tensor) -> Tensor:
        """Images as a file shows them, which has no colours beyond white and black, with what the masks leave out taken
        from the target. Colours beyond keep a gradient that leads back, unless they are seen as the target's."""
        wanted = self.images
        seen = images.clamp(-1, 1)
        # `clamp` alone would leave colours beyond without a gradient.
        images = torch.where(seen == wanted, seen, images + (seen - images).detach())
        return images if self.masks is None else wanted + self.masks * (images - wanted)


class MultiScale:
    """Pixels and their differences over a Gaussian pyramid, without weights of any kind.

    With pixels in 0..1, the mean over all levels of: the mean squared error, and the mean squared error of the
    differences between neighbours, across and down, each. Levels halve after a binomial filter of 5 taps, as long as a
    side is longer than 4 px. Transparency: colours count as on white, and alpha as one more channel.

    Source: the pyramid is that of Burt and Adelson 1983; differences of neighbours as of Mathieu et al. 2016, eq. 6.
    """

    name = "multiscale"
    tuned_at = 0.001

    def embedding(self, images: Tensor) -> Tensor:
        """As of `PictureLoss`."""
        level = _on_white(images) / 2
        levels = [level]
        while min(level.shape[2:]) > _SMALLEST_LEVEL_PX:
            level = _halved(level)
            levels.append(level)
        parts = []
        for level in levels:
            for values in (level, level.diff(dim=2), level.diff(dim=3)):
                parts.append(values.flatten(1) / (values[0].numel() * len(levels)) ** 0.5)
        return torch.cat(parts, 1)


class NetworkLoss:
    """A perceptual distance by a network that sees RGB of at most 256 px.

    Channels that it does not see, alpha and those beyond the third, count by their mean squared error in 0..1.

    Args: embed: float32 [N,C,H,W] in [-1, 1] → [N,E].
    """

    # Roich et al. 2021 (pivotal tuning) stop there, by LPIPS.
    tuned_at = 0.06

    def __init__(self, name: str, embed: Callable[[Tensor], Tensor]):
        self.name, self._embed = name, embed

    def embedding(self, images: Tensor) -> Tensor:
        """As of `PictureLoss`."""
        channels = images.shape[1]
        unseen = images[:, -1:] if channels in (2, 4) else images[:, 3:]
        seen = self._embed(_shrunk(images))
        if not unseen.shape[1]:
            return seen
        rest = (_shrunk(unseen) / 2).flatten(1)
        return torch.cat([seen, rest / rest.shape[1] ** 0.5], 1)


def open_loss(
    name: str = "auto", *, path: str | Path | None = None, size: Size, device: torch.device | str = "cpu"
) -> PictureLoss:
    """The distance of that name.

    Args:
        name: "lpips", "stlpips", "multiscale", or "auto": the first of them whose weights are on this machine, and
          multiscale for pictures below 64 px. Nothing is downloaded.
        path: the file of weights, or its folder; None = looked for where it usually is.
        size: (height, width) of the pictures in px.
    Raises: ValueError, of one line, for an unknown name, or weights that are missing or wrong.
    """
    if name not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {name!r}")
    if path is not None and name in ("auto", "multiscale"):
        raise ValueError(
            f"loss_path is given, and loss={name} reads no file of that name: set loss=lpips or stlpips"
        )
    if name == "auto":
        name = _best_there(size)
    if name == "multiscale":
        return MultiScale()
    if min(size) < _SMALLEST_PX:
        raise ValueError(
            f"loss={name} needs pictures of at least {_SMALLEST_PX} px, got {min(size)}: set loss=multiscale"
        )
    if name == "lpips":
        detector = open_detector("lpips-vgg16", path=path, device=device)
        return NetworkLoss(detector.name, detector.embedding)
    network = StLpips(read_weights(_stlpips_file(path), STLPIPS_FILE)).to(device)
    return NetworkLoss(network.name, network.embedding)


def _best_there(size: Size) -> str:
    if min(size) < _SMALLEST_FOR_NETWORKS_PX:
        return "multiscale"
    if _is_there(lambda: [find_weights(file) for file in (LPIPS_FILE, VGG16_FILE)]):
        return "lpips"
    return "stlpips" if _is_there(lambda: _stlpips_file(None)) else "multiscale"


def _is_there(find: Callable[[], object]) -> bool:
    try:
        find()
    except ValueError:
        return False
    return True


def _stlpips_file(path: str | Path | None) -> Path:
    """In the package where it is installed, which is not imported: it has needs of its own."""
    if path is None and (spec := importlib.util.find_spec("stlpips_pytorch")):
        for folder in spec.submodule_search_locations or ():
            file = Path(folder) / "weights" / "vST0.0" / STLPIPS_FILE.name
            if file.is_file():
                return file
    return find_weights(STLPIPS_FILE, path=path)


def _shrunk(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    if max(height, width) <= _LARGEST_PX:
        return images
    scale = _LARGEST_PX / max(height, width)
    return F.interpolate(
        images,
        (max(_SMALLEST_PX, round(height * scale)), max(_SMALLEST_PX, round(width * scale))),
        mode="area",
    )


def _on_white(images: Tensor) -> Tensor:
    """Images in [-1, 1] of 2 or 4 channels with their colours on white, and alpha as it is; others as they are."""
    if images.shape[1] not in (2, 4):
        return images
    alpha = (images[:, -1:] + 1) / 2
    return torch.cat([images[:, :-1] * alpha + (1 - alpha), images[:, -1:]], 1)


def _halved(images: Tensor) -> Tensor:
    """One level up in the pyramid: filtered, the border mirrored, and every second pixel of every second row."""
    taps = torch.tensor(_BINOMIAL, device=images.device, dtype=images.dtype)
    channels = images.shape[1]
    padded = F.pad(images, (2, 2, 2, 2), mode="reflect")
    kernel = (taps[:, None] * taps).expand(channels, 1, 5, 5)
    return F.conv2d(padded, kernel, stride=2, groups=channels)
