"""The code blocks of a page of the documentation."""

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

_BLOCK = re.compile(r"(?:^`(?P<path>[^`\n]+)`\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """path: the file that the line before the block names, or None. language: "" = a command."""

    path: str | None
    language: str
    text: str


def blocks_of(page: str) -> list[Block]:
    """All fenced blocks of `docs/<page>`, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [Block(match["path"], match["language"], match["text"]) for match in _BLOCK.finditer(text)]


def commands_of(page: str, program: str) -> list[str]:
    """The lines `python <program> ...` of the page's commands, without these two words."""
    start = f"python {program} "
    lines = [line for block in blocks_of(page) if not block.language for line in block.text.splitlines()]
    return [line.removeprefix(start) for line in lines if line.startswith(start)]
