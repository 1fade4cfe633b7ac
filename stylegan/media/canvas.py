"""Canvas: frames as a network draws them, to frames as a file has them: colours, transparency, scale and size."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stylegan.images import to_uint8, visible
from stylegan.media.settings import MediaSettings
from stylegan.sizes import Size

# WebP and h264 hold no more.
MOST_SIDE_PX = 16_383
# Of the shorter side: how many pixels are left of the background that is blurred.
_BLURRED_PX = 24


class Canvas:
    """How one drawn frame becomes one frame of the file; each by itself, so that no chunk of frames changes a pixel.

    Args:
        drawn: (height, width) of the frames in px.
        channels: of the frames; of more than 4 the first 3 are shown.
        settings: scale, size, fit and fill.
        alpha: whether the format stores transparency; else frames are composited on `fill`.
        grey: whether it stores frames of one channel; else they become RGB.
        even: whether it needs even sides; a line or column is repeated then.
        bits: 8 or 16 of a channel.
    Attributes:
        size: (height, width) of the file in px.
        channels: 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA.
        notes: what a user should know, a line each.
    Raises: ValueError where `scale` makes frames that no format holds.
    """

    def __init__(
        self,
        drawn: Size,
        channels: int,
        settings: MediaSettings,
        *,
        alpha: bool,
        grey: bool,
        even: bool,
        bits: int = 8,
    ):
        self.settings, self.bits = settings, bits
        self.most = 2**bits - 1
        self._has_alpha = channels in (2, 4)
        self._drawn_channels = channels if channels <= 4 else 3
        self.scaled = (drawn[0] * settings.scale, drawn[1] * settings.scale)
        self.asked = settings.output_size or self.scaled
        self.size = tuple(side + side % 2 for side in self.asked) if even else self.asked
        if max(self.scaled) > MOST_SIDE_PX:
            raise ValueError(
                f"scale={settings.scale} makes frames of {self.scaled[1]:,} x {self.scaled[0]:,} px, and a side has"
                f" {MOST_SIDE_PX:,} px at most"
            )
        self.alpha = self._has_alpha and alpha
        fill = settings.fill_rgba
        colorless = (
            fill[0] == fill[1] == fill[2] or self.asked == self.scaled and (self.alpha or not self._has_alpha)
        )
        is_grey = channels in (1, 2) and grey and colorless
        self.channels = (1 if is_grey else 3) + self.alpha
        self._fill = torch.tensor([*fill[: 1 if is_grey else 3], *([fill[3]] if self.alpha else [])])
        self._fill = self._fill.to(torch.float32)[:, None, None] * (self.most / 255)
        self.notes = tuple(self._notes())

    def _notes(self):
        form, (height, width) = self.settings.format, self.size
        if self._has_alpha and not self.alpha:
            yield (
                f"{form} has no transparency here: frames are composited on fill={self.settings.fill};"
                " format=webm, webp, apng and png keep it"
            )
        for side, asked, what in ((height, self.asked[0], "line"), (width, self.asked[1], "column")):
            if side != asked:
                yield f"{form} needs even sides: the last {what} of {asked} px is repeated, which makes {side}"

    def image(self, frame: Tensor) -> np.ndarray:
        """A drawn frame → a frame of the file, uint8 or uint16 [H,W,C].

        Args: frame: [C,H,W] on the CPU, uint8, or float in -1..1.
        """
        frame = visible(frame)
        if self.bits == 8 and frame.is_floating_point():
            frame = to_uint8(frame)
        if frame.dtype == torch.uint8 and self._is_plain:
            return frame.movedim(0, -1).contiguous().numpy()
        levels = self._levels(frame)
        if self.settings.scale > 1:
            levels = levels.repeat_interleave(self.settings.scale, 1).repeat_interleave(
                self.settings.scale, 2
            )
        if self.asked != self.scaled:
            levels = self._fitted(levels)
        missing = self.size[0] - self.asked[0], self.size[1] - self.asked[1]
        if any(missing):
            levels = functional.pad(levels, (0, missing[1], 0, missing[0]), mode="replicate")
        pixels = levels.round().clamp(0, self.most).movedim(0, -1).numpy()
        return pixels.astype(np.uint8 if self.bits == 8 else np.uint16)

    @property
    def _is_plain(self) -> bool:
        """Whether frames are the file's already, as most are."""
        same_size = self.settings.scale == 1 and self.size == self.scaled
        return same_size and self.bits == 8 and self.channels == self._drawn_channels

    def _levels(self, frame: Tensor) -> Tensor:
        """float32 [C,H,W] in 0..`most`, with the channels of the file."""
        if frame.is_floating_point():
            levels = (frame.to(torch.float32) + 1) * (self.most / 2)
            levels = levels.clamp(0, self.most)
        else:
            levels = frame.to(torch.float32) * (self.most / 255)
        colors, alpha = (levels[:-1], levels[-1:]) if self._has_alpha else (levels, None)
        if self.channels >= 3 and len(colors) == 1:
            colors = colors.expand(3, -1, -1)
        if alpha is None:
            return colors
        if self.alpha:
            return torch.cat([colors, alpha])
        share = alpha / self.most
        return colors * share + self._fill * (1 - share)

    def _fitted(self, levels: Tensor) -> Tensor:
        fit = self.settings.fit
        if fit == "crop":
            return _middle(self._resized(levels, self._side_scale(max)), self.asked)
        inner = self._resized(levels, self._side_scale(min))
        if fit == "pad":
            canvas = self._fill.expand(-1, *self.asked).clone()
        else:
            canvas = self._blurred(levels)
        top, left = ((whole - part) // 2 for whole, part in zip(self.asked, inner.shape[1:], strict=True))
        place = canvas[:, top : top + inner.shape[1], left : left + inner.shape[2]]
        # Padding stands beside a frame, and the blurred copy behind it.
        place.copy_(inner if fit == "pad" else self._over(inner, place))
        return canvas

    def _side_scale(self, choice) -> float:
        return choice(self.asked[0] / self.scaled[0], self.asked[1] / self.scaled[1])

    def _resized(self, levels: Tensor, factor: float) -> Tensor:
        """Scaled so that it covers, or fits into, the asked size; never a pixel short of it by rounding."""
        size = [max(1, round(side * factor)) for side in self.scaled]
        return self._premultiplied(levels, size)

    def _premultiplied(self, levels: Tensor, size: list[int]) -> Tensor:
        """Resized; colours count by their opacity, else those of invisible pixels bleed into the rim."""
        if not self.alpha:
            return _interpolated(levels, size).clamp(0, self.most)
        share = levels[-1:] / self.most
        resized = _interpolated(torch.cat([levels[:-1] * share, share]), size)
        share = resized[-1:].clamp(0, 1)
        colors = resized[:-1] / share.clamp_min(1e-4)
        return torch.cat([colors, share * self.most]).clamp(0, self.most)

    def _blurred(self, levels: Tensor) -> Tensor:
        """The frame over the whole size, blurred: what is left of it at a small size."""
        cover = _middle(self._resized(levels, self._side_scale(max)), self.asked)
        smaller = max(1.0, min(self.asked) / _BLURRED_PX)
        small = self._premultiplied(cover, [max(1, round(side / smaller)) for side in self.asked])
        for _ in range(3):  # three boxes are near to a Gaussian
            small = functional.avg_pool2d(small[None], 3, stride=1, padding=1, count_include_pad=False)[0]
        return self._premultiplied(small, list(self.asked))

    def _over(self, image: Tensor, below: Tensor) -> Tensor:
        """`image` composited on what lies below it. Source: Porter and Duff 1984, the operator over."""
        if not self.alpha:
            return image
        top, bottom = image[-1:] / self.most, below[-1:] / self.most
        share = top + bottom * (1 - top)
        colors = (image[:-1] * top + below[:-1] * bottom * (1 - top)) / share.clamp_min(1e-4)
        return torch.cat([colors, share * self.most])


def _interpolated(levels: Tensor, size: list[int]) -> Tensor:
    return functional.interpolate(
        levels[None], size=size, mode="bicubic", antialias=True, align_corners=False
    )[0]


def _middle(levels: Tensor, size: Size) -> Tensor:
    """The middle, of at least `size`; a side that rounding left a pixel short is repeated at its end."""
    short = [max(0, side - there) for side, there in zip(size, levels.shape[1:], strict=True)]
    if any(short):
        levels = functional.pad(levels, (0, short[1], 0, short[0]), mode="replicate")
    top, left = ((there - side) // 2 for side, there in zip(size, levels.shape[1:], strict=True))
    return levels[:, top : top + size[0], left : left + size[1]].clone()
