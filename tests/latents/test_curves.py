"""Curves and easing: exact at their ends, and equal to closed forms and to scipy between."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline
from scipy.spatial.transform import Rotation

from stylegan.latents.paths.curves import EASINGS, check_easing, cubic, eased, linear, slerp

RANDOM = np.random.default_rng(0)
A, B, C, D = RANDOM.standard_normal((4, 3, 8)).astype(np.float32)


@pytest.mark.parametrize("name", EASINGS)
def test_easing_begins_and_ends_exactly_and_is_continuous(name):
    assert eased(name, 0) == eased(name, -0.1) == 0
    assert eased(name, 1) == eased(name, 1.1) == 1
    if name == "step":
        assert eased(name, 0.999) == 0
        return
    values = [eased(name, t) for t in np.linspace(0, 1, 20_001)]
    # The circle is steepest, vertical in the middle: there a step of h moves sqrt(h)-like.
    assert np.abs(np.diff(values)).max() < (0.008 if name == "in-out-circular" else 6e-4)


@pytest.mark.parametrize("name", [name for name in EASINGS if name.startswith("in-out")])
@given(t=st.floats(0, 1))
def test_in_out_is_the_same_from_both_ends(name, t):
    assert eased(name, t) + eased(name, 1 - t) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "t", "value"),
    [
        ("linear", 0.3, 0.3),
        ("in-out-quad", 0.25, 2 * 0.25**2),
        ("in-out-cubic", 0.25, 4 * 0.25**3),
        ("in-out-sine", 1 / 3, 0.25),
        ("in-out-circular", 0.3, (1 - math.sqrt(1 - 0.6**2)) / 2),
        ("out-bounce", 1 / 2.75, 1),
        ("out-bounce", 1.5 / 2.75, 0.75),
        ("out-bounce", 2.25 / 2.75, 0.9375),
        ("out-bounce", 2.625 / 2.75, 0.984375),
        ("out-bounce", 0.2, 7.5625 * 0.04),
    ],
)
def test_easing_has_its_known_values(name, t, value):
    assert eased(name, t) == pytest.approx(value, abs=1e-12)


def test_back_overshoots_by_a_tenth():
    values = [eased("in-out-back", t) for t in np.linspace(0, 1, 2001)]
    assert min(values) == pytest.approx(-0.1, abs=2e-3) and max(values) == pytest.approx(1.1, abs=2e-3)


def test_an_unknown_easing_is_named():
    with pytest.raises(ValueError, match="easing must be one of linear, .*'ease'"):
        check_easing("ease")


@pytest.mark.parametrize("curve", [linear, slerp, lambda a, b, t: cubic(C, a, b, None, t)])
def test_ends_are_the_key_frames_to_the_bit(curve):
    assert curve(A, B, 0) is A and curve(A, B, 1) is B


def test_slerp_turns_as_a_rotation_does():
    """Against scipy: rotate a about the axis that is perpendicular to both, and stretch evenly."""
    a, b = RANDOM.standard_normal((2, 3))
    axis = np.cross(a, b)
    angle = math.acos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    for t in (0.1, 0.5, 0.8, 1.2):
        turned = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle * t).apply(a / np.linalg.norm(a))
        length = (1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b)
        np.testing.assert_allclose(slerp(a, b, t), turned * length, atol=1e-12)


@given(t=st.floats(0.01, 0.99), seed=st.integers(0, 1000), center=st.floats(-2, 2))
def test_slerp_changes_norms_and_angles_evenly(t, seed, center):
    a, b = np.random.default_rng(seed).standard_normal((2, 5, 16)) + center
    between = slerp(a, b, t, center) - center
    a, b = a - center, b - center

    def angle(x, y):
        cosine = (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)
        return np.arccos(np.clip(cosine, -1, 1))

    norm = (1 - t) * np.linalg.norm(a, axis=-1) + t * np.linalg.norm(b, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(between, axis=-1), norm, rtol=1e-9)
    np.testing.assert_allclose(angle(a, between), t * angle(a, b), atol=1e-6)


def test_slerp_of_parallel_opposite_and_zero_vectors():
    a = np.array([3.0, 4.0])
    np.testing.assert_allclose(slerp(a, a, 0.3), a)
    np.testing.assert_allclose(slerp(a, 2 * a, 0.5), 1.5 * a)
    np.testing.assert_allclose(slerp(a, 0 * a, 0.25), 0.75 * a)
    np.testing.assert_allclose(slerp(0 * a, 0 * a, 0.5), 0 * a)
    half = slerp(a, -a, 0.5)
    assert np.linalg.norm(half) == pytest.approx(5) and half @ a == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(slerp(a, -a, 1 - 1e-12), -a, atol=1e-6)
    one = np.array([2.0])  # no direction is perpendicular to it
    assert np.isfinite(slerp(one, -one, 0.5)).all()


@pytest.mark.parametrize("spans", [(1, 1, 1), (2, 1, 5), (1, 10, 1)])
def test_cubic_is_the_hermite_spline_with_the_slopes_of_neighbours(spans):
    times = np.cumsum([0, *spans])
    keys = [key.astype(np.float64) for key in (A, B, C, D)]
    slopes = [(keys[2] - keys[0]) / (times[2] - times[0]), (keys[3] - keys[1]) / (times[3] - times[1])]
    expected = CubicHermiteSpline(times[1:3], keys[1:3], slopes)
    for t in (0.1, 0.5, 0.9):
        got = cubic(A, B, C, D, t, spans)
        np.testing.assert_allclose(got, expected(times[1] + t * spans[1]), atol=1e-12)


def test_cubic_without_neighbours_is_straight_and_even_motion_stays_even():
    np.testing.assert_allclose(cubic(None, A, B, None, 0.3), linear(A, B, 0.3), atol=1e-12)
    line = [A + step * (B - A) for step in range(4)]
    np.testing.assert_allclose(cubic(*line, 0.3), A + 1.3 * (B - A), atol=1e-5)
