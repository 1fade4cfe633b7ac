"""Names from outside in lines for a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.machine.text import printable, some


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("été 日本 👩\u200d🎨 a_b.png", "été 日本 👩\u200d🎨 a_b.png"),
        ("x\ny.txt", r"x\ny.txt"),
        ("x\x1b[2Jy", r"x\x1b[2Jy"),
        ("a\r\t\x00\x7f\x9b", r"a\r\t\x00\x7f\x9b"),
        ("a\u2028b\u2029c\x85d", r"a\u2028b\u2029c\x85d"),
        ("gpj.\u202egnp.exe", r"gpj.\u202egnp.exe"),
        ("not text \udce9", r"not text \udce9"),
    ],
)
def test_what_steers_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown


def test_the_first_words_and_how_many_there_are_more():
    assert some([]) == "" and some(["a"]) == "a" and some(list("abcde")) == "a, b, c, d, e"
    assert (
        some(list("abcdef")) == "a, b, c, d, e and 1 more"
        and some(["a", "\x1b", "c"], 2) == r"a, \x1b and 1 more"
    )


@given(st.text(st.characters()))
def test_any_text_becomes_one_line_that_can_be_encoded(text):
    shown = printable(text)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1 and not any(unicodedata.category(c) == "Cc" for c in shown)
    assert printable(shown) == shown
