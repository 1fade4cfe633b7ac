"""Labels in JSON: dataset.json as NVIDIA's tools write it, each fault named in one line."""

import json
import math
from collections import Counter

from datamodules.datasets.labels import Label

# Python reads some more digits as a whole number, and then names a setting of its own.
_MOST_DIGITS = 4000


def read_json(where: str, text: str) -> dict[str, Label]:
    """Labels by name of a file.

    Args:
        where: its place, for messages.
    Raises: ValueError, in one line, where it cannot be understood.
    """
    try:
        content = json.loads(text, object_pairs_hook=_Object, parse_int=_whole)
        pairs = content["labels"]
    except RecursionError:
        raise ValueError(f'{where} is nested too deep for {{"labels": [["a.png", 0], ...]}}') from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{where} is not of the form {{"labels": [["a.png", 0], ...]}} ({error})') from error
    if "labels" in content.repeated:
        raise ValueError(f'{where} has "labels" twice; keep one')
    if pairs is None:
        raise ValueError(f'{where} says "labels": null, which is none; use data.labels=none')
    if isinstance(pairs, _Object):
        if pairs.repeated:
            raise ValueError(f"{where}: {pairs.repeated[0]} has two labels; keep one")
        pairs = list(pairs.items())
    if not isinstance(pairs, list):
        raise ValueError(f'{where}: "labels" must be a list of [file, label]')
    found: dict[str, Label] = {}
    for number, pair in enumerate(pairs):
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise ValueError(f'{where}: entry {number} of "labels" is {str(pair)[:60]}, not [file, label]')
        name, label = pair
        if name in found:
            raise ValueError(f"{where}: {name} has two labels; keep one")
        found[name] = _json_label(where, name, label)
    return found


class _Object(dict):
    """An object of JSON.  repeated: names that it has more than once, of which Python keeps the last without a word."""

    def __init__(self, pairs: list[tuple[str, object]]):
        super().__init__(pairs)
        self.repeated = []
        if len(self) < len(pairs):
            self.repeated = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]


def _whole(digits: str) -> int | float:
    """A number larger than any label may be, where Python reads no more digits."""
    return int(digits) if len(digits) <= _MOST_DIGITS else math.inf


def _json_label(where: str, name: str, label: object) -> Label:
    if isinstance(label, list) and all(type(number) in (int, float) for number in label):
        try:
            return tuple(float(number) for number in label)
        except OverflowError:
            raise ValueError(
                f"{where}: the label of {name} holds a number too large; scale the labels"
            ) from None
    if type(label) is float:
        return (label,)
    if type(label) is int or isinstance(label, str) and label.strip():
        return label
    raise ValueError(
        f"{where}: the label of {name} is {json.dumps(label, ensure_ascii=False)[:60]}; give a class number, a "
        f"class name, or a list of numbers"
    )
