"""Progress of long work: a bar in a terminal, elsewhere a line whenever another tenth is done."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.progress import Progress

from stylegan.machine.console import say

T = TypeVar("T")


def with_progress(
    chunks: Iterable[tuple[int, T]],
    *,
    total: int,
    what: str = "images",
    doing: str = "drawing",
    done: int = 0,
) -> Iterator[T]:
    """What `chunks` gives, as it comes.

    Args:
        chunks: pairs of how many are done by it, and the thing itself.
        total: how many there are, with those done before.
        what: their name, for the lines.
        doing: the word beside the bar.
        done: how many were there before.
    """
    if sys.stdout.isatty():
        with Progress(transient=True) as bar:
            task = bar.add_task(doing, total=total, completed=done)
            for count, chunk in chunks:
                yield chunk
                bar.advance(task, count)
        return
    tenths = done * 10 // total if total else 0
    for count, chunk in chunks:
        yield chunk
        done += count
        if done < total and done * 10 // total > tenths:
            tenths = done * 10 // total
            say(f"{done:,} of {total:,} {what}")
