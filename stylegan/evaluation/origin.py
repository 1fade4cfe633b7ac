"""Whether the data at hand are what a network was trained on, by the records of its run."""

import json
from typing import Any

from stylegan.report.origin import Origin
from stylegan.runs.folder import RunFolder


def origin_of(data: Any, learned_from: str | None, run: RunFolder | None) -> Origin:
    """Compares fingerprints: digests of the contents and labels of the items to train on, in order.

    Args: data: a data module that is set up. learned_from: the fingerprint that the run's settings hold, None = they
      are not there, or do not tell. run: its folder.
    """
    here = getattr(data, "fingerprint", None)
    if here is None or learned_from is None:
        return "trust"
    if here != learned_from:
        return "other"
    return "changed" if run is not None and pictures_were_changed(run) else "training"


def pictures_were_changed(run: RunFolder) -> bool:
    """Whether a run went on with other pictures than before (`allow_change=[data_fingerprint]`)."""
    if not run.events.exists():
        return False
    for line in run.events.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:  # a line that a crash cut short
            continue
        if isinstance(event, dict) and event.get("key") == "data_fingerprint":
            return True
    return False
