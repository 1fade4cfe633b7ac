"""Where pictures come from: folders and zips, what they are called, and what is wrong with them."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules import FolderData
from datamodules.datasets import FolderFiles, ZipFiles, open_image_files
from stylegan.errors import ImagesAwayError

NAMES = ["b.png", "a/z.png", "a b/ü ö.PNG", "写真.png", "B.png", "a/é=[1],2.png"]
IGNORED = ["notes.txt", ".hidden.png", ".git/x.png", "__MACOSX/b.png", "__MACOSX/a/._z.png"]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of pictures, each of one colour of its own, among other files."""
    root = tmp_path / "my pictures ü"
    for number, name in enumerate(NAMES + IGNORED):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 2 * number, 100)).save(root / name, "PNG")
    return root


def zipped(folder: Path, target: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(target, "w", compression) as archive:
        for path in sorted(folder.rglob("*"), reverse=True):
            archive.write(path, path.relative_to(folder).as_posix())
    return target


def opened(path: Path):
    data = FolderData(path=path, resolution=8, batch_size=4, seed=0)
    data.setup()
    return data.dataset


def test_names_are_sorted_and_others_skipped(folder):
    assert open_image_files(folder).names == sorted(NAMES)


def test_hidden_folders_are_not_looked_into(folder, monkeypatch):
    """They may be those of another user, who lets no one in."""
    scandir = os.scandir

    def refusing(path):
        if Path(path).name.startswith(".") or "__MACOSX" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert FolderFiles(folder).names == sorted(NAMES)
    (folder / "a" / ".private").mkdir()
    assert FolderFiles(folder).names == sorted(NAMES)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_the_same_set_as_its_folder(folder, tmp_path, compression):
    # The suffix says nothing; the content does.
    there, packed = opened(folder), opened(zipped(folder, tmp_path / "pack.bin", compression))
    assert len(there) == len(packed) == len(NAMES)
    assert packed.names == there.names
    for index, name in enumerate(sorted(NAMES)):
        number = NAMES.index(name)
        expected = np.broadcast_to(np.array([number, 2 * number, 100])[:, None, None], (3, 8, 8))
        np.testing.assert_array_equal(there[index][0], expected)
        np.testing.assert_array_equal(packed[index][0], expected)
        assert packed[index][1].shape == (0,)


def test_a_folder_called_zip_is_a_folder(folder, tmp_path):
    assert isinstance(open_image_files(folder.rename(tmp_path / "set.zip")), FolderFiles)


def test_paths_may_be_text_and_start_at_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert open_image_files(f"~/{folder.name}").names == sorted(NAMES)


def test_links_are_followed_but_not_round_in_circles(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "elsewhere" / "linked.png")
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    (folder / "a" / "loop").symlink_to(folder)
    (folder / "broken.png").symlink_to(tmp_path / "nowhere.png")
    assert open_image_files(folder).names == sorted([*NAMES, "broken.png", "more/linked.png"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_is_no_picture_and_is_said(folder):
    before = FolderFiles(folder)
    os.mkfifo(folder / "a" / "pipe.png")
    os.mkfifo(folder / "pipe")
    files = FolderFiles(folder)
    assert files.notes == ["left out, pipes or devices and no files: a/pipe.png"]
    assert (files.names, files.stamps, files.others) == (before.names, before.stamps, before.others)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system starts workers without fork")
def test_each_process_opens_the_zip_for_itself(folder, tmp_path):
    files = ZipFiles(zipped(folder, tmp_path / "set.zip"))
    assert files._opened is None
    expected = {name: files.read(name) for name in files.names}
    handle = files._opened[2]
    child = os.fork()
    if child == 0:
        mine = files.read("b.png") == expected["b.png"] and files._opened[2] is not handle
        os._exit(0 if mine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert files.read("b.png") == expected["b.png"] and files._opened[2] is handle
    copy = pickle.loads(pickle.dumps(files))
    assert copy._opened is None and copy.read("b.png") == expected["b.png"]


def test_nothing_is_there(tmp_path):
    with pytest.raises(ValueError, match="does not exist: .*nowhere.*give a folder or a zip"):
        opened(tmp_path / "nowhere")


def test_a_mistyped_path_has_the_nearest_one(folder):
    folder = folder.rename(folder.with_name("my photos"))
    with pytest.raises(ValueError, match=r"\); did you mean 'data.path=.*/my photos'\?$"):
        opened(folder.with_name("my photo"))


def test_nothing_is_in_the_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("no pictures")
    with pytest.raises(ValueError, match=f"no pictures: {tmp_path}.*\\.jpeg"):
        opened(tmp_path)


def test_nothing_is_in_the_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(ValueError, match="no pictures: .*empty.zip"):
        opened(tmp_path / "empty.zip")


def test_the_zip_is_cut_short(folder, tmp_path):
    whole = zipped(folder, tmp_path / "set.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="neither a folder nor a whole zip: .*cut.zip.*fetch"):
        opened(tmp_path / "cut.zip")


def test_an_entry_of_the_zip_is_damaged(folder, tmp_path):
    whole = bytearray(zipped(folder, tmp_path / "set.zip").read_bytes())
    start = whole.index(b"a/z.png") + len("a/z.png")
    whole[start + 20] ^= 255
    (tmp_path / "bad.zip").write_bytes(whole)
    data = FolderData(path=tmp_path / "bad.zip", resolution=8, batch_size=4)
    data.setup()
    assert data.dataset.names == sorted(set(NAMES) - {"a/z.png"})
    assert any("a/z.png" in note and "CRC" in note for note in data.notes)


def test_a_picture_vanishes(folder):
    """After the set was looked at: no other is shown in its place, which the bits of a run would depend on."""
    data = FolderData(path=folder, resolution=8, batch_size=4, max_bad=0, patience_sec=0)
    data.setup()
    (folder / "b.png").unlink()
    with pytest.raises(
        ImagesAwayError, match="b.png .No such file or directory.; .*the same command continues"
    ):
        data.dataset[data.dataset.names.index("b.png")]
