"""Augmentation of a run, by its own records: the largest p up to a checkpoint."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from stylegan.runs.folder import RunFolder
from stylegan.runs.resume import stored_config


def augment_p_of(run: RunFolder, images: int | None) -> float | None:
    """The largest probability that training augmented with.

    By the rows of `stats.jsonl`; where the settings say that p never moved, by them.

    Args:
        run: its folder.
        images: seen by the network that is asked about; None = the last one.
    Returns: 0 to 1; None where the records do not say it.
    """
    ada: Mapping[str, Any] = {}
    with suppress(ValueError):  # a lone file is in no run
        stored = stored_config(run).get("ada")
        ada = stored if isinstance(stored, Mapping) else {}
    found = [p for kimg, p in _rows(run) if images is None or 1000 * kimg <= images]
    # The settings are those of the last start; before, p may have moved, as the rows say.
    if ada.get("mode") == "none":
        found.append(0.0)
    if ada.get("mode") == "fixed" and isinstance(ada.get("p_init"), int | float):
        found.append(float(ada["p_init"]))
    return max(found, default=None)


def _rows(run: RunFolder) -> Iterator[tuple[float, float]]:
    """kimg and p of each whole row."""
    try:
        lines = run.stats_jsonl.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            row = json.loads(line)
            yield _number(row["Progress/kimg"]), _number(row["Progress/augment"])


def _number(value: Any) -> float:
    return float(value["mean"] if isinstance(value, Mapping) else value)
