"""Names from outside in lines for a terminal, signs that look alike, and numbers with what they count."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.machine.text import counted, counted_are, nearest_word, plain_signs, printable, some


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


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("48×32", "48x32"),
        ("0–15", "0-15"),
        ("−3", "-3"),
        ("“a”", '"a"'),
        ("x = 1", "x = 1"),
        ("é 日", "é 日"),
    ],
)
def test_signs_that_look_alike_become_those_of_a_keyboard(text, plain):
    assert plain_signs(text) == plain


def test_one_is_not_several():
    assert [counted(count, "class", "classes") for count in (0, 1, 2)] == [
        "0 classes",
        "1 class",
        "2 classes",
    ]
    assert [counted_are(count, "picture") for count in (0, 1, 2)] == [
        "0 pictures are",
        "1 picture is",
        "2 pictures are",
    ]


def test_a_word_far_from_all_others_means_none():
    assert nearest_word("folder", ["none", "folders", "json"]) == "folders"
    assert nearest_word("zebra", ["none", "folders", "json"]) is None
