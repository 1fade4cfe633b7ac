"""A word that Hydra's grammar does not read is answered with one that it does, and that the key takes."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from hypothesis import assume, given
from hypothesis import strategies as st

from stylegan.configuration.word_errors import explain_several, explain_word


def read(word: str):
    (override,) = OverridesParser.create().parse_overrides([word])
    return override.value()


def said_of(word: str) -> str | None:
    """What is said after a word; None where it can be read."""
    try:
        read(word)
    except OverrideParseException as error:
        line = explain_word(error)
        assert line.startswith(f"{word}: ") and "\n" not in line
        return line.removeprefix(f"{word}: ")
    return None


LISTS = {
    "data.include=[cats;dogs]": ["cats", "dogs"],
    "data.include=[cats & dogs]": ["cats & dogs"],
    "data.include=[it's,b]": ["it's", "b"],
    """data.include=[it's "x",b]""": ["""it's "x\"""", "b"],
    'data.include=[a"b,c]': ['a"b', "c"],
    "data.include=[a,b": ["a", "b"],
    "data.include=a,b]": ["a", "b"],
    "data.include=[cats,dogs,]": ["cats", "dogs"],
    'data.include=["a b","c,d",]': ["a b", "c,d"],
    "data.include=[ünï cödé]": ["ünï cödé"],
    "data.exclude=[a#b,c|d]": ["a#b", "c|d"],
    "optim.betas=[0;0.9]": [0, 0.9],
    "optim.betas=0;0.9": [0, 0.9],
    "optim.betas=(0,0.9)": [0, 0.9],
    "metrics={kid,fid}": ["kid", "fid"],
    "resolution=(64,48)": [64, 48],
}


@pytest.mark.parametrize(("word", "value"), LISTS.items())
def test_a_list_is_answered_as_it_is_typed(word, value):
    _, _, typed = said_of(word).partition("; a list is written ")
    (proposed,) = shlex.split(typed)
    assert read(proposed) == value


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("seed =3", "write it without blanks around =: seed=3"),
        ("data.path = my flags", "write it without blanks around =: 'data.path=my flags'"),
        ("seed == 3", "write it with one =: seed=3"),
        ("seed==3", "write it with one =: seed=3"),
        ("data=folder data.path=a", "these are 2 words between two quotes; write data=folder data.path=a"),
        ("rеsolution=64", "no key has е (cyrillic small letter ie) in its name"),
        ("wei rd=3", "no key has a space in its name"),
        ("resolution=64х64", "х cannot be read here; write resolution=64x64"),
        ("loss.r1_gamma=0·5", "· cannot be read here; write loss.r1_gamma=0.5"),
        # A name may have what looks like a keyboard's sign.
        ("data.include=[хлеб]", "х cannot be read here; a list is written 'data.include=[\"хлеб\"]'"),
        (
            "data.include=[8×10]",
            "× cannot be read here; write 'data.include=[8x10]'; where × is meant, a list is written"
            " 'data.include=[\"8×10\"]'",
        ),
        # Quotes do not make a number of a text.
        ("loss.r1_gamma=½", "½ cannot be read here; loss.r1_gamma must be a number or null"),
        ("seed=1'000", "the quote that ' begins must be closed; seed must be a whole number"),
        ("seed=[1", "[ is not closed; seed must be a whole number"),
    ],
)
def test_the_answer_says_what_the_key_takes(word, said):
    assert said_of(word) == said


@pytest.mark.parametrize(
    ("word", "hints"),
    [
        ("seed=1,2", ""),
        ("batch_size=1,024", "; thousands have no comma, as in batch_size=1024"),
        ("loss.r1_gamma=0,5", "; a fraction has a point, as in loss.r1_gamma=0.5"),
        ("truncation=0,7", "; a fraction has a point, as in truncation=0.7"),
        ("optim.betas=0,0.9", ", 'optim.betas=[0,0.9]' is a list"),
        ("resolution=64,48", ", 'resolution=[64,48]' is a list"),
        ("of.mine=a,b", ", 'of.mine=[a,b]' is a list"),
    ],
)
def test_several_values_are_a_list_only_where_the_key_takes_one(word, hints):
    line = explain_several(word, *word.split("="))
    assert line == f"{word}: these are several values; --multirun takes them one by one{hints}"


@given(
    key=st.sampled_from(["data.include", "data.labels", "optim.betas", "metrics", "seed", "of.mine"]),
    value=st.text(st.sampled_from("ab1.,;:[](){}'\"\\ é#&|=$%~*x×"), max_size=12),
)
def test_what_is_proposed_can_be_read(key, value):
    said = said_of(f"{key}={value}")
    assume(said is not None)
    for mark in ("a list is written ", "needs quotes, as in "):
        if mark in said:
            (proposed,) = shlex.split(said.partition(mark)[2])
            assert read(proposed) is not None
