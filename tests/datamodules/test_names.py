"""Names of files in one form."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.datasets.names import by_relative_name, is_hidden, relative_name, text_of, top_folder


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("cats/1.png", "cats/1.png"),
        ("./cats/1.png", "cats/1.png"),
        (".\\cats\\1.png", "cats/1.png"),
        ("././cats/./1.png", "cats/1.png"),
        ("cats//1.png", "cats/1.png"),
        ("/cats/1.png", "cats/1.png"),
        ("C:\\cats\\1.png", "cats/1.png"),
        ("\\\\host\\cats\\1.png", "host/cats/1.png"),
        ("e\u0301/1.png", "\u00e9/1.png"),
        ("c: cats.png", "c: cats.png"),
        ("..cats/1..png", "..cats/1..png"),
        ("../1.png", None),
        ("a/../../1.png", None),
        ("..\\1.png", None),
        ("/..", None),
    ],
)
def test_relative_names(stored, name):
    assert relative_name(stored) == name


@given(st.text(st.sampled_from("ab./\\:é\u0301 ")))
def test_a_relative_name_stays_below_its_folder_and_stays_what_it_is(stored):
    name = relative_name(stored)
    if name is not None:
        assert not name.startswith("/") and not {"..", ".", ""} & set(name.split("/")) or name == ""
        assert "\\" not in name and unicodedata.is_normalized("NFC", name)
        # A drive within a drive is one folder more.
        assert ":" in name or relative_name(name) == name


@given(st.lists(st.text(string.ascii_letters + string.digits + "._- /", min_size=1)))
def test_ordinary_names_are_kept(names):
    names = [name for name in names if relative_name(name) == name and not is_hidden(name)]
    found, notes = by_relative_name((name, place) for place, name in enumerate(dict.fromkeys(names)))
    assert list(found) == list(dict.fromkeys(names)) and not notes
    assert all(stored is name or stored == name for name, (stored, _) in found.items())


@given(st.permutations(["\u00e9.png", "e\u0301.png", "./\u00e9.png", "b//c.png", "b\\c.png"]))
def test_which_of_several_files_counts_does_not_depend_on_their_order(stored):
    found, notes = by_relative_name((name, name) for name in stored)
    assert {name: kept for name, (kept, _) in found.items()} == {
        "\u00e9.png": "\u00e9.png",
        "b/c.png": "b//c.png",
    }
    assert len(notes) == 1 and "b/c.png, \u00e9.png" in notes[0]


@given(st.text())
def test_utf_8_is_taken_for_what_it_is(text):
    encoded = text.encode("utf-8", "ignore")
    assert text_of(encoded) == encoded.decode("utf-8")


@pytest.mark.parametrize(
    ("names", "top"),
    [
        (["a/b/1", "a/c/2"], "a/"),
        (["x/a/b/1", "x/a/c/2"], "x/a/"),
        (["a/b/1"], "a/"),
        (["a/1", "a/2"], ""),
        (["a/1", "a/b/2"], "a/"),
        (["a/1", "b/2"], ""),
        (["1", "a/2"], ""),
        (["ab/1/x", "ac/1/x"], ""),
        ([], ""),
    ],
)
def test_the_folder_above_the_classes(names, top):
    assert top_folder(names) == top
