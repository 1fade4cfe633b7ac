"""Zips by whatever program: the same set as the folder; and zips that cannot be read."""

import json
import os
import stat
import unicodedata
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules import FolderData
from datamodules.datasets import FolderFiles, ZipFiles, open_image_files
from datamodules.datasets.zip_files import _unicode_path
from tests.datamodules.raw_zips import Entry, plain_zip, png, unicode_path, write_zip

NAMES = ["cats/1.png", "cats/été.png", "dogs/1.png", "dogs/日本.png", "über.png"]
SHADES = {name: 10 * place for place, name in enumerate(NAMES)}


def opened(path: Path, **options) -> FolderData:
    data = FolderData(path=path, **{"resolution": 8, "batch_size": 2, "cache": False, **options})
    data.setup()
    return data


def seen(data: FolderData) -> dict[str, int]:
    return {data.dataset.key(i): int(data.dataset.image(i)[0, 0, 0]) for i in range(data.num_items)}


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in NAMES:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(png(SHADES[name]))
    return tmp_path / "set"


def by_windows(name: str) -> Entry:
    return Entry(name.replace("/", "\\").encode(), png(SHADES[name]))


def by_macos(name: str) -> Entry:
    return Entry(unicodedata.normalize("NFD", name).encode(), png(SHADES[name]), system=3)


def by_dotted(name: str) -> Entry:
    return Entry(f"./{name}".encode(), png(SHADES[name]), flags=0x800)


def by_doubled(name: str) -> Entry:
    return Entry(name.replace("/", "//").encode(), png(SHADES[name]))


def by_field(name: str) -> Entry:
    raw = name.encode("ascii", "replace")
    return Entry(raw, png(SHADES[name]), extra=b"\x55\x54\x01\x00\x00" + unicode_path(raw, name))


def by_root(name: str) -> Entry:
    return Entry(f"/{name}".encode(), png(SHADES[name]), system=3)


def by_drive(name: str) -> Entry:
    return Entry(f"C:\\{name}".encode(), png(SHADES[name]))


@pytest.mark.parametrize(
    "entry",
    [by_windows, by_macos, by_dotted, by_doubled, by_field, by_root, by_drive],
    ids=lambda e: e.__name__,
)
def test_a_zip_is_its_folder_by_whatever_program_it_was_made(folder, tmp_path, entry):
    litter = [
        Entry(b"__MACOSX/cats/._1.png", b"x"),
        Entry(b"__MACOSX\\._1.png", b"x"),
        Entry(b"cats\\.1.png", b"x"),
    ]
    folders = [Entry(b"cats/", b""), Entry(b"dogs\\", b""), Entry(b"birds", b"", attributes=0x10)]
    packed = write_zip(tmp_path / "set.zip", [*litter, *folders, *map(entry, reversed(NAMES))])
    for options in ({}, {"val_fraction": 0.5, "seed": 3}, {"labels": "folders", "exclude": ["über.png"]}):
        there, here = opened(folder, **options), opened(packed, **options)
        assert there.fingerprint == here.fingerprint and seen(there) == seen(here)
        assert there.label_names == here.label_names
        assert not any("left out" in note or "MACOSX" in note for note in here.notes)


def test_names_of_dos_are_read_as_such_and_said(tmp_path):
    packed = plain_zip(tmp_path / "set.zip", ["über.png".encode("cp437"), b"a.png"])
    data = opened(packed)
    assert list(seen(data)) == ["a.png", "über.png"]
    assert any("1 name is encoded" in note and "437" in note and "über.png" in note for note in data.notes)


def test_names_of_another_encoding_that_happen_to_be_utf_8_are_said(tmp_path):
    """In GBK the word for cat is an accented e in UTF-8, and that for dog is no UTF-8."""
    cat, dog = ("猫/1.png".encode("gbk"), "狗/1.png".encode("gbk"))
    assert cat.decode() == "è/1.png"
    notes = ZipFiles(plain_zip(tmp_path / "both.zip", [cat, dog])).notes
    assert "1 name is encoded; read as in DOS" in notes[0]
    assert "1 more name is encoded; read as UTF-8, as è/1.png; if that is another word" in notes[1]
    [note] = ZipFiles(plain_zip(tmp_path / "cat.zip", [cat, b"b/1.png"])).notes
    assert "1 name is encoded; read as UTF-8, as è/1.png" in note


def test_utf_8_of_systems_that_mean_it_is_not_asked_about(tmp_path):
    for flags, system in ((0, 3), (0x800, 0), (0x800, 3)):
        entries = [Entry("è.png".encode(), png(1), flags=flags, system=system), Entry(b"b.png", png(2))]
        assert ZipFiles(write_zip(tmp_path / "set.zip", entries)).notes == []
    stated = Entry(b"?.png", png(1), extra=unicode_path(b"?.png", "è.png"))
    assert ZipFiles(write_zip(tmp_path / "set.zip", [stated])).notes == []


def test_a_field_for_another_name_does_not_count(tmp_path):
    """As a program leaves it that renames entries and does not know the field."""
    stale = unicode_path(b"old.png", "alt.png")
    damaged = unicode_path(b"b.png", "x")[:-1] + b"\xff"
    entries = [Entry(b"new.png", png(1), extra=stale), Entry(b"b.png", png(2), extra=damaged)]
    assert list(seen(opened(write_zip(tmp_path / "set.zip", entries)))) == ["b.png", "new.png"]


@given(st.binary(max_size=40))
@settings(max_examples=200)
def test_extra_fields_of_any_bytes_are_survived(extra):
    assert _unicode_path(extra, b"a.png") is None or isinstance(_unicode_path(extra, b"a.png"), str)


def test_accents_in_either_form_are_one_name(tmp_path):
    """Order, fingerprint, held-out part, labels and patterns."""
    opened_as = []
    for form in ("NFC", "NFD"):
        root = tmp_path / form
        for place, name in enumerate(("étoile", "ezra", "fox", "über", "vase", "zebra")):
            path = root / unicodedata.normalize(form, f"{'été' if place % 2 else 'b'}/{name}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(place))
        other = "NFD" if form == "NFC" else "NFC"
        pattern = unicodedata.normalize(other, "été")
        opened_as.append(
            [
                opened(root, labels="folders", val_fraction=0.4, seed=2),
                opened(root, include=[pattern]),
                opened(root, exclude=[f"{pattern}/*"]),
            ]
        )
    for composed, apart in zip(*opened_as, strict=True):
        assert composed.fingerprint == apart.fingerprint and seen(composed) == seen(apart)
        assert composed.label_names == apart.label_names
    assert opened_as[0][1].num_items == 3


def test_two_names_of_one_form_count_once_and_are_said(tmp_path):
    composed, apart = "é.png", unicodedata.normalize("NFD", "é.png")
    for name, shade in ((apart, 1), (composed, 2), ("f.png", 3)):
        (tmp_path / name).write_bytes(png(shade))
    packed = write_zip(
        tmp_path / "x.zip",
        [Entry(composed.encode(), png(2)), Entry(apart.encode(), png(1)), Entry(b"f.png", png(3))],
    )
    for path in (tmp_path, packed):
        data = opened(path)
        assert seen(data) == {"f.png": 3, "é.png": 2}
        assert any("é.png" in note and "one counts" in note for note in data.notes)


def test_of_entries_with_one_name_the_last_counts_as_when_unpacked(tmp_path):
    packed = write_zip(
        tmp_path / "x.zip", [Entry(b"a.png", png(1)), Entry(b"b.png", png(3)), Entry(b"a.png", png(2))]
    )
    data = opened(packed)
    assert seen(data) == {"a.png": 2, "b.png": 3}
    assert "more than once, the last one counts: a.png" in data.notes


def test_names_that_lead_out_are_left_out_and_said(tmp_path):
    packed = plain_zip(tmp_path / "x.zip", ["a.png", "../b.png", "c/../../d.png", "..\\e.png"])
    data = opened(packed)
    assert list(seen(data)) == ["a.png"]
    assert any("lead out of the set: ../b.png, c/../../d.png, ..\\e.png" in note for note in data.notes)


@pytest.mark.skipif(os.name == "nt", reason="the file system takes names as text")
def test_names_that_are_no_text_are_those_of_a_zip(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    (Path(os.fsdecode(os.fsencode(root) + b"/\x81ber.png"))).write_bytes(png(1))
    (root / "z.png").write_bytes(png(2))
    packed = plain_zip(tmp_path / "x.zip", [b"\x81ber.png", b"z.png"])
    assert FolderFiles(root).names == ZipFiles(packed).names == ["z.png", "über.png"]
    assert FolderFiles(root).read("über.png") == png(1)


def test_zip64(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "x.zip", "w") as archive,
        archive.open("a/ü.png", "w", force_zip64=True) as file,
    ):
        file.write(png(7))
    assert seen(opened(tmp_path / "x.zip")) == {"a/ü.png": 7}


def test_one_top_folder_is_no_class(tmp_path):
    names = [f"animals/{kind}/{number}.png" for kind in ("cats", "dogs") for number in range(3)]
    packed = plain_zip(tmp_path / "animals.zip", [*names, "__MACOSX/animals/._x.png"])
    data = opened(packed, labels="folders")
    assert data.label_names == ["cats", "dogs"]
    assert "data.labels=folders: 2 classes: cats (3), dogs (3)" in data.notes
    assert any("all pictures lie in animals/" in note for note in data.notes)
    for pattern, count in (
        ("cats", 3),
        ("animals", 6),
        ("cats/", 3),
        ("cats/*", 3),
        ("animals/cats/*", 3),
        ("*/0.png", 2),
    ):
        assert opened(packed, include=[pattern]).num_items == count
    assert opened(packed, labels="folders", exclude=["cats/0.png"], balanced=True).num_items == 5
    with pytest.raises(ValueError, match="nothing is called birds; the classes are cats, dogs"):
        opened(packed, include=["birds"])


@pytest.mark.parametrize(("kind", "table"), [("json", "dataset.json"), ("csv", "labels.csv")])
def test_a_table_is_found_and_read_in_the_top_folder(tmp_path, kind, table):
    pairs = [["cats/0.png", 1], ["dogs/0.png", 0]]
    text = (
        json.dumps({"labels": pairs})
        if kind == "json"
        else "file,class\n" + "".join(f"{n},{c}\n" for n, c in pairs)
    )
    entries = [Entry(f"set\\{name}".replace("/", "\\").encode(), png(label)) for name, label in pairs]
    inside = write_zip(tmp_path / "x.zip", [*entries, Entry(f"set\\{table}".encode(), text.encode())])
    (tmp_path / "beside").write_text(text)
    outside = write_zip(tmp_path / "y.zip", entries)
    for data in (opened(inside, labels=kind), opened(outside, labels=kind, labels_path=tmp_path / "beside")):
        assert data.labels(torch.arange(2)).argmax(1).tolist() == [1, 0]
        assert not any("otherwise" in note for note in data.notes)


def test_an_encrypted_zip_is_said_to_be_one(tmp_path):
    locked = [Entry(f"{n}.png".encode(), png(n), flags=0x1) for n in range(2)]
    with pytest.raises(
        ValueError, match="data.path cannot be read: .*it is encrypted; unpack the zip with its password"
    ):
        open_image_files(write_zip(tmp_path / "all.zip", locked))
    data = opened(write_zip(tmp_path / "some.zip", [*locked, Entry(b"open.png", png(9))]))
    assert list(seen(data)) == ["open.png"]
    assert any("0.png" in note and "it is encrypted" in note and "ZipInfo" not in note for note in data.notes)


@pytest.mark.parametrize(("method", "word"), [(9, "Deflate64"), (98, "PPMd"), (95, "XZ"), (77, "method 77")])
def test_a_zip_packed_by_what_python_does_not_read(tmp_path, method, word):
    packed = write_zip(tmp_path / "x.zip", [Entry(b"a.png", png(1), method=method)])
    with pytest.raises(ValueError, match=f"it is packed by {word}, which is not read here; unpack the zip"):
        opened(packed)


def test_a_part_of_a_split_zip(tmp_path):
    last = write_zip(tmp_path / "x.zip", [Entry(b"a.png", png(1))], disk=2)
    first = tmp_path / "x.z01"
    first.write_bytes(b"PK\x07\x08" + last.read_bytes()[:50])
    for part in (last, first):
        with pytest.raises(
            ValueError, match=r"cannot be read: .*one part of a split zip; join the parts \(zip -s 0"
        ):
            open_image_files(part)


def test_a_link_in_a_zip_is_named_as_one(tmp_path):
    link = Entry(b"l.png", b"a.png", system=3, attributes=(stat.S_IFLNK | 0o777) << 16)
    data = opened(write_zip(tmp_path / "x.zip", [Entry(b"a.png", png(1)), link]))
    assert list(seen(data)) == ["a.png"]
    assert any("l.png (it is a link" in note for note in data.notes)


def test_a_name_that_is_not_what_its_flag_says(tmp_path):
    packed = plain_zip(tmp_path / "x.zip", [])
    packed = write_zip(packed, [Entry(b"\xff\xfe.png", png(1), flags=0x800)])
    with pytest.raises(ValueError, match="data.path cannot be opened") as caught:
        open_image_files(packed)
    assert "\n" not in str(caught.value)


def test_names_are_printed_in_one_line_without_steering_the_terminal(tmp_path):
    names = ["x\ny.txt", "x\x1b[2Jy.txt", "a\nb/\x1b[31m.png", "c/1.png"]
    packed = plain_zip(tmp_path / "x.zip", names)
    data = opened(packed, labels="folders")
    assert any(r"a\nb (1)" in note for note in data.notes)
    for note in data.notes:
        assert "\n" not in note and "\x1b" not in note
    with pytest.raises(ValueError, match=r"x\\x1b\[2J") as caught:
        opened(packed, include=["x\x1b[2J"])
    assert "\n" not in str(caught.value)
    assert data.dataset.files.where(names[2]).startswith(r"a\nb/\x1b[31m.png")


def test_a_thread_that_lets_go_while_another_opens_takes_nothing_away(tmp_path):
    """As between the line that opens the zip and the one that takes the entries from it."""
    path = plain_zip(tmp_path / "set.zip", ["a.png"])
    files = ZipFiles(path)

    class LettingGo:
        """The files' lock, at whose release another thread lets go."""

        def __enter__(self):
            return None

        def __exit__(self, *_):
            files._opened = None

    files._lock = LettingGo()
    assert files.read("a.png") == png(0)
