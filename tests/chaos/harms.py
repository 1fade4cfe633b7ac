"""What can happen to the files of a run while it is down, and what it was writing when it died."""

import hashlib
import os
import random
from pathlib import Path

KINDS = ("cut", "flipped in a bit", "emptied", "lost", "half a row", "times set back", "no harm")


def partials(run: Path) -> set[str]:
    """Names of the files in `checkpoints/` that are being written, or were when the writer died."""
    try:
        return {entry.name for entry in os.scandir(run / "checkpoints") if entry.name.endswith(".partial")}
    except FileNotFoundError:
        return set()


def unfinished(run: Path) -> set[tuple[str, str]]:
    """What is there of checkpoints that are not complete: where a kill fell, and a file's name."""
    found = set()
    for name in partials(run):
        part = next(part for part in (".ckpt.sha256", ".safetensors", ".ckpt") if f"{part}." in name)
        found.add((f"in a file {part}", name))
    names = {path.name for path in (run / "checkpoints").glob("kimg*")}
    for name in names:
        stem, _, ending = name.rpartition(".")
        # A checkpoint that was set aside leaves its generator where it is.
        if ending == "safetensors" and not {f"{stem}.ckpt", f"{stem}.ckpt.bad"} & names:
            found.add(("after .safetensors, before .ckpt", name))
        if ending == "ckpt" and f"{name}.sha256" not in names:
            found.add(("after .ckpt, before .ckpt.sha256", name))
    return found


class Harms:
    """Does harm, and knows which checkpoint is the newest good one anyway. Args: run: its folder."""

    def __init__(self, run: Path, dice: random.Random):
        self.run, self.dice = run, dice
        self._deck: list[str] = []
        # By content: a checkpoint that is written again has the name of the damaged one.
        self._damaged: set[str] = set()

    def newest_good(self) -> Path | None:
        good = [path for path in self._checkpoints() if _digest(path) not in self._damaged]
        return max(good, default=None)

    def do(self) -> str:
        """The next kind of harm, each as often as the others. Returns: which."""
        if not self._deck:
            self._deck = self.dice.sample(KINDS, len(KINDS))
        good = self.newest_good()
        # While the newest one is damaged, no start has answered to it yet.
        if good is None or good != max(self._checkpoints()):
            return "no harm"
        kind, size = self._deck.pop(), good.stat().st_size
        if kind == "cut":
            os.truncate(good, self.dice.randrange(1, size))
        elif kind == "flipped in a bit":
            with open(good, "r+b") as file:
                file.seek(self.dice.randrange(size))
                byte = file.read(1)[0]
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte ^ 1 << self.dice.randrange(8)]))
        elif kind == "emptied":
            good.write_bytes(b"")
        elif kind == "lost":
            good.unlink()
        elif kind == "half a row":
            for path in self.run.glob("stats.*"):
                row = path.read_bytes().splitlines()[-1:]
                with open(path, "ab") as file:
                    file.writelines(line[: self.dice.randrange(1, len(line))] for line in row)
        elif kind == "times set back":
            for path in self.run.rglob("*"):
                os.utime(path, (self.dice.randrange(10**9), self.dice.randrange(10**9)))
        if good.exists() and kind in KINDS[:3]:
            self._damaged.add(_digest(good))
        return kind

    def _checkpoints(self) -> list[Path]:
        return list((self.run / "checkpoints").glob("*.ckpt"))


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
