"""Times of key frames: exact counts, no drift, and the leg that a position is in."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan.latents.paths.timing import Legs, exact, legs_of, seconds_of_legs, whole


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", [2]),
        (5, [5]),
        (0.1, [Fraction(1, 10)]),
        ("2, 2.5 ,5", [2, Fraction(5, 2), 5]),
        ("1e-1", [Fraction(1, 10)]),
    ],
)
def test_seconds(text, seconds):
    assert list(seconds_of_legs(text)) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "2,,3", "two", "nan", "inf", "1/0", "2;3", "1_0", "1e99999999", "1e-99999999"]
)
def test_wrong_seconds_are_one_line(text):
    with pytest.raises(ValueError, match="^leg_sec must be seconds above 0"):
        seconds_of_legs(text)


@given(st.text(max_size=30))
def test_any_text_is_seconds_or_one_line(text):
    try:
        assert all(number > 0 for number in seconds_of_legs(text))
    except ValueError as error:
        assert str(error).startswith("leg_sec") and "\n" not in str(error)


def test_halves_round_up_and_decimals_are_exact():
    assert whole(0.5) == 1 and whole(1.5) == 2 and whole(2.5) == 3
    assert whole(0.1, 25) == 3  # 2.5, which the float 0.1 is above of
    assert exact(29.97) == Fraction(2997, 100)


def test_open_paths_end_with_the_last_key_and_loops_before_the_first():
    open_path = legs_of(3, [Fraction(2)], 30)
    assert open_path.knots == (0, 60, 120) and open_path.frames == 121
    loop = legs_of(3, [Fraction(2)], 30, loop=True)
    assert loop.knots == (0, 60, 120, 180) and loop.frames == 180 and loop.keys == 3


def test_nothing_drifts():
    legs = legs_of(1001, [Fraction(1, 3)], 10)  # 3.33 frames a leg
    assert legs.knots[-1] == 3333
    assert {end - begin for begin, end in zip(legs.knots, legs.knots[1:], strict=False)} == {3, 4}
    television = legs_of(601, [Fraction(1)], Fraction(30000, 1001))
    assert television.knots[-1] == 17982


@settings(max_examples=40)
@given(
    st.lists(st.fractions(Fraction(1, 10), 10, max_denominator=1000), min_size=1, max_size=40),
    st.sampled_from([10, 24, 29.97, 30, 60]),
    st.floats(1, 4),
)
def test_each_key_is_at_the_nearest_frame(seconds, fps, slowdown):
    legs = legs_of(len(seconds) + 1, seconds, fps, slowdown=slowdown)
    total = Fraction(0)
    for leg, length in enumerate(seconds, start=1):
        total += length * exact(fps) * exact(slowdown)
        assert abs(legs.knots[leg] - total) <= Fraction(1, 2)
        assert legs.at(legs.knots[leg]) == (leg, 0)


def test_wrong_numbers_of_legs_and_short_legs_are_refused():
    with pytest.raises(ValueError, match="leg_sec has 2 numbers, and 4 key frames have 3 legs"):
        legs_of(4, [Fraction(1), Fraction(2)], 30)
    with pytest.raises(ValueError, match="4 key frames of a loop have 4 legs"):
        legs_of(4, [Fraction(1)] * 3, 30, loop=True)
    with pytest.raises(ValueError, match="leg_sec=0.01: leg 1 is shorter than a frame of 1/30 seconds"):
        legs_of(2, [Fraction(1, 100)], 30)
    with pytest.raises(ValueError, match="shorter than a frame of 1/59.9401 seconds"):
        legs_of(2, [Fraction(1, 1000)], Fraction(60_000, 1001))
    with pytest.raises(ValueError, match="more than 1,000,000 frames"):
        legs_of(2, [Fraction(10**9)], 30)


def test_where_a_position_is():
    legs = Legs((0, 10, 30), loop=False)
    assert [legs.at(p) for p in (-3, 0, 5, 10, 20, 30, 99)] == [
        (0, 0),
        (0, 0),
        (0, 0.5),
        (1, 0),
        (1, 0.5),
        (2, 0),
        (2, 0),
    ]
    loop = Legs((0, 10, 30), loop=True)
    assert [loop.at(p) for p in (0, 20, 30, 35, -5)] == [(0, 0), (1, 0.5), (0, 0), (0, 0.5), (1, 0.75)]
    assert loop.neighbours(1) == (0, 1, 0, 1) and legs.neighbours(0) == (None, 0, 1, 2)
    assert legs.neighbours(1) == (0, 1, 2, None)
    assert legs.spans(0) == (10, 10, 20) and loop.spans(1) == (10, 20, 10)
