"""The best checkpoint and the plateau, on scores that are written down."""

import pytest

from stylegan.evaluation.course import Course
from stylegan.evaluation.records import Score

PROTOCOL = {"detector": "builtin", "num_fakes": 100}


def kid(value, half=0.0, protocol=PROTOCOL):
    results = {"kid_builtin": value, "kid_builtin_low": value - half, "kid_builtin_high": value + half}
    return Score("kid_builtin", results, protocol, 1.0)


def test_the_lowest_kid_is_the_best():
    course = Course()
    marks = [bool(course.add(kid(value), 1000 * i)) for i, value in enumerate([3.0, 2.0, 2.5, 1.0, 1.0])]
    assert marks == [True, True, False, True, False]
    assert course.best("kid_builtin").images == 3000
    assert course.kept_images == {3000}


def test_the_highest_recall_is_the_best():
    course = Course()
    for images, (precision, recall) in {1: (0.5, 0.2), 2: (0.6, 0.1), 3: (0.4, 0.3)}.items():
        course.add(Score("pr", {"pr_precision": precision, "pr_recall": recall}, PROTOCOL, 1.0), images)
    assert course.best("pr_precision").images == 2
    assert course.best("pr_recall").images == 3
    assert course.kept_images == {2, 3}


def test_scores_of_another_protocol_are_not_ranked_with_the_others():
    course = Course()
    course.add(kid(1.0), 1000)
    assert course.add(kid(5.0, protocol=PROTOCOL | {"num_fakes": 200}), 2000) == ["kid_builtin"]
    assert course.best("kid_builtin").value == 5.0


def test_intervals_and_biases_are_nothing_to_be_best_at():
    course = Course()
    results = {"fid_builtin": 3.0, "fid_builtin_bias": 1.0}
    assert course.add(Score("fid_builtin", results, PROTOCOL, 1.0), 10) == ["fid_builtin"]


def test_a_gain_counts_beyond_the_interval_alone():
    course = Course()
    for images, value in [(1000, 1.0), (2000, 0.95), (3000, 0.92)]:
        course.add(kid(value, half=0.1), images)
    assert course.images_without_gain("kid_builtin", 3000) == 2000
    course.add(kid(0.85, half=0.1), 4000)
    assert course.images_without_gain("kid_builtin", 4000) == 0


def test_slow_gains_add_up():
    """Each is within the interval of the one before, but not of the one that counted."""
    course = Course()
    for step in range(6):
        course.add(kid(1.0 - 0.06 * step, half=0.1), 1000 * step)
    assert course.images_without_gain("kid_builtin", 5000) == 1000


@pytest.mark.parametrize("value", [float("nan")])
def test_no_number_is_no_best(value):
    course = Course()
    assert course.add(kid(value), 1000) == []
    assert course.best("kid_builtin") is None
    assert course.images_without_gain("kid_builtin", 5000) == 0


def test_a_run_that_goes_on_knows_its_best():
    course, again = Course(), Course()
    for images, value in [(1000, 3.0), (2000, 1.0), (3000, 2.0)]:
        course.add(kid(value), images)
    again.load_state_dict(course.state_dict())
    assert again.best("kid_builtin") == course.best("kid_builtin")
    assert again.add(kid(1.5), 4000) == [] and again.add(kid(0.5), 5000) == ["kid_builtin"]
