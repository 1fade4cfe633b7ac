"""Downloads: one file from a server into a folder, whole or not at all, continued where the last attempt ended."""

import hashlib
import json
import re
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

from filelock import FileLock

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SEC = 60
# A server on this machine needs no encryption; it is also how tests ask one.
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

# Called with the file's name, the bytes that are there, and those expected (None = not known).
Progress = Callable[[str, int, int | None], None]


class DownloadError(ValueError):
    """A download that failed, in one line that says why."""


def is_url(text: object) -> bool:
    """Whether a path is an address of the web instead."""
    return isinstance(text, str) and text.lower().startswith(("https://", "http://"))


def download(
    url: str, target: Path, *, largest_bytes: int, sha256: str = "", progress: Progress | None = None
) -> Path:
    """Fetches `url` as `target`, which has its name only once it is whole.

    What an interrupted download left is continued where the server has the same file still. Of several processes that
    want one file, one fetches it.

    Args:
        largest_bytes: a file that is larger, or says so, is not fetched.
        sha256: the published digits, all or the first; "" = none are.
    Raises: DownloadError for anything but https, a web page instead of a file, other digits, and failures of network
        and disk.
    """
    _check_address(url)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock")):
            if target.is_file():
                return target
            partial = _Partial.of(target)
            _fetch(url, partial, largest_bytes, progress)
            _check_content(partial, url, sha256)
            partial.file.replace(target)
            partial.note.unlink(missing_ok=True)
    except DownloadError:
        raise
    except HTTPError as error:
        raise DownloadError(f"{url} is not there for this machine: {error.code} {error.reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        raise DownloadError(f"cannot fetch {url}: {reason.splitlines()[0][:120]}") from None
    return target


def tell(name: str, done: int, expected: int | None) -> None:
    """Progress on one line of a terminal; elsewhere the last line only."""
    if sys.stderr.isatty() or done == expected:
        of = f" of {expected / 2**20:,.0f}" if expected else ""
        sys.stderr.write(f"{name}: {done / 2**20:,.0f}{of} MiB{chr(10) if done == expected else chr(13)}")
        sys.stderr.flush()


@dataclass(frozen=True)
class _Partial:
    """What there is of a file, and a note of which version of it the server gave."""

    file: Path
    note: Path

    @classmethod
    def of(cls, target: Path) -> "_Partial":
        return cls(
            target.with_name(f".{target.name}.partial"), target.with_name(f".{target.name}.partial.json")
        )

    def version(self, url: str) -> str:
        """The server's mark of the version that is there; "" = none, so that it begins again."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            return str(note["version"]) if note["url"] == url and self.file.is_file() else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise DownloadError(f"{url} is no address") from None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in _THIS_MACHINE)):
        raise DownloadError(f"{url} is not fetched: only https:// is")


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        # A file of this machine, or an address without encryption, is not what was asked for.
        _check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(url: str, partial: _Partial, largest_bytes: int, progress: Progress | None) -> None:
    version = partial.version(url)
    begin = partial.file.stat().st_size if version else 0
    headers = {"Range": f"bytes={begin}-", "If-Range": version} if begin else {}
    request = urllib.request.Request(url, headers=headers | {"Accept-Encoding": "identity"})
    try:
        answer = urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT_SEC)
    except HTTPError as error:
        if error.code != 416 or not begin:
            raise
        # There is no more of it than is there: it is whole, or another file by now.
        partial.note.unlink(missing_ok=True)
        return _fetch(url, partial, largest_bytes, progress)
    with answer:
        begin, expected = _continued(answer, begin)
        if expected is not None and expected > largest_bytes:
            raise DownloadError(f"{url} has {expected:,} bytes, and at most {largest_bytes:,} are taken")
        if "html" in answer.headers.get_content_type():
            raise DownloadError(_page(url))
        mark = answer.headers["ETag"] or answer.headers["Last-Modified"] or ""
        # A weak mark means a page of the same meaning, not the same bytes.
        mark = "" if mark.startswith("W/") else mark
        partial.note.write_text(json.dumps({"url": url, "version": mark}), encoding="utf-8")
        done = begin
        with open(partial.file, "r+b" if begin else "wb") as out:
            out.seek(begin)
            while chunk := answer.read(_CHUNK_BYTES):
                done += len(chunk)
                if done > largest_bytes:
                    raise DownloadError(f"{url} does not end after {largest_bytes:,} bytes")
                out.write(chunk)
                if progress is not None:
                    progress(partial.file.name[1 : -len(".partial")], done, expected)
            out.truncate()
        if expected is not None and done != expected:
            raise DownloadError(
                f"{url} stopped at {done:,} of {expected:,} bytes; the same command continues"
            )


def _continued(answer: HTTPResponse, begin: int) -> tuple[int, int | None]:
    """Where the answer begins, and how many bytes the whole file has."""
    if answer.status == 206:
        match = _RANGE.fullmatch(answer.headers["Content-Range"] or "")
        if match is None or int(match[1]) != begin:
            raise DownloadError("the server continues at another place than it was asked; try again")
        return begin, None if match[2] == "*" else int(match[2])
    length = answer.headers["Content-Length"]
    return 0, int(length) if length and length.isdecimal() else None


def _check_content(partial: _Partial, url: str, sha256: str) -> None:
    """Deletes what is not the file that was meant. Raises: DownloadError."""
    with open(partial.file, "rb") as file:
        begin = file.read(512).lstrip().lower()
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest() if sha256 else ""
    fault = ""
    if begin.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        fault = _page(url)
    elif not digest.startswith(sha256.lower()):
        fault = f"{url} has the SHA-256 {digest[:16]}..., and not the published {sha256[:16]}...; it is another file"
    if fault:
        partial.file.unlink()
        partial.note.unlink(missing_ok=True)
        raise DownloadError(fault)


def _page(url: str) -> str:
    return (
        f"{url} gives a web page and no file, as shares do that first ask something; open it in a browser, and name the"
        " file that it saves"
    )
