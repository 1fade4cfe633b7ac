"""`metric-<name>.jsonl`: the fields of the public implementation, the protocol, and cuts when a run continues."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.evaluation.protocol import protocol_id
from stylegan.evaluation.records import (
    Score,
    append,
    read_records,
    record_path,
    recorded,
    truncate_after,
)

PROTOCOL = {"detector": "builtin", "num_fakes": 100, "options": [1, 2]}


def score(value=1.5, name="kid_builtin"):
    return Score(name, {name: value}, PROTOCOL, 61.25)


def add(folder, *images):
    for count in images:
        append(folder, score(count / 1000), images=count, network=f"checkpoints/kimg{count}", processes=2)


def test_the_fields_of_a_line(tmp_path):
    append(tmp_path, score(), images=12_800, network="checkpoints/kimg0000012.800.safetensors", processes=2)
    text = record_path(tmp_path, "kid_builtin").read_text()
    assert text.endswith("\n") and text.count("\n") == 1
    line = json.loads(text)
    assert set(line) >= {
        "results",
        "metric",
        "total_time",
        "total_time_str",
        "num_gpus",
        "snapshot_pkl",
        "timestamp",
    }
    assert line["results"] == {"kid_builtin": 1.5}
    assert (line["metric"], line["total_time"], line["total_time_str"]) == ("kid_builtin", 61.25, "1m 01s")
    assert (line["num_gpus"], line["kimg"]) == (2, 12.8)
    assert line["snapshot_pkl"] == "checkpoints/kimg0000012.800.safetensors"
    assert line["protocol"] == PROTOCOL and line["protocol_id"] == protocol_id(PROTOCOL)


def test_lines_are_added(tmp_path):
    add(tmp_path, 1000, 2000, 3000)
    kimg = [record["kimg"] for record in read_records(record_path(tmp_path, "kid_builtin"))]
    assert kimg == [1.0, 2.0, 3.0]


def test_what_is_not_a_number_is_null(tmp_path):
    append(tmp_path, score(float("nan")), images=1, network="x", processes=1)
    [line] = read_records(record_path(tmp_path, "kid_builtin"))
    assert line["results"] == {"kid_builtin": None}


@pytest.mark.parametrize(("images", "kept"), [(0, 0), (999, 0), (1000, 1), (2999, 2), (3000, 3), (10**9, 3)])
def test_a_resumed_run_drops_what_came_after(tmp_path, images, kept):
    add(tmp_path, 1000, 2000, 3000)
    truncate_after(tmp_path, images)
    assert len(list(read_records(record_path(tmp_path, "kid_builtin")))) == kept


def test_a_line_that_a_kill_cut_short_goes(tmp_path):
    add(tmp_path, 1000)
    path = record_path(tmp_path, "kid_builtin")
    whole = path.read_text()
    path.write_text(whole + whole[: len(whole) // 2])
    assert len(list(read_records(path))) == 1
    truncate_after(tmp_path, 5000)
    assert path.read_text() == whole


def test_scores_of_files_without_a_number_stay(tmp_path):
    append(tmp_path, score(), images=None, network="x.safetensors", processes=1)
    truncate_after(tmp_path, 0)
    assert len(list(read_records(record_path(tmp_path, "kid_builtin")))) == 1


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), min_size=1), st.randoms())
def test_the_id_of_a_protocol_knows_no_order_and_every_value(protocol, random):
    items = list(protocol.items())
    random.shuffle(items)
    assert protocol_id(dict(items)) == protocol_id(protocol)
    name = items[0][0]
    assert protocol_id(protocol | {name: "quite another value"}) != protocol_id(protocol)


def test_a_score_is_found_by_weights_and_protocol_never_by_a_name(tmp_path):
    protocol = PROTOCOL | {"metric": "kid_builtin"}
    for weights, value in (("a" * 64, 1.0), ("b" * 64, 2.0), (None, 3.0)):
        one = score(value)._replace(weights=weights, protocol=protocol)
        append(tmp_path, one, images=20_000, network="checkpoints/kimg0000020.000.safetensors", processes=1)
    path = record_path(tmp_path, "kid_builtin")
    assert recorded(path, "a" * 64, protocol).value == 1.0
    assert recorded(path, "b" * 64, protocol).value == 2.0
    assert recorded(path, "c" * 64, protocol) is None, "a line without weights, or of others, is no answer"
    assert recorded(path, "a" * 64, protocol | {"num_fakes": 200}) is None
    assert recorded(tmp_path / "none.jsonl", "a" * 64, protocol) is None
