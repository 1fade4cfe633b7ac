"""Losses: the adversarial one and its two regularisers, each an object of its own that can be the user's."""

from stylegan.losses.adversarial import NonSaturatingLogistic
from stylegan.losses.path_length import PathLengthPenalty
from stylegan.losses.r1 import R1Penalty

__all__ = ["NonSaturatingLogistic", "PathLengthPenalty", "R1Penalty"]
