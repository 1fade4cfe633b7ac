"""A note about a run that cannot be written."""

import json

from stylegan.runs.folder import RunFolder
from stylegan.runs.records import record_rollback


def test_it_costs_the_line_and_not_the_run(tmp_path):
    folder = RunFolder(tmp_path)
    record_rollback(folder, "weights are not finite", 1.5, None, 1)
    (event,) = map(json.loads, folder.events.read_text().splitlines())
    assert (event["event"], event["kimg"], event["rollbacks"]) == ("rollback", 1.5, 1)
    # A folder in its place is an OSError, as a full disk is.
    folder.events.unlink()
    folder.events.mkdir()
    record_rollback(folder, "weights are not finite", 1.5, None, 2)
