"""What an evaluation needs before it can begin: the detectors of its metrics, and the real pictures."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stylegan.evaluation.definitions import Definition
from stylegan.evaluation.feature_cache import FeatureCache
from stylegan.evaluation.reals import Reals
from stylegan.features import Detector, open_detector
from stylegan.machine.files import cache_folder


def open_detectors(
    definitions: Iterable[Definition],
    *,
    path: str | os.PathLike | None = None,
    download: bool = False,
    key: str = "detector_path",
) -> dict[str, Detector]:
    """The detectors that metrics need, by name.

    Args: path: the weights of the only one that has any, or a folder with all of them; None = where they usually are.
      download: fetch published weights that are nowhere. key: what the user calls `path`, for the message.
    Raises: ValueError that names the file that is missing and where to put it, or one that nobody would read.
    """
    opened = {}
    path = path or None  # empty, as in `detector_path=`
    names = dict.fromkeys(definition.detector for definition in definitions)
    if path is not None and list(names) == ["builtin"]:
        raise ValueError(
            f"{key}={path}: these metrics use the detector builtin, which reads no file; leave it out, or choose"
            f" another detector, as in {key.replace('detector_path', 'detector')}=inception"
        )
    for name in names:
        try:
            opened[name] = open_detector(name, path=None if name == "builtin" else path, download=download)
        except ValueError as error:
            download_key = key.replace("detector_path", "download")
            raise ValueError(
                f"{error} ({key}=..., or {download_key}=true where its digits are known)"
            ) from error
    return opened


def open_reals(datamodule: Any, *, cache_dir: str | os.PathLike | None = None) -> Reals:
    """The pictures of a data module that is set up. Args: cache_dir: as in `FeatureCache`; None = the user's.

    Raises: ValueError where it has no set of pictures that can be counted through.
    """
    dataset = getattr(datamodule, "dataset", None)
    if dataset is None or not hasattr(dataset, "content_digest"):
        raise ValueError(
            f"{type(datamodule).__name__} has no `dataset` of the kind of datamodules.datasets.ImageDataset, which"
            " metrics are computed on; set metrics=none"
        )
    # Empty, as in `cache_dir=`, would be the working folder.
    folder = Path(cache_dir).expanduser() if cache_dir else cache_folder("features")
    return Reals(getattr(datamodule, "originals", dataset), dataset, cache=FeatureCache(folder))
