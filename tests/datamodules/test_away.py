"""Files that the system does not give: named, waited for, and never remembered as bad."""

import errno
import os
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import FolderData
from datamodules.datasets import FolderFiles, ZipFiles
from datamodules.datasets.decoding import is_away
from datamodules.datasets.image_dataset import XFlipped
from stylegan.errors import EXIT_TRY_AGAIN, BadImageError, ImagesAwayError

SYSTEM = [errno.EIO, errno.EACCES, errno.ENOENT, errno.ETIMEDOUT, errno.ESTALE, errno.EMFILE, errno.ENOTCONN]


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "set"
    root.mkdir()
    for number in range(8):
        Image.new("L", (8, 8), 10 * number).save(root / f"{number}.png")
    return root


@pytest.fixture
def zipped(folder) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for image in sorted(folder.iterdir()):
            archive.write(image, image.name)
    return path


def opened(path: Path, **options) -> FolderData:
    defaults = {
        "resolution": 8,
        "channels": 1,
        "batch_size": 4,
        "cache_dir": path.parent / "kept",
        "cache": False,
    }
    data = FolderData(path=path, **{**defaults, **options})
    data.setup("fit")
    return data


def left_out(data: FolderData) -> list[str]:
    return [note for note in data.notes if "left out" in note]


def fails(monkeypatch, kind: type, method: str, fault: Exception, *, name: str = "3.png") -> None:
    well = getattr(kind, method)

    def failing(self, asked):
        if asked == name:
            raise fault
        return well(self, asked)

    monkeypatch.setattr(kind, method, failing)


@pytest.mark.parametrize("number", SYSTEM)
@pytest.mark.parametrize("kind", ["folder", "zipped"])
def test_what_the_system_refuses_once_is_not_remembered(kind, number, monkeypatch, request):
    path = request.getfixturevalue(kind)
    with monkeypatch.context() as disk:
        fails(
            disk, FolderFiles if kind == "folder" else ZipFiles, "open", OSError(number, os.strerror(number))
        )
        data = opened(path)
        assert data.num_items == 7
        assert left_out(data) == [f"left out, cannot be read: 3.png ({os.strerror(number)})"]
    again = opened(path)
    assert (again.num_items, left_out(again)) == (8, [])


def test_what_memory_was_too_short_for_is_not_remembered(folder, monkeypatch):
    with monkeypatch.context() as machine:
        fails(machine, FolderFiles, "open", MemoryError())
        assert opened(folder).num_items == 7
    assert opened(folder).num_items == 8


def test_what_is_wrong_with_the_content_is_remembered(folder, monkeypatch):
    (folder / "3.png").write_bytes(b"no picture")
    first = opened(folder)
    monkeypatch.setattr("datamodules.datasets.scan._look", None)  # nothing is looked at again
    assert opened(folder).notes == first.notes and "its content is none of" in left_out(first)[0]


def test_another_reader_looks_again(folder, monkeypatch):
    (folder / "3.png").write_bytes(b"no picture")
    assert opened(folder).num_items == 7
    monkeypatch.setattr("datamodules.datasets.scan.readers", lambda: ["a newer one"])
    monkeypatch.setattr("datamodules.datasets.scan.measure_image", lambda *_, **__: (8, 8))
    assert opened(folder).num_items == 8


@pytest.mark.parametrize(
    ("error", "away"),
    [
        *((OSError(number, "words"), True) for number in SYSTEM),
        (MemoryError(), True),
        (OSError("image file is truncated"), False),
        (OSError(errno.EINVAL, "Invalid argument"), False),
        (ValueError("it is empty"), False),
        (zipfile.BadZipFile("Bad CRC-32"), False),
        (EOFError(), False),
    ],
)
def test_content_and_system_are_told_apart(error, away):
    assert is_away(error) == away


def test_links_to_nothing_are_pictures_that_cannot_be_read(folder):
    (folder / "link.png").symlink_to("/not/mounted/link.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "more").symlink_to("/not/mounted/more")
    data = opened(folder, max_bad=2)
    assert data.num_items == 8 and left_out(data) == [
        "left out, cannot be read: link.png (its link leads nowhere: /not/mounted/link.png)",
        "left out, cannot be read: loop.png (its link leads back to itself)",
        "left out, links that lead nowhere: more",
    ]
    with pytest.raises(ValueError, match="2 of 10 pictures cannot be read, and at most 1 is allowed"):
        opened(folder, max_bad=1)


def test_a_link_counts_again_once_its_target_is_there(folder):
    target = folder.parent / "elsewhere.png"
    (folder / "link.png").symlink_to(target)
    assert opened(folder).num_items == 8
    Image.new("L", (8, 8)).save(target)
    data = opened(folder)
    assert (data.num_items, left_out(data)) == (9, [])


def test_a_set_of_links_to_nothing_says_why(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "x.png").symlink_to("/not/mounted/x.png")
    with pytest.raises(ValueError, match="1 of 1 picture cannot be read.*leads nowhere: /not/mounted/x.png"):
        opened(tmp_path / "pictures")
    (tmp_path / "folders").mkdir()
    (tmp_path / "folders" / "cats").symlink_to("/not/mounted/cats")
    with pytest.raises(ValueError, match=r"no pictures: .*/folders; links in it lead nowhere .cats.; mount"):
        opened(tmp_path / "folders")


def test_a_picture_that_comes_back_is_shown_and_one_line_says_so(folder, capfd):
    data = opened(folder, patience_sec=20)
    (folder / "3.png").rename(folder.parent / "3.png")
    back = threading.Timer(0.9, lambda: (folder.parent / "3.png").rename(folder / "3.png"))
    back.start()
    assert (data.dataset[3][0] == 30).all()
    said = capfd.readouterr().err.splitlines()
    assert [line[:40] for line in said] == ["data        cannot read the picture " + str(folder)[:4]] + [
        "data        the picture " + str(folder)[:16]
    ]
    assert "3.png now (No such file or directory); trying again for up to 20 s" in said[0]
    assert said[1].endswith("3.png can be read again")
    assert not data.dataset._bad.any()


def test_after_the_patience_the_error_says_what_to_do(folder):
    data = opened(folder, patience_sec=0.5, xflip=True)
    (folder / "3.png").unlink()
    began = time.monotonic()
    with pytest.raises(
        ImagesAwayError, match="3.png .*tried for 0.5 s.*the same command continues"
    ) as caught:
        data.dataset[11]
    assert 0.5 <= time.monotonic() - began < 3
    assert caught.value.exit_code == EXIT_TRY_AGAIN


def test_a_zip_whose_disk_was_away_is_opened_again(zipped, monkeypatch):
    """Its old handle stays broken, as one of a network folder does."""
    data = opened(zipped, patience_sec=20)
    assert (data.dataset[0][0] == 0).all()
    handle = data.dataset.files._opened[2]
    monkeypatch.setattr(handle, "open", lambda entry: (_ for _ in ()).throw(OSError(errno.ESTALE, "stale")))
    assert (data.dataset[3][0] == 30).all()


def test_damage_is_not_waited_for(folder, monkeypatch):
    """Of a large set the headers were read alone, and so do not tell."""
    monkeypatch.setattr("datamodules.folder.MOST_DECODED", 0)
    for name in ("3.png", "5.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:45])
    data = opened(folder, patience_sec=1000, max_bad=1)
    assert (data.dataset[3][0] == 40).all()
    with pytest.raises(BadImageError, match="with it 2 were met"):
        data.dataset[5]


def rewritten(path: Path, folder: Path, content) -> dict[Path, bytes]:
    """Puts `content(bytes)` into the zip, or into three pictures of the folder.  Returns: what was there."""
    files = [folder / f"{number}.png" for number in (1, 3, 6)] if path == folder else [path]
    before = {file: file.read_bytes() for file in files}
    for file, data in before.items():
        file.write_bytes(content(data))
    return before


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cut", [0, 0.5], ids=["empty", "half"])
@pytest.mark.parametrize("kind", ["folder", "zipped"])
def test_what_is_being_copied_again_is_waited_for(kind, cut, workers, folder, zipped, capfd):
    """As cp and rsync --inplace leave it for a moment: empty, or its first half."""
    path = {"folder": folder, "zipped": zipped}[kind]
    loaders = [opened(path, patience_sec=60, workers=number).train_dataloader() for number in (0, workers)]
    expected = [batch for batch, _ in zip(loaders[0], range(12), strict=False)]
    batches = iter(loaders[1])
    received = [next(batches) for _ in range(2)]
    before = rewritten(path, folder, lambda data: data[: int(cut * len(data))])
    threading.Timer(1.0, lambda: [file.write_bytes(data) for file, data in before.items()]).start()
    received += [next(batches) for _ in range(10)]
    batches.close()
    for (images, _), (others, _) in zip(expected, received, strict=True):
        torch.testing.assert_close(images, others, rtol=0, atol=0)
    said = capfd.readouterr().err
    assert "another is shown" not in said and said.count("trying again") == 1


@pytest.mark.parametrize("times", ["kept", "new"])
def test_another_picture_under_its_name_is_not_trained_on(folder, times):
    """Where size and time of change are those of before, too: then no start may believe what was found earlier."""
    path = folder / "3.png"
    before = path.stat()
    data = opened(folder, patience_sec=0.3)
    other = bytearray((folder / "4.png").read_bytes())
    assert len(other) == before.st_size
    path.write_bytes(other)
    if times == "kept":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(2):  # it is not remembered as bad
        with pytest.raises(
            ImagesAwayError, match="3.png .it is not what it was at the start, tried for 0.3 s"
        ):
            data.dataset[3]
    assert (data.dataset[4][0] == 40).all() and not data.dataset._bad.any()
    again = opened(folder)
    assert again.fingerprint != data.fingerprint and (again.dataset[3][0] == 40).all()


def test_what_is_kept_in_memory_stays_what_it_was(folder):
    data = opened(folder, patience_sec=0, cache=True)
    assert (data.dataset[3][0] == 30).all()
    (folder / "3.png").write_bytes((folder / "4.png").read_bytes())
    assert (data.dataset[3][0] == 30).all()


@pytest.mark.parametrize("kind", ["folder", "zipped"])
def test_scores_are_of_what_is_there_now(kind, request, folder):
    path = request.getfixturevalue(kind)
    data = opened(path, patience_sec=0.3)
    assert (data.dataset[0][0] == 0).all()
    (folder / "3.png").write_bytes((folder / "4.png").read_bytes())
    if kind == "zipped":
        with zipfile.ZipFile(path, "w") as archive:
            for image in sorted(folder.iterdir()):
                archive.write(image, image.name)
    pixels, digest = data.originals.read_stored(3)
    assert (pixels == 40).all() and digest == data.originals.read_stored(4)[1]
    with pytest.raises(ImagesAwayError):
        data.dataset[3]


def test_what_was_bad_at_the_look_stays_left_out(folder):
    (folder / "3.png").write_bytes(b"no picture")
    data = opened(folder, patience_sec=0)
    Image.new("L", (8, 8), 30).save(folder / "3.png")
    assert data.num_items == 7 and (data.dataset[3][0] == 40).all()


def test_a_zip_without_one_of_its_files_waits_for_it(folder, zipped):
    data = opened(zipped, patience_sec=0)
    assert (data.dataset[0][0] == 0).all()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(folder / "0.png", "0.png")
    with pytest.raises(ImagesAwayError, match="the zip is not what it was"):
        data.dataset[3]
    data.dataset.files.let_go()
    with pytest.raises(ImagesAwayError, match="the zip no longer holds it"):
        data.dataset[3]


def test_a_digest_of_contents_waits_too(folder):
    data = opened(folder, patience_sec=0.2)
    (folder / "3.png").unlink()
    with pytest.raises(ImagesAwayError):
        data.dataset.content_digest()


def test_workers_that_wait_are_not_taken_for_hanging_and_say_it_once(folder, capfd):
    """Both wait for longer than a batch may take; the batches are those of a set that was always there."""
    expected = [batch for batch, _ in zip(opened(folder).train_dataloader(), range(4), strict=False)]
    data = opened(folder, patience_sec=60, workers=2, worker_timeout_sec=1)
    away = folder.with_name("away")
    folder.rename(away)
    threading.Timer(4, lambda: away.rename(folder)).start()
    batches = iter(data.train_dataloader())
    for images, _ in expected:
        torch.testing.assert_close(next(batches)[0], images, rtol=0, atol=0)
    batches.close()
    said = capfd.readouterr()
    assert "hangs" not in said.out and said.err.count("trying again for up to 60 s") == 1, said


@pytest.mark.parametrize("workers", [0, 2])
def test_the_error_crosses_from_a_worker(folder, workers):
    data = opened(folder, patience_sec=0, workers=workers)
    for image in folder.iterdir():
        image.unlink()
    with pytest.raises(ImagesAwayError, match="the same command continues"):
        next(iter(data.train_dataloader()))


def test_under_a_trainer_the_batch_before_is_trained_on_first(folder):
    """A trainer asks for a batch before it trains on the one before: it gets something that it never takes."""
    loader = opened(folder, patience_sec=0).train_dataloader()
    loader.ends_between_iterations = True
    batches = iter(loader)
    assert next(batches)[0].shape == (4, 1, 8, 8) and loader.away is None
    for image in folder.iterdir():
        image.unlink()
    assert next(batches) is loader.away is not None
    with pytest.raises(ImagesAwayError):
        next(batches)


def test_views_of_a_set_pass_on_that_it_waits(folder):
    dataset = opened(folder).originals
    assert XFlipped(dataset).waited_until == dataset.waited_until == 0
    dataset._waits[0] = 5
    assert XFlipped(dataset).waited_until == 5


@pytest.mark.parametrize("value", [-1, np.inf, True, "long", None])
def test_the_patience_is_a_time(folder, value):
    with pytest.raises(ValueError, match="patience_sec must be seconds, 0 for no wait"):
        FolderData(path=folder, resolution=8, batch_size=4, patience_sec=value)
