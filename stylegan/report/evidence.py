"""What a report is made from: pictures, their features, strips and logits. Nothing here knows of a generator."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from stylegan.report.origin import ORIGINS, Origin
from stylegan.report.thumbnails import LARGEST_SIDE_PX, shown, small, thumbnails

_BLOCK = 64


class Detector(Protocol):
    """What turns pictures into features: `stylegan.features.open_detector` gives one, any other will do."""

    name: str

    def features(self, images: Tensor) -> Tensor:
        """uint8 [N,C,H,W] → float32 [N,F]."""
        ...


@dataclass(frozen=True)
class Pictures:
    """N pictures as a report holds them.

    small: uint8 [N,c,h,w], thumbnails of at most 32 px. full: index → uint8 [C,H,W], to be shown. features:
    float32 [N,F] or None. names: of files, or None.
    """

    small: Tensor
    full: Callable[[int], Tensor]
    features: Tensor | None = None
    names: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.small)

    def name(self, index: int) -> str:
        return str(self.names[index]) if self.names is not None else f"number {index}"

    def only(self, indices: Tensor) -> "Pictures":
        """Some of them, in the order of indices, int64 [n]."""
        chosen = indices.tolist()
        return Pictures(
            small=self.small[indices],
            full=lambda place: self.full(chosen[place]),
            features=None if self.features is None else self.features[indices],
            names=None if self.names is None else [self.names[index] for index in chosen],
        )


@dataclass(frozen=True)
class Logits:
    """The discriminator's logits, one a picture: float [n] of pictures it learned from, of held-out ones, of fakes."""

    training: Tensor
    held_out: Tensor
    fakes: Tensor


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that a report looks at. What is None is not looked at, and the report says how to get it.

    strips: uint8 [P,T,C,H,W], P walks between latents of T steps each. xflip: whether training also saw the mirror
    image of every picture (`data.xflip`). origin: whether `real` are the pictures that the network learned from.
    truncation: psi of the fakes, None = unknown. about: how all this was made, for the head of the report.
    """

    real: Pictures
    fake: Pictures
    held_out: Pictures | None = None
    strips: Tensor | None = None
    logits: Logits | None = None
    xflip: bool = False
    origin: Origin = "trust"
    truncation: float | None = None
    about: Mapping[str, float | int | str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.origin not in ORIGINS:
            raise ValueError(f"origin={self.origin!r}: it must be one of {', '.join(ORIGINS)}")
        for key, pictures in (("fake", self.fake), ("held_out", self.held_out)):
            if pictures is not None and pictures.small.shape[1:] != self.real.small.shape[1:]:
                raise ValueError(
                    f"{key} pictures are {list(pictures.small.shape[1:])} and real ones "
                    f"{list(self.real.small.shape[1:])}; give both the same channels, height and width"
                )

    def without_repeats(self) -> "Evidence":
        """The same with each real once: of those that are equal, or mirror images, the first stays."""
        return replace(self, real=self.real.only(first_of_equals(self.real.small)))


def pictures_of(
    images: Tensor | Sequence[Tensor], detector: Detector | None = None, names: Sequence[str] | None = None
) -> Pictures:
    """uint8 [N,C,H,W], or any sequence of uint8 [C,H,W] such as a data set's images → what a report needs of them.

    Pictures are read in blocks, and again when they are shown; only thumbnails and features stay in memory.
    Raises: ValueError for no pictures, another dtype or features of another number of rows.
    """
    if detector is None:
        return Pictures(thumbnails(images), images.__getitem__, None, names)
    if not len(images):
        raise ValueError("a report of no pictures; give at least one")
    thumbs, features = [], []
    for first in range(0, len(images), _BLOCK):
        block = torch.stack([images[index] for index in range(first, min(first + _BLOCK, len(images)))])
        thumbs.append(small(torch.stack([shown(picture) for picture in block]), LARGEST_SIDE_PX))
        features.append(detector.features(block).to("cpu", torch.float32))
        if features[-1].ndim != 2 or len(features[-1]) != len(block):
            raise ValueError(
                f"detector {detector.name} gave features {list(features[-1].shape)} for {len(block)} pictures; "
                f"one row a picture is wanted"
            )
    return Pictures(torch.cat(thumbs), images.__getitem__, torch.cat(features), names)


def first_of_equals(small_pictures: Tensor) -> Tensor:
    """Of uint8 [N,C,h,w]: int64 [n], the first of each that are equal byte for byte, as they are or mirrored."""
    seen: set[bytes] = set()
    first = []
    for index, picture in enumerate(small_pictures):
        forms = (picture.numpy().tobytes(), picture.flip(-1).contiguous().numpy().tobytes())
        if min(forms) not in seen:
            seen.add(min(forms))
            first.append(index)
    return torch.tensor(first, dtype=torch.int64)
