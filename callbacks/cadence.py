"""The cadence of callbacks: a number of kimg, checked before a long run begins."""

import math


def check_every_kimg(key: str, every_kimg: float) -> float:
    """Returns a usable cadence in thousands of images. Raises: ValueError that names the config key."""
    if not (math.isfinite(every_kimg) and every_kimg > 0):
        raise ValueError(
            f"{key} must be a number of kimg above 0, got {every_kimg}; to switch the callback off, set "
            f"{key.rpartition('.')[0]}=null"
        )
    return float(every_kimg)
