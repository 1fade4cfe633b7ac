"""Freezing: parameters that do not learn, all the time or for a stretch of the training."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from stylegan.machine.text import counted, nearest_word
from stylegan.training.clock import images_of_kimg
from stylegan.training.gradients import LearningSteps

# Words for what a regular expression of names would say at length; of two networks with a mapping, the generator's.
WORDS = {
    "mapping": r"^generator\.mapping\.",
    "synthesis": r"^generator\.synthesis\.",
    "generator": r"^generator\.",
    "discriminator": r"^discriminator\.",
}
_KEYS = ("names", "discriminator_layers", "from_kimg", "until_kimg")
_EXAMPLE = "{names: mapping, until_kimg: 20}"
# In the order in which a block of the discriminator applies them.
_LAYERS_OF_A_BLOCK = ("fromrgb", "conv0", "conv1", "skip")


class Frozen(NamedTuple):
    """Parameters that are frozen together.

    Args:
        title: what the user calls them.
        names: of the parameters, with that of their network.
        size: how many numbers they are.
        from_images: images seen from which on they are frozen.
        until_images: images seen from which on they learn again; None = never.
    """

    title: str
    names: tuple[str, ...]
    size: int
    from_images: int
    until_images: int | None

    def is_on(self, images: int) -> bool:
        """Whether they are frozen once so many images have been seen."""
        return self.from_images <= images and (self.until_images is None or images < self.until_images)

    def line_at(self, images: int) -> str:
        """What is frozen, whether it is now, and when that changes."""
        when = "" if not self.from_images else f" from kimg {self.from_images / 1000:g}"
        when += "" if self.until_images is None else f" until kimg {self.until_images / 1000:g}"
        state = "" if self.is_on(images) else f"; at kimg {images / 1000:.3f} they learn"
        of = f"{counted(len(self.names), 'tensor')}, {counted(self.size, 'parameter')}"
        return f"frozen      {self.title}{when or ' all the time'} ({of}){state}"


class Freezing:
    """Which parameters of both networks are frozen, as a pure function of the images seen.

    A frozen parameter gets no update of any kind: its Adam moments and its count of steps stay, too. One that has
    never learned has none; once it learns, it begins with moments of 0, as at the start of a training. One that is
    frozen later continues with those that it had.

    Buffers are not parameters: the mean w still follows a mapping network that is frozen.

    Args:
        freeze: a word or a regular expression, or several; or mappings, with some of
            names: one of `WORDS`, or a regular expression that is looked for in names such as
                `generator.synthesis.b4.conv1.weight`;
            discriminator_layers: instead of names, so many layers of the discriminator nearest to the image;
            from_kimg, until_kimg: for which stretch; without them from the beginning, and for ever.
        generator: its parameters can be frozen.
        discriminator: likewise.
    Attributes: `groups`: what is frozen together. `size`: how many parameters are frozen since it was last set.
    Raises: ValueError, beginning with `freeze`, for what names no parameter, or a stretch that is none.
    Source: Freeze-D, Mo et al. 2020.
    """

    def __init__(
        self,
        freeze: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]],
        *,
        generator: nn.Module,
        discriminator: nn.Module,
    ):
        self._networks = {"generator": generator, "discriminator": discriminator}
        entries = [freeze] if isinstance(freeze, str | Mapping) else freeze
        self.groups = [self._group(entry) for entry in entries]
        self.size = 0
        self._state: tuple[bool, ...] = (False,) * len(self.groups)

    def names_at(self, images: int) -> frozenset[str]:
        """The parameters that are frozen once so many images have been seen."""
        return frozenset(name for group in self.groups if group.is_on(images) for name in group.names)

    def set(self, images: int, gradients: LearningSteps) -> list[str]:
        """Freezes what is frozen once so many images have been seen, and lets all else learn.

        Args:
            images: seen so far.
            gradients: of the training.
        Returns: a line for each group that has begun or ceased to be frozen since it was last set.
        """
        state = tuple(group.is_on(images) for group in self.groups)
        if state == self._state:
            return []
        names = self.names_at(images)
        frozen = [parameter for name, parameter in self._parameters().items() if name in names]
        gradients.freeze(frozen)
        self.size = sum(parameter.numel() for parameter in frozen)
        changed = [k for k, is_on in enumerate(state) if is_on != self._state[k]]
        self._state = state
        return [
            f"{'frozen' if state[k] else 'thawed':<11} {self.groups[k].title} at kimg {images / 1000:.3f}"
            for k in changed
        ]

    def lines_at(self, images: int) -> Iterator[str]:
        """A line for each group."""
        return (group.line_at(images) for group in self.groups)

    def _parameters(self) -> dict[str, nn.Parameter]:
        return {
            f"{network}.{name}": parameter
            for network, module in self._networks.items()
            for name, parameter in module.named_parameters()
        }

    def _group(self, entry: str | Mapping[str, Any]) -> Frozen:
        given = {"names": entry} if isinstance(entry, str) else dict(entry)
        if unknown := [str(key) for key in given if key not in _KEYS]:
            near = nearest_word(unknown[0], _KEYS)
            hint = f"; did you mean {near}?" if near else f"; there are {', '.join(_KEYS)}"
            raise ValueError(f"freeze: there is no {unknown[0]}{hint}")
        names, layers = given.get("names"), given.get("discriminator_layers")
        if (names is None) == (layers is None):
            raise ValueError(
                f"freeze: each entry has either names or discriminator_layers, as in {_EXAMPLE}, got {given}"
            )
        start, end = _stretch(given)
        found = self._named(names) if layers is None else self._layers(layers)
        title = str(names) if layers is None else f"the first {counted(layers, 'layer')} of the discriminator"
        parameters = self._parameters()
        return Frozen(title, found, sum(parameters[name].numel() for name in found), start, end)

    def _named(self, names: Any) -> tuple[str, ...]:
        """The parameters that a word or a regular expression names."""
        if not isinstance(names, str) or not names:
            raise ValueError(f"freeze: names must be a word or a regular expression, got {names!r}")
        known = self._parameters()
        try:
            pattern = re.compile(WORDS.get(names, names))
        except re.error as error:
            raise ValueError(f"freeze: {names!r} is no regular expression ({error})") from error
        found = tuple(name for name in known if pattern.search(name))
        if not found:
            near = nearest_word(re.sub(r"[\\^$]|\.\*", "", names).rstrip("."), [*WORDS, *_places(known)])
            hint = f"did you mean {near}?" if near else f"there are {', '.join(WORDS)}, and names"
            hint += "" if near else f" such as {next(reversed(known))}"
            raise ValueError(f"freeze: {names!r} is found in no parameter's name; {hint}")
        return found

    def _layers(self, count: Any) -> tuple[str, ...]:
        """The parameters of the layers nearest to the image, counted as `freeze_layers` of the discriminator does."""
        discriminator = self._networks["discriminator"]
        blocks = getattr(discriminator, "block_names", None)
        if blocks is None:
            raise ValueError(
                f"freeze: discriminator_layers counts layers of our discriminator, not of"
                f" {type(discriminator).__name__}; give names"
            )
        layers = [
            f"{block}.{layer}"
            for block in blocks
            for layer in _LAYERS_OF_A_BLOCK
            if hasattr(discriminator.get_submodule(block), layer)
        ]
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= len(layers):
            raise ValueError(
                f"freeze: discriminator_layers must be from 1 to {len(layers)}, the layers above the lowest resolution,"
                f" got {count}"
            )
        chosen = tuple(f"discriminator.{layer}." for layer in layers[:count])
        return tuple(name for name in self._parameters() if name.startswith(chosen))


def _stretch(given: Mapping[str, Any]) -> tuple[int, int | None]:
    """Images seen from which on, and until which, parameters are frozen."""
    start, end = given.get("from_kimg"), given.get("until_kimg")
    for name, kimg in (("from_kimg", start), ("until_kimg", end)):
        is_number = isinstance(kimg, int | float) and not isinstance(kimg, bool)
        if kimg is not None and not (is_number and 0 <= kimg < math.inf):
            raise ValueError(f"freeze: {name} must be a number of at least 0, or left out, got {kimg}")
    first = images_of_kimg(start or 0)
    if end is None:
        return first, None
    if images_of_kimg(end) <= first:
        raise ValueError(f"freeze: until_kimg must be above from_kimg, {start or 0:g}, got {end:g}")
    return first, images_of_kimg(end)


def _places(names: Mapping[str, Any]) -> list[str]:
    """All that parameters are called by: their names and those of the parts they are in, with network or without."""
    found: dict[str, None] = {}
    for name in names:
        words = name.split(".")
        for first in (0, 1):
            found |= dict.fromkeys(".".join(words[first:last]) for last in range(first + 1, len(words) + 1))
    return list(found)
