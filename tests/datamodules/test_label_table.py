"""Tables of labels as spreadsheets and programs write them: each is read rightly, or refused in one line."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from datamodules import FolderData
from datamodules.datasets.label_sources import LabelSource, Names
from datamodules.datasets.label_table import read_table
from tests.datamodules.raw_zips import png

FILES = ["000.png", "001.png", "002.png", "003.png"]


@pytest.fixture
def folder(tmp_path):
    for shade, name in enumerate(FILES):
        (tmp_path / name).write_bytes(png(shade))
    return tmp_path


def read(folder, table: str | bytes, **options) -> FolderData:
    (folder / "labels.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    data = FolderData(path=folder, resolution=8, batch_size=2, labels="csv", cache=False, **options)
    data.setup()
    return data


def table(cells, names=FILES, header="file,x", comma=",") -> str:
    rows = [f"{name}{comma}{cell}" for name, cell in zip(names, cells, strict=True)]
    return "\n".join([header.replace(",", comma), *rows]) + "\n"


AB = ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (table(["10_20", "20_30", "30_40", "10_20"]), ["10_20", "20_30", "30_40"]),
        (table(["1_0", "2_0", "1_0", "2_0"]), ["1_0", "2_0"]),
        (table(["١", "٢", "١", "٢"]), ["١", "٢"]),
        (table(["0x1", "0x2", "0x1", "0x2"]), ["0x1", "0x2"]),
        (table(["nan", "inf", "nan", "inf"]), ["inf", "nan"]),
        (table(["1", "2", "many", "2"]), ["1", "2", "many"]),
        (table(["50% blue", "60%", "50% blue", "60%"]), ["50% blue", "60%"]),
        (table(["01.02.2020", "02.02.2020", "01.02.2020", "02.02.2020"]), ["01.02.2020", "02.02.2020"]),
        (table(['"red, big"', '"blue; ""x"""', '"red, big"', "plain"]), ['blue; "x"', "plain", "red, big"]),
        (table(AB, [f" {name} " for name in FILES], "  file , class "), ["a", "b"]),
        (table(AB, [f' "{name}"' for name in FILES], "file,class"), ["a", "b"]),
        (
            table(AB, header="file,class,").replace("\na", "\na").replace(",a", ",a,").replace(",b", ",b,"),
            ["a", "b"],
        ),
        (table(AB, [f'"{name}" ' for name in FILES], '"file" ,"class" '), ["a", "b"]),
        (table(['" ,x"', '"a" ', '" ,x"', '"a"']), [",x", "a"]),
        (table(AB).replace("\n", "\r"), ["a", "b"]),
        ("sep=;\r\n" + table(AB, comma=";").replace("\n", "\r\n"), ["a", "b"]),
        ("\n\n" + table(AB) + "\n,\n\n", ["a", "b"]),
        (table(AB).encode("utf-16"), ["a", "b"]),
        (b"\xef\xbb\xbf" + table(AB, comma="\t").encode(), ["a", "b"]),
        (table(["e\u0301", "\u00e9", "e\u0301", "z"]), ["z", "\u00e9"]),
        (table(["a;x", "b;y", "a;x", "b;y"]), ["a;x", "b;y"]),
        (table(["a,x", "b,y", "a,x", "b,y"], comma=";"), ["a,x", "b,y"]),
        (table(["1;a", "2;b", "1;a", "2;b"], header="file,class;x"), ["1;a", "2;b"]),
    ],
)
def test_names_of_classes(folder, text, names):
    data = read(folder, text)
    assert (data.label_kind, data.label_names) == ("classes", names)


@pytest.mark.parametrize(
    ("text", "numbers", "note"),
    [
        (table(["0,5", "1,5", "-2,5", "3"], comma=";"), [0.5, 1.5, -2.5, 3], "a decimal comma; 0,5 is 0.5"),
        (table(['"0,5"', '"1,5"', '"2,5"', '"3,5"']), [0.5, 1.5, 2.5, 3.5], "a decimal comma"),
        (table(["0,125", "0,250", "0,5", "1"], comma="\t"), [0.125, 0.25, 0.5, 1], "a decimal comma"),
        (table(["1e-3", ".5", "+2.", "-7"]), [0.001, 0.5, 2, -7], "one number each, as 0.001 for 000.png"),
    ],
)
def test_numbers_with_point_or_comma(folder, text, numbers, note):
    data = read(folder, text)
    assert data.label_kind == "vector" and data.label_width == 1
    np.testing.assert_array_equal(data.labels(torch.arange(4))[:, 0].numpy(), np.float32(numbers))
    assert any(note in line for line in data.notes)


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("name", ["", "index", "id", "Unnamed: 0", "#"])
@pytest.mark.parametrize("last", [False, True])
def test_a_column_that_counts_the_lines_is_no_label(folder, start, name, last):
    rows = [[name, "file", "class"], *([str(n + start), file, n % 2] for n, file in enumerate(FILES))]
    text = "\n".join(",".join(map(str, [*row[1:], row[0]] if last else row)) for row in rows)
    data = read(folder, text)
    assert data.label_names == ["0", "1"] and data.label_kind == "classes"
    assert any("counts the lines, and is left out" in note for note in data.notes)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("Unnamed: 0", ["3", "1", "0", "2"]),
        ("Unnamed: 0", ["0", "4", "7", "9"]),
        ("Unnamed: 0", ["0", "1", "0", "1"]),
        ("index", ["0.0", "1.0", "2.0", "3.0"]),
        ("id", ["17", "18", "20", "31"]),
        ("No.", ["2", "3", "4", "5"]),
    ],
)
@pytest.mark.parametrize("values", [["0", "1", "2", "0"], ["a", "b", "a", "b"], ["0.5", "1.5", "2", "3"]])
def test_numbers_of_lines_in_another_order_are_asked_about(folder, name, numbers, values):
    cells = [",".join(pair) for pair in zip(numbers, values, strict=True)]
    with pytest.raises(
        ValueError, match=f"labels.csv: {name} may count the lines or be a label; delete it, or"
    ):
        read(folder, table(cells, header=f"file,{name},kind"))


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("file,id", ["17", "1", "20", "3"]),  # all that there is
        ("file,id,age", ["1,20", "1,30", "2,20", "2,30"]),  # some have the same
        ("file,row,column", ["0.25,1", "0.5,2", "0.75,3", "1.5,4"]),
        ("file,idea,x", ["5,0.1", "3,0.2", "1,0.3", "0,0.4"]),
    ],
)
def test_what_is_no_number_of_a_line_is_a_label(folder, header, cells):
    data = read(folder, table(cells, header=header))
    assert data.label_width == 21 if header == "file,id" else data.label_width == 2


@pytest.mark.parametrize(
    "cells",
    [
        ["1.234,5", "12,5", "1.234.567", "3"],
        ["1,234.5", "2,500.0", "12.5", "7"],
        ["1 234", "2 500", "12", "7"],
        ["1\u00a0234,5", "12,5", "1\u00a0234", "7"],
        ["1'234", "2'345", "1'234", "2'345"],
        ["10%", "20 %", "12.5%", "7"],
    ],
    ids=str,
)
def test_marks_between_thousands_and_percentages_are_no_names_of_classes(folder, cells):
    line, odd = next(
        (line, cell) for line, cell in enumerate(cells, 2) if not cell.replace(",", "").isdigit()
    )
    with pytest.raises(
        ValueError, match=f"line {line}: {odd} looks like a number with marks between thousands"
    ):
        read(folder, table(cells, comma="\t"))


def test_columns_of_true_and_false_are_those_of_1_and_0(folder):
    data = read(
        folder, table(["True,FALSE", "True,True", "False,True", "False,False"], header="file,red,round")
    )
    assert (data.label_kind, data.label_names) == ("multi", ["red", "round"])
    assert data.labels(torch.arange(4)).tolist() == [[1, 0], [1, 1], [0, 1], [0, 0]]


def test_the_columns_of_a_vector_are_named(folder):
    data = read(folder, table(["0.5,1", "0.25,2", "1,3", "2,4"], header="file,x,turn"))
    assert any(note.endswith("labels.csv: a label is x, turn, in this order") for note in data.notes)


def test_without_a_line_of_names(folder):
    data = read(folder, "".join(f"{name},{label}\n" for name, label in zip(FILES, AB, strict=True)))
    assert data.label_names == ["a", "b"] and data.num_items == 4
    assert any(
        "has no line of names for its columns; column 1 names the files" in note for note in data.notes
    )


def test_the_column_with_names_of_files_is_that_of_the_files(folder):
    """Also where it is neither called so nor the first; and a class that reads like a name without ending is none."""
    data = read(folder, "class,picture\n" + "".join(f"00{n % 2},{name}\n" for n, name in enumerate(FILES)))
    assert data.label_names == ["0", "1"]
    assert data.labels(torch.arange(4)).argmax(1).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (
            ["/data/set/000.png", "/data/set/001.png", "/data/set/002.png", "/data/set/003.png"],
            "/data/set/000.png",
        ),
        ([rf"C:\data\{name}" for name in FILES], r"C:\data\000.png"),
        ([f"../set/{name}" for name in FILES], "../set/000.png"),
        (["000", "001", "002", "003"], "000"),
        (["000.jpg", "001.JPG", "002.jpeg", "003.tif"], "000.jpg"),
        (["/d/000.jpg", "/d/001.jpg", "/d/002.jpg", "/d/003.jpg"], "/d/000.jpg"),
    ],
)
def test_files_named_otherwise_are_found_and_said(folder, names, listed):
    data = read(folder, table(AB, names))
    assert data.labels(torch.arange(4)).argmax(1).tolist() == [0, 1, 0, 1]
    assert any(f"names files otherwise; {listed} is taken for 000.png" in note for note in data.notes)


def test_names_without_folders_are_found_where_they_are_of_one_file(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(1))
    assert read(tmp_path, "file,x\n1.png,u\n2.png,v\n3.png,u\n").label_names == ["u", "v"]
    (tmp_path / "b" / "1.png").write_bytes(png(1))
    with pytest.raises(ValueError, match="a/1.png and 1 more without a label"):
        read(tmp_path, "file,x\n1.png,u\n2.png,v\n3.png,u\n")


def test_a_name_of_no_file_is_not_taken_for_another_in_a_table_that_is_right(folder):
    data = read(folder, table([*AB, "c", "c"], [*FILES, "/old/000.png", "001.jpg"]))
    assert data.label_names == ["a", "b"]
    assert any(
        "labels for pictures that are not there" in note and "/old/000.png" in note for note in data.notes
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            table(["1,234", "2,345", "3,456", "4,567"], comma=";"),
            r"line 2: 1,234 may be 1.234 or 1234; write",
        ),
        (table(["1.5", "0,5", "2", "1"], comma=";"), r"line 3: 0,5 has a comma, unlike 1.5; write all"),
        (
            table(["1,234,567", "0,5", "2", "1"], comma=";"),
            r"line 2: 1,234,567 has a comma, unlike 1,234,567",
        ),
        (table(["0.5", "nan", "1", "2"]), r"line 3: nan stands among numbers"),
        (table(["0", "n/a", "1", "2"]), r"line 3: n/a stands among numbers"),
        (table(["0.5", "high", "1", "2"]), r"line 3: high stands among numbers"),
        (
            table(["1,cat", "2,dog", "3,cat", "4,dog"], header="file,n,class"),
            r"line 2: .* of several columns each",
        ),
        (table(AB, ["w", "x", "y", "z"]), r"none of its 4 names, as w, is that of a picture, as 000.png"),
        (table(AB, ["000.png", "001.png", "002.png", "/d/002.png"]), r"003.png without a label"),
        (
            table(AB, ["/a/000.png", "/b/000.png", "/b/001.png", "/b/002.png"]),
            r"/a/000.png and /b/000.png, one file",
        ),
        (table(["5,a", "7,b", "5,a", "7,b"], header="file,,class"), r"column 2 has no name; name it"),
        (table(AB).encode() + "é".encode("latin-1"), r"not UTF-8 text \(line 6\); save it as UTF-8"),
        (table(["9" * 5000] * 4), r"is \[inf\]; give numbers that are finite"),
        (table(["1e999", "1.5", "2.5", "3.5"]), r"is \[inf\]; give numbers that are finite"),
        (table(["a\0", "b", "a", "b"]), r"not UTF-8 text \(line 2\)"),
        (table(AB).encode("utf-16-le"), r"not UTF-8 text \(line 1\)"),
        ("file class\n000.png a\n", r"must begin with a line of different names"),
    ],
)
def test_what_cannot_be_told_is_asked_for_in_one_line(folder, text, words):
    with pytest.raises(ValueError, match=words) as caught:
        read(folder, text)
    assert "labels.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_dataset_json_that_python_cannot_take_is_named(folder):
    for text in ('{"labels":' + "[" * 100_000, '{"labels": [["000.png", ' + "9" * 5000 + "]]}"):
        (folder / "dataset.json").write_text(text)
        data = FolderData(path=folder, resolution=8, batch_size=2, labels="json", cache=False)
        with pytest.raises(ValueError, match="dataset.json") as caught:
            data.setup()
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_one_column_of_0_and_1_has_no_class_called_0(folder):
    """As a class it would be taken for the label 1; the digest of such a set is what it always was."""
    (folder / "dataset.json").write_text(json.dumps({"labels": [[n, [i % 2]] for i, n in enumerate(FILES)]}))
    data = FolderData(path=folder, resolution=8, batch_size=2, labels="json", cache=False)
    data.setup()
    assert (data.label_kind, data.label_width, data.label_names) == ("multi", 1, [])
    assert data.fingerprint == "be42c7e7c4f8c58e781ede493d125e89"
    assert "data.labels=json: one column of 0 and 1, 1 for 2 of 4 pictures" in data.notes
    named = read(folder, table(["0.0", "1.0", "0.0", "1.0"], header="file,smiling"))
    assert named.label_names == ["smiling"]
    assert any("one column of 0 and 1 (smiling)" in note for note in named.notes)


cell = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp", "Cs")), min_size=1, max_size=8
)


@given(st.lists(cell, min_size=1, max_size=8), st.sampled_from([",", ";", "\t"]))
def test_any_words_come_back_as_classes(words, delimiter):
    words = [f"w {word}".strip() for word in words]
    assume(all(word != "w" for word in words))
    names = [f"{n}.png" for n in range(len(words))]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([["file", "class"], *zip(names, words, strict=True)])
    read_back = read_table("t", out.getvalue(), Names(names))
    assert read_back.labels == dict(zip(names, words, strict=True)) and not read_back.notes


@given(
    st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2), min_size=1),
    st.booleans(),
)
def test_any_numbers_come_back(vectors, commas):
    names = [f"{n}.png" for n in range(len(vectors))]
    lines = ["file\tx\ty"]
    for name, (x, y) in zip(names, vectors, strict=True):
        line = f"{name}\t{x!r}\t{y!r}"
        lines.append(line.replace(".", ",").replace(",png", ".png") if commas else line)
    try:
        labels = read_table("t", "\n".join(lines), Names(names)).labels
    except ValueError as error:
        assert commas and ("may be" in str(error) or "unlike" in str(error))
    else:
        assert labels == {name: tuple(vector) for name, vector in zip(names, vectors, strict=True)}


@given(st.text(max_size=200))
def test_any_text_is_a_table_or_a_mistake_in_one_line(text):
    try:
        table = read_table("t", text, Names(FILES))
    except ValueError as error:
        assert str(error).startswith("t")
    else:
        source = LabelSource("t", table.labels, missing="x")
        source.match(Names(FILES))
