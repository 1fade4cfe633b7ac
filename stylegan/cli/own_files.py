"""What users bring in files of their own: Python beside their configuration, and parts in the place of ours."""

import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

OURS = ("stylegan", "datamodules", "callbacks", "pytorch_lightning")


@contextmanager
def importable(folder: str | None) -> Iterator[None]:
    """While a command runs, `_target_: my_loss.Hinge` finds `my_loss.py` in the folder given by --config-dir.

    Afterwards its modules are forgotten, so that the next command of the same process reads its own.
    """
    if folder is None:
        yield
        return
    folder = os.path.abspath(folder)
    # The groups of the user's are folders called as packages of ours (`callbacks`). Without an `__init__.py` they
    # do not hide these.
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(os.path.join(folder, "")):
                del sys.modules[name]


def leave_out_unasked(config: DictConfig, ours: Callable[[], DictConfig]) -> None:
    """Takes from parts of the user's own the settings of our parts that they know nothing of.

    `discriminator: {_target_: my_critic.Critic}` is merged with the settings of our discriminator. Those that the
    user's constructor does not take are left out; one that the user has set stays, for the constructor to refuse.

    Args: ours: gives the configuration as it is without what the user has set.
    """
    for key, node in config.items():
        target = node.get("_target_") if isinstance(node, DictConfig) else None
        taken = None if target is None or str(target).partition(".")[0] in OURS else _arguments(target)
        if taken is None:
            continue
        default = ours().get(key)
        before = OmegaConf.to_container(default) if isinstance(default, DictConfig) else {}
        for name, value in OmegaConf.to_container(node).items():
            if name not in taken and not name.startswith("_") and name in before and before[name] == value:
                with open_dict(node):
                    del node[name]


def _arguments(target: str) -> set[str] | None:
    """The names that the constructor takes; None where it takes any, or cannot be read."""
    try:
        return taken_by(part_named(target))
    except Exception:
        # Whatever the import of a user's own file raises is told when the part is built.
        return None


def taken_by(part: Callable) -> set[str] | None:
    """The names of the arguments of a class or function; None where it takes any."""
    parameters = inspect.signature(part).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return set(parameters)


def part_named(target: str) -> Any:
    """The class or function that a `_target_` names. Raises: whatever its import raises, or AttributeError."""
    return pkgutil.resolve_name(target)
