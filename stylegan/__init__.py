"""StyleGAN2-ADA as a PyTorch Lightning research framework.

The names that a notebook needs are loaded on first use: the commands import this package before
they know whether they need torch at all.
"""

from __future__ import annotations  # a Python that is too old comes as far as the line that says so

from importlib import import_module
from typing import TYPE_CHECKING

from stylegan.version import __version__

if TYPE_CHECKING:
    from stylegan.interop import load_discriminator, load_generator
    from stylegan.networks import Discriminator, Generator

__all__ = ["Discriminator", "Generator", "__version__", "load_discriminator", "load_generator"]

_HOMES = {
    "Discriminator": "stylegan.networks",
    "Generator": "stylegan.networks",
    "load_discriminator": "stylegan.interop",
    "load_generator": "stylegan.interop",
}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
