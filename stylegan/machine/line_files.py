"""Line files: records that are appended by whole lines, and read again whatever a kill or another program left there.

Such a file is added to by `append_whole` (`stylegan.machine.files`), and cut by `keep_lines`, which loses no line that
was whole: what cannot be read is moved to `<name>.unreadable`, and a line reports it.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from stylegan.machine.files import append_whole, replacing

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def keep_lines(path: Path, wanted: Callable[[Any], bool]) -> str | None:
    """Drops the lines of a file of JSON objects that are not wanted; lines that are kept keep their bytes.

    A last line without its end counts where it is whole.
    Args: wanted: of the object of a line; of a line of another kind it may raise LookupError, TypeError, ValueError or
        ArithmeticError.
    Returns: what could not be read and where it is now, in words; None where all could.
    Raises: OSError; the file is as it was then.
    """
    if not path.exists():
        return None
    content = path.read_bytes()
    kept, unreadable = [], []
    for line in content.removeprefix(BYTE_ORDER_MARK).splitlines(keepends=True):
        if not line.strip():
            continue
        try:
            if wanted(object_of(line)):
                kept.append(line.rstrip(b"\r\n") + b"\n")
        except (LookupError, TypeError, ValueError, ArithmeticError):
            unreadable.append(line)
    said = put_aside(path, unreadable)
    if b"".join(kept) != content:
        replace_lines(path, kept)
    return said


def object_of(line: bytes) -> dict[str, Any]:
    """The JSON object of a line.  Raises: ValueError where it is none, or no UTF-8."""
    try:
        found = json.loads(line.decode("utf-8"))
    except RecursionError:
        raise ValueError("a line must not nest as deep as this one") from None
    if not isinstance(found, dict):
        raise ValueError("a line must be a JSON object")
    return found


def put_aside(path: Path, lines: Iterable[bytes]) -> str | None:
    """Adds lines that cannot be read to `<name>.unreadable`.  Returns: that in words; None where there are none."""
    lines = [line.rstrip(b"\r\n") + b"\n" for line in lines]
    if not lines:
        return None
    aside = path.with_name(f"{path.name}.unreadable")
    append_whole(aside, b"".join(lines))
    what = (
        "1 line that cannot be read is" if len(lines) == 1 else f"{len(lines)} lines that cannot be read are"
    )
    return f"{path.name}: {what} now in {aside.name}"


def replace_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Rewrites a file so that at every moment either all of the old or all of the new lines are there."""
    with replacing(path) as file:
        file.writelines(lines)
