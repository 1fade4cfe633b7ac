"""Labels from folders, dataset.json and CSV: what they become, and what is wrong with them in one line."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datamodules import FolderData
from datamodules.datasets.labels import Labels, build_labels

FILES = ["00000/img0.png", "00000/img1.png", "00001/img2.png", "00001/img3.png"]


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "set"
    for number, name in enumerate(FILES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(root / name)
    return root


def opened(path: Path, **options) -> FolderData:
    data = FolderData(path=path, **{"resolution": 8, "channels": 1, "batch_size": 4, **options})
    data.setup("fit")
    return data


def write_json(folder: Path, labels: object) -> None:
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))


def rows(data: FolderData) -> list:
    return data.labels(torch.arange(data.num_items)).tolist()


def test_rows_of_classes_are_those_of_one_hot():
    values = np.random.default_rng(0).integers(0, 5, 40)
    labels = Labels("classes", 5, list("abcde"), values)
    some = torch.tensor([3, 3, 0, 39])
    expected = torch.nn.functional.one_hot(torch.from_numpy(values[some]), 5).to(torch.float32)
    assert torch.equal(labels.rows(some), expected) and labels.rows(some).dtype == torch.float32
    assert labels.rows(some[:0]).shape == (0, 5)


def test_folders_are_classes_sorted_by_name(folder):
    data = opened(folder, labels="folders")
    assert data.label_kind == "classes" and data.label_names == ["00000", "00001"]
    assert rows(data) == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert all(torch.equal(data.dataset[i][1], data.labels(torch.tensor([i]))[0]) for i in range(4))


def test_numbers_are_classes_from_0_to_the_largest(folder):
    write_json(folder, [[name, number] for name, number in zip(FILES, [3, 0, 3, 1], strict=True)])
    data = opened(folder, labels="json")
    assert data.label_kind == "classes" and data.label_names == ["0", "1", "2", "3"]
    assert rows(data) == np.eye(4)[[3, 0, 3, 1]].tolist()
    assert "classes without a picture: 2" in data.notes


def test_names_are_classes_sorted(folder):
    write_json(
        folder, [[name, label] for name, label in zip(FILES, ["cat", "ant", "cat", "bee"], strict=True)]
    )
    data = opened(folder, labels="json")
    assert data.label_names == ["ant", "bee", "cat"]
    assert rows(data) == np.eye(3)[[2, 0, 2, 1]].tolist()


@pytest.mark.parametrize(
    ("labels", "kind", "names"),
    [
        ([[0.5, -2], [0, 1], [3, 0.25], [1e-3, 7]], "vector", []),
        ([[0, 1], [1, 1], [0, 0], [1, 0]], "multi", ["0", "1"]),
        ([[0, 1], [1, 0], [1, 0], [0.0, 1.0]], "classes", ["0", "1"]),
        ([0.5, 1.5, 2.0, -1.0], "vector", []),
    ],
)
def test_lists_stay_what_they_are(folder, labels, kind, names):
    write_json(folder, list(zip(FILES, labels, strict=True)))
    data = opened(folder, labels="json")
    assert (data.label_kind, data.label_names) == (kind, names)
    expected = np.array(labels, np.float32).reshape(4, -1)
    np.testing.assert_array_equal(data.labels(torch.arange(4)).numpy(), expected)
    assert data.label_width == expected.shape[1]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("comma", [",", ";", "\t"])
def test_a_table_of_classes(folder, comma, end):
    lines = [f"species{comma}File"] + [f"{'ab'[n % 2]} ü{comma}{name}" for n, name in enumerate(FILES)]
    (folder / "labels.csv").write_text("\ufeff" + end.join(lines), encoding="utf-8", newline="")
    data = opened(folder, labels="csv")
    assert data.label_names == ["a ü", "b ü"] and rows(data) == np.eye(2)[[0, 1, 0, 1]].tolist()


@pytest.mark.parametrize(
    ("cells", "kind", "names"),
    [
        (["1,0", "1,1", "0,0", "0,1"], "multi", ["red", "round"]),
        (["1,0", "1,0", "0,1", "0,1"], "classes", ["red", "round"]),
        (["0.5,1", "2,1", "1,1", "1,-1e3"], "vector", []),
    ],
)
def test_a_table_of_columns(folder, tmp_path, cells, kind, names):
    table = tmp_path / "elsewhere.txt"
    lines = ["name,red,round"] + [f'"{name}",{cell}' for name, cell in zip(FILES, cells, strict=True)]
    table.write_text("\n".join(lines) + "\n\n")
    data = opened(folder, labels="csv", labels_path=table)
    assert (data.label_kind, data.label_names) == (kind, names)
    assert rows(data) == np.array([line.split(",") for line in cells], np.float32).tolist()


@given(
    st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
        min_size=1,
    )
)
def test_numbers_pass_through_unchanged(vectors):
    names = [str(number) for number in range(len(vectors))]
    labels = build_labels(names, {n: tuple(v) for n, v in zip(names, vectors, strict=True)}, source="x")
    np.testing.assert_array_equal(
        labels.rows(torch.arange(len(names))).numpy(), np.array(vectors, np.float32)
    )


def test_a_zip_of_the_folder_itself_has_the_same_labels(folder, tmp_path):
    """Its table is one folder down, and the names in it are relative to that folder."""
    write_json(folder, [[name, number] for number, name in enumerate(FILES)])
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, Path("set") / path.relative_to(folder))
    assert rows(opened(tmp_path / "set.zip", labels="json")) == rows(opened(folder, labels="json"))


def test_names_may_be_spelled_as_another_system_does(folder):
    Image.new("L", (8, 8)).save(folder / "00000" / "u\u0308.png")
    pairs = [[name.replace("/", "\\"), 0] for name in FILES[1:]]
    write_json(folder, [*pairs, [f"./{FILES[0]}", 1], ["00000/\u00fc.png", 1]])
    assert opened(folder, labels="json").labels(torch.arange(5)).argmax(1).tolist() == [1, 0, 1, 0, 0]


def test_labels_of_no_image_are_a_note(folder):
    write_json(folder, [[name, 0] for name in [*FILES, "gone.png", "lost.png"]])
    assert any("gone.png, lost.png" in note for note in opened(folder, labels="json").notes)


def test_flips_have_the_label_of_what_they_flip(folder):
    data = opened(folder, labels="folders", xflip=True)
    assert data.labels(torch.arange(8)).argmax(1).tolist() == [0, 0, 1, 1] * 2


GOOD = [[name, 0] for name in FILES]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (GOOD[1:], r"00000/img0.png without a label.*data.exclude"),
        (GOOD[:1], r"00000/img1.png and 2 more without a label"),
        (None, r"null.*data.labels=none"),
        ([[n, []] for n in FILES], r"img0.png is an empty list"),
        (
            [["x.png", 0], ["y.png", 1]],
            r"none of its 2 names, as x.png, is that of a picture, as 00000/img0.png",
        ),
        ([*GOOD[:3], [FILES[3], " "]], r"img3.png is \" \"; give a class"),
        ([*GOOD[:3], [FILES[3], [10**400]]], r"img3.png holds a number too large"),
        ([*GOOD, GOOD[0]], r"img0.png has two labels"),
        ([*GOOD[:3], [FILES[3], "cat"]], r"img3.png is 'cat'.*another kind"),
        ([*GOOD[:3], [FILES[3], -1]], r"img3.png is -1; number the classes from 0"),
        ([*GOOD[:3], [FILES[3], 10**30]], r"img3.png is 10+; number the classes"),
        ([*GOOD[:3], [FILES[3], None]], r"img3.png is null; give a class"),
        ([*GOOD[:3], [FILES[3], True]], r"img3.png is true; give a class"),
        ([*GOOD[:3], [FILES[3]]], r"entry 3 .* not \[file, label\]"),
        (
            [[FILES[0], [1.0, 2.0]], [FILES[1], [0.5]], *([n, [1.0, 1.0]] for n in FILES[2:])],
            r"img1.png has 1 number, that of 00000/img0.png has 2",
        ),
        ([[name, [float("nan")]] for name in FILES], r"img0.png is \[nan\].*finite"),
        ([[name, [1e300]] for name in FILES], r"img0.png holds a number too large"),
        ("cats", r"must be a list"),
    ],
)
def test_faults_of_dataset_json_are_named_in_one_line(folder, labels, words):
    write_json(folder, labels)
    with pytest.raises(ValueError, match=words) as caught:
        opened(folder, labels="json")
    assert "dataset.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"labels": {"a.png": 0, "b.png": 1, "a.png": 1}}', "a.png has two labels; keep one"),
        ('{"labels": {"a.png": 0}, "labels": {"a.png": 1}}', '"labels" twice; keep one'),
        ('{"labels": [["00000/img0.png", %s]]}' % ("9" * 5000), r"img0.png is \[inf\]"),
        (
            '{"labels": [["00000/img0.png", [%s]]]}' % ("9" * 5000),
            r"img0.png is \[inf\]; give numbers that are",
        ),
    ],
)
def test_what_python_would_take_or_refuse_in_its_own_words_is_named(folder, text, words):
    gap = ", " + ", ".join(json.dumps([name, [0.5]]) for name in FILES[1:]) + "]}"
    (folder / "dataset.json").write_text(text.replace("]]}", "]" + gap) if "img0" in text else text)
    with pytest.raises(ValueError, match=words) as caught:
        opened(folder, labels="json")
    assert "set_int_max" not in str(caught.value)


def test_a_name_that_other_parts_of_dataset_json_repeat_is_no_fault(folder):
    (folder / "dataset.json").write_text(f'{{"made": {{"by": 1, "by": 2}}, "labels": {json.dumps(GOOD)}}}')
    assert rows(opened(folder, labels="json")) == [[1]] * 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must begin with a line"),
        ("file\na.png\n", "must begin with a line"),
        ("file,x,x\n", "different names"),
        ("file,x\n00000/img0.png,1,2\n", "line 2: 2 filled cells"),
        ("file,x\n00000/img0.png,\n", "line 2: 2 filled cells"),
        ("file,x,y\n00000/img0.png,1,b\n", "line 2: the label is 1, b; of several columns"),
        ("file,x\n00000/img0.png,a\n00000/img0.png,a\n", "line 3: .* two labels"),
        ('file,x\n"00000/img0.png,a\n', "unexpected end"),
    ],
)
def test_faults_of_a_table_are_named_in_one_line(folder, text, words):
    (folder / "labels.csv").write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        opened(folder, labels="csv")
    assert "data.labels=csv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"include": ["animals"]}, {"exclude": ["cover.png"]}], ids=str)
def test_classes_in_one_folder_with_a_picture_beside_it(tmp_path, options):
    """As the error proposes: then that folder holds all that is used."""
    for name in ("animals/cats/1.png", "animals/cats/small/2.png", "animals/dogs/3.png", "cover.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / name)
    with pytest.raises(ValueError, match=r"cover.png not in a sub-folder.*data.include=\[animals\]"):
        opened(tmp_path, labels="folders")
    data = opened(tmp_path, labels="folders", **options)
    assert data.label_names == ["cats", "dogs"] and rows(data) == [[1, 0], [1, 0], [0, 1]]
    assert "all pictures lie in animals/, and the classes are the folders below it" in data.notes


def test_one_class_alone_stays_one(tmp_path):
    for name in ("cats/1.png", "cats/small/2.png", "dogs/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / name)
    assert opened(tmp_path, labels="folders", include=["cats"]).label_names == ["cats"]


def test_what_is_not_text_or_not_json(folder):
    (folder / "dataset.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(ValueError, match="is not UTF-8 text"):
        opened(folder, labels="json")
    (folder / "dataset.json").write_text('["labels"]')
    with pytest.raises(ValueError, match="is not of the form"):
        opened(folder, labels="json")


def test_labels_that_are_not_there(folder, tmp_path):
    with pytest.raises(ValueError, match="no .*dataset.json; put it there.*data.labels_path"):
        opened(folder, labels="json")
    with pytest.raises(ValueError, match="data.labels_path cannot be read: .*nowhere.csv"):
        opened(folder, labels="csv", labels_path=tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="no picture lies in a sub-folder"):
        opened(folder / "00000", labels="folders")
    Image.new("L", (8, 8)).save(folder / "outside.png")
    with pytest.raises(ValueError, match=r"outside.png not in a sub-folder.*data.include=\[00000,00001\]"):
        opened(folder, labels="folders")
    assert opened(folder, labels="folders", include=["00000", "00001"]).num_items == 4


def test_one_class_is_no_help(folder):
    write_json(folder, [[name, 0] for name in FILES])
    assert any("only one class (0)" in note for note in opened(folder, labels="json").notes)


def test_balanced_classes(folder):
    """One image of class b for three of a: sampled as often, and labels to draw from are as frequent."""
    write_json(folder, [[name, label] for name, label in zip(FILES, "aaba", strict=True)])
    data = opened(folder, labels="json", balanced=True, xflip=True, batch_size=8)
    batches = iter(data.train_dataloader())
    for _ in range(3):
        images, labels = next(batches)
        assert labels.sum(0).tolist() == [4, 4]
        assert (images[labels[:, 1] == 1] == 2).all()
    assert data.labels(data.label_items).tolist() == [[1, 0], [0, 1]]
    plain = opened(folder, labels="json")
    assert torch.equal(plain.label_items, torch.arange(4))


def test_balance_needs_classes(folder):
    for options in ({}, {"labels": "json"}):
        write_json(folder, [[name, [0.5]] for name in FILES])
        with pytest.raises(
            ValueError, match="data.balanced=true needs exactly one class.*data.balanced=false"
        ):
            opened(folder, balanced=True, **options)
