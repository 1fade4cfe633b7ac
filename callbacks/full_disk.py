"""A disk that is full must not end a training: what could not be written is said, and the training goes on."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# torch's writer of archives reports a failed write by these words alone.
_TORCH_WORDS = ("PytorchStreamWriter", "inline_container", "unexpected pos")


def is_full_disk(error: BaseException) -> bool:
    """Whether a file could not be written for want of room: OSError of that kind, or torch's error for it."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _TORCH_WORDS)


@contextmanager
def going_on_without(what: str) -> Iterator[None]:
    """Inside, a full disk costs `what` alone: one line says so."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not is_full_disk(error):
            raise
        say(f"the disk is full: {what} could not be written ({error})")


def say(line: str) -> None:
    """A warning among the lines of the run, at once."""
    print(f"warning     {' '.join(line.split())}", flush=True)
