"""A run that has lost its folder stops, and writes nothing more there."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from callbacks import KimgCheckpoint, RunControl, SnapshotGrid, StatsTicks
from stylegan.errors import RunFolderLostError
from stylegan.loggers import CsvLogger, JsonlLogger
from stylegan.runs.folder import RunFolder
from tests.callbacks.scored_run import made
from tests.callbacks.tiny_run import fit, idle_module


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Losing(pl.Callback):
    """Another process takes the folder over within the iteration that begins at `at_images`."""

    def __init__(self, folder: Path, at_images: int | None) -> None:
        self.folder, self.at_images = folder, at_images
        self.is_lost = False
        self.before: dict[str, bytes] = {}

    def setup(self, trainer, module, stage):
        RunControl.of(trainer).folder_guard = self.guard

    def on_train_batch_start(self, trainer, module, *_):
        if module.images == self.at_images:
            self.lose()

    def lose(self) -> None:
        self.is_lost, self.before = True, contents(self.folder)

    def guard(self) -> None:
        if self.is_lost:
            raise RunFolderLostError("it is another's")


WRITERS = {
    "rows": lambda folder: StatsTicks(every_kimg=0.004),
    "grids": lambda folder: SnapshotGrid(every_kimg=0.004, folder=folder, columns=2, rows=2),
    "scores": lambda folder: made(folder, every_kimg=0.004),
    "checkpoints": lambda folder: KimgCheckpoint(every_kimg=0.004, folder=folder),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_each_writer_stops_before_it_writes(tmp_path, writer):
    losing = Losing(tmp_path, at_images=8)
    loggers = [CsvLogger(folder=tmp_path), JsonlLogger(folder=tmp_path)]
    with pytest.raises(RunFolderLostError):
        fit(idle_module(total_images=40), [losing, WRITERS[writer](tmp_path)], loggers)
    assert losing.before, "it has written before"
    assert contents(tmp_path) == losing.before


@pytest.mark.parametrize("writer", ["rows", "grids", "scores"])
def test_a_run_that_continues_cuts_nothing_of_another_ones(tmp_path, writer):
    loggers = [CsvLogger(folder=tmp_path), JsonlLogger(folder=tmp_path)]
    fit(idle_module(total_images=12), [WRITERS[writer](tmp_path)], loggers)
    losing = Losing(tmp_path, at_images=None)
    losing.lose()
    with pytest.raises(RunFolderLostError):
        fit(idle_module(total_images=40), [losing, WRITERS[writer](tmp_path)], loggers)
    assert contents(tmp_path) == losing.before


def test_a_checkpoint_gets_no_name_where_the_folder_was_lost_while_it_was_written(tmp_path, monkeypatch):
    losing = Losing(tmp_path, at_images=None)
    save = torch.save

    def slow(*arguments):
        save(*arguments)
        losing.lose()

    monkeypatch.setattr(torch, "save", slow)
    with pytest.raises(RunFolderLostError):
        fit(idle_module(total_images=4), [losing, KimgCheckpoint(every_kimg=1, folder=tmp_path)])
    assert RunFolder(tmp_path).newest_checkpoint() is None
    assert not list(tmp_path.rglob("*.partial"))
