"""Comparison: one table, best first; equal is said within intervals, and never across protocols."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.evaluation.comparison import Entry, best_recorded, entries_of, may_be_equal, table
from stylegan.evaluation.protocol import protocol_id
from stylegan.evaluation.records import Score, append


def kid(value, half=0.1, place="runs/a", kimg=1.0, **protocol):
    results = {"kid": value, "kid_low": value - half, "kid_high": value + half}
    return entries_of(results, protocol, kimg=kimg, place=place)


def test_the_best_is_first_and_the_rest_is_measured_by_it():
    lines = table(
        [*kid(0.9, place="runs/c"), *kid(0.5, place="runs/b"), *kid(0.4, place="runs/long name", kimg=None)]
    )
    assert lines[0].startswith("kid, lower is better  (protocol ")
    assert lines[1:] == [
        "  0.4 ± 0.1  kimg unknown  runs/long name",
        "  0.5 ± 0.1  kimg 1.000    runs/b          equal within the interval",
        "  0.9 ± 0.1  kimg 1.000    runs/c",
    ]


def test_protocols_stand_apart_and_nothing_is_equal_across_them():
    lines = table([*kid(0.5, num_fakes=10), *kid(0.5, num_fakes=20, place="runs/b")])
    assert not any("equal" in line for line in lines)
    heads = [line for line in lines if line.startswith("kid")]
    assert [
        protocol_id({"num_fakes": count}) in head for count, head in zip((10, 20), heads, strict=True)
    ] == [True] * 2
    assert lines[-1] == "Scores of different protocols do not compare: they stand apart."


@pytest.mark.parametrize(
    "one, other, words",
    [
        ({"channels": 1, "data_content": "a"}, {"channels": 3, "data_content": "b"}, "channels (1 and 3)"),
        ({"labels": "none"}, {"labels": "drawn from the data's"}, "labels (none and drawn from the data's)"),
        (
            {"num_reals": 500, "data_content": "a"},
            {"num_reals": 1906, "data_content": "b"},
            "number of real pictures (500 and 1,906)",
        ),
        (
            {"data_content": "a", "data_fingerprint": "c"},
            {"data_content": "b", "data_fingerprint": "d"},
            "the pictures",
        ),
        (
            {"data_content": "a", "data_fingerprint": "c"},
            {"data_content": "a", "data_fingerprint": "d"},
            "labels or order of the pictures",
        ),
        (
            {"data_content": None, "data_fingerprint": "c"},
            {"data_content": None, "data_fingerprint": "d"},
            "the pictures, their labels or order",
        ),
        ({}, {"num_unreadable": 2}, "number of unreadable pictures (none and 2)"),
        ({"seed": 0, "channels": 1}, {"seed": 1, "channels": 3}, None),
        ({"channels": "\x1b", "x": [1]}, {"channels": {}, "x": [2]}, None),
    ],
)
def test_protocols_of_other_data_say_in_what_they_differ(one, other, words):
    lines = table([*kid(0.5, num_fakes=10, **one), *kid(0.6, num_fakes=10, place="runs/b", **other)])
    said = [line for line in lines if "differ in the data" in line]
    assert said == ([] if words is None else [f"kid: these protocols differ in the data: {words}."])
    assert lines[-1] == "Scores of different protocols do not compare: they stand apart."


def test_without_an_interval_nothing_is_called_equal():
    entries = entries_of({"fid": 3.0, "fid_bias": 1.0}, {}, kimg=1.0, place="a")
    assert [entry.result for entry in entries] == ["fid"]
    assert table([*entries, *entries])[1:] == ["  3  kimg 1.000  a"] * 2


def test_what_is_no_number_is_last_and_what_should_be_high_is_highest_first():
    def recall(value, place):
        return entries_of({"pr_recall": value}, {}, kimg=1.0, place=place)

    lines = table([*recall(None, "none"), *recall(0.2, "low"), *recall(0.7, "high")])
    assert "higher is better" in lines[0]
    assert [line.split()[-1] for line in lines[1:]] == ["high", "low", "none"]


def test_an_interval_that_is_not_symmetric_is_written_out():
    [entry] = kid(0.5)
    assert "0.5 (0.45 to 0.9)" in table([entry._replace(interval=(0.45, 0.9))])[1]


ends = st.tuples(st.floats(-1, 1), st.floats(0, 1)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(ends, ends)
def test_equal_is_symmetric_and_means_a_common_number(one, other):
    first, second = (Entry("kid", 0.0, interval, None, "", {}) for interval in (one, other))
    assert may_be_equal(first, second) == may_be_equal(second, first)
    assert may_be_equal(first, second) == (one[0] <= other[1] and other[0] <= one[1])
    assert not may_be_equal(first, second._replace(protocol={"num_fakes": 1}))


def test_of_a_run_the_best_record_of_each_protocol_counts(tmp_path):
    for kimg, value, fakes in ((1, 0.5, 10), (2, 0.3, 10), (3, 0.4, 10), (3, math.nan, 10), (3, 0.9, 20)):
        score = Score("kid", {"kid": value}, {"num_fakes": fakes}, 1.0)
        append(tmp_path, score, images=1000 * kimg, network=None, processes=1)
    path = tmp_path / "metric-kid.jsonl"
    path.write_text(
        path.read_text() + '{"results": {"kid": 0.1}}\n{"results": {"ki'
    )  # of no protocol; cut short
    assert [(entry.value, entry.kimg) for entry in best_recorded(tmp_path)] == [(0.3, 2.0), (0.9, 3.0)]


def test_records_that_cannot_be_read_cost_none_of_the_others(tmp_path, capsys):
    append(tmp_path, Score("kid", {"kid": 0.5}, {}, 1.0), images=1000, network=None, processes=1)
    (tmp_path / "metric-fid.jsonl").mkdir()
    assert [entry.value for entry in best_recorded(tmp_path)] == [0.5]
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("warning ") and "metric-fid.jsonl cannot be read (Is a directory)" in line


def test_what_a_strangers_records_hold_steers_no_terminal(tmp_path):
    score = Score("kid", {"kid": 0.5}, {"detector": "\x1b[2J\n"}, 1.0)
    append(tmp_path, score, images=1000, network=None, processes=1)
    [entry] = best_recorded(tmp_path)
    assert all(line.isprintable() for line in table([entry._replace(result="kid\x1b[2J", place="a\nb")]))
