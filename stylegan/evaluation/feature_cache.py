"""Feature cache: features of real images, kept between runs under a digest of what they were computed from."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stylegan.machine.files import replacing

# Counted up when features, their order or their key come about in another way. Until 2 the key of a zip was what its
# directory said, not what was read; until 3 it did not name the readers of the files.
_FORMAT = "3"
_DIGEST = "digest"


class FeatureCache:
    """Feature cache: matrices float32 [N,F] by what they were computed from, kept between runs.

    It saves time and nothing else: what cannot be read, is damaged, or cannot be written, is computed again. Any number
    of processes may share the folder.

    Args:
        folder: made where it is missing; None = nothing is kept.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder

    def load(self, key: Mapping[str, object]) -> Tensor | None:
        """The features of `key`; None where there are none, or not as they were written."""
        path = self._path(key)
        if path is None or not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as archive:
                stored = (archive.metadata() or {}).get(_DIGEST)
                features = archive.get_tensor("features")
        except (OSError, SafetensorError, RuntimeError, ValueError):
            return None
        return features if stored == _digest(features) else None

    def save(self, key: Mapping[str, object], features: Tensor) -> str | None:
        """Keeps features.

        Returns: why that was not possible, None where it was.
        """
        path = self._path(key)
        if path is None:
            return None
        features = features.contiguous()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(save({"features": features}, metadata={_DIGEST: _digest(features)}))
        except OSError as error:
            return f"features of the real pictures are not kept: {error}"
        return None

    def _path(self, key: Mapping[str, object]) -> Path | None:
        if self.folder is None:
            return None
        words = repr([_FORMAT, sorted((name, str(value)) for name, value in key.items())])
        digest = hashlib.blake2b(words.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        return self.folder / f"{digest}.safetensors"


def _digest(features: Tensor) -> str:
    digest = hashlib.blake2b(str(tuple(features.shape)).encode(), digest_size=16)
    digest.update(features.contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()
