"""The adversarial loss and its two regularisers. Each is an object of its own and can be the user's."""

from stylegan.losses.adversarial import NonSaturatingLogistic
from stylegan.losses.path_length import PathLengthPenalty
from stylegan.losses.r1 import R1Penalty

__all__ = ["NonSaturatingLogistic", "PathLengthPenalty", "R1Penalty"]
