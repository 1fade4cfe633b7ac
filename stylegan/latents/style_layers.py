"""Style layers: the learned affine maps from w to the styles of each layer, and styles moved while drawing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, nn


class StyleLayer(NamedTuple):
    """A layer that takes styles.

    Args:
        ws: which entry of ws [N,L,W] its styles come from.
        affine: w [N,W] → styles [N,C].
        is_rgb: whether it makes the image's colours.
    """

    ws: int
    affine: nn.Module
    is_rgb: bool

    @property
    def channels(self) -> int:
        """C, how many styles it has."""
        return self.affine.weight.shape[0]

    @property
    def matrix(self) -> Tensor:
        """A [C,W] with styles = A·w + b."""
        return self.affine.weight.detach() * self.affine.weight_gain


def style_layers(generator: nn.Module) -> dict[str, StyleLayer]:
    """The layers by name, `b4.conv1`, `b4.torgb`, `b8.conv0`, ..., in the order in which they are computed.

    The torgb of a block takes the entry of ws after those of its convolutions, which is the next block's first.
    """
    found: dict[str, StyleLayer] = {}
    first = 0
    for name in generator.synthesis.block_names:
        block = generator.synthesis.get_submodule(name)
        convs = ["conv1"] if block.is_first else ["conv0", "conv1"]
        for place, conv in enumerate(convs):
            found[f"{name}.{conv}"] = StyleLayer(
                first + place, block.get_submodule(conv).affine, is_rgb=False
            )
        first += block.num_convs
        if block.has_torgb:
            found[f"{name}.torgb"] = StyleLayer(first, block.torgb.affine, is_rgb=True)
    return found


@contextmanager
def moved_styles(generator: nn.Module, offsets: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, each named layer draws with styles + offsets, {layer: [N,C] or [C]}.

    Raises: KeyError for a layer that there is not.
    """
    layers = style_layers(generator)
    hooks = [
        layers[name].affine.register_forward_hook(lambda _, __, styles, by=offset: styles + by.to(styles))
        for name, offset in offsets.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
