"""Whether the data are what a network was trained on."""

import json
from types import SimpleNamespace

import pytest

from stylegan.evaluation.origin import origin_of
from stylegan.runs.folder import RunFolder

DATA = SimpleNamespace(fingerprint="abc")


@pytest.mark.parametrize(
    ("data", "learned_from", "origin"),
    [
        (DATA, "abc", "training"),
        (DATA, "def", "other"),
        (DATA, None, "trust"),
        (SimpleNamespace(), "abc", "trust"),
    ],
)
def test_fingerprints_decide(tmp_path, data, learned_from, origin):
    assert origin_of(data, learned_from, None) == origin
    assert origin_of(data, learned_from, RunFolder(tmp_path)) == origin


def test_a_run_that_went_on_with_other_pictures_has_none_that_it_surely_never_saw(tmp_path):
    run = RunFolder(tmp_path)
    lines = [{"event": "rollback"}, {"event": "allow_change", "key": "loss.r1_gamma"}]
    run.events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert origin_of(DATA, "abc", run) == "training"
    lines.append({"event": "allow_change", "key": "data_fingerprint", "before": "def", "now": "abc"})
    run.events.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"cut sh')
    assert origin_of(DATA, "abc", run) == "changed"
    assert origin_of(DATA, "def", run) == "other"
