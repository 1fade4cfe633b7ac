"""The look at all files before training: damage, sizes, the fingerprint, and what is kept of it."""

import gc
import multiprocessing
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules import FolderData
from datamodules.datasets import scan
from datamodules.datasets.scan import ScanCache
from stylegan.errors import BadImageError


def fill(root: Path, count: int, bad: int = 0, size: tuple[int, int] = (8, 8)) -> Path:
    """Pictures of one grey each, then damaged files."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("L", size[::-1], number).save(root / f"{number:03}.png")
    for number in range(bad):
        (root / f"bad{number:03}.png").write_bytes(b"no picture")
    return root


def opened(path: Path, **options) -> FolderData:
    data = FolderData(path=path, **{"resolution": 8, "channels": 1, "batch_size": 4, **options})
    data.setup("fit")
    return data


def test_damaged_files_are_left_out_and_named(tmp_path):
    data = opened(fill(tmp_path / "set", 6, bad=2))
    assert data.num_items == 6
    named = [note for note in data.notes if "bad00" in note]
    assert len(named) == 2 and all("its content is none of PNG" in note for note in named)


@pytest.mark.parametrize(("max_bad", "fine"), [(None, True), (20, True), (19, False), (0, False)])
def test_only_so_many_may_be_damaged(tmp_path, max_bad, fine):
    root = fill(tmp_path / "set", 3, bad=20)
    if fine:
        assert opened(root, max_bad=max_bad).num_items == 3
        return
    with pytest.raises(ValueError, match=r"20 of 23 pictures.*bad000.png.*and 15 more.*data.max_bad=20"):
        opened(root, max_bad=max_bad)


def test_by_default_20_or_one_in_a_hundred_are_allowed(tmp_path):
    """Single pixels in a zip: 2,200 good ones allow 22 (1 % of 2,222), not 23."""
    Image.new("L", (1, 1)).save(tmp_path / "one.bmp")
    good = (tmp_path / "one.bmp").read_bytes()
    for bad, fine in ((22, True), (23, False)):
        with zipfile.ZipFile(tmp_path / f"{bad}.zip", "w") as archive:
            for number in range(2222):
                archive.writestr(f"{number}.bmp", b"" if number < bad else good)
        if fine:
            assert opened(tmp_path / f"{bad}.zip").num_items == 2200
        else:
            with pytest.raises(ValueError, match="23 of 2222 pictures.*22 are allowed.*data.max_bad=23"):
                opened(tmp_path / f"{bad}.zip")


def test_no_readable_image_is_an_error_in_any_case(tmp_path):
    with pytest.raises(ValueError, match="2 of 2 pictures cannot be read.*repair them, or give others"):
        opened(fill(tmp_path / "set", 0, bad=2), max_bad=100)


def test_files_that_are_no_pictures_do_not_count(tmp_path):
    root = fill(tmp_path / "set", 3)
    for name in ("notes.txt", "._000.png", ".DS_Store", "Thumbs.db", "__MACOSX/000.png", "@eaDir/1.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"?")
    data = opened(root, max_bad=0)
    assert data.num_items == 3
    assert [note for note in data.notes if "skipped" in note] == ["skipped, not a picture file: notes.txt"]


@pytest.fixture
def headers_alone(monkeypatch):
    """As of large sets, only headers are read before training, so that damage shows during it."""
    monkeypatch.setattr("datamodules.folder.MOST_DECODED", 0)


def cut(path: Path) -> None:
    """Keeps the header, and the first bytes of the pixels."""
    path.write_bytes(path.read_bytes()[:45])


def test_what_shows_later_to_be_damaged_is_replaced_by_its_neighbour(tmp_path, capsys, headers_alone):
    root = tmp_path / "set"
    for folder in ("a", "b"):
        fill(root / folder, 3)
    expected = list(opened(root, labels="folders", cache=False).dataset)
    for name in ("a/002.png", "b/001.png", "b/002.png"):
        cut(root / name)
    data = opened(root, labels="folders", max_bad=2, cache=False)
    for _ in range(3):
        for index, stand_in in {0: 0, 1: 1, 2: 3, 3: 3, 5: 0}.items():
            image, label = data.dataset[index]
            assert (image == expected[stand_in][0]).all() and (label == expected[stand_in][1]).all()
    said = capsys.readouterr().err
    assert said.count("a/002.png") == said.count("b/002.png") == 1
    with pytest.raises(BadImageError, match="b/001.png .*with it 3 were met.*data.max_bad=4"):
        data.dataset[4]


def test_damage_before_and_during_training_is_counted_together(tmp_path, headers_alone):
    root = fill(tmp_path / "set", 3, bad=1)
    cut(root / "001.png")
    data = opened(root, max_bad=1)
    with pytest.raises(BadImageError, match="with it 2 were met"):
        data.dataset[1]


def test_workers_count_damage_together_and_end_after_the_error(tmp_path, headers_alone):
    """Two workers meet one damaged file each; one is allowed. None is left behind to be waited for."""
    root = fill(tmp_path / "set", 8)
    for name in ("001.png", "005.png"):
        cut(root / name)
    data = opened(root, max_bad=1, workers=2, batch_size=4)
    batches = iter(data.train_dataloader())
    with pytest.raises(BadImageError, match="^cannot read the picture .*with it 2 were met"):
        for _ in range(8):
            next(batches)
    began = time.monotonic()
    del batches
    gc.collect()
    assert multiprocessing.active_children() == [] and time.monotonic() - began < 4


def test_large_sets_are_looked_at_by_their_headers(tmp_path, monkeypatch):
    root = fill(tmp_path / "set", 4, size=(32, 24))
    whole = (root / "002.png").read_bytes()
    (root / "002.png").write_bytes(whole[:-30])
    assert opened(root).num_items == 3
    monkeypatch.setattr("datamodules.folder.MOST_DECODED", 3)
    data = opened(root)
    assert data.num_items == 4 and (data.dataset[2][0] == data.dataset[3][0]).all()


def test_resolution_null_takes_the_size_of_the_pictures(tmp_path):
    root = fill(tmp_path / "set", 3, size=(48, 32))
    data = opened(root, resolution=None)
    assert data.size == (48, 32) and data.dataset[0][0].shape == (1, 48, 32)
    exif = Image.Exif()
    exif[274] = 6
    for kind in ("jpg", "png"):
        Image.new("L", (48, 32)).save(root / f"turned.{kind}", exif=exif)
    assert opened(root, resolution=None).size == (48, 32)


def test_resolution_null_where_sizes_differ(tmp_path):
    root = fill(tmp_path / "set" / "a", 3, size=(65, 100)).parent
    fill(root / "b", 2, size=(70, 64))
    with pytest.raises(ValueError, match=r"have 2 .*: 65x100 \(3\), 70x64 \(2\).*resolution=64x64"):
        opened(root, resolution=None)
    assert opened(root, resolution=64).size == (64, 64)


def test_resolution_null_where_no_network_has_that_size(tmp_path):
    root = fill(tmp_path / "set", 1, size=(100, 60))
    with pytest.raises(ValueError, match="are 100x60.*no network draws; set resolution=.* or resolution="):
        opened(root, resolution=None)


def test_enlarged_images_are_reported(tmp_path):
    root = fill(tmp_path / "set", 2, size=(64, 64))
    Image.new("L", (200, 40)).save(root / "wide.png")
    assert any("1 of 3 pictures is smaller than 64x64" in note for note in opened(root, resolution=64).notes)
    assert not any("smaller" in note for note in opened(root, resolution=32).notes)


def fingerprint(path: Path, **options) -> str:
    return opened(path, **options).fingerprint


def test_the_fingerprint_is_of_contents_and_labels(tmp_path):
    root = fill(tmp_path / "one" / "x", 3).parent
    other = fill(tmp_path / "two" / "y", 3).parent
    first = fingerprint(root)
    assert int(first, 16) >= 0 and first == fingerprint(other), "names do not count"
    assert first == fingerprint(root, resolution=16, channels=3, seed=5, xflip=True)
    assert first != fingerprint(root, labels="folders")
    assert fingerprint(root, labels="folders") != fingerprint(other, labels="folders")
    assert first != fingerprint(root, exclude=["*2.png"])
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in root.rglob("*.png"):
            archive.write(path, path.relative_to(root))
    assert first == fingerprint(tmp_path / "set.zip")
    (other / "y" / "000.png").rename(other / "y" / "009.png")
    assert first != fingerprint(other), "the order counts"


def test_what_was_found_is_kept_until_a_file_changes(tmp_path, monkeypatch):
    root = fill(tmp_path / "set", 5, bad=1)
    first = opened(root, cache_dir=tmp_path / "kept")
    looked_at = []
    original = scan._look
    monkeypatch.setattr(
        scan, "_look", lambda files, name, **kw: looked_at.append(name) or original(files, name, **kw)
    )
    again = opened(root, cache_dir=tmp_path / "kept")
    assert looked_at == [] and again.notes == first.notes and again.fingerprint == first.fingerprint
    Image.new("L", (8, 8), 77).save(root / "001.png")
    os.utime(root / "001.png", ns=(1, 1))
    Image.new("L", (8, 8), 78).save(root / "new.png")
    changed = opened(root, cache_dir=tmp_path / "kept")
    assert sorted(looked_at) == ["001.png", "new.png"] and changed.fingerprint != first.fingerprint
    looked_at.clear()
    assert opened(root, cache_dir=tmp_path / "kept").fingerprint == changed.fingerprint and looked_at == []
    assert fingerprint(root, cache_dir=tmp_path / "other") == changed.fingerprint and len(looked_at) == 7


def digest(path: Path, **options) -> str:
    return opened(path, **options).dataset.content_digest()


def test_the_content_digest_is_of_what_is_shown(tmp_path):
    root = fill(tmp_path / "set", 12)
    first = digest(root)
    assert first == digest(root)
    different = [
        digest(root, resolution=16),
        digest(root, channels=3),
        digest(root, xflip=True),
        digest(root, subset=6),
        digest(root, subset=6, seed=1),
        digest(root, val_fraction=0.5),
        digest(root, exclude=["*2.png"]),
    ]
    (root / "000.png").rename(root / "999.png")
    different.append(digest(root))  # another order
    assert len({first, *different}) == len(different) + 1


def test_a_content_digest_looks_past_size_and_time(tmp_path):
    root = tmp_path / "set"
    fill(root, 5)
    kept = {"cache_dir": tmp_path / "kept"}
    first, known = digest(root, **kept), fingerprint(root, **kept)
    path = root / "003.png"
    before = path.stat()
    content = path.read_bytes()
    Image.new("L", (8, 8), 77).save(path)
    assert path.stat().st_size == before.st_size and path.read_bytes() != content
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    # What is known of the files goes by size and time, and holds.
    assert fingerprint(root, **kept) == known
    assert digest(root, **kept) != first


def test_another_reader_looks_again(tmp_path, monkeypatch):
    kept = ScanCache(tmp_path, ["place"]).path
    assert ScanCache(tmp_path, ["place"]).path == kept
    monkeypatch.setattr(scan, "readers", lambda: ["pillow 99"])
    assert ScanCache(tmp_path, ["place"]).path != kept


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_a_damaged_cache_is_none(tmp_path, content):
    root = fill(tmp_path / "set", 2)
    first = fingerprint(root, cache_dir=tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(content)
    assert fingerprint(root, cache_dir=tmp_path / "kept") == first


def test_a_cache_that_cannot_be_written_is_none(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert opened(fill(tmp_path / "set", 2), cache_dir=tmp_path / "file").num_items == 2


def test_rows_come_back_as_they_went(tmp_path):
    stamps = {"a ü/写\udcff.png": (3, 2**40), "b": (1, 1), "c": (0, 0)}
    rows = {name: (1, 2, 2**32 - 1, fault) for name, fault in zip(stamps, ["", "bäd: x", ""], strict=True)}
    cache = ScanCache(tmp_path, ["place"])
    cache.save(stamps, rows)
    assert cache.load(stamps) == rows
    assert cache.load({**stamps, "b": (1, 2)}) == {name: rows[name] for name in rows if name != "b"}
    assert ScanCache(tmp_path, ["elsewhere"]).load(stamps) == {}


def test_a_long_look_says_how_far_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scan, "_QUIET_SECONDS", 0.0)
    opened(fill(tmp_path / "set", 3))
    lines = capsys.readouterr().out.splitlines()
    assert "0 of 3" in lines[0] and "looked at 3 pictures" in lines[-1]
    assert np.all([line.startswith("data ") for line in lines])
