"""The version as a literal, so that a plain copy of the tree knows it without metadata or git."""

__version__ = "0.1.0"
