"""Like: an image of this program that is drawn again, from what it says of itself."""

import re
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stylegan.latents.directions.movement import with_files
from stylegan.latents.latent_files import SUFFIXES
from stylegan.latents.provenance import is_image, stored_in
from stylegan.machine.files import expanded
from stylegan.machine.sidecars import read_sidecar
from stylegan.machine.text import printable

# As arguments of `Drawer`, which has the same names, but for the label and the file's format.
_SETTINGS = (
    *("truncation", "truncation_cutoff", "center", "noise_mode", "precision"),
    *("canvas", "canvas_mode", "layer", "crop", "label", "format", "quality"),
)
_NETWORKS = (".ckpt", ".safetensors")
# What says whether a file that a setting names is still the same.
_DIGESTS = {"center": "center_latent", "directions": "directions_sha256"}


class Likeness(NamedTuple):
    """How an image was drawn.

    Args:
        seeds: its point, as of `parse_points`: the image itself.
        settings: of its drawer, `label`, and those of its file, as text; those that are as usual may be missing.
        text: all that it says.
    """

    seeds: str
    settings: dict[str, str]
    text: dict[str, object]

    def difference(self, weights: str, drawn: Mapping[str, str] | None = None) -> str | None:
        """What to say where a network with another digest draws it, or a file that it names is another by now.

        Args: drawn: what its drawer says.
        Returns: None where its pixels come again.
        """
        for key, digest in _DIGESTS.items():
            if drawn is None or drawn.get(key, "") not in (self.text.get(key), self.settings.get(key)):
                continue
            if drawn.get(digest) != self.text.get(digest):
                return (
                    f"{printable(self.seeds)} was drawn with other content of {key}={printable(str(drawn[key]))}; what"
                    " is there now draws other pixels"
                )
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
    files = _files_again(path, text)
    if missing := [key for key, found in files.items() if found is None and key not in given]:
        named = " and ".join(f"{key}={printable(str(text[key]))}" for key in missing)
        raise ValueError(f"like={shown}: it was drawn with {named}; name the file once more")
    settings = {key: str(text[key]) for key in _SETTINGS if key in text}
    settings |= {key: str(found) for key, found in files.items()}
    return Likeness(str(path), settings, dict(text))


def _files_again(image: Path, text: Mapping[str, object]) -> dict[str, str | None]:
    """Settings that name a file, as they are written now; None where the file is not there.

    A file is looked for where it was, and next to the image. What is read of it is checked as always, and is a
    latent, a direction or a difference; whether it is still the same is for `Likeness.difference`.
    """
    found: dict[str, str | None] = {}
    if "center_latent" in text:
        source = str(text.get("center_file", ""))
        name, number = re.fullmatch(r"(.*?)((?:\[\d{1,9}\])?)", source, re.DOTALL | re.ASCII).groups()
        place = _place_of(name, image=image, suffixes=SUFFIXES)
        found["center"] = None if place is None else place + number
    if "directions" in text:
        find = partial(_place_of, image=image, suffixes=(".npz", ".npy"))
        found["directions"] = with_files(str(text["directions"]), find)
    if "tuned" in text:
        source = str(text.get("tuned_file", text["tuned"]))
        found["tuned"] = _place_of(source, image=image, suffixes=(".safetensors",))
    return found


def _place_of(name: str, *, image: Path, suffixes: Collection[str]) -> str | None:
    """Where a file of these kinds is, by the path that an image says; None where it is not there."""
    # On Windows such a path asks another machine.
    if name.startswith(("//", "\\\\")) or Path(name).suffix.lower() not in suffixes:
        return None
    try:
        places = {name: expanded(name), str(next_to := image.parent / Path(name).name): next_to}
        return next((place for place, path in places.items() if path.is_file()), None)
    except (ValueError, OSError):  # no path, or too long a one
        return None


def network_of(image: str | Path, text: dict[str, object], *, runs_dir: Path) -> Path | None:
    """The file of the network that drew an image.

    It is in the run that the image lies in, or in that of its name; or a lone file, next to the image or its folder.
    Returns: None where it is not there any more, or the image does not say.
    """
    network, run = (text.get(key) for key in ("network", "run"))
    if not _is_name(network):
        return None
    folder = Path(image).absolute().parent
    runs = [folder.parent, *([runs_dir / str(run)] if _is_name(run) else [])]
    lone = [] if _is_name(run) or Path(str(network)).suffix not in _NETWORKS else [folder.parent, folder]
    places = [*(place / "checkpoints" for place in runs), *lone]
    return next((file for place in places if (file := place / str(network)).is_file()), None)


def _is_name(name: object) -> bool:
    """Whether it names a file in a folder, and none elsewhere."""
    return isinstance(name, str) and name not in ("", ".", "..") and not {*"/\\\0:"} & {*name}
