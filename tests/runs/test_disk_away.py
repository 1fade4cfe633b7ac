"""A disk that does not answer for a while is no damage: nothing is set aside, nothing older is taken."""

import errno
import os
from pathlib import Path

import pytest

from stylegan.errors import EXIT_TRY_AGAIN, UserError
from stylegan.runs import checkpoints as checkpoint_files
from stylegan.runs.checkpoints import write_checkpoint
from stylegan.runs.folder import RunFolder, checkpoint_name
from stylegan.runs.resume import find_checkpoint, last_good


@pytest.fixture
def folder(tmp_path, monkeypatch) -> RunFolder:
    monkeypatch.setattr(checkpoint_files, "PAUSES_SEC", (0.0, 0.0))
    run = RunFolder(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    for images in (4000, 8000):
        write_checkpoint(
            run.checkpoints / f"{checkpoint_name(images)}.ckpt", lambda file: file.write(b"good")
        )
    return run


def away(monkeypatch, *, times: int) -> None:
    """The next `times` reads of a checkpoint fail as a network disk lets them fail: without a file's name."""
    digest_of, left = checkpoint_files._digest_of, [times]

    def digest(path: Path) -> str:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ESTALE, "Stale file handle")
        return digest_of(path)

    monkeypatch.setattr(checkpoint_files, "_digest_of", digest)


def test_what_passes_is_waited_for(folder, monkeypatch):
    away(monkeypatch, times=2)
    before = sorted(os.listdir(folder.checkpoints))
    assert find_checkpoint("auto", folder) == (folder.newest_checkpoint(), [])
    assert sorted(os.listdir(folder.checkpoints)) == before


@pytest.mark.parametrize("resume", ["auto", "the run's folder", "the checkpoint"])
def test_what_stays_ends_the_command_in_a_line_and_leaves_all_as_it_is(folder, monkeypatch, resume):
    newest, before = folder.newest_checkpoint(), sorted(os.listdir(folder.checkpoints))
    away(monkeypatch, times=100)
    named = {"auto": "auto", "the run's folder": str(folder.path), "the checkpoint": str(newest)}[resume]
    words = rf"^{newest} cannot be read \(Stale file handle\), .*repeat the command"
    with pytest.raises(UserError, match=words) as caught:
        find_checkpoint(named, folder)
    assert caught.value.exit_code == EXIT_TRY_AGAIN and "\n" not in str(caught.value)
    assert sorted(os.listdir(folder.checkpoints)) == before


def test_a_run_that_goes_back_takes_no_older_one_either(folder, monkeypatch):
    away(monkeypatch, times=100)
    with pytest.raises(UserError, match="Stale file handle"):
        last_good(folder)


def test_one_that_cannot_be_set_aside_is_reported(folder, monkeypatch):
    newest = folder.newest_checkpoint()
    newest.write_bytes(b"damaged")

    def refused(self, target):
        raise PermissionError(errno.EACCES, "Permission denied", str(self), None, str(target))

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(UserError, match=rf"^{newest} cannot be renamed \(Permission denied\)"):
        find_checkpoint("auto", folder)
