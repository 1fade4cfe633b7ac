"""Values that a run which goes on keeps, where nothing is said of them."""

from collections.abc import Collection
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError

from stylegan.cli.free_text import literal
from stylegan.config import count_devices
from stylegan.run_folder import RunFolder

_DERIVED_ANEW = {"total_kimg"}
# Follows from the devices that there are now, and changes nothing that is learned.
_OF_THE_DEVICES = {"micro_batch"}


def kept(
    folder: RunFolder, keys: Collection[str], devices: int, batch_size: int | None = None
) -> dict[str, Any]:
    """The values that a folder's run has for `keys`; none where it has no checkpoint to go on from.

    They were derived for the devices of the first start. With more devices or fewer the same run goes on.
    Args: devices: how many there are now. What was chosen for as many, perhaps by measuring, stays. batch_size: that is
    asked for, None = the run's; what divides another one is of no use to it.
    Raises: ValueError for a value that is neither a number, a word or a boolean nor a list of these: the folder may
    be a stranger's, and a mapping with a `_target_` would be called when the parts are built.
    """
    if not folder.config.exists() or folder.newest_checkpoint() is None:
        return {}
    try:
        stored = OmegaConf.load(folder.config)
        same = _devices_of(stored) == devices and batch_size in (None, OmegaConf.select(stored, "batch_size"))
        anew = _DERIVED_ANEW if same else _DERIVED_ANEW | _OF_THE_DEVICES
        values = {key: OmegaConf.select(stored, key) for key in keys if key not in anew}
    except (YAMLError, UnicodeDecodeError, OSError, ValueError):
        return {}  # whoever reads all of it says what is wrong with the file
    return {key: _plain(value, key, folder) for key, value in values.items() if value is not None}


def _plain(value: Any, key: str, folder: RunFolder) -> Any:
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    items = value if isinstance(value, list) else [value]
    if any(not isinstance(item, str | int | float | None) for item in items):
        raise ValueError(
            f"{folder.config}: {key} must be a number, a word or a list of these, got {value}; mend it, or remove the"
            " file, and the run goes on with what is configured now"
        )
    # A text that holds `${` stays a text, and is not looked up among the settings of this run.
    items = [literal(item) if isinstance(item, str) else item for item in items]
    return items if isinstance(value, list) else items[0]


def _devices_of(stored: Any) -> int | None:
    """How many devices a run was last started with; None where its trainer does not tell."""
    try:
        nodes = OmegaConf.select(stored, "trainer.num_nodes") or 1
        return count_devices(OmegaConf.select(stored, "trainer.devices"), nodes)
    except ValueError:
        return None
