"""Settings of a video: what is refused, in one line that begins with the key, and what rates and names mean."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.media.settings import FORMATS, MediaSettings, rate_of


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"format": "avi"}, "format must be one of mp4, webm, gif, webp, apng, png, png16, got 'avi'"),
        ({"fps": 0}, "fps must be 0.01 to 1000, got 0"),
        ({"fps": float("nan")}, "fps must be 0.01 to 1000, got nan"),
        ({"fps": True}, "fps must be 0.01 to 1000, got True"),
        ({"quality": 0}, "quality must be a whole number of 1 to 100, got 0"),
        ({"quality": 50.5}, "quality must be a whole number of 1 to 100, got 50.5"),
        ({"size": "1080"}, "size must be width x height of 2 to 8192 px, as in 1080x1920, got 1080"),
        ({"size": "1x9"}, "size must be width x height of 2 to 8192 px, as in 1080x1920, got 1x9"),
        ({"size": "99999x9"}, "size must be width x height of 2 to 8192 px, as in 1080x1920, got 99999x9"),
        ({"fit": "stretch"}, "fit must be one of pad, crop, blur, got 'stretch'"),
        ({"scale": 0}, "scale must be a whole number of 1 to 64, got 0"),
        ({"fill": "blakc"}, "fill must be a colour, as in black, #ff8800 or rgb(255,136,0), got blakc"),
        ({"start_sec": -1}, "start_sec must be at least 0, got -1"),
        ({"segment_frames": 0}, "segment_frames must be a whole number of 1 to 100,000, got 0"),
        ({"audio": "missing.wav"}, "audio=missing.wav: there is no such file"),
    ],
)
def test_a_wrong_value_is_one_line(values, line):
    with pytest.raises(ValueError) as error:
        MediaSettings(**values)
    assert str(error.value) == line


@given(st.text(max_size=20))
def test_no_size_and_no_colour_breaks_a_line(text):
    for key in ("size", "fill", "fit", "format"):
        try:
            MediaSettings(**{key: text})
        except ValueError as error:
            assert str(error).startswith(key) and "\n" not in str(error)


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (30, Fraction(30)),
        (29.97, Fraction(30_000, 1001)),
        (23.976, Fraction(24_000, 1001)),
        (59.94, Fraction(60_000, 1001)),
        (12.5, Fraction(25, 2)),
        (0.5, Fraction(1, 2)),
    ],
)
def test_rates_are_exact(fps, rate):
    assert rate_of(fps) == rate == MediaSettings(fps=fps).rate


@given(st.floats(0.01, 1000))
def test_any_rate_is_near_and_fits_in_16_bits(fps):
    rate = rate_of(fps)
    assert max(rate.numerator, rate.denominator) < 2**16
    assert abs(float(rate) / fps - 1) < 2e-3


@pytest.mark.parametrize(
    ("fps", "delay"), [(24, 4), (25, 4), (30, 3), (33, 3), (50, 2), (60, 2), (10, 10), (1, 100)]
)
def test_a_gif_has_the_nearest_rate(fps, delay):
    rate = MediaSettings(format="gif", fps=fps).rate
    assert rate == Fraction(100, delay)
    assert all(abs(rate - fps) <= abs(Fraction(100, other) - fps) for other in range(2, 200))


def test_names():
    names = {form: MediaSettings(format=form).name_of("walk") for form in FORMATS}
    assert names == {
        "mp4": "walk.mp4",
        "webm": "walk.webm",
        "gif": "walk.gif",
        "webp": "walk.webp",
        "apng": "walk.png",
        "png": "walk",
        "png16": "walk",
    }
