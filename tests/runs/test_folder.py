"""Names of checkpoints, and what is newest."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.runs.folder import RunFolder, checkpoint_name, checkpoints_in, images_of, newest_run


@given(images=st.integers(0, 10**13))
def test_a_name_holds_the_images_exactly(images):
    assert images_of(checkpoint_name(images)) == images
    assert images_of(f"some/where/{checkpoint_name(images)}.ckpt") == images


@given(images=st.integers(0, 10**9))
def test_a_name_is_that_of_the_printf_format(images):
    assert checkpoint_name(images) == f"kimg{images / 1000:011.3f}"


@pytest.mark.parametrize(
    "name",
    [
        *("last.ckpt", "kimg12.800", "", "xkimg0000012.800", "kimg-best.ckpt", "kimg0000012.8007.ckpt"),
        *("kimg0000012.800-keep.ckpt", "kimg0000012.800.ckpt.bad", "kimg0000012.800.copy.ckpt"),
    ],
)
def test_other_names_are_no_checkpoints(name):
    with pytest.raises(ValueError, match="checkpoint"):
        images_of(name)


def test_the_newest_checkpoint_is_the_one_that_has_seen_most(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.newest_checkpoint() is None
    folder.checkpoints.mkdir()
    for time, images in enumerate([12800, 900, 4000]):
        path = folder.checkpoints / f"{checkpoint_name(images)}.ckpt"
        path.touch()
        os.utime(path, (time, time))
    for other in (
        "last.ckpt",
        "kimg0000099.000.ckpt.bad",
        "kimg0000099.000.ckpt.tmp",
        "kimg0000099.000.safetensors",
    ):
        (folder.checkpoints / other).touch()
    assert folder.newest_checkpoint() == folder.checkpoints / "kimg0000012.800.ckpt"


def test_files_of_other_names_are_no_checkpoints_of_the_run(tmp_path):
    assert checkpoints_in(tmp_path / "nowhere") == []
    own = {"kimg0000012.800.ckpt", "kimg12345678.000.ckpt", "kimg0000012.800.safetensors"}
    others = {"kimg-best.ckpt", "kimg0000012.800-keep.ckpt", "kimg0000012.800-keep.safetensors", "last.ckpt"}
    for name in own | others:
        (tmp_path / name).touch()
    assert {path.name for path in checkpoints_in(tmp_path)} == {
        name for name in own if name.endswith(".ckpt")
    }
    assert [path.name for path in checkpoints_in(tmp_path, ".safetensors")] == ["kimg0000012.800.safetensors"]
    assert checkpoints_in(tmp_path / "last.ckpt") == []


def test_a_folder_that_cannot_be_read_is_not_one_without_checkpoints(tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refused)
    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(PermissionError):
        RunFolder(tmp_path).newest_checkpoint()


def test_the_newest_run_is_the_one_started_last_that_has_a_checkpoint(tmp_path):
    assert newest_run(tmp_path / "nowhere") is None
    for time, name in enumerate(["b", "a", "empty"]):
        folder = RunFolder(tmp_path / name)
        folder.checkpoints.mkdir(parents=True)
        folder.config.touch()
        os.utime(folder.config, (time, time))
    for name in ("a", "b"):
        (tmp_path / name / "checkpoints" / f"{checkpoint_name(1000)}.ckpt").touch()
    assert newest_run(tmp_path) == tmp_path / "a"


def test_a_folder_is_set_aside_under_the_next_free_number(tmp_path):
    places = []
    for content in ("first", "second"):
        folder = RunFolder(tmp_path / "run")
        assert not folder.in_use
        folder.path.mkdir()
        assert not folder.in_use
        for hidden in (".run.lock.0123456789ab.partial", ".DS_Store"):
            (folder.path / hidden).touch()
        assert not folder.in_use
        folder.config.write_text(content)
        assert folder.in_use
        places.append(folder.set_aside())
    assert [path.name for path in places] == ["run.old-1", "run.old-2"]
    assert [RunFolder(path).config.read_text() for path in places] == ["first", "second"]
    assert not (tmp_path / "run").exists()
