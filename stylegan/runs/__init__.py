"""Run folders: names, lock, checkpoints, resume, and what changed since the last start."""
