"""Evidence: what a report is made from. Images, their features, walks and logits; nothing here knows of a generator."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from stylegan.report.provenance import PROVENANCES, Provenance
from stylegan.similarity.duplicates import first_of_equals
from stylegan.similarity.thumbnails import LARGEST_SIDE_PX, as_seen, shrunk, thumbnails

# Images that are read at a time.
_BLOCK = 64


class Detector(Protocol):
    """A feature detector: `stylegan.features.open_detector` gives one, any other will do."""

    name: str

    def features(self, images: Tensor) -> Tensor:
        """uint8 [N,C,H,W] → float32 [N,F]."""
        ...


@dataclass(frozen=True)
class ReportImages:
    """N images as a report holds them.

    Args:
        thumbnails: uint8 [N,c,h,w], of at most 32 px a side.
        full: index → uint8 [C,H,W], to be shown.
        features: float32 [N,F]; None = the report does without.
        names: of their files; None = they have none.
    """

    thumbnails: Tensor
    full: Callable[[int], Tensor]
    features: Tensor | None = None
    names: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.thumbnails)

    def only(self, indices: Tensor) -> "ReportImages":
        """A choice of the images, in the order of indices, int64 [n]."""
        chosen = indices.tolist()
        return ReportImages(
            thumbnails=self.thumbnails[indices],
            full=lambda place: self.full(chosen[place]),
            features=None if self.features is None else self.features[indices],
            names=None if self.names is None else [self.names[index] for index in chosen],
        )


def report_images(
    images: Tensor | Sequence[Tensor], detector: Detector | None = None, names: Sequence[str] | None = None
) -> ReportImages:
    """Reads images in blocks; only thumbnails and features stay in memory, images are read again to be shown.

    Args:
        images: uint8 [N,C,H,W], or any sequence of uint8 [C,H,W], such as a data set's images.
        detector: for features; None = the report does without.
        names: of the images' files, for findings about single ones; None = they have none.
    Raises: ValueError for no images, another dtype, or features of another number of rows.
    """
    if detector is None:
        return ReportImages(thumbnails(images), images.__getitem__, names=names)
    if not len(images):
        raise ValueError("images must be at least one, got none")
    small, features = [], []
    for first in range(0, len(images), _BLOCK):
        block = torch.stack([images[index] for index in range(first, min(first + _BLOCK, len(images)))])
        small.append(shrunk(torch.stack([as_seen(image) for image in block]), LARGEST_SIDE_PX))
        features.append(detector.features(block).to("cpu", torch.float32))
        if features[-1].ndim != 2 or len(features[-1]) != len(block):
            raise ValueError(
                f"detector must give one row of features an image, and {detector.name} gave"
                f" {list(features[-1].shape)} for {len(block)} images"
            )
    return ReportImages(torch.cat(small), images.__getitem__, torch.cat(features), names)


@dataclass(frozen=True)
class Logits:
    """Logits of the discriminator, one an image.

    Args:
        training: float [n], of images that it learned from.
        held_out: float [m], of images that it did not learn from.
        fakes: float [k].
    """

    training: Tensor
    held_out: Tensor
    fakes: Tensor


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that a report looks at. What is None is not looked at, and the report says how to get it.

    Args:
        real: the images that the network learned from.
        fake: images of the generator.
        held_out: images that were held out of training.
        strips: uint8 [P,T,C,H,W], P walks between latents of T steps each.
        logits: of the discriminator.
        xflip: whether training also saw the mirror image of every image (`data.xflip`).
        provenance: whether `real` are the images that the network learned from.
        truncation: psi of the fakes; None = unknown.
        augment_p: the largest probability that training augmented with; None = unknown.
        about: how all this was made, for the head of the report.
    Raises: ValueError for an unknown provenance, or images of another shape than the real ones.
    """

    real: ReportImages
    fake: ReportImages
    held_out: ReportImages | None = None
    strips: Tensor | None = None
    logits: Logits | None = None
    xflip: bool = False
    provenance: Provenance = "trust"
    truncation: float | None = None
    augment_p: float | None = None
    about: Mapping[str, float | int | str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.provenance not in PROVENANCES:
            raise ValueError(f"provenance must be one of {', '.join(PROVENANCES)}, got {self.provenance!r}")
        for name, images in (("fake", self.fake), ("held_out", self.held_out)):
            if images is not None and images.thumbnails.shape[1:] != self.real.thumbnails.shape[1:]:
                raise ValueError(
                    f"{name} must have the channels, height and width of real: their thumbnails are"
                    f" {list(images.thumbnails.shape[1:])} and {list(self.real.thumbnails.shape[1:])}"
                )

    @property
    def is_truncated(self) -> bool:
        """Whether the fakes were drawn with another psi than 1."""
        return self.truncation is not None and self.truncation != 1

    def without_repeats(self) -> "Evidence":
        """The same with each real image once: of those that are equal, or mirror images, the first stays."""
        return replace(self, real=self.real.only(first_of_equals(self.real.thumbnails)))
