"""Callbacks: what happens besides the training, each at a cadence in kimg or seconds; `control` is their contract."""

from callbacks.checkpoint import AtomicCheckpointIO, KimgCheckpoint
from callbacks.control import RunControl, in_order
from callbacks.metrics import Metrics
from callbacks.non_finite_guard import NonFiniteGuard
from callbacks.preemption import Preemption
from callbacks.progress import Machine, Progress
from callbacks.snapshots import SnapshotGrid
from callbacks.stats import StatsTicks

__all__ = [
    "AtomicCheckpointIO",
    "KimgCheckpoint",
    "Machine",
    "Metrics",
    "NonFiniteGuard",
    "Preemption",
    "Progress",
    "RunControl",
    "SnapshotGrid",
    "StatsTicks",
    "in_order",
]
