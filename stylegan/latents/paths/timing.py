"""Times of a path in whole frames: exact sums, rounded once, so that nothing drifts over hours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from stylegan.latents.paths.curves import check_easing, eased
from stylegan.machine.text import printable

# Nine hours at 30 frames a second.
MOST_FRAMES = 1_000_000


def exact(number: float | str | Fraction) -> Fraction:
    """A number as it is written: 0.1 is a tenth, which the float of that name is not.

    Raises: ValueError where it is none.
    """
    return number if isinstance(number, Fraction) else Fraction(str(number))


def whole(number: float | Fraction, *factors: float | Fraction) -> int:
    """The product of numbers as they are written, rounded to the nearest whole number, halves up."""
    product = math.prod(map(exact, factors), start=exact(number))
    return math.floor(product + Fraction(1, 2))


def seconds_of_legs(text: str | float) -> tuple[Fraction, ...]:
    """`leg_sec=2` → (2,), `leg_sec=2,2.5,5` → (2, 5/2, 5), exactly.

    Raises: ValueError for what is no number above 0.
    """
    seconds = []
    for part in str(text).split(","):
        try:
            number = _seconds(part.strip())
        except ValueError:
            number = Fraction(0)
        if number <= 0:
            raise ValueError(
                f"leg_sec must be seconds above 0, one number or one a leg as in 2,2,5; got {printable(part[:40])!r}"
            )
        seconds.append(number)
    return tuple(seconds)


def _seconds(text: str) -> Fraction:
    """Raises: ValueError for what is no number, or one beyond a billion."""
    # As a float first: with an exponent, few letters stand for a whole memory of digits.
    if "_" in text or not text.isascii() or not 1e-9 <= float(text) <= 1e9:
        raise ValueError(text)
    return exact(text)


@dataclass(frozen=True)
class Legs:
    """When a path is at its key frames, and how it goes from one to the next.

    Args:
        knots: the frame of each key, ascending from 0; in a loop also that of the return to the first.
        loop: whether the path closes.
        easing: of each leg, one of `EASINGS`.
    """

    knots: tuple[int, ...]
    loop: bool
    easing: str = "linear"

    @property
    def frames(self) -> int:
        """Of the path: to the last key and with it, or in a loop up to the return to the first and without it."""
        return self.knots[-1] + (not self.loop)

    @property
    def keys(self) -> int:
        """How many key frames there are."""
        return len(self.knots) - self.loop

    def at(self, position: float) -> tuple[int, float]:
        """(leg, eased part of it) at a position in frames; part 0 is the key of that number itself.

        Before the first key of an open path it is there, and after the last key at the last; a loop goes round.
        """
        last = self.knots[-1]
        if self.loop:
            position %= last
        if position >= last:
            return (0, 0.0) if self.loop else (self.keys - 1, 0.0)
        position = max(0, position)
        # The last knot that is not after the position.
        low, high = 0, len(self.knots) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.knots[middle] <= position else (low, middle)
        begin, end = self.knots[low], self.knots[low + 1]
        part = eased(self.easing, (position - begin) / (end - begin))
        return (low, part) if part != 1 else ((low + 1) % self.keys, 0.0)

    def neighbours(self, leg: int) -> tuple[int | None, int, int, int | None]:
        """The keys before, at the begin, at the end and after a leg; None beyond the ends of an open path."""
        numbers = [leg - 1, leg, leg + 1, leg + 2]
        if self.loop:
            before, a, b, after = (number % self.keys for number in numbers)
            return before, a, b, after
        return numbers[0] if leg > 0 else None, leg, leg + 1, numbers[3] if leg + 2 < self.keys else None

    def spans(self, leg: int) -> tuple[int, int, int]:
        """Frames of the leg before, of this one and of the next; of neighbours that are missing, this one's."""
        lengths = [end - begin for begin, end in zip(self.knots, self.knots[1:], strict=False)]
        before = lengths[leg - 1] if leg > 0 or self.loop else lengths[leg]
        after = lengths[(leg + 1) % len(lengths)] if leg + 1 < len(lengths) or self.loop else lengths[leg]
        return before, lengths[leg], after


def legs_of(
    keys: int,
    leg_sec: Sequence[Fraction],
    fps: float | Fraction,
    *,
    loop: bool = False,
    easing: str = "linear",
    slowdown: float = 1,
) -> Legs:
    """When each of `keys` key frames comes.

    Key j is at the frame that is nearest to fps·slowdown·(the sum of the seconds before it), halves up: each leg is as
    long as asked to within a frame, and no difference adds up.

    Args: leg_sec: one for all legs, or one of each: keys − 1, or in a loop as many as keys.
    Raises: ValueError for another number of seconds, a leg of less than a frame, or more than a million frames.
    """
    legs = keys if loop else keys - 1
    if len(leg_sec) not in (1, legs):
        raise ValueError(
            f"leg_sec has {len(leg_sec)} numbers, and {keys} key frames{' of a loop' if loop else ''} have {legs}"
            f" leg{'s' * (legs > 1)} between them: give one number, or {legs}"
        )
    each = list(leg_sec) * legs if len(leg_sec) == 1 else list(leg_sec)
    knots, total = [0], Fraction(0)
    for number, seconds in enumerate(each):
        total += seconds
        knots.append(whole(total, fps, slowdown))
        if knots[-1] > MOST_FRAMES:
            raise ValueError(f"leg_sec makes more than {MOST_FRAMES:,} frames, the most of a video")
        if knots[-1] == knots[-2]:
            raise ValueError(
                f"leg_sec={float(seconds):g}: leg {number + 1} is shorter than a frame of 1/{float(fps):g} seconds;"
                " take longer legs, or a higher fps"
            )
    return Legs(tuple(knots), loop, check_easing(easing))
