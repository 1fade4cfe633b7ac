"""Learning rate and noise over the steps of a projection, against their closed forms."""

import math

import pytest

from stylegan.latents.projection.schedule import Schedule


@pytest.mark.parametrize(
    ("step", "rate"),
    # Half of the way up, the plateau, its end, a half and a third of the way down on the cosine.
    [(0, 0), (25, 0.05), (50, 0.1), (400, 0.1), (750, 0.1), (875, 0.05), (1000 - 250 / 3, 0.025)],
)
def test_the_rate_rises_stays_and_falls(step, rate):
    assert math.isclose(Schedule(steps=1000).rate_at(step), rate, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("step", "noise"), [(0, 0.05), (375, 0.0125), (562.5, 0.05 / 16), (750, 0), (999, 0)]
)
def test_noise_on_w_ends_at_three_quarters(step, noise):
    assert math.isclose(Schedule(steps=1000).w_noise_at(step), noise, abs_tol=1e-12)


def test_the_numbers_of_steps_only_stretch_it():
    short, long = Schedule(steps=100), Schedule(steps=1000)
    assert [short.rate_at(t) for t in range(100)] == pytest.approx([long.rate_at(10 * t) for t in range(100)])


def test_ramps_can_be_left_out():
    constant = Schedule(steps=10, ramp_up=0, ramp_down=0, w_noise_until=0)
    assert [constant.rate_at(step) for step in range(10)] == [0.1] * 10
    assert constant.w_noise_at(0) == 0


@pytest.mark.parametrize(
    ("wrong", "name"), [({"steps": 0}, "steps"), ({"learning_rate": -1}, "learning_rate")]
)
def test_a_wrong_number_is_named(wrong, name):
    with pytest.raises(ValueError, match=f"^{name} must"):
        Schedule(**wrong)
