"""Line files that a kill or another program has left in any state."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.machine.line_files import keep_lines, put_aside

WHOLE = st.integers(0, 99).map(lambda kimg: json.dumps({"kimg": kimg, "name": "é\u2028"}).encode() + b"\n")
# Without the two characters that end a line, and of no JSON object that has a kimg.
NOISE = st.binary(min_size=1).map(
    lambda noise: b"\x80" + noise.replace(b"\n", b"").replace(b"\r", b"") + b"\n"
)


@given(st.lists(st.tuples(st.booleans(), WHOLE, NOISE)), st.booleans())
def test_whole_lines_stay_in_order_and_the_others_are_set_aside(tmp_path_factory, lines, with_mark):
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    mark = b"\xef\xbb\xbf" if with_mark else b""
    path.write_bytes(mark + b"".join(whole if is_whole else noise for is_whole, whole, noise in lines))
    said = keep_lines(path, lambda record: record["kimg"] < 50)
    whole = [line for is_whole, line, _ in lines if is_whole]
    noise = [line for is_whole, _, line in lines if not is_whole]
    assert path.read_bytes() == b"".join(line for line in whole if json.loads(line)["kimg"] < 50)
    aside = path.with_name("a.jsonl.unreadable")
    assert (aside.read_bytes() if aside.exists() else b"") == b"".join(noise)
    assert (said is None) == (not noise)
    before = os.stat(path).st_ino
    assert keep_lines(path, lambda record: record["kimg"] < 50) is None
    assert os.stat(path).st_ino == before, "nothing to do, and nothing done"


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b'{"kimg": 1}', b'{"kimg": 1}\n'),  # whole, without its end
        (b'{"kimg": 1}\r\n\r\n', b'{"kimg": 1}\n'),  # by an editor of another system
        (b'{"kimg": 1}\n{"kimg": ', b'{"kimg": 1}\n'),
        (b'{"kimg": 1}\n{"kimg": NaN}\n{"kimg": Infinity}\n', b'{"kimg": 1}\n'),
        (b'{"kimg": 1}\n{"kimg": "1"}\n[1]\n1\n{}\n', b'{"kimg": 1}\n'),
        (b"", b""),
    ],
)
def test_what_counts_as_whole(tmp_path, content, kept):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    keep_lines(path, lambda record: round(record["kimg"] * 1000) <= 1000)
    assert path.read_bytes() == kept


def test_no_file_is_nothing_to_do(tmp_path):
    assert keep_lines(tmp_path / "a.jsonl", lambda record: True) is None
    assert os.listdir(tmp_path) == []


def test_what_was_set_aside_before_stays(tmp_path):
    path = tmp_path / "a.jsonl"
    assert put_aside(path, [b"\xff"]) == "a.jsonl: 1 line that cannot be read is now in a.jsonl.unreadable"
    assert (
        put_aside(path, [b"2\n", b"3"])
        == "a.jsonl: 2 lines that cannot be read are now in a.jsonl.unreadable"
    )
    assert (tmp_path / "a.jsonl.unreadable").read_bytes() == b"\xff\n2\n3\n"
    assert put_aside(path, []) is None
