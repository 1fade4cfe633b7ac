"""Published networks by short name, and addresses of the web: which file of the cache folder each means.

Short names say which of NVIDIA's files is meant, and whose conditions hold for it. Where it is fetched from, the user
says: by the address itself (`network=https://...`), by a folder of files in `STYLEGAN_NETWORKS_URL`, or by
putting the file into the cache folder.
"""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from stylegan.machine.downloads import DownloadError, download, is_url, tell
from stylegan.machine.files import cache_folder

URL_VARIABLE = "STYLEGAN_NETWORKS_URL"
# The largest published ones have 380 MB; forks with wider networks, 1.1 GB.
LARGEST_BYTES = 4 << 30

_NVIDIA = "NVIDIA's licence, for non-commercial use"
_FFHQ = f"{_NVIDIA}; its pictures, FFHQ: CC BY-NC-SA 4.0"
_METFACES = f"{_NVIDIA}; its pictures, MetFaces: CC BY-NC 2.0"


@dataclass(frozen=True)
class KnownNetwork:
    """Args:
    file: the name under which it is published. Of none a SHA-256 is.
    images: what it draws, at which size in px.
    licence: of the weights. Some sets of pictures have conditions of their own.
    """

    file: str
    images: str
    licence: str = _NVIDIA


KNOWN_NETWORKS = {
    "ffhq256": KnownNetwork("stylegan2-ffhq-256x256.pkl", "faces, 256", _FFHQ),
    "ffhq512": KnownNetwork("stylegan2-ffhq-512x512.pkl", "faces, 512", _FFHQ),
    "ffhq1024": KnownNetwork("stylegan2-ffhq-1024x1024.pkl", "faces, 1024", _FFHQ),
    "ffhqu256": KnownNetwork("stylegan2-ffhqu-256x256.pkl", "faces, not aligned, 256", _FFHQ),
    "ffhqu1024": KnownNetwork("stylegan2-ffhqu-1024x1024.pkl", "faces, not aligned, 1024", _FFHQ),
    "metfaces1024": KnownNetwork("stylegan2-metfaces-1024x1024.pkl", "painted faces, 1024", _METFACES),
    "metfacesu1024": KnownNetwork(
        "stylegan2-metfacesu-1024x1024.pkl", "painted faces, not aligned, 1024", _METFACES
    ),
    "celebahq256": KnownNetwork("stylegan2-celebahq-256x256.pkl", "faces, 256"),
    "lsundog256": KnownNetwork("stylegan2-lsundog-256x256.pkl", "dogs, 256"),
    "afhqcat512": KnownNetwork("stylegan2-afhqcat-512x512.pkl", "cats, 512"),
    "afhqdog512": KnownNetwork("stylegan2-afhqdog-512x512.pkl", "dogs, 512"),
    "afhqwild512": KnownNetwork("stylegan2-afhqwild-512x512.pkl", "wild animals, 512"),
    "afhqv2-512": KnownNetwork("stylegan2-afhqv2-512x512.pkl", "cats, dogs and wild animals, 512"),
    "brecahd512": KnownNetwork("stylegan2-brecahd-512x512.pkl", "breast cancer histology, 512"),
    "cifar10": KnownNetwork("stylegan2-cifar10-32x32.pkl", "10 classes, 32"),
    "lsuncar512": KnownNetwork("stylegan2-car-config-f.pkl", "cars, 512x384 within 512"),
    "lsuncat256": KnownNetwork("stylegan2-cat-config-f.pkl", "cats, 256"),
    "lsunchurch256": KnownNetwork("stylegan2-church-config-f.pkl", "churches, 256"),
    "lsunhorse256": KnownNetwork("stylegan2-horse-config-f.pkl", "horses, 256"),
}


def is_known(network: object) -> bool:
    """Whether `network=` is a short name or an address, and no path: a file of the same name goes first."""
    if is_url(network):
        return True
    return isinstance(network, str) and network in KNOWN_NETWORKS and not Path(network).exists()


def is_cached(file: Path) -> bool:
    """Whether a file is in the cache folder, where no user looks for what was made of it."""
    folder = cache_folder("networks")
    return folder is not None and file.absolute().parent == folder


def known_network(network: str) -> Path:
    """The file of a short name or an address: in the cache folder, or fetched into it.

    Raises: ValueError in one line that says which file to put where.
    """
    folder = cache_folder("networks")
    if folder is None:
        raise ValueError(f"{network}: this user has no home folder to keep it in; name a file")
    if is_url(network):
        name = PurePosixPath(unquote(urlsplit(network).path)).name
        target, url, by_hand = folder / _plain_name(name, network), network, "fetch it by hand"
    else:
        known = KNOWN_NETWORKS[network]
        base = os.environ.get(URL_VARIABLE, "").rstrip("/")
        target, url = folder / known.file, f"{base}/{known.file}" if base else ""
        by_hand = f"fetch {known.file} from NVIDIA's page of StyleGAN2 networks ({known.licence})"
    if target.is_file():
        return target
    if not url:
        raise ValueError(
            f"{network}: {by_hand}, and save it as {target}; an address (https://...) in place of the name is fetched"
        )
    try:
        return download(url, target, largest_bytes=LARGEST_BYTES, progress=tell)
    except DownloadError as error:
        raise ValueError(f"{network}: {error}; or {by_hand} and save it as {target}") from None


def _plain_name(name: str, url: str) -> str:
    """The name of a file, of an address: never a path."""
    if not name.endswith((".pkl", ".pickle", ".pt", ".pth", ".safetensors", ".ckpt")) or not _is_plain(name):
        raise ValueError(f"{url}: the address of a network ends in the name of its file, as in .../ffhq.pkl")
    return name


def _is_plain(name: str) -> bool:
    return (
        name.isprintable()
        and len(name) < 200
        and not name.startswith(".")
        and not set(name) & set('/\\:*?"<>|')
    )
