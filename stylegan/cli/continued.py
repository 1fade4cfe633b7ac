"""Values that a run which goes on keeps, where nothing is said of them."""

from collections.abc import Collection
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError

from stylegan.run_folder import RunFolder

# These follow from the devices that there are now, and change nothing that is learned.
_DERIVED_ANEW = {"micro_batch", "total_kimg"}


def kept(folder: RunFolder, keys: Collection[str]) -> dict[str, Any]:
    """The values that a folder's run has for `keys`; none where it has no checkpoint to go on from.

    They were derived for the devices of the first start. With more devices or fewer the same run goes on.
    """
    if not folder.config.exists() or folder.newest_checkpoint() is None:
        return {}
    try:
        stored = OmegaConf.load(folder.config)
        values = {key: OmegaConf.select(stored, key) for key in keys if key not in _DERIVED_ANEW}
    except (YAMLError, UnicodeDecodeError, OSError, ValueError):
        return {}  # whoever reads all of it says what is wrong with the file
    return {
        key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        for key, value in values.items()
        if value is not None
    }
