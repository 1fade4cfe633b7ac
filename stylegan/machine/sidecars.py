"""Sidecars: the JSON file next to a picture or video that says how it was made."""

import json
from collections.abc import Mapping
from pathlib import Path

from stylegan.machine.files import replacing


def sidecar_of(path: Path) -> Path:
    """The file next to `path` that says how it was made: `walk.mp4.json`."""
    return path.with_name(f"{path.name}.json")


def write_sidecar(path: Path, text: Mapping[str, object]) -> None:
    """Says next to a file how it was made, as JSON. Raises: OSError where the folder cannot be written."""
    with replacing(sidecar_of(path), durable=False) as file:
        file.write(
            (json.dumps(text, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
        )


def read_sidecar(path: Path) -> dict[str, object] | None:
    """What the file next to `path` says; None where there is none, or none of ours."""
    try:
        found = json.loads(sidecar_of(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
