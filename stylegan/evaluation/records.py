"""Records: scores and `metric-<name>.jsonl` in the run folder, one line a score, with its protocol."""

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stylegan.evaluation.protocol import protocol_id
from stylegan.machine.console import warn
from stylegan.machine.files import append_whole
from stylegan.machine.line_files import keep_lines
from stylegan.machine.text import counted

# No training gets there; what is larger is damage.
_MOST_KIMG = 1e12


class Score(NamedTuple):
    """The results of one metric.

    Attributes:
        name: of the metric.
        results: name → value; the first one is what networks are ranked by.
        protocol: under which it was computed.
        seconds: how long that took.
        weights: of the network, as `weights_sha256` gives them; None = unknown, as in older records.
        left_out: real images that it is not about, since they could not be read.
    """

    name: str
    results: Mapping[str, float]
    protocol: Mapping[str, Any]
    seconds: float
    weights: str | None = None
    left_out: int = 0

    @property
    def value(self) -> float:
        return next(iter(self.results.values()))


def record_path(folder: Path, name: str) -> Path:
    """The file of a metric's records."""
    return folder / f"metric-{name}.jsonl"


def append(folder: Path, score: Score, *, images: int | None, network: str | None, processes: int) -> None:
    """Adds a line, in one write. Fields: those of the public implementation, then kimg, the weights and the protocol.

    Args:
        folder: for the file.
        score: of one metric.
        images: seen in training by the network, None = unknown.
        network: its file, relative to the folder; None = it is in none.
        processes: how many computed.
    Raises: OSError.
    """
    line = {
        "results": {name: _finite(value) for name, value in score.results.items()},
        "metric": score.name,
        "total_time": score.seconds,
        "total_time_str": _duration(score.seconds),
        "num_gpus": processes,
        "snapshot_pkl": network,
        "timestamp": time.time(),
        "kimg": None if images is None else images / 1000,
        "weights_sha256": score.weights,
        "num_left_out": score.left_out,
        "protocol_id": protocol_id(score.protocol),
        "protocol": dict(score.protocol),
    }
    append_whole(record_path(folder, score.name), json.dumps(line, allow_nan=False) + "\n")


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file, without those that are not whole, or hold something else where numbers belong.

    Of a line that is yielded all results are finite numbers or None, and so are kimg, total_time and num_left_out.
    Raises: OSError.
    """
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except (
            ValueError,
            RecursionError,
        ):  # no JSON, a number of thousands of digits, or thousands of brackets
            continue
        if isinstance(record, dict) and _is_sound(record):
            yield record


def _is_sound(record: Mapping[str, Any]) -> bool:
    """Whether numbers are what a record has where `append` writes numbers."""
    results = record.get("results")
    if not isinstance(results, dict) or not results:
        return False
    numbers = [*results.values(), *(record.get(field) for field in ("kimg", "total_time", "num_left_out"))]
    return all(map(_is_number_or_none, numbers)) and 0 <= (record.get("kimg") or 0) <= _MOST_KIMG


def _is_number_or_none(value: Any) -> bool:
    if value is None:
        return True
    # Also false for NaN, and for whole numbers that no float can hold.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def recorded(path: Path, weights: str, protocol: Mapping[str, Any]) -> Score | None:
    """The last score of a network under one protocol; None where there is none.

    Args:
        path: as `record_path` gives it.
        weights: as in `weights_sha256`. A name does not do: each run has a kimg0000020.000, with weights of its own.
        protocol: under which it was computed.
    """
    if not path.exists():
        return None
    wanted = (weights, protocol_id(protocol))
    found = [
        record
        for record in read_records(path)
        if (record.get("weights_sha256"), record.get("protocol_id")) == wanted
    ]
    if not found:
        return None
    results = {name: math.nan if value is None else value for name, value in found[-1]["results"].items()}
    seconds, left_out = (found[-1].get(field) or 0 for field in ("total_time", "num_left_out"))
    return Score(protocol["metric"], results, protocol, seconds, weights, left_out)


def truncate_after(folder: Path, images: int) -> None:
    """Drops the scores of networks past `images` images seen; lines that cannot be read are set aside, and reported.

    A run that continues from a checkpoint passes there again, and may pass with other weights.
    """
    for path in folder.glob("metric-*.jsonl"):
        if said := keep_lines(path, lambda record: _images_of(record) <= images):
            warn(said)


def _images_of(record: Mapping[str, Any]) -> int:
    """Images seen at a record; 0 where they are unknown."""
    return 0 if record["kimg"] is None else round(record["kimg"] * 1000)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _duration(seconds: float) -> str:
    minutes, sec = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02d}m {sec:02d}s"
    return f"{minutes}m {sec:02d}s" if minutes else f"{sec}s"


def ranked(results: Mapping[str, float]) -> dict[str, float]:
    """The results that say how good a network is, not how sure that is."""
    return {
        name: value
        for name, value in results.items()
        if not name.endswith(("_low", "_high", "_bias", "_std"))
    }


def in_line(score: Score, better: Sequence[str] = ()) -> str:
    """The results on one line, each with what says how sure it is: `kid_builtin 0.083 (0.053 to 0.112)`.

    Args:
        score: of one metric.
        better: names of results that are the best so far, which are marked.
    """
    parts = [
        f"{name} {value:.5g}{_sureness(score.results, name)}{' (best)' if name in better else ''}"
        for name, value in ranked(score.results).items()
    ]
    if score.left_out:
        parts.append(f"(left out, cannot be read: {counted(score.left_out, 'picture')})")
    return "  ".join(parts)


def _sureness(results: Mapping[str, float], name: str) -> str:
    low, high, bias = (results.get(f"{name}_{end}") for end in ("low", "high", "bias"))
    if low is not None and high is not None:
        return f" ({low:.4g} to {high:.4g})"
    if bias is not None:
        return f" (bias {bias:.4g})"
    std = results.get(f"{name.removesuffix('_mean')}_std")
    return "" if std is None else f" (std {std:.4g})"
