"""Where the numeric fixtures are, and how a test reads them.

The fixtures are inputs and outputs of the public StyleGAN2-ADA implementation (NVlabs, commit d72cc7d)
on the CPU in float32. `GOLDEN_DIR` names another folder of the same layout; what it lacks is skipped
by name.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

GOLDEN_DIR = Path(os.environ.get("GOLDEN_DIR", Path(__file__).parent))


class Fixture:
    """One `.npz` file: arrays by key, and the JSON record `meta` that lists its cases."""

    def __init__(self, path: Path):
        self.path = path
        with np.load(path, allow_pickle=False) as archive:
            self._arrays = {key: archive[key] for key in archive.files}
        self.meta = json.loads(str(self._arrays.pop("__meta__")))

    def __contains__(self, key: str) -> bool:
        return key in self._arrays

    def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self._arrays if key.startswith(prefix)]

    def numpy(self, key: str) -> np.ndarray:
        if key not in self._arrays:
            pytest.skip(f"{self.path.name} lacks {key}")
        return self._arrays[key]

    def tensor(self, key: str) -> torch.Tensor:
        return torch.from_numpy(np.array(self.numpy(key)))

    def optional(self, key: str) -> torch.Tensor | None:
        return self.tensor(key) if key in self else None


_opened: dict[Path, Fixture] = {}


def fixture(name: str) -> Fixture:
    """The fixture file `name`; skips the running test where the folder lacks it."""
    path = GOLDEN_DIR / name
    if not path.exists():
        pytest.skip(f"{GOLDEN_DIR} lacks {name}")
    if path not in _opened:
        _opened[path] = Fixture(path)
    return _opened[path]


def json_fixture(name: str) -> dict:
    path = GOLDEN_DIR / name
    if not path.exists():
        pytest.skip(f"{GOLDEN_DIR} lacks {name}")
    return json.loads(path.read_text())


def params(name: str, cases: Callable[[Fixture], Iterable[tuple[str, object]]]) -> list:
    """For `parametrize("case", ...)`: what `cases(fixture)` yields as (id, case); one skipped case without the file."""
    path = GOLDEN_DIR / name
    if not path.exists():
        return [pytest.param(None, id=name, marks=pytest.mark.skip(reason=f"{GOLDEN_DIR} lacks {name}"))]
    return _collected(name, lambda: cases(fixture(name)))


def json_params(name: str, cases: Callable[[dict], Iterable[tuple[str, object]]]) -> list:
    """The same for a `.json` file."""
    path = GOLDEN_DIR / name
    if not path.exists():
        return [pytest.param(None, id=name, marks=pytest.mark.skip(reason=f"{GOLDEN_DIR} lacks {name}"))]
    return _collected(name, lambda: cases(json_fixture(name)))


def _collected(name: str, cases: Callable[[], Iterable[tuple[str, object]]]) -> list:
    try:
        return [pytest.param(case, id=label) for label, case in cases()]
    except KeyError as lacking:
        return [pytest.param(None, id=name, marks=pytest.mark.skip(reason=f"{name} lacks {lacking}"))]


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest absolute difference over the largest absolute entry of the expected array."""
    assert actual.shape == expected.shape, f"{tuple(actual.shape)} is not {tuple(expected.shape)}"
    return ((actual - expected).abs().max() / expected.abs().max().clamp_min(1e-30)).item()
