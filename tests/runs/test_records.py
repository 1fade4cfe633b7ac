"""A note about a run that cannot be written."""

import json
import os

import pytest

from stylegan.errors import UserError
from stylegan.runs.folder import RunFolder
from stylegan.runs.records import put_back_unless, record_rollback, refuse_unwritable


def test_it_costs_the_line_and_not_the_run(tmp_path):
    folder = RunFolder(tmp_path)
    record_rollback(folder, "weights are not finite", 1.5, None, 1)
    (event,) = map(json.loads, folder.events.read_text().splitlines())
    assert (event["event"], event["kimg"], event["rollbacks"]) == ("rollback", 1.5, 1)
    # A folder in its place is an OSError, as a full disk is.
    folder.events.unlink()
    folder.events.mkdir()
    record_rollback(folder, "weights are not finite", 1.5, None, 2)


def test_an_event_is_not_glued_to_half_a_line(tmp_path):
    folder = RunFolder(tmp_path)
    folder.events.write_text('{"timestamp": 1, "ev')
    record_rollback(folder, "weights are not finite", 1.5, None, 1)
    half, whole = folder.events.read_text().splitlines()
    assert half == '{"timestamp": 1, "ev' and json.loads(whole)["event"] == "rollback"


def test_a_run_folder_whose_name_is_no_text_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match="this name is no UTF-8, .*; set name=... or runs_dir=..."):
        refuse_unwritable(RunFolder(tmp_path / "caf\udce9"))
    refuse_unwritable(RunFolder(tmp_path / "café 🦊"))


@pytest.mark.parametrize("name", ["events.jsonl", "config.yaml"])
def test_a_record_that_cannot_be_read_ends_the_start_in_one_line(tmp_path, name):
    (tmp_path / name).mkdir()
    refused = f"{tmp_path / name}: Is a directory; nothing was trained"
    with pytest.raises(UserError, match=refused), put_back_unless(lambda: False, RunFolder(tmp_path)):
        pytest.fail("it began")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("inner", ["checkpoints", "snapshots", "."])
@pytest.mark.parametrize("lacking", [os.R_OK, os.W_OK, os.X_OK])
def test_a_folder_that_the_user_may_not_use_is_refused(tmp_path, monkeypatch, inner, lacking):
    for name in ("checkpoints", "snapshots"):
        (tmp_path / name).mkdir()
    # Root may do everything.
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path / inner or not mode & lacking)
    with pytest.raises(ValueError, match="; set runs_dir=..."):
        refuse_unwritable(RunFolder(tmp_path))
