"""Time-lapse: how a network's images came about, its pictures over training as a video."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from stylegan.sizes import Size

# Frames that are made at a time.
_CHUNK = 16
_SMALLEST_STRIP_PX = 20


class TimeLapse:
    """Pictures one after the other, each held for a while, then faded into the next; as `media.frames.Frames`.

    Args:
        picture: number → uint8 [C,H,W], always the same one. It is asked for in order, each seldom more than once.
        number: of pictures, at least 1.
        size: (height, width) of a picture in px.
        channels: of a picture.
        hold_frames: how long each is shown alone, at least 1.
        fade_frames: between two; 0 = from one to the next at once.
        caption_px: lines at the bottom that do not fade: two captions in one place cannot be read.
    Attributes: count: of frames, number·hold_frames + (number − 1)·fade_frames.
    """

    def __init__(
        self,
        picture: Callable[[int], Tensor],
        number: int,
        *,
        size: Size,
        channels: int,
        hold_frames: int,
        fade_frames: int,
        caption_px: int = 0,
    ):
        self.size, self.channels = size, channels
        self.hold_frames, self.fade_frames = hold_frames, fade_frames
        self._caption_px = caption_px
        self.count = number * hold_frames + (number - 1) * fade_frames
        self._picture = picture
        # The two that a fade needs.
        self._held: dict[int, Tensor] = {}

    def draw(self, first: int, last: int) -> Iterator[Tensor]:
        """The frames `first` to `last` - 1, uint8 [n,C,H,W], a few at a time."""
        for start in range(first, last, _CHUNK):
            yield torch.stack([self._frame(number) for number in range(start, min(start + _CHUNK, last))])

    def _frame(self, number: int) -> Tensor:
        picture, place = divmod(number, self.hold_frames + self.fade_frames)
        if place < self.hold_frames:
            return self._get(picture)
        share = (place - self.hold_frames + 1) / (self.fade_frames + 1)
        last, following = self._get(picture), self._get(picture + 1)
        faded = torch.lerp(last.float(), following.float(), share).round().to(torch.uint8)
        if self._caption_px:
            nearer = last if share < 0.5 else following
            faded[:, -self._caption_px :] = nearer[:, -self._caption_px :]
        return faded

    def _get(self, number: int) -> Tensor:
        if number not in self._held:
            self._held = {key: picture for key, picture in self._held.items() if abs(key - number) == 1}
            self._held[number] = self._picture(number)
        return self._held[number]


def frames_of(sec: float, fps: float, *, key: str, least: int = 0) -> int:
    """Seconds as whole frames, at least `least`. Raises: ValueError that begins with the key for negative ones."""
    if isinstance(sec, bool) or not 0 <= sec <= 3600:
        raise ValueError(f"{key} must be 0 to 3,600 seconds, got {sec}")
    return max(least, round(sec * fps))


def strip_height(size: Size) -> int:
    """Of the strip for a caption, for a picture of this size."""
    return max(_SMALLEST_STRIP_PX, size[0] // 20 // 2 * 2)


def with_caption(picture: Tensor, text: str) -> Tensor:
    """A picture with a strip below it that says something, white on black.

    Args: picture: uint8 [C,H,W], C = 1 to 4.
    Returns: uint8 [C, H + strip_height, W].
    """
    from PIL import Image, ImageDraw, ImageFont

    channels, height, width = picture.shape
    strip = strip_height((height, width))
    image = Image.new("L", (width, strip))
    size = strip * 0.7
    font = ImageFont.load_default(size)
    if (wide := font.getlength(text)) > width - 4:
        font = ImageFont.load_default(max(1.0, size * (width - 4) / wide))
    ImageDraw.Draw(image).text((width / 2, strip / 2), text, fill=255, font=font, anchor="mm")
    grey = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(1, strip, width)
    colors = grey.expand(channels - (channels in (2, 4)), -1, -1)
    parts = [colors, torch.full_like(grey, 255)] if channels in (2, 4) else [colors]
    return torch.cat([picture.cpu(), torch.cat(parts)], dim=1)


def of_one_size(pictures: Sequence[tuple[float, Size]]) -> list[int]:
    """The places of those pictures that have the size of the last one, given as (kimg, (height, width))."""
    wanted = pictures[-1][1]
    return [place for place, (_, size) in enumerate(pictures) if size == wanted]
