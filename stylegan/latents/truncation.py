"""Truncation as a user writes it: psi, lists of psi, and how many layers it reaches."""

import math

# Far beyond any image, and near enough for float32.
LARGEST_PSI = 100
MOST_PSIS = 1000


def psi_in(value: object, name: str = "truncation") -> float:
    """A truncation psi. Raises: ValueError where it is no number, or beyond ±100."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        got = "null" if value is None else repr(value)
        raise ValueError(f"{name} must be a number, as in 0.7, got {got}")
    if abs(number) > LARGEST_PSI:
        raise ValueError(f"{name} must be between -{LARGEST_PSI} and {LARGEST_PSI}, got {value}")
    return number


def psis_in(text: object, name: str = "psis") -> tuple[float, ...]:
    """`0,0.5,1` → (0.0, 0.5, 1.0). Raises: ValueError for what is no list of numbers, or beyond ±100."""
    parts = [part.strip() for part in str(text).split(",")]
    if len(parts) > MOST_PSIS:
        raise ValueError(f"{name} must be at most {MOST_PSIS:,} numbers, got {len(parts):,}")
    try:
        return tuple(psi_in(part, name) for part in parts)
    except ValueError as error:
        if len(parts) == 1:
            raise
        raise ValueError(f"{error}; write numbers between commas, as in {name}=0,0.5,1") from error


def number_text(value: float) -> str:
    """The shortest text that gives the number again: 0.7, 1, 1e-07."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def cutoff_in(value: int | None, most: int) -> int | None:
    """`truncation_cutoff` of a network with `most` layers. Raises: ValueError beyond them."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"truncation_cutoff must be from 0 to the network's {most} layers, got {value}")
    return value
