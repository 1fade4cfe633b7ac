"""Row files: what is written can be read back by independent readers, and is cut back without loss."""

import csv
import json
import math
import os
import resource
from pathlib import Path

import pytest
import pytorch_lightning as pl
from pytorch_lightning.demos.boring_classes import BoringModel

from stylegan.loggers import CsvLogger, JsonlLogger


def row(kimg: float, **more: tuple[int, float, float]) -> dict:
    return {"Progress/kimg": (1, kimg, 0.0), "Loss/G/loss": (64, kimg * 2 + 0.1, 0.5), **more}


def write(logger, *kimgs: float) -> None:
    for kimg in kimgs:
        logger.log_row(row(kimg), timestamp=1000 + kimg)


def kimgs(logger) -> list[float]:
    with open(logger.path, newline="") as file:
        if isinstance(logger, JsonlLogger):
            return [json.loads(line)["Progress/kimg"]["mean"] for line in file]
        return [float(r["Progress/kimg"]) for r in csv.DictReader(file)]


@pytest.fixture(params=[JsonlLogger, CsvLogger])
def logger(request, tmp_path):
    return request.param(folder=tmp_path / "run")


def test_jsonl_row_has_count_mean_and_deviation(tmp_path):
    logger = JsonlLogger(folder=tmp_path)
    logger.log_row({"Loss/G/loss": (3, 0.1, 1 / 3), "Progress/kimg": (1, 12.8, 0.0)}, timestamp=5.25)
    assert json.loads((tmp_path / "stats.jsonl").read_text()) == {
        "Loss/G/loss": {"num": 3, "mean": 0.1, "std": 1 / 3},
        "Progress/kimg": {"num": 1, "mean": 12.8, "std": 0.0},
        "timestamp": 5.25,
    }


def test_jsonl_stays_json_when_a_loss_breaks(tmp_path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    logger = JsonlLogger(folder=tmp_path)
    logger.log_row(row(4.0, bad=(2, math.nan, math.inf)), timestamp=0)
    read = json.loads((tmp_path / "stats.jsonl").read_text(), parse_constant=refuse)
    assert read["bad"] == {"num": 2, "mean": None, "std": None}


def test_csv_has_the_means_bit_for_bit(tmp_path):
    logger = CsvLogger(folder=tmp_path)
    logger.log_row(row(0.1, x=(2, math.nan, 0.0)), timestamp=5.25)
    lines = (tmp_path / "stats.csv").read_text().splitlines()
    assert lines == ["timestamp,Progress/kimg,Loss/G/loss,x", "5.25,0.1,0.30000000000000004,nan"]


def test_csv_widens_for_new_columns_and_leaves_missing_ones_empty(tmp_path):
    write(CsvLogger(folder=tmp_path), 4.0)
    logger = CsvLogger(folder=tmp_path)  # another process continues
    logger.log_row(row(8.0, **{"Loss/r1_penalty": (1, 7.0, 0.0)}), timestamp=1008)
    write(logger, 12.0)
    with open(logger.path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["timestamp", "Progress/kimg", "Loss/G/loss", "Loss/r1_penalty"]
    assert [r["Loss/r1_penalty"] for r in rows] == ["", "7.0", ""]
    assert [float(r["Loss/G/loss"]) for r in rows] == [k * 2 + 0.1 for k in (4.0, 8.0, 12.0)]
    assert os.listdir(tmp_path) == ["stats.csv"]


def test_rows_past_the_position_go_the_others_keep_their_bytes(logger):
    write(logger, 4.0, 8.0, 12.8)
    before = logger.path.read_bytes()
    write(logger, 12.801, 16.0)
    logger.truncate_after(12_800)
    assert logger.path.read_bytes() == before
    write(logger, 16.0)
    assert kimgs(logger) == [4.0, 8.0, 12.8, 16.0]


def test_a_row_exactly_at_the_position_stays_for_any_number_of_images(logger):
    # images / 1000 is not exact in binary: 2.007 * 1000 is above 2007, and so are the next ones.
    for images in [2007, 4001, 2_097_148, 16_777_217, 25_000_000]:
        logger.path.unlink(missing_ok=True)
        write(logger, images / 1000)
        logger.truncate_after(images)
        assert kimgs(logger) == [images / 1000]
        logger.truncate_after(images - 1)
        assert kimgs(logger) == []


@pytest.mark.parametrize("cut", [2, 5, 12])
def test_a_row_cut_short_by_a_kill_is_set_aside(logger, cut, capsys):
    write(logger, 4.0, 8.0)
    whole = logger.path.read_bytes()
    write(logger, 12.0)
    logger.path.write_bytes(logger.path.read_bytes()[:-cut])
    part = logger.path.read_bytes().removeprefix(whole)
    logger.truncate_after(100_000)
    assert logger.path.read_bytes() == whole
    name = logger.path.name
    assert capsys.readouterr().out == (
        f"warning     {name}: 1 line that cannot be read is now in {name}.unreadable\n"
    )
    assert logger.path.with_name(f"{name}.unreadable").read_bytes() == part + b"\n"
    write(logger, 12.0)
    assert kimgs(logger) == [4.0, 8.0, 12.0]


def test_a_whole_row_whose_end_an_editor_removed_stays_where_its_format_says_that_it_is_whole(logger):
    write(logger, 4.0, 8.0)
    whole = logger.path.read_bytes()
    logger.path.write_bytes(whole[:-1])
    logger.truncate_after(100_000)
    if isinstance(logger, JsonlLogger):
        assert logger.path.read_bytes() == whole
    else:  # the last number may lack digits
        assert kimgs(logger) == [4.0]
        assert logger.path.with_name("stats.csv.unreadable").read_bytes() == whole.splitlines(True)[-1]


DAMAGE = {
    "no text": b"\xff\xfe\xe9",
    "no text, and an end": b"\xff\xfe\xe9\n",
    "zeros": b"\0" * 500,
    "another kind of line": b'["a list"]\n',
    "half a line": b'{"Progress/kimg": {"num": 1, "me',
    "a number that is none": b'{"Progress/kimg": {"mean": Infinity}}\n',
}


@pytest.mark.parametrize("place", ["at the end", "between"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_what_cannot_be_read_is_set_aside_and_no_row_with_it(logger, damage, place, capsys):
    write(logger, 4.0, 8.0)
    whole = logger.path.read_bytes()
    *before, last = whole.splitlines(keepends=True)
    part = DAMAGE[damage]
    if place == "between":
        part = part.rstrip(b"\n") + b"\n"
        logger.path.write_bytes(b"".join([*before, part, last]))
    else:
        logger.path.write_bytes(whole + part)
    logger.truncate_after(100_000)
    assert logger.path.read_bytes() == whole
    aside = logger.path.with_name(f"{logger.path.name}.unreadable")
    assert aside.read_bytes() == part.rstrip(b"\n") + b"\n"
    assert f"{logger.path.name}: 1 line that cannot be read is now in" in capsys.readouterr().out
    logger.truncate_after(100_000)
    assert capsys.readouterr().out == "", "it is said once"


SPREADSHEETS = {
    "semicolons": lambda text: text.replace(",", ";").encode("utf-8-sig"),
    "semicolons and decimal commas": lambda text: text.replace(",", ";").replace(".", ",").encode("utf-8"),
    "tabs in UTF-16": lambda text: text.replace(",", "\t").encode("utf-16"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "semicolons and CRLF": lambda text: text.replace(",", ";").replace("\n", "\r\n").encode("utf-8-sig"),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "quotes": lambda text: ('"' + text.replace(",", '","').replace("\n", '"\n"')[:-1]).encode(),
    "empty cells at the right": lambda text: text.replace("\n", ",,\n").encode(),
    "empty lines": lambda text: (text + ",,\n\n").encode(),
}


@pytest.mark.parametrize("when", ["before the training continues", "during the training"])
@pytest.mark.parametrize("program", SPREADSHEETS)
def test_what_a_spreadsheet_saved_loses_no_row(tmp_path, program, when, capsys):
    def saved(by):
        logger = CsvLogger(folder=tmp_path / str(by))
        logger.log_row(row(4.0, x=(1, 1.5e-7, 0.0)), timestamp=1004)
        write(logger, 8.0)  # without a last column
        if by is not None:
            logger.path.write_bytes(by(logger.path.read_text()))
        if when.startswith("before"):
            logger.truncate_after(8_000)
        write(logger, 12.0)
        logger.truncate_after(12_000)  # the next start
        return logger.path.read_bytes()

    assert saved(SPREADSHEETS[program]) == saved(None)
    assert capsys.readouterr().out == ""


def test_a_file_that_is_another_one_is_set_aside_whole(tmp_path, capsys):
    logger = CsvLogger(folder=tmp_path)
    logger.path.write_text("name,height\nAnn,2\n")
    write(logger, 4.0)
    assert kimgs(logger) == [4.0]
    assert (tmp_path / "stats.csv.unreadable").read_text() == "name,height\nAnn,2\n"
    assert "stats.csv: 2 lines that cannot be read are now in stats.csv.unreadable" in capsys.readouterr().out


def test_nothing_to_cut_leaves_the_file_alone_and_no_file_is_fine(logger):
    logger.truncate_after(0)
    assert not logger.path.exists()
    write(logger, 4.0)
    inode = os.stat(logger.path).st_ino
    logger.truncate_after(4000)
    assert os.stat(logger.path).st_ino == inode


def test_a_failing_rewrite_loses_nothing(logger, monkeypatch):
    write(logger, 4.0, 8.0)
    before = logger.path.read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        logger.truncate_after(4000)
    assert logger.path.read_bytes() == before
    assert os.listdir(logger.path.parent) == [logger.path.name]


def test_single_values_of_lightning_write_nothing(logger):
    logger.log_metrics({"lr": 1.0}, step=3)
    logger.log_hyperparams({"a": 1})
    logger.save()
    logger.finalize("success")
    assert not logger.path.exists()


def test_rows_that_find_no_room_from_the_first_one_on_come_later(logger):
    """Also those that would bring the header and new columns, for which a file is written again."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
    try:
        for kimg in (1, 2):
            with pytest.raises(OSError):
                logger.log_row(row(kimg, **{f"only/{kimg}": (1, kimg / 2, 0.0)}), timestamp=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    write(logger, 3)
    assert kimgs(logger) == [1, 2, 3]
    if isinstance(logger, CsvLogger):
        with open(logger.path, newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(r["only/1"], r["only/2"]) for r in rows] == [("0.5", ""), ("", "1.0"), ("", "")]


def test_a_row_that_finds_the_disk_full_comes_with_the_next(logger):
    """A limit on the size of files replaces the disk: part of the row gets through before it fails."""
    write(logger, 1)
    whole = logger.path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, resource.RLIM_INFINITY))
    try:
        with pytest.raises(OSError):
            write(logger, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert logger.path.read_bytes() == whole
    write(logger, 3)
    assert kimgs(logger) == [1, 2, 3]


def test_what_lightning_keeps_by_itself_is_in_the_run_folder(tmp_path, monkeypatch):
    """Without `KimgCheckpoint` it adds a callback of its own; its folder was called stats.csv, where one was."""
    monkeypatch.chdir(tmp_path)
    callback = pl.callbacks.ModelCheckpoint()
    trainer = pl.Trainer(
        logger=CsvLogger(folder="runs/a"),
        callbacks=[callback],
        accelerator="cpu",
        max_epochs=1,
        limit_train_batches=1,
        limit_val_batches=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(BoringModel())
    assert Path(callback.dirpath).resolve() == tmp_path / "runs" / "a" / "lightning" / "checkpoints"
    assert trainer.log_dir == "runs/a"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
