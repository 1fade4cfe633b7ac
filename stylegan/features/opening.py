"""Detectors by name."""

from pathlib import Path

import torch

from stylegan.features.builtin import BuiltinDetector
from stylegan.features.detector import Detector


def open_detector(
    name: str,
    *,
    path: str | Path | None = None,
    cache_dir: str | Path | None = None,
    device: torch.device | str = "cpu",
    download: bool = False,
) -> Detector:
    """The detector of that name, ready on a device.

    Args: name: "builtin".
    Raises: ValueError, of one line, for an unknown name.
    """
    if name != "builtin":
        raise ValueError(f"there is no detector {name!r}; use builtin")
    return BuiltinDetector().to(device)
