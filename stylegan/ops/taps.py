"""The taps of a FIR filter as a convolution takes them: turned, scaled and rounded once, not at every call.

They are a handful of numbers, but a step filters a hundred times, and each small operation on them costs a GPU's host
as much as one on an image.
"""

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

# By filter, for as long as it lives: how often it was written to, and what was made of it since.
_made: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def taps_of(
    f: Tensor, *, axis: int | None, flip: bool, gain: float, like: Tensor, wide: bool = False
) -> Tensor:
    """f · gain as [kh, kw].

    Args:
        f: [kh,kw], or [k] with its axis.
        axis: of the image, 2 or 3, that a filter [k] lies along; None for one of two axes.
        flip: reverse both axes.
        like: whose device and precision the taps are rounded to.
        wide: hand them out in float32 anyway.
    """
    # An inference tensor does not tell when it is written to, and a graph that is compiled keeps its own constants.
    if torch.compiler.is_compiling() or f.is_inference():
        return _make(f, axis, flip, gain, like, wide)
    version, taps_by_use = _made.get(f, (None, {}))
    if version != f._version:
        _made[f] = (f._version, taps_by_use := {})
    use = (axis, flip, gain, like.device, like.dtype, wide)
    taps = taps_by_use.get(use)
    if taps is None:
        with torch.inference_mode(False), torch.no_grad():
            taps = _make(f, axis, flip, gain, like, wide)
        # What a mode of torch's makes of them is for that mode alone.
        if type(taps) is type(f):
            taps_by_use[use] = taps
    return taps


def _make(f: Tensor, axis: int | None, flip: bool, gain: float, like: Tensor, wide: bool) -> Tensor:
    taps = f.to(device=like.device, dtype=like.dtype)
    taps = taps.float() if wide else taps
    if axis is not None:
        taps = taps.unsqueeze(3 - axis)
    return (taps.flip([0, 1]) if flip else taps) * gain
