"""Registry: detectors by name, with their weights where they need any."""

from collections.abc import Callable
from pathlib import Path

import torch

from stylegan.features.builtin import BuiltinDetector
from stylegan.features.clip import CLIP_FILE, ClipDetector
from stylegan.features.detector import Detector
from stylegan.features.dinov2 import DINOV2_FILE, DinoV2Detector
from stylegan.features.inception import INCEPTION_FILE, InceptionDetector
from stylegan.features.vgg import LPIPS_FILE, VGG16_FILE, LpipsDetector, VGG16Detector
from stylegan.features.weights import WeightFile, Weights, find_weights, read_weights
from stylegan.machine.files import expanded

DETECTORS = ("builtin", "inception", "vgg16", "lpips-vgg16", "dinov2", "clip")


def open_detector(
    name: str,
    *,
    path: str | Path | None = None,
    cache_dir: str | Path | None = None,
    device: torch.device | str = "cpu",
    download: bool = False,
) -> Detector:
    """The detector of that name, ready on a device.

    Args:
        name: "builtin", which needs no file; "inception", "vgg16", "dinov2", "clip"; "lpips-vgg16", which needs two,
          the heads and VGG16.
        path: the file of weights, or the folder where it is under its published name; None = looked for in
          `cache_dir` (None = the user's cache folder) and among torch's downloads. Of LPIPS: the heads, with VGG16
          next to them or in these folders.
        download: fetch what is missing into `cache_dir`.
    Raises: ValueError, of one line: an unknown name, a file that is missing, damaged, or of other weights, or a
      package that is missing.
    """

    def weights(file: WeightFile, where: str | Path | None) -> Weights:
        found = find_weights(file, path=where, cache_dir=cache_dir, download=download)
        return read_weights(found, file)

    return _open(name, path, weights).to(device)


def _open(
    name: str, path: str | Path | None, weights: Callable[[WeightFile, str | Path | None], Weights]
) -> Detector:
    match name:
        case "builtin":
            if path is not None:
                raise ValueError(f"the detector builtin reads no file, got the path {path}; leave it out")
            return BuiltinDetector()
        case "inception":
            return InceptionDetector(weights(INCEPTION_FILE, path))
        case "vgg16":
            return VGG16Detector(weights(VGG16_FILE, path))
        case "dinov2":
            return DinoV2Detector(weights(DINOV2_FILE, path))
        case "clip":
            return ClipDetector(weights(CLIP_FILE, path))
        case "lpips-vgg16":
            return LpipsDetector(weights(VGG16_FILE, _beside(path, VGG16_FILE)), weights(LPIPS_FILE, path))
    raise ValueError(f"there is no detector {name!r}; use {' | '.join(DETECTORS)}")


def _beside(path: str | Path | None, file: WeightFile) -> Path | None:
    """Where a second file may be: in the folder `path`, or in that of the file `path`; None = look elsewhere."""
    if path is None:
        return None
    given = expanded(path)
    folder = given if given.is_dir() else given.parent
    return folder / file.name if (folder / file.name).is_file() else None
