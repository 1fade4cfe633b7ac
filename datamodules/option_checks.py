"""Ranges of options, each refused in one line with its key, its value and a value that works."""

import math
from collections.abc import Sequence


def check_whole(key: str, value: int, at_least: int) -> None:
    """Raises ValueError unless the option `key` is a whole number and large enough."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ValueError(
            f"{key} must be a whole number of at least {at_least}, got {value!r}; try {key}={at_least}"
        )


def check_true_or_false(key: str, value: bool) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false, got {value!r}; try {key}=true")


def check_fraction(key: str, value: float) -> None:
    """Raises ValueError unless the option `key` is at least 0 and below 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise ValueError(f"{key} must be a number from 0 to less than 1, got {value!r}; try {key}=0.1")


def check_seconds(key: str, value: float | None) -> None:
    """Raises ValueError unless the option `key` is a time above 0, or None for none."""
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"{key} must be seconds above 0, or null for no limit, got {value!r}; try {key}=300")


def check_patterns(key: str, value: Sequence[str] | str | None) -> list[str]:
    """The patterns of an option, of which one may stand alone. Raises: ValueError for anything but texts."""
    patterns = [value] if isinstance(value, str) else list(value or ())
    for pattern in patterns:
        if not isinstance(pattern, str | int) or isinstance(pattern, bool) or pattern == "":
            raise ValueError(f"{key} must be a list of names or globs, got {value!r}; try {key}=[cats,*.png]")
    return [str(pattern) for pattern in patterns]
