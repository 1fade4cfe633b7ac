"""Score history: the best checkpoint and the plateau, on scores that are written down."""

import pytest

from stylegan.evaluation.records import Score
from stylegan.evaluation.score_history import Best, Plateau, ScoreHistory

PROTOCOL = {"detector": "builtin", "num_fakes": 100}


def kid(value, half=0.0, protocol=PROTOCOL):
    results = {"kid_builtin": value, "kid_builtin_low": value - half, "kid_builtin_high": value + half}
    return Score("kid_builtin", results, protocol, 1.0)


def test_the_lowest_kid_is_the_best():
    history = ScoreHistory()
    marks = [bool(history.add(kid(value), 1000 * i)) for i, value in enumerate([3.0, 2.0, 2.5, 1.0, 1.0])]
    assert marks == [True, True, False, True, False]
    assert history.best("kid_builtin").images == 3000
    assert history.kept_images == {3000}


def test_the_highest_recall_is_the_best():
    history = ScoreHistory()
    for images, (precision, recall) in {1: (0.5, 0.2), 2: (0.6, 0.1), 3: (0.4, 0.3)}.items():
        history.add(Score("pr", {"pr_precision": precision, "pr_recall": recall}, PROTOCOL, 1.0), images)
    assert history.best("pr_precision").images == 2
    assert history.best("pr_recall").images == 3
    assert history.kept_images == {2, 3}


def test_scores_of_another_protocol_are_not_ranked_with_the_others():
    history = ScoreHistory()
    history.add(kid(1.0), 1000)
    assert history.add(kid(5.0, protocol=PROTOCOL | {"num_fakes": 200}), 2000) == ["kid_builtin"]
    assert history.best("kid_builtin").value == 5.0


def test_intervals_and_biases_are_nothing_to_be_best_at():
    history = ScoreHistory()
    results = {"fid_builtin": 3.0, "fid_builtin_bias": 1.0}
    assert history.add(Score("fid_builtin", results, PROTOCOL, 1.0), 10) == ["fid_builtin"]


def test_a_gain_counts_beyond_the_interval_alone():
    history = ScoreHistory()
    for images, value in [(1000, 1.0), (2000, 0.95), (3000, 0.92)]:
        history.add(kid(value, half=0.1), images)
    assert history.images_without_gain("kid_builtin", 3000) == 2000
    history.add(kid(0.85, half=0.1), 4000)
    assert history.images_without_gain("kid_builtin", 4000) == 0


def test_slow_gains_add_up():
    """Each is within the interval of the one before, but not of the one that counted."""
    history = ScoreHistory()
    for step in range(6):
        history.add(kid(1.0 - 0.06 * step, half=0.1), 1000 * step)
    assert history.images_without_gain("kid_builtin", 5000) == 1000


@pytest.mark.parametrize("value", [float("nan")])
def test_no_number_is_no_best(value):
    history = ScoreHistory()
    assert history.add(kid(value), 1000) == []
    assert history.best("kid_builtin") is None
    assert history.images_without_gain("kid_builtin", 5000) == 0


def test_a_run_that_continues_knows_its_best():
    history, again = ScoreHistory(), ScoreHistory()
    for images, value in [(1000, 3.0), (2000, 1.0), (3000, 2.0)]:
        history.add(kid(value), images)
    again.load_state_dict(history.state_dict())
    assert again.best("kid_builtin") == history.best("kid_builtin")
    assert again.add(kid(1.5), 4000) == [] and again.add(kid(0.5), 5000) == ["kid_builtin"]


def test_a_state_of_an_older_checkpoint_is_read():
    """As the checkpoints of earlier versions hold it."""
    history = ScoreHistory()
    history.load_state_dict(
        {"best": {"kid_builtin": [1.5, 3000, "abcd"]}, "gain": {"kid_builtin": [2.0, 1000, "abcd"]}}
    )
    assert history.best("kid_builtin") == Best(1.5, 3000, "abcd")
    assert history.images_without_gain("kid_builtin", 5000) == 4000
    assert history.state_dict()["best"] == {"kid_builtin": [1.5, 3000, "abcd"]}


def through(plateau, results_of, last=12, history=None):
    """At every 10 kimg, results_of(i) → {metric: results}. Returns: (i, line) of all lines; where it was reached."""
    history, said, reached = history or ScoreHistory(), [], []
    for i in range(1, last + 1):
        scores = [Score(name, results, {}, 0.0) for name, results in results_of(i).items()]
        for score in scores:
            history.add(score, i * 10_000)
        said += [(i, line) for line in plateau.look(history, scores, i * 10_000)]
        reached += [i] if plateau.reached else []
    return said, reached


def one_of_two_gains(i):
    return {"kid": {"kid": 0.5}, "fid": {"fid": 100.0 - i}}


def test_a_metric_that_still_gains_keeps_the_run_going_and_the_other_is_reported_once():
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


def test_where_it_does_not_end_the_run_it_is_reported_once_with_how_to():
    said, reached = through(Plateau(40, ends_run=False), lambda i: {"kid": {"kid": 0.5}})
    assert reached == list(range(5, 13))
    assert [i for i, _ in said] == [5, 5] and "callbacks.metrics.stop_on_plateau=true" in said[1][1]


def test_a_result_that_gains_again_is_reported_again():
    said, reached = through(Plateau(40, ends_run=False), lambda i: {"kid": {"kid": 0.5 - (i >= 7) * 0.1}})
    assert [i for i, line in said if line.startswith("kid")] == [5, 11]
    assert reached == [5, 6, 11, 12]


def test_what_is_not_a_number_or_is_no_longer_scored_says_nothing():
    history = ScoreHistory()
    history.add(Score("old", {"old": 1.0}, {}, 0.0), 1000)
    said, reached = through(
        Plateau(40, ends_run=False), lambda i: {"kid": {"kid": float("nan")}}, history=history
    )
    assert said == reached == []


def test_never():
    assert through(Plateau(None, ends_run=False), lambda i: {"kid": {"kid": 0.5}}) == ([], [])


def test_a_run_that_continues_knows_what_it_has_reported():
    plateau, again = Plateau(40, ends_run=False), Plateau(40, ends_run=False)
    history = ScoreHistory()
    through(plateau, one_of_two_gains, last=6, history=history)
    again.load_state_dict(plateau.state_dict(), history.names)
    assert plateau.state_dict() == ["kid"]
    scores = [Score(name, results, {}, 0.0) for name, results in one_of_two_gains(7).items()]
    assert again.look(history, scores, 70_000) == []
