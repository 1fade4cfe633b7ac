"""`metric-<name>.jsonl`: the fields of the public implementation, the protocol, and cuts when a run continues."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.evaluation.comparison import best_recorded, table
from stylegan.evaluation.protocol import protocol_id
from stylegan.evaluation.records import (
    Score,
    append,
    in_line,
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


GOOD = {
    "results": {"kid": 1.0, "kid_low": 0.5, "kid_high": 1.5},
    "kimg": 2.0,
    "total_time": 3,
    "protocol": {},
}
# A hand, a half-written disk or another program may leave such.
DAMAGED = {
    "a text": GOOD | {"results": {"kid": "x"}},
    "a number in quotes": GOOD | {"results": {"kid": "1.0"}},
    "a list": GOOD | {"results": {"kid": [1]}},
    "a truth value": GOOD | {"results": {"kid": True}},
    "a text as an end": GOOD | {"results": {"kid": 1.0, "kid_low": "a", "kid_high": 2}},
    "no results": GOOD | {"results": {}},
    "results in a list": GOOD | {"results": [1.0]},
    "no number": GOOD | {"results": {"kid": float("nan")}},
    "no end": GOOD | {"results": {"kid": float("inf")}},
    "more than a float holds": GOOD | {"results": {"kid": 10**400}},
    "kimg in quotes": GOOD | {"kimg": "7"},
    "kimg no number": GOOD | {"kimg": float("nan")},
    "kimg a truth value": GOOD | {"kimg": True},
    "kimg below 0": GOOD | {"kimg": -1},
    "kimg beyond all": GOOD | {"kimg": 1e308},
    "a time in words": GOOD | {"total_time": "3 s"},
    "left out in words": GOOD | {"num_left_out": "few"},
    "brackets": "[" * 100_000,
    "braces": '{"results":' * 100_000,
    "digits": '{"results": {"kid": ' + "9" * 5000 + '}, "kimg": 1}',
    "a number": "1",
    "half": '{"results": {"ki',
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_line_costs_that_line_alone(tmp_path, what):
    damaged = DAMAGED[what] if isinstance(DAMAGED[what], str) else json.dumps(DAMAGED[what])
    path = record_path(tmp_path, "kid")
    path.write_text(f"{damaged}\n{json.dumps(GOOD)}\n{damaged}\n", encoding="utf-8")
    assert list(read_records(path)) == [GOOD]
    assert table(best_recorded(tmp_path))[1:] == [f"  1 ± 0.5  kimg 2.000  {tmp_path}"]
    truncate_after(tmp_path, 1_000)
    assert list(read_records(path)) == []


def test_a_mark_of_an_editor_at_the_start_costs_nothing(tmp_path):
    path = record_path(tmp_path, "kid")
    path.write_text(json.dumps(GOOD), encoding="utf-8-sig")
    assert list(read_records(path)) == [GOOD]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "results": st.dictionaries(st.sampled_from(["kid", "kid_low", "kid_high", "fid_bias"]), anything)
            | anything,
            "kimg": anything,
            "total_time": anything,
            "num_left_out": anything,
            "protocol": anything
            | st.fixed_dictionaries(
                dict.fromkeys(
                    (
                        "num_reals",
                        "xflip",
                        "detector",
                        "detector_checksum",
                        "num_fakes",
                        "resolution",
                        "precision",
                    ),
                    anything,
                )
                | dict.fromkeys(
                    ("seed", "noise_mode", "truncation", "data_content", "data_fingerprint"), anything
                )
            ),
            "protocol_id": anything,
            "weights_sha256": anything,
        },
    )
)
def test_no_record_breaks_a_table_or_a_line(tmp_path_factory, record):
    folder = tmp_path_factory.mktemp("run")
    path = record_path(folder, "kid")
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    for line in table(best_recorded(folder)):
        assert line.isprintable()
    for found in read_records(path):
        protocol = PROTOCOL | {"metric": "kid"}
        line = found | {"weights_sha256": "w", "protocol_id": protocol_id(protocol)}
        path.write_text(json.dumps(line) + "\n", encoding="utf-8")
        in_line(recorded(path, "w", protocol))
    truncate_after(folder, 1_000)
