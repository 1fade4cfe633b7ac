"""Label text: which class, by name or number, or the numbers of a label that is not a class."""

import difflib
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

# Few enough digits for int(), more than any number of classes.
_LONGEST_NUMBER = 9


def parse_label(
    value: str | float | None, *, width: int, names: Sequence[str] = (), network: str = "the network"
) -> Tensor | None:
    """`label` → float32 [K], K = `width`; None for a network without labels.

    A class is given by its name, or by its number, 0 to K-1; where names are numbers themselves, the name counts.
    Where K is 1, or numbers stand between commas, they are the label itself: `label=0.2,0.7`.

    Args:
        network: what to call it in errors.
    Raises: ValueError that names the value and the choices.
    """
    if width == 0:
        if value is not None:
            raise ValueError(f"label={value}: {network} was trained without labels; leave label out")
        return None
    text = "" if value is None else str(value).strip()
    if text in names:
        return _class(list(names).index(text), width)
    if width == 1 and not names or "," in text:
        return _vector(text, width, network)
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else width
    if number >= width:
        problem = "label is missing" if value is None else f"label={_short(text)}"
        raise ValueError(f"{problem}: {_choices(text, width, names, network)}")
    return _class(number, width)


def _class(number: int, width: int) -> Tensor:
    return one_hot(torch.tensor(number), width).to(torch.float32)


def _vector(text: str, width: int, network: str) -> Tensor:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != width or not all(map(math.isfinite, numbers)):
        example = ",".join(["0.5"] * min(width, 3)) + (",..." if width > 3 else "")
        raise ValueError(
            f"label={_short(text)}: {network} takes {width} number{'s' * (width > 1)}, as in label={example}"
        )
    return torch.tensor(numbers, dtype=torch.float32)


def _choices(text: str, width: int, names: Sequence[str], network: str) -> str:
    if not names:
        return f"{network} draws {width} classes; say which, label=0 to label={width - 1}"
    shown = ", ".join(f"{number} {name}" for number, name in enumerate(names[:12]))
    rest = f" and {width - 12} more" if width > 12 else ""
    close = difflib.get_close_matches(text, names, n=1)
    hint = f"; did you mean label={close[0]}?" if close else ""
    return f"{network} draws {width} classes; say which by name or number: {shown}{rest}{hint}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
