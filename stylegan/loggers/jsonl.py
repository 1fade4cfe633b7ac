"""`stats.jsonl`: one JSON object a tick, with everything that is known of each statistic."""

import json
import math

from stylegan.loggers.rows import KIMG, Row, RowLogger, images_of, replace_file


class JsonlLogger(RowLogger):
    """Appends `{name: {"num": n, "mean": m, "std": s}, ..., "timestamp": t}` per row to `stats.jsonl`.

    JSON has no NaN or infinity, and many readers refuse them: a value that is not finite is written as null.
    """

    file_name = "stats.jsonl"

    def log_row(self, row: Row, *, timestamp: float) -> None:
        fields = {
            name: {"num": num, "mean": _finite(mean), "std": _finite(std)}
            for name, (num, mean, std) in row.items()
        }
        self.unwritten.append(json.dumps(fields | {"timestamp": timestamp}, allow_nan=False) + "\n")
        self.append("".join(self.unwritten))
        self.unwritten.clear()

    def truncate_after(self, images: int) -> None:
        if not self.path.exists():
            return
        with open(self.path, encoding="utf-8", newline="") as file:
            lines = file.readlines()
        kept = [line for line in lines if _seen(line) <= images]
        if kept != lines:
            replace_file(self.path, kept)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _seen(line: str) -> float:
    """Images seen at a line's row; infinitely many where the line is not a whole row."""
    if not line.endswith("\n"):
        return math.inf
    try:
        return images_of(json.loads(line)[KIMG]["mean"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return math.inf
