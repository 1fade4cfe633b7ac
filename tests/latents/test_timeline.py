"""Timelines: what they mean, and a line with file, track and number of line for each mistake."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.latents.timeline import FrameCells, Timeline, inside, parse_timeline, read_timeline
from stylegan.latents.tracks import Keys, Moment, Pulse, TrackKey, Wave

WHOLE = """\
# A comment.
psi:
  - {time_sec: 0, value: 0.5, easing: in-out-sine}
  - {time_sec: 4.5, value: 1}
label:
  - {time_sec: 0, value: no}
  - {time_sec: 5, value: "0.7*fox+0.3*dog"}
speed: {pulse: {low: 0.5, high: 2, times: 4}}
noise: 0
direction.smile.npz:
  layers: middle
  wave: {low: -2, high: 2, period_sec: 3, along: rows}
styles.85:
  layers: fine,0-1
  keys: [{time_sec: 0, value: 0}, {time_sec: 2, value: 1}]
weight.1: 0.5
frame: {cells: 3x1, softness: 0.2}
"""


def test_all_that_a_timeline_can_say():
    timeline = parse_timeline(WHOLE, folder=Path("films"))
    psi, label, speed, noise, smile, styles, weight = timeline.tracks
    assert (psi.kind, psi.shape) == ("psi", Keys((TrackKey(0, 0.5, "in-out-sine"), TrackKey(4.5, 1))))
    # A class may be called no, which YAML takes for false.
    assert label.shape == Keys((TrackKey(0, "no"), TrackKey(5, "0.7*fox+0.3*dog")))
    assert speed.shape == Pulse(0.5, 2, times=4)
    assert noise.shape.at(Moment(3, 10)) == 0
    assert (smile.kind, smile.what, smile.layers) == ("direction", "smile.npz", "middle")
    assert smile.shape == Wave(-2, 2, period_sec=3, along="rows")
    assert (styles.what, styles.layers, len(styles.shape.keys)) == ("85", "fine,0-1", 2)
    assert (weight.kind, weight.what) == ("weight", "1")
    assert timeline.cells == FrameCells(3, 1, 0.2)
    assert timeline.text == WHOLE


def test_an_empty_timeline_changes_nothing():
    assert parse_timeline("# nothing\n").tracks == ()
    assert parse_timeline("").cells is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("psi: 1\nspin: 2", 2, "unknown track spin; there are psi, label, speed, noise, direction"),
        ("psi: high", 1, "track psi: value must be a number from -100 to 100, got high"),
        ("psi: .nan", 1, "must be a number"),
        ("psi: 1\npsi: 2", 2, "the timeline has psi twice"),
        ("psi:\n- {time_sec: 0, value: 1}\n- {time_sec: 0, value: 2}", 3, "time_sec must ascend, and 0 follows 0"),
        ("psi:\n- {time_sec: 0, value: 1, ease: linear}", 2, "a key has no ease; it has time_sec, value, easing"),
        ("psi:\n- {time_sec: 0, value: 1, easing: fast}", 2, "easing must be one of linear"),
        ("psi:\n- {time_sec: 0}", 2, "a key lacks value"),
        ("psi:\n- {time_sec: -1, value: 0}", 2, "time_sec must be a number from 0"),
        ("psi: []", 1, "track psi has no keys"),
        ("psi: {pulse: {low: 0, high: 1}}", 1, "pulse needs period_sec, or times"),
        ("psi: {pulse: {low: 0, high: 1, times: 1, period_sec: 2}}", 1, "pulse needs period_sec, or times"),
        ("psi: {pulse: {low: 0, times: 1}}", 1, "pulse lacks high"),
        ("psi: {pulse: {low: 0, high: 1, along: rows, times: 1}}", 1, "has no along"),
        ("psi: {wave: {low: 0, high: 1, along: up, times: 1}}", 1, "along must be one of columns, rows, diagonal"),
        ("psi: {pulse: {low: 0, high: 1, times: 1}, keys: 1}", 1, "needs one of keys, pulse and wave"),
        ("psi: {layers: fine, keys: 1}", 1, "layers count for styles and direction alone"),
        ("styles.8: {layers: 5-2, keys: 1}", 1, "this range is empty"),
        ("label: {pulse: {low: 0, high: 1, times: 1}}", 1, "a label has keys, neither pulse nor wave"),
        ("label:\n  value: fox", 2, "has no value; it has keys, pulse, wave, layers"),
        ("direction: 1", 1, "direction needs a file of a direction"),
        ("psi.x: 1", 1, "psi has no part of its own"),
        ("weight.left: 1", 1, "weight needs the number of a cell"),
        ("weight.01: 1", 1, "weight needs the number of a cell"),
        ("frame: {cells: 3}", 1, "must be columns x rows"),
        ("frame: {mask: ../m.png}", 1, "files of a timeline lie in its own folder"),
        ("frame: {mask: /m.png}", 1, "files of a timeline lie in its own folder"),
        ("frame: {mask: m.png, cells: 2x1}", 1, "frame needs cells, as in 3x1, or mask"),
        ("frame: {mask: m.png, softness: 1}", 1, "softness counts for cells"),
        ("frame: {cells: 2x1,\n blend: paint}", 2, "blend must be one of features, pixels, got paint"),
        ("- psi", 1, "the timeline must be written as name: value"),
        ("psi: {", 1, "this is not YAML"),
        ("psi: null", 1, "must be a word or a number"),
        ("a: &a [*a]", 1, "unknown track a"),
        ("psi: \"\\e[2J\"", 1, "must be a number"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place(text, line, words):
    with pytest.raises(ValueError) as caught:
        parse_timeline(text, name="film.yaml")
    message = str(caught.value)
    assert message.startswith(f"film.yaml, line {line}: ") and words in message and message.isprintable()


def test_files_that_are_no_timeline(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"psi: \xff")
    (tmp_path / "long.yaml").write_bytes(b"#" * (2**20 + 1))
    for name, words in [
        ("none", "cannot be read (No such"),
        ("bytes.yaml", "not UTF-8"),
        ("long.yaml", "at most 1 MiB"),
    ]:
        with pytest.raises(ValueError) as caught:
            read_timeline(tmp_path / name)
        assert words in str(caught.value) and str(caught.value).startswith("timeline=")
    assert inside(tmp_path, "masks/a.png") == tmp_path / "masks/a.png"


# Pieces of timelines, put together in any way.
PIECES = [
    "psi",
    "label",
    "frame",
    ": ",
    "\n",
    "  ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "keys",
    "1",
    "~",
    "!!binary ",
    "\t",
]


@given(
    st.lists(
        st.sampled_from([*PIECES, "value", "time_sec", "\x00", "é", "'", '"', "|", "<<"]), max_size=25
    ).map("".join)
)
def test_any_text_is_a_timeline_or_one_line(text):
    try:
        assert isinstance(parse_timeline(text, name="film.yaml"), Timeline)
    except ValueError as error:
        assert str(error).startswith("film.yaml") and str(error).isprintable()
