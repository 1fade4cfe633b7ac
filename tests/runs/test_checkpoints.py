"""Checkpoints on the disk: checksums, damage, and which may go."""

import errno
import hashlib
import os
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.runs import checkpoints as checkpoint_files
from stylegan.runs.checkpoints import (
    checksum_of,
    damage_of,
    delete,
    expendable,
    newest_good,
    set_aside,
    write_checkpoint,
)
from stylegan.runs.folder import RunFolder, checkpoint_name, images_of


def write_archive(file) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data", bytes(range(256)) * 64)


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    for images in (4000, 8000, 12000):
        write_checkpoint(run.checkpoints / f"{checkpoint_name(images)}.ckpt", write_archive)
    return run


def test_the_checksum_is_what_sha256sum_reads(folder):
    path = folder.newest_checkpoint()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert checksum_of(path).read_text() == f"{digest}  {path.name}\n"
    assert damage_of(path) is None


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [truncate, flip_a_bit, empty])
@pytest.mark.parametrize("with_checksum", [True, False])
def test_a_damaged_file_is_set_aside_and_the_one_before_it_taken(folder, harm, with_checksum):
    newest = folder.newest_checkpoint()
    if not with_checksum:
        checksum_of(newest).unlink()
    harm(newest)
    harmed = newest.read_bytes()
    good, said = newest_good(folder)
    assert images_of(good) == 8000
    assert len(said) == 1 and newest.name in said[0] and f"{newest.name}.bad" in said[0]
    assert newest.with_name(f"{newest.name}.bad").read_bytes() == harmed
    assert newest_good(folder) == (good, [])


def test_no_single_bit_of_an_archive_ends_the_look_at_it(tmp_path, monkeypatch):
    """Without a checksum, and of the index above all: its flags say encrypted, its names are no text."""
    monkeypatch.setattr(checkpoint_files, "PAUSES_SEC", ())
    path = tmp_path / "kimg0000001.000.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("d\u00e9", b"12345678")
    content, words = path.read_bytes(), set()
    for place in range(8 * len(content)):
        harmed = bytearray(content)
        harmed[place // 8] ^= 1 << place % 8
        path.write_bytes(harmed)
        words.add(damage_of(path))
    assert "the index of its archive is damaged" in words and "it is incomplete" in words


def test_what_the_disk_refuses_of_an_archive_is_not_damage(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_files, "PAUSES_SEC", ())

    def refused(archive):
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "kimg0000001.000.ckpt"
    write_archive(path)
    monkeypatch.setattr(zipfile.ZipFile, "testzip", refused)
    with pytest.raises(OSError, match=rf"Input/output error: '{path}'"):
        damage_of(path)


def test_without_a_good_one_there_is_none(folder):
    for path in folder.checkpoints.glob("*.ckpt"):
        empty(path)
    good, said = newest_good(folder)
    assert good is None and len(said) == 3
    assert sorted(path.suffix for path in folder.checkpoints.glob("*.bad")) == [".bad"] * 3


def test_what_is_set_aside_twice_keeps_both(folder):
    path = folder.newest_checkpoint()
    first = set_aside(path)
    write_checkpoint(path, write_archive)
    second = set_aside(path)
    assert first.exists() and second.exists() and first != second
    assert checksum_of(first).exists() and checksum_of(second).exists()


@pytest.mark.parametrize("moment", ["unlink", "replace"])
def test_a_kill_while_a_checkpoint_is_written_again_harms_none(folder, monkeypatch, moment):
    path = folder.newest_checkpoint()

    class Killed(BaseException):
        pass

    original, left = getattr(os, moment), [0, 1]

    def killed(*arguments, **options):
        if not left.pop():
            raise Killed
        return original(*arguments, **options)

    if moment == "replace":
        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(Killed):
            write_checkpoint(path, write_archive)
    else:
        checksum_of(path).unlink()  # as a kill right after it would leave things
    assert damage_of(path) is None


def test_a_failure_keeps_the_file_and_its_checksum(folder):
    path = folder.newest_checkpoint()

    def fail(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="space"):
        write_checkpoint(path, fail)
    assert damage_of(path) is None and checksum_of(path).exists()


def test_delete_takes_all_that_belongs_to_a_checkpoint(folder):
    path = folder.newest_checkpoint()
    path.with_suffix(".safetensors").touch()
    delete(path)
    assert not list(folder.checkpoints.glob(f"{path.stem}*"))
    assert images_of(folder.newest_checkpoint()) == 8000


def test_the_policy():
    paths = [f"kimg{kimg:07d}.000.ckpt" for kimg in range(4, 41, 4)]
    kimg = [images_of(path) // 1000 for path in expendable(paths, keep_last=2, keep_every_kimg=10)]
    # Kept: 12, 20, 32 and 40 as the first at or after 10, 20, 30 and 40; 36 as one of the last two.
    assert kimg == [4, 8, 16, 24, 28]
    assert expendable(paths, keep_last=None, keep_every_kimg=10) == []
    assert len(expendable(paths, keep_last=1, keep_every_kimg=None)) == 9


@given(
    st.sets(st.integers(1, 10**6), min_size=1),
    st.integers(1, 5),
    st.none() | st.floats(0.001, 500),
)
def test_thinning_keeps_the_newest_and_is_at_rest_after_one_pass(images, last, every):
    paths = [f"{checkpoint_name(count)}.ckpt" for count in images]
    gone = set(expendable(paths, keep_last=last, keep_every_kimg=every))
    left = [path for path in paths if path not in gone]
    assert sorted(map(images_of, left))[-last:] == sorted(images)[-last:]
    assert expendable(left, keep_last=last, keep_every_kimg=every) == []


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=30), st.integers(1, 3), st.floats(0.1, 20))
def test_thinning_as_checkpoints_come_keeps_what_thinning_at_the_end_keeps(steps, last, every):
    paths, total, kept = [], 0, []
    for step in steps:
        total += step
        paths.append(f"{checkpoint_name(total)}.ckpt")
        kept.append(paths[-1])
        gone = set(expendable(kept, keep_last=last, keep_every_kimg=every))
        kept = [path for path in kept if path not in gone]
    gone = set(expendable(paths, keep_last=last, keep_every_kimg=every))
    assert kept == [path for path in paths if path not in gone]
