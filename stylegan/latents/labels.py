"""Label text: which class, by name or number, a mixture of classes, or the numbers of a label that is none."""

import difflib
import unicodedata
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from stylegan.machine.text import printable

# As a label: each class in turn, where no class has that name.
ALL = "all"

# Few enough digits for int(), more than any number of classes.
_LONGEST_NUMBER = 9


def parse_label(
    value: str | float | None,
    *,
    width: int,
    names: Sequence[str] = (),
    network: str = "the network",
    takes_all: bool = False,
) -> Tensor | None:
    """`label` → float32 [K], K = `width`; None for a network without labels.

    A class is given by its name, or by its number, 0 to K-1; where names are numbers themselves, the name counts.
    Where K is 1, or numbers stand between commas, they are the label itself: `label=0.2,0.7`. So a single column
    has 0 as well as 1, and its name stands for 1. `0.7*fox+0.3*dog` is a mixture: the weighted sum of the classes,
    whose weights are taken as they are written.

    Args:
        network: what to call it in errors.
        takes_all: whether errors name `all` among the choices.
    Raises: ValueError that names the value and the choices.
    """
    if width == 0:
        if value is not None:
            raise ValueError(f"label={value}: {network} was trained without labels; leave label out")
        return None
    # Accents are composed in one way or another, as the keyboard, a file system and a table have it.
    text = _composed("" if value is None else str(value).strip())
    named = [_composed(str(name)).strip() for name in names]
    if text in named:
        return _class(named.index(text), width)
    if "*" in text:
        return _mixture(text, width, named, network, takes_all)
    parts = [part.strip() for part in text.split(",")]
    classes = [part for part in parts if part in named and not part.isdigit()]
    if len(parts) > 1 and classes:
        raise ValueError(
            f"label={_short(text)}: one class at a time, as in label={classes[0]}"
            + (f", or label={ALL} for each" if takes_all else "")
        )
    if width == 1 or "," in text:
        return _vector(text, width, named, network)
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else width
    if number >= width:
        problem = "label is missing" if value is None else f"label={_short(text)}"
        problem += ": one class is drawn here" if text == ALL and not takes_all else ""
        raise ValueError(f"{problem}: {_choices(text, width, names, network, takes_all)}")
    return _class(number, width)


def parse_labels(
    value: str | float | None, *, width: int, names: Sequence[str] = (), network: str = "the network"
) -> list[tuple[str, Tensor | None]]:
    """As `parse_label`, but `all` is every class → [(name, float32 [K]), ...]; else one entry.

    The name is one for each label, however it was written: a class by its name, or its number where it has none.
    """
    text = "" if value is None else str(value).strip()
    if text == ALL and ALL not in names and (width > 1 or names):
        # A single column has two: without, and with what its name says.
        labels = list(torch.eye(width)) if width > 1 else [torch.zeros(1), torch.ones(1)]
    else:
        labels = [parse_label(value, width=width, names=names, network=network, takes_all=True)]
    return [("" if label is None else _name(label, names), label) for label in labels]


def _name(label: Tensor, names: Sequence[str]) -> str:
    number = int(label.argmax())
    if torch.equal(label, _class(number, len(label))) and (names or len(label) > 1):
        return names[number] if names else str(number)
    return ",".join(np.format_float_positional(value, trim="-") for value in label.numpy())


def _class(number: int, width: int) -> Tensor:
    return one_hot(torch.tensor(number), width).to(torch.float32)


def _mixture(text: str, width: int, names: Sequence[str], network: str, takes_all: bool) -> Tensor:
    """`0.7*fox+0.3*dog` → float32 [K]; a class alone has the weight 1."""
    mixed = torch.zeros(width)
    words = text.split("+")
    while words:
        # Names, and numbers such as 1e+2, may hold a plus: the longest part that can be read counts.
        for last in range(len(words), 0, -1):
            if (term := _term("+".join(words[:last]).strip(), width, names)) is not None:
                break
        else:
            wrong = words[0].strip()
            raise ValueError(
                f"label={_short(text)}: {_short(wrong) or 'nothing'} is no weight times a class, as in"
                f" 0.7*{printable(names[0]) if names else 0}; {_choices(wrong, width, names, network, takes_all)}"
            )
        weight, number = term
        mixed[number] += weight
        words = words[last:]
    if not bool(mixed.isfinite().all()):
        raise ValueError(f"label={_short(text)}: the sum of these weights is no finite number")
    return mixed


def _term(text: str, width: int, names: Sequence[str]) -> tuple[float, int] | None:
    """`0.7*fox` or `fox` → (weight, number of the class); None where it is neither."""
    weight, name = 1.0, text
    if text not in names and "*" in text:
        factor, name = (part.strip() for part in text.split("*", 1))
        try:
            weight = float(factor)
        except ValueError:
            return None
    if name in names:
        number = names.index(name)
    elif name.isascii() and name.isdigit() and len(name) <= _LONGEST_NUMBER and int(name) < width:
        number = int(name)
    else:
        return None
    return (weight, number) if _is_float32(weight) else None


def _is_float32(number: float) -> bool:
    """Whether float32 holds it: beyond that it would be infinite, and the image no image."""
    return abs(number) <= torch.finfo(torch.float32).max


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _vector(text: str, width: int, names: Sequence[str], network: str) -> Tensor:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != width or not all(map(_is_float32, numbers)):
        example = ",".join(["0.5"] * min(width, 3)) + (",..." if width > 3 else "")
        if width == 1 and names:
            example = f"0 or label=1, which is {printable(names[0])}"
        problem = f"label={_short(text)}" if text else "label is missing"
        raise ValueError(
            f"{problem}: {network} takes {width} number{'s' * (width > 1)}, as in label={example}"
        )
    return torch.tensor(numbers, dtype=torch.float32)


def _choices(text: str, width: int, names: Sequence[str], network: str, takes_all: bool) -> str:
    every = f", or label={ALL}" if takes_all else ""
    if not names:
        return f"{network} draws {width} classes; say which, label=0 to label={width - 1}{every}"
    shown = ", ".join(f"{number} {printable(name)}" for number, name in enumerate(names[:12]))
    rest = f" and {width - 12} more" if width > 12 else ""
    by_key = {name.casefold(): printable(name) for name in names}
    close = difflib.get_close_matches(text.casefold(), by_key, n=3)
    hint = f"; did you mean {' or '.join(f'label={by_key[key]}' for key in close)}?" if close else ""
    return f"{network} draws {width} classes; say which by name or number{every}: {shown}{rest}{hint}"


def _short(text: str) -> str:
    return printable(text if len(text) <= 40 else text[:37] + "...")
