"""Like: an image of this program that is drawn again, from what it says of itself."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from stylegan.latents.provenance import is_image, stored_in
from stylegan.machine.files import expanded
from stylegan.machine.sidecars import read_sidecar
from stylegan.machine.text import printable

# As arguments of `Drawer`, which has the same names, but for the label.
_SETTINGS = (
    *("truncation", "truncation_cutoff", "center", "noise_mode", "precision"),
    *("canvas", "canvas_mode", "layer", "crop", "label"),
)
# What they name is a file of the user's, and a path that stands in a file is not followed.
_FILES = ("directions", "tuned")


class Likeness(NamedTuple):
    """How an image was drawn.

    Args:
        seeds: its point, as of `parse_points`: the image itself.
        settings: of its drawer, and `label`, as text; those that are as usual may be missing.
        text: all that it says.
    """

    seeds: str
    settings: dict[str, str]
    text: dict[str, object]

    def difference(self, weights: str) -> str | None:
        """What to say where a network with another digest draws it; None for the same one."""
        other = str(self.text.get("weights", ""))
        if other == weights:
            return None
        return (
            f"{printable(self.seeds)} was drawn by another network (weights {printable(other[:12])}...), and this one"
            f" (weights {weights[:12]}...) draws other pixels"
        )


def likeness_of(image: str | Path, *, given: Collection[str] = ()) -> Likeness:
    """What an image says of how it was drawn: the image first, then the JSON next to it, as where its text was lost.

    Args: given: settings that the user names, and that need not be found.
    Raises: ValueError where it says nothing, is a sheet, or was drawn with a file that must be named again.
    """
    path = expanded(image, key="like")
    shown = printable(str(image))
    if not path.is_file():
        raise ValueError(f"like={shown}: there is no such file")
    if not is_image(path):
        raise ValueError(f"like={shown}: name an image, a .png, .jpg or .webp that this program drew")
    text = stored_in(path) or {}
    if "weights" not in text:
        text = read_sidecar(path) or {}
    if "weights" not in text:
        raise ValueError(
            f"like={shown}: neither this file nor {printable(path.name)}.json says how it was drawn"
        )
    if "seed" not in text and "latent" not in text:
        raise ValueError(f"like={shown}: it holds several images; name one of them")
    needed = [key for key in _FILES if key in text] + (["center"] if "center_latent" in text else [])
    if missing := [key for key in needed if key not in given]:
        named = " and ".join(f"{key}={printable(str(text[key]))}" for key in missing)
        raise ValueError(f"like={shown}: it was drawn with {named}; name the file once more")
    settings = {key: str(text[key]) for key in _SETTINGS if key in text and key not in needed}
    return Likeness(str(path), settings, dict(text))


def network_of(image: str | Path, text: dict[str, object], *, runs_dir: Path) -> Path | None:
    """The file of the network that drew an image: in the run that the image lies in, or in that of its name.

    Returns: None where it is not there any more, or the image does not say.
    """
    network, run = (text.get(key) for key in ("network", "run"))
    if not _is_name(network):
        return None
    places = [Path(image).absolute().parent.parent, *([runs_dir / str(run)] if _is_name(run) else [])]
    found = (place / "checkpoints" / str(network) for place in places)
    return next((file for file in found if file.is_file()), None)


def _is_name(name: object) -> bool:
    """Whether it names a file in a folder, and none elsewhere."""
    return isinstance(name, str) and name not in ("", ".", "..") and not {*"/\\\0:"} & {*name}
