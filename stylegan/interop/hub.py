"""The Hugging Face Hub: networks of `hf://user/name`, and folders with a model card for it.

The package huggingface_hub, of the extra `hub`, moves the files: its cache, its login (`hf auth login`, `HF_TOKEN`),
its progress bars, and `HF_ENDPOINT` for another server.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, TypeVar

from stylegan.interop.stored import KINDS, Kind
from stylegan.machine.text import printable, some

T = TypeVar("T")

_PREFIX = "hf://"
# A `Path` of an address has lost one of its slashes.
_PREFIX_OF_PATH = "hf:/"
_ADDRESS = re.compile(r"hf:/{1,2}([\w.-]+/[\w.-]+)(?:@([^/]+))?(?:/(.+))?", re.ASCII)
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
# Files that may hold a network, where none is called as we call ours.
_ENDINGS = (".safetensors", ".pt", ".pth", ".pkl", ".ckpt")


class Address(NamedTuple):
    """`hf://user/name@revision/file`.  Attributes: revision, file: None = the newest, and whichever it holds."""

    repository: str
    revision: str | None
    file: str | None


def is_address(path: object) -> bool:
    """Whether a path is an address of the Hub."""
    return isinstance(path, str | Path) and str(path).startswith(_PREFIX_OF_PATH)


def parse_address(text: str) -> Address:
    """Raises: ValueError for another form."""
    match = _ADDRESS.fullmatch(text)
    if match is None or ".." in Path(match[3] or "").parts:
        raise ValueError(
            f"{printable(text)} must be hf://user/name, and may name a revision and a file:"
            " hf://user/name@main/generator_ema.safetensors"
        )
    return Address(match[1], match[2], match[3])


def fetch(address: str, wanted: Sequence[Kind] | None = None) -> list[Path]:
    """Downloads the files of networks into the cache of huggingface_hub; what is there is not downloaded again.

    Args:
        address: `hf://user/name`, `@revision` and `/file` after it where they are meant.
        wanted: the best first; the first that has a file of its own is fetched. None = all of them.
    Returns: files `generator_ema.safetensors` and the like, or the repository's one file of a network.
    Raises: ValueError in one line that begins with the address.
    """
    place = parse_address(address)
    hub = _package(address)
    if place.file is not None:
        return [_file(hub, address, place, place.file)]
    groups = [list(KINDS)] if wanted is None else [[kind] for kind in wanted]
    for kinds in groups:
        names = [f"{kind}.safetensors" for kind in kinds]
        folder = Path(
            _asked(
                address,
                lambda names=names: hub.snapshot_download(
                    place.repository, revision=place.revision, allow_patterns=names
                ),
            )
        )
        if found := [folder / name for name in names if (folder / name).is_file()]:
            return found
    names = _asked(address, lambda: hub.list_repo_files(place.repository, revision=place.revision))
    networks = sorted(name for name in names if name.endswith(_ENDINGS))
    if len(networks) != 1:
        raise ValueError(_which_one(address, networks))
    return [_file(hub, address, place, networks[0])]


def push(folder: Path, repository: str, names: Sequence[str], *, private: bool, overwrite: bool) -> str:
    """Uploads files of a folder as one commit, into a repository that is made where there is none.

    Args:
        repository: `user/name`. names: of the files.
        private: of a repository that is made. overwrite: whether files of the repository may be replaced.
    Returns: the repository's address in a browser.
    Raises: ValueError in one line.
    """
    check_repository(repository)
    hub = _package(f"--push {repository}")
    api = hub.HfApi()
    what = f"--push {repository}"
    url = _asked(what, lambda: api.create_repo(repository, private=private, exist_ok=True))
    there = set(_asked(what, lambda: api.list_repo_files(repository)))
    if not overwrite and (taken := sorted(there.intersection(names))):
        raise ValueError(
            f"{what}: the repository has {some(taken)} already; --overwrite replaces what it has"
        )
    _asked(
        what,
        lambda: api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=list(names),
            commit_message="Upload networks",
        ),
    )
    return str(url)


def check_repository(repository: str) -> None:
    """Raises: ValueError for a name that no repository has."""
    if _REPOSITORY.fullmatch(repository) is None:
        raise ValueError(f"--push {printable(repository)}: a repository is named user/name")


def _package(what: str) -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ValueError(
            f"{what} needs the package huggingface_hub: pip install 'stylegan-lightning[hub]'"
        ) from error
    return huggingface_hub


def _file(hub: ModuleType, address: str, place: Address, name: str) -> Path:
    return Path(_asked(address, lambda: hub.hf_hub_download(place.repository, name, revision=place.revision)))


def _which_one(address: str, networks: Sequence[str]) -> str:
    if not networks:
        return f"{address} holds no network (no file that ends in {', '.join(_ENDINGS)})"
    return f"{address} holds {len(networks)} networks, {some(networks)}; name one: {address}/{printable(networks[0])}"


def _asked(what: str, call: Callable[[], T]) -> T:
    """What the Hub answers.  Raises: ValueError in one line for all that can go wrong on the way."""
    from huggingface_hub import errors

    # All kinds of errors: the package's HTTP library differs between its releases, and so do that one's errors.
    try:
        return call()
    except errors.GatedRepoError as error:
        reason = "its owner must give you access; ask for it on its page, then log in: hf auth login"
        raise ValueError(f"{what}: {reason}") from error
    except errors.RepositoryNotFoundError as error:
        reason = "there is no such repository, or it is private; for one of your own log in: hf auth login"
        raise ValueError(f"{what}: {reason}") from error
    except errors.RevisionNotFoundError as error:
        raise ValueError(f"{what}: the repository has no such revision") from error
    except errors.LocalEntryNotFoundError as error:
        raise ValueError(
            f"{what}: the Hub cannot be reached, and the file is not in the cache; try again online"
        ) from error
    except errors.EntryNotFoundError as error:
        raise ValueError(f"{what}: the repository has no such file") from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            reason = (
                "the Hub refuses it to you: log in with a token that may write (hf auth login, or HF_TOKEN)"
            )
        else:
            reason = _first_line(error)
        raise ValueError(f"{what}: {reason}") from error
    except Exception as error:
        raise ValueError(f"{what}: the Hub cannot be reached or used: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return printable((str(error).strip().splitlines() or [type(error).__name__])[0])
