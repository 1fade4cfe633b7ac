"""The user's cache folder: what saves time when it is there, and nothing when it is not."""

import os
from pathlib import Path


def cache_folder(kind: str) -> Path | None:
    """Where things of a kind are kept between runs, `~/.cache/stylegan-lightning/<kind>`; `$XDG_CACHE_HOME` is heeded.

    None where the user has no home.
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(base) / "stylegan-lightning" / kind
