"""A plateau, on scores that are written down: of all results together, each told once."""

from stylegan.evaluation.course import Course
from stylegan.evaluation.plateau import Plateau
from stylegan.evaluation.records import Score


def through(plateau, results_of, last=12, course=None):
    """At every 10 kimg, results_of(i) → {metric: results}. Returns: (i, line) of all lines; where it was reached."""
    course, said, reached = course or Course(), [], []
    for i in range(1, last + 1):
        scores = [Score(name, results, {}, 0.0) for name, results in results_of(i).items()]
        for score in scores:
            course.add(score, i * 10_000)
        said += [(i, line) for line in plateau.look(course, scores, i * 10_000)]
        reached += [i] if plateau.reached else []
    return said, reached


def one_of_two_gains(i):
    return {"kid": {"kid": 0.5}, "fid": {"fid": 100.0 - i}}


def test_a_metric_that_still_gains_keeps_the_run_going_and_the_other_is_told_once():
    said, reached = through(Plateau(40, ends_run=True), one_of_two_gains)
    assert reached == []
    assert said == [(5, "kid has not clearly improved for 40 kimg; the best is 0.5 at kimg 10.000")]


def test_so_does_a_second_result_of_one_metric():
    said, reached = through(
        Plateau(40, ends_run=True), lambda i: {"pr": {"pr_precision": 0.5, "pr_recall": i / 20}}
    )
    assert reached == [] and len(said) == 1 and said[0][1].startswith("pr_precision has not")


def test_where_all_stand_still_it_is_reached():
    said, reached = through(
        Plateau(40, ends_run=True), lambda i: {"kid": {"kid": 0.5}, "fid": {"fid": 100.0 - min(i, 3)}}, last=7
    )
    assert reached == [7]
    assert [i for i, _ in said] == [5, 7, 7]
    assert said[-1][1].endswith("the run ends")


def test_where_it_does_not_end_the_run_it_is_told_once_with_how_to():
    said, reached = through(Plateau(40, ends_run=False), lambda i: {"kid": {"kid": 0.5}})
    assert reached == list(range(5, 13))
    assert [i for i, _ in said] == [5, 5] and "callbacks.metrics.stop_on_plateau=true" in said[1][1]


def test_a_result_that_gains_again_is_told_again():
    said, reached = through(Plateau(40, ends_run=False), lambda i: {"kid": {"kid": 0.5 - (i >= 7) * 0.1}})
    assert [i for i, line in said if line.startswith("kid")] == [5, 11]
    assert reached == [5, 6, 11, 12]


def test_what_is_no_number_or_is_scored_no_more_says_nothing():
    course = Course()
    course.add(Score("old", {"old": 1.0}, {}, 0.0), 1000)
    said, reached = through(
        Plateau(40, ends_run=False), lambda i: {"kid": {"kid": float("nan")}}, course=course
    )
    assert said == reached == []


def test_never():
    assert through(Plateau(None, ends_run=False), lambda i: {"kid": {"kid": 0.5}}) == ([], [])


def test_a_run_that_goes_on_knows_what_it_has_told():
    plateau, again = Plateau(40, ends_run=False), Plateau(40, ends_run=False)
    course = Course()
    through(plateau, one_of_two_gains, last=6, course=course)
    again.load_state_dict(plateau.state_dict(), course.names)
    assert plateau.state_dict() == ["kid"]
    scores = [Score(name, results, {}, 0.0) for name, results in one_of_two_gains(7).items()]
    assert again.look(course, scores, 70_000) == []
