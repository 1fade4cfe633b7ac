"""Words of the command line that Hydra's grammar does not read: what is wrong in them, and how they are typed."""

import re
import shlex
import unicodedata
from collections.abc import Iterator
from typing import Any, get_args

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException

from stylegan.configuration.command_line import quote
from stylegan.configuration.habits import kinds_of, takes_list
from stylegan.configuration.keys import Key
from stylegan.configuration.schema import COMMANDS
from stylegan.configuration.user_code import in_words
from stylegan.machine.text import plain_signs, printable

_SPACED = re.compile(r"\s*(?P<key>[+~]*[\w./@:]+)(?:\s+=|\s*=\s*=)[\s=]*(?P<value>.*?)\s*", re.DOTALL)
# In a list, these need no quotes.
_PLAIN_ITEM = re.compile(r"[\w.*?/$%:@+|-]+(?: [\w.*?/$%:@+|-]+)*", re.ASCII)
# Of those that look like a keyboard's.
_IN_NAMES = "×✕✖⨯‐‑‒–—―−·…’"
_PAIRS = ("[]", "()", "{}")


def explain_word(error: OverrideParseException) -> str:
    """What is wrong with a word, in one line that begins with it. A word that it proposes can be read."""
    word = error.override
    key, _, value = word.partition("=")
    place = _unreadable_at(error)
    typed = plain_signs(word)
    if place is not None and word[place] not in typed:
        # In the place of the two dashes that options of other programs begin with.
        typed = f"--{typed.lstrip('-')}" if typed.startswith("-") else typed
        line = f"{word}: {word[place]} cannot be read here; write {shlex.quote(typed)}"
        # A name may well have such a sign: `8×10`.
        meant = _takes_names(key) and word[place] in _IN_NAMES
        return f"{line}; where {word[place]} is meant, {_as_typed(key, value, place)}" if meant else line
    if spaced := _SPACED.fullmatch(word):
        typed = shlex.quote(f"{spaced['key']}={spaced['value']}")
        how = "with one =" if "==" in word else "without blanks around ="
        return f"{word}: write it {how}: {typed}"
    if "=" not in word and not word.startswith("~"):
        return (
            f"{word}: every word is key=value, as in seed=1; a value with spaces needs quotes,"
            " as in 'name=two words'"
        )
    if place is not None and place < len(key):
        return f"{word}: no key has {_strange_in(key[place:]) or _named(word[place])} in its name"
    if place is None and len(apart := re.split(r"\s+(?=[\w.]+=)", word)) > 1:
        return f"{word}: these are {len(apart)} words between two quotes; write {shlex.join(apart)}"
    return f"{word}: {_what_is_wrong(error, place)}; {_as_typed(key, value, place)}"


def explain_several(word: str, name: str, values: str) -> str:
    """`seed=1,2` is several values, of which one key takes one: what may have been meant, by the kind of the key."""
    key = key_called(name)
    kinds = () if key is None else kinds_of(key)
    way_out = "--multirun takes them one by one"
    if key is None or takes_list(key):
        way_out += f", '{name}=[{values}]' is a list"
    if float in kinds and re.fullmatch(r"-?\d+,\d+", values):
        way_out += f"; a fraction has a point, as in {name}={values.replace(',', '.')}"
    if {int, float} & {*kinds} and re.fullmatch(r"-?[1-9]\d{0,2}(,\d{3})+", values):
        way_out += f"; thousands have no comma, as in {name}={values.replace(',', '')}"
    return f"{word}: these are several values; {way_out}"


def key_called(name: str) -> Key | None:
    """The key of a dotted name, of the first command that has it; None where none does."""
    name = name.lstrip("+~")
    return next((command.keys[name] for command in COMMANDS.values() if name in command.keys), None)


def without_kinds(text: str) -> str:
    """A message of Hydra's or OmegaConf's without the names of exceptions, which are Python's and not the user's."""
    text = re.sub(r"\w+ raised while [\w ]+: ?", "", text)
    return re.sub(r"^\w*(?:Error|Exception)(?: while evaluating '.*')?: ", "", text)


def _unreadable_at(error: OverrideParseException) -> int | None:
    """Where in a word a character is that Hydra's lexer knows no use of; None where the fault is another one.

    It says so by a caret below the word, which follows the name of an exception.
    """
    caret = re.search(r"\n( *)\^\n", str(error))
    place = -1 if caret is None else len(caret[1]) - len("LexerNoViableAltException: ")
    return place if 0 <= place < len(error.override) else None


def _strange_in(key: str) -> str | None:
    strange = re.search(r"[^\w.$/@:+~-]", key, re.ASCII)
    return _named(strange[0]) if strange else None


def _named(sign: str) -> str:
    """A sign; one that looks like a keyboard's, or like nothing, with its name: `е (cyrillic small letter ie)`."""
    if sign == " ":
        return "a space"
    name = "" if sign.isascii() else unicodedata.name(sign, "").lower()
    return f"{printable(sign)} ({name})" if name else printable(sign)


def _what_is_wrong(error: OverrideParseException, place: int | None) -> str:
    """The sign that cannot be read, the bracket that is not closed, or else where Hydra's parser gave up."""
    value = error.override.partition("=")[2]
    if place is not None:
        sign = printable(error.override[place])
        return (
            f"the quote that {sign} begins must be closed" if sign in "'\"" else f"{sign} cannot be read here"
        )
    for opening, closing in _PAIRS:
        more = value.count(opening) - value.count(closing)
        if more:
            return f"{opening} is not closed" if more > 0 else f"{closing} closes nothing"
    lines = str(error).splitlines()
    reason = lines[1] if lines[0].startswith("Error parsing override") and len(lines) > 1 else lines[0]
    at = re.search(r"(?:input|error at:) ('.*?')(?: expecting .*)?$", reason)
    return f"the value cannot be read {f'at {at[1]}' if at else f'({without_kinds(reason)})'}"


def _as_typed(name: str, value: str, place: int | None) -> str:
    """How such a value of a key is typed, by the key's kind."""
    key = key_called(name)
    kinds = () if key is None else kinds_of(key)
    listed = key is not None and (takes_list(key) and (str not in kinds or _looks_listed(value)))
    if listed or key is None and _looks_listed(value):
        found = next((typed for typed in _lists(value) if _reads(f"{name}={typed}") is not None), None)
        if found and (key is None or _takes_text(key) or not set(found) & {"'", '"'}):
            return f"a list is written {shlex.quote(f'{name}={found}')}"
    if key is not None and not _takes_text(key):
        return f"{name} must be {in_words(key.type)}" + (
            f", as in {name}={key.example}" if key.example else ""
        )
    for typed in (f'"{value}"', f"'{value}'", quote(value)):
        if place is not None and _reads(f"{name}={typed}") == value:
            return f"a value with such a sign needs quotes, as in {shlex.quote(f'{name}={typed}')}"
    return "brackets must be closed, and special characters quoted"


def _looks_listed(value: str) -> bool:
    return value[:1] in "[({" and value != "" or value[-1:] in ("]", ")", "}") or ";" in value


def _takes_text(key: Key) -> bool:
    kinds = kinds_of(key)
    return key.free_text or any(text in (kind, *get_args(kind)) for kind in kinds for text in (str, Any))


def _takes_names(name: str) -> bool:
    """Whether a key takes text and no numbers."""
    key = key_called(name)
    kinds = () if key is None else {inner for kind in kinds_of(key) for inner in (kind, *get_args(kind))}
    return str in kinds and not {int, float} & {*kinds}


def _lists(value: str) -> Iterator[str]:
    """A list as Hydra reads it, of a value whose brackets, commas or quotes it does not read."""
    inner = value.strip().strip("[](){}")
    if set(inner) & set("[](){}"):
        return
    even = all(inner.count(mark) % 2 == 0 for mark in "'\"")
    if even and set(inner) & {"'", '"'}:
        # Quotes go together: commas within them are no list's.
        yield f"[{inner.rstrip(', ')}]"
    items = [item.strip() for item in re.split("[,;]", inner) if item.strip()]
    if items:
        yield f"[{','.join(map(_item, items))}]"


def _item(text: str) -> str:
    if _PLAIN_ITEM.fullmatch(text):
        return text
    mark = "'" if '"' in text else '"'
    return quote(text) if mark in text else f"{mark}{text}{mark}"


def _reads(word: str) -> object:
    """What Hydra reads a word's value as; None where it does not."""
    try:
        return OverridesParser.create().parse_override(word).value()
    except HydraException:
        return None
