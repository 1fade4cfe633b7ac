"""The text of a label."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylegan.latents.labels import parse_label, parse_labels

NAMES = ("corgi", "fox", "red fox")


@pytest.mark.parametrize(
    ("value", "width", "names", "label"),
    [
        (None, 0, (), None),
        ("1", 3, (), [0, 1, 0]),
        (2, 3, NAMES, [0, 0, 1]),
        ("fox", 3, NAMES, [0, 1, 0]),
        (" red fox ", 3, NAMES, [0, 0, 1]),
        ("10", 3, ("1", "10", "2"), [0, 1, 0]),  # the name counts
        ("0.2,0.7", 2, (), [0.2, 0.7]),
        ("1, 0,1", 3, NAMES, [1, 0, 1]),
        (0.5, 1, (), [0.5]),
        ("0", 1, (), [0]),
        ("fox", 2, ("corgi", " fox "), [0, 1]),
        ("0", 1, ("smiling",), [0]),
        ("1", 1, ("smiling",), [1]),
        ("0.0", 1, ("smiling",), [0]),
        (1.0, 1, ("smiling",), [1]),
        ("smiling", 1, ("smiling",), [1]),
        ("0.5", 1, ("smiling",), [0.5]),
        ("0", 1, ("0",), [1]),  # a set with one class, of that number
        ("e\u0301te\u0301", 2, ("b", "\u00e9t\u00e9"), [0, 1]),
        ("\u00e9t\u00e9", 2, ("b", "e\u0301te\u0301"), [0, 1]),
    ],
)
def test_labels(value, width, names, label):
    parsed = parse_label(value, width=width, names=names)
    assert parsed is label if label is None else parsed.tolist() == pytest.approx(label)


@pytest.mark.parametrize(
    ("value", "width", "names", "message"),
    [
        ("0", 0, (), "^label=0: the network was trained without labels; leave label out$"),
        (
            None,
            3,
            (),
            "^label is missing: the network draws 3 classes; say which, label=0 to label=2, or label=all$",
        ),
        ("3", 3, (), "^label=3: .*label=0 to label=2"),
        (
            "fox, corgi",
            3,
            NAMES,
            "^label=fox, corgi: one class at a time, as in label=fox, or label=all for each$",
        ),
        ("2,fox", 3, NAMES, "^label=2,fox: one class at a time"),
        ("-1", 3, (), "^label=-1: "),
        ("1.0", 3, (), "^label=1.0: "),
        ("²", 3, (), "^label=²: "),
        ("1" * 5000, 3, (), r"^label=1{37}\.\.\.: "),
        ("corgy", 3, NAMES, "^label=corgy: .*0 corgi, 1 fox, 2 red fox; did you mean label=corgi\\?$"),
        ("FOXES", 3, NAMES, r"did you mean label=fox\?$"),
        ("re fox", 3, NAMES, r"did you mean label=red fox or label=fox\?$"),
        (None, 20, tuple(f"kind {n}" for n in range(20)), "11 kind 11 and 8 more$"),
        ("1,2", 3, (), "takes 3 numbers, as in label=0.5,0.5,0.5$"),
        ("1,nan", 2, (), "takes 2 numbers"),
        ("x", 1, (), "takes 1 number, as in label=0.5$"),
        (None, 1, (), "takes 1 number"),
        (None, 1, ("smiling",), "takes 1 number, as in label=0 or label=1, which is smiling$"),
        ("frowning", 1, ("smiling",), "^label=frowning: .* label=0 or label=1, which is smiling$"),
        ("x", 2, ("a\nb", "c\x1b[2J"), r"^label=x: .*0 a\\nb, 1 c\\x1b\[2J"),
    ],
)
def test_what_is_not_a_label_is_refused_with_the_choices(value, width, names, message):
    with pytest.raises(ValueError, match=message):
        parse_labels(value, width=width, names=names)
    with pytest.raises(ValueError) as error:
        parse_label(value, width=width, names=names)
    assert "label=all" not in str(error.value)


@pytest.mark.parametrize("names", [(), NAMES])
def test_all_is_refused_where_one_class_is_drawn(names):
    with pytest.raises(
        ValueError, match="^label=all: one class is drawn here: the network draws 3 classes; say"
    ):
        parse_label("all", width=3, names=names)


@pytest.mark.parametrize("text", ["1e39,0,0", "1e39*0", "-1e39*0+1", "3e38*0+3e38*0"])
def test_a_label_beyond_float32_is_refused(text):
    with pytest.raises(ValueError, match="^label="):
        parse_label(text, width=3)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=9))
def test_numbers_come_back(numbers):
    text = ",".join(map(repr, numbers))
    assert torch.equal(parse_label(text, width=len(numbers)), torch.tensor(numbers))


@given(st.text(), st.integers(0, 4))
def test_any_text_is_a_label_or_a_named_mistake(text, width):
    try:
        label = parse_label(text, width=width)
    except ValueError as error:
        assert str(error).startswith("label")
    else:
        assert label.shape == (width,) and label.isfinite().all()


@pytest.mark.parametrize(
    ("value", "width", "names", "labels"),
    [
        (None, 0, (), [("", None)]),
        ("all", 3, NAMES, [("corgi", [1, 0, 0]), ("fox", [0, 1, 0]), ("red fox", [0, 0, 1])]),
        (" all", 2, (), [("0", [1, 0]), ("1", [0, 1])]),
        ("all", 1, ("fox",), [("0", [0]), ("fox", [1])]),
        ("all", 2, ("all", "none"), [("all", [1, 0])]),  # the name counts
        (1, 3, NAMES, [("fox", [0, 1, 0])]),
        ("fox", 3, NAMES, [("fox", [0, 1, 0])]),
        ("0,1,0", 3, NAMES, [("fox", [0, 1, 0])]),
        ("2", 3, (), [("2", [0, 0, 1])]),
        ("0.20, 1", 2, (), [("0.2,1", [0.2, 1])]),
        (1, 1, (), [("1", [1])]),
    ],
)
def test_a_label_has_one_name_however_it_is_written(value, width, names, labels):
    found = parse_labels(value, width=width, names=names)
    assert [name for name, _ in found] == [name for name, _ in labels]
    for (_, label), (_, expected) in zip(found, labels, strict=True):
        assert label is expected if expected is None else label.tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("width", "message"), [(0, "trained without labels"), (1, "takes 1 number")])
def test_all_needs_classes(width, message):
    with pytest.raises(ValueError, match=message):
        parse_labels("all", width=width)


MIXED = ("corgi", "fox", "a+b", "c*d")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("0.7*fox+0.3*corgi", [0.3, 0.7, 0, 0]),
        ("0.7 * fox + 0.3 * corgi", [0.3, 0.7, 0, 0]),
        ("0.5*1+0.25*0", [0.25, 0.5, 0, 0]),
        ("2*fox+corgi", [1, 2, 0, 0]),
        ("-0.5*fox+1.5*corgi", [1.5, -0.5, 0, 0]),
        ("0.5*fox+0.5*fox", [0, 1, 0, 0]),
        ("1e-1*fox+1e+0*corgi", [1, 0.1, 0, 0]),
        ("0.5*a+b+0.5*c*d", [0, 0, 0.5, 0.5]),
        ("c*d", [0, 0, 0, 1]),
        ("1*c*d+a+b", [0, 0, 1, 1]),
    ],
)
def test_a_mixture_is_the_weighted_sum_of_its_classes(text, label):
    torch.testing.assert_close(
        parse_label(text, width=4, names=MIXED), torch.tensor(label, dtype=torch.float32)
    )


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("0.7*fux+0.3*corgi", "0.7.fux"),
        ("0.7*fox+0.3*4", "0.3.4"),
        ("much*fox", "much.fox"),
        ("0.7*fox+", "nothing"),
        ("*", "[*]"),
        ("nan*fox", "nan.fox"),
        ("inf*fox", "inf.fox"),
        ("0.5**fox", "0.5..fox"),
    ],
)
def test_a_mixture_of_what_is_no_class_names_the_term_and_the_classes(text, wrong):
    with pytest.raises(
        ValueError, match=f"^label=.*: {wrong} is no weight times a class, as in 0.7.corgi;.*0 corgi, 1 fox"
    ):
        parse_label(text, width=4, names=MIXED)


@given(st.lists(st.tuples(st.floats(-10, 10, width=16), st.integers(0, 3)), min_size=1, max_size=6))
def test_any_mixture_by_numbers_or_names_is_the_sum(terms):
    expected = torch.zeros(4)
    for weight, number in terms:
        expected[number] += weight
    for names in ((), ("corgi", "fox", "owl", "cat")):
        text = "+".join(f"{weight!r}*{names[number] if names else number}" for weight, number in terms)
        torch.testing.assert_close(parse_label(text, width=4, names=names), expected)


def test_a_mixture_is_stored_as_the_numbers_that_give_it_again():
    ((name, label),) = parse_labels("0.7*fox+0.3*corgi", width=4, names=MIXED)
    assert torch.equal(parse_label(name, width=4, names=MIXED), label)
