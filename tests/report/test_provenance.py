"""Data provenance: whether the images at hand are those that a network was trained on, by fingerprints and events."""

import json

import pytest

from stylegan.report import provenance_of
from stylegan.report.provenance import PROVENANCES, is_known, note_on, ways_out_of


@pytest.mark.parametrize(
    ("fingerprint", "learned_from", "provenance"),
    [("abc", "abc", "training"), ("abc", "def", "other"), ("abc", None, "trust"), (None, "abc", "trust")],
)
def test_fingerprints_decide(tmp_path, fingerprint, learned_from, provenance):
    assert provenance_of(fingerprint, learned_from) == provenance
    assert provenance_of(fingerprint, learned_from, tmp_path / "events.jsonl") == provenance


def test_a_run_that_continued_with_other_images_has_none_that_it_surely_never_saw(tmp_path):
    events = tmp_path / "events.jsonl"
    lines = [{"event": "rollback"}, {"event": "allow_change", "key": "loss.r1_gamma"}]
    events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert provenance_of("abc", "abc", events) == "training"
    lines.append({"event": "allow_change", "key": "data_fingerprint", "before": "def", "now": "abc"})
    events.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"cut sh')
    assert provenance_of("abc", "abc", events) == "changed"
    assert provenance_of("abc", "def", events) == "other"


def test_what_cannot_be_cleared_has_a_note_and_a_way_out():
    assert [is_known(one) for one in PROVENANCES] == [True, True, False, False]
    assert note_on("training") == "" and all(note_on(one) for one in PROVENANCES[1:])
    assert all(bool(ways_out_of(one)) != is_known(one) for one in PROVENANCES)
