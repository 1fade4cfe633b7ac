"""Callbacks: what happens besides the training, each at a cadence in kimg or seconds; `control` is their contract."""

from callbacks.checkpoint import AtomicCheckpointIO, KimgCheckpoint
from callbacks.control import RunControl, in_order
from callbacks.progress import Progress
from callbacks.snapshots import SnapshotGrid
from callbacks.stats import StatsTicks

__all__ = [
    "AtomicCheckpointIO",
    "KimgCheckpoint",
    "Progress",
    "RunControl",
    "SnapshotGrid",
    "StatsTicks",
    "in_order",
]
