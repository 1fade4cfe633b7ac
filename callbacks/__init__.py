"""What happens beside the training, one idea a file, each on a cadence in kimg or seconds."""

from callbacks.checkpoint import AtomicCheckpointIO, KimgCheckpoint
from callbacks.progress import Progress
from callbacks.snapshots import SnapshotGrid
from callbacks.stats import StatsTicks

__all__ = ["AtomicCheckpointIO", "KimgCheckpoint", "Progress", "SnapshotGrid", "StatsTicks"]
