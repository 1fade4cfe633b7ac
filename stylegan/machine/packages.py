"""Packages: whether this Python has those that the project needs; read by any Python 3, and with nothing installed."""

import importlib.util
import os
import sys

OLDEST = (3, 11)
# As they are imported; pyproject.toml has their names there and their versions.
NEEDED = (
    *("torch", "torchvision", "pytorch_lightning", "hydra", "omegaconf", "PIL", "numpy", "safetensors"),
    *("tensorboard", "rich", "filelock", "platformdirs", "psutil", "jinja2", "tifffile", "scipy"),
)


def refuse_without_packages(script):
    """Ends the program in one line that says how to start it, where this Python is too old or lacks a package.

    Args: script: the path of the program in the root of the project.
    """
    if sys.version_info < OLDEST:
        this = ".".join(map(str, sys.version_info[:2]))
        lacks = f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, and {sys.executable} is {this}"
    else:
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if not missing:
            return
        more = f" and {len(missing) - 1} more packages are" if len(missing) > 1 else " is"
        lacks = f"{missing[0]}{more} not installed for {sys.executable}"
    sys.stderr.write(f"{os.path.basename(script)}: {lacks}; {_way_out(script)}\n")
    sys.exit(2)


def _way_out(script):
    root = os.path.dirname(os.path.abspath(script))
    folder = "Scripts" if os.name == "nt" else "bin"
    python = os.path.join(root, ".venv", folder, "python.exe" if os.name == "nt" else "python")
    if not os.path.exists(python):
        return f"`make .venv/installed` in {root} sets up .venv with all of them (README.md)"
    activate = os.path.relpath(os.path.join(root, ".venv", folder, "activate"))
    return f"run {os.path.relpath(python)} {os.path.relpath(script)} ..., or first: source {activate}"
