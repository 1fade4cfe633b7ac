"""Versions as literals, so that a plain copy of the tree knows them without metadata or git."""

__version__ = "0.1.0"

# Of checkpoints and generator files; a reader refuses what it does not know.
FORMAT_VERSION = 1
