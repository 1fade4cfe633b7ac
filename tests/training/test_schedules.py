"""Schedules: their courses in closed form, what they set, and a run that is resumed in the middle of one."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylegan.losses import PathLengthPenalty, R1Penalty
from stylegan.training import AdaController, Schedule, Schedules
from stylegan.training.schedules import SCHEDULABLE
from tests.training.pretended_gpu import GPU, pretending
from tests.training.resuming import assert_same_training, continued
from tests.training.test_no_waiting import on_gpu, there  # noqa: F401  a fixture
from tests.training.trainings import batch, training

POINTS = [[0, 10], [1, 4], [3, 8]]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # Images seen: at the points, one image before the second, and a quarter and half of the way to the third.
        ("steps", {0: 10, 999: 10, 1000: 4, 1500: 4, 2000: 4, 3000: 8, 10**9: 8}),
        ("linear", {0: 10, 500: 7, 1000: 4, 1500: 5, 2000: 6, 3000: 8, 10**9: 8}),
        ("cosine", {0: 10, 500: 7, 1000: 4, 1500: 4 + 2 * (1 - math.sqrt(0.5)), 2000: 6, 3000: 8, 10**9: 8}),
    ],
)
def test_values_are_those_of_the_closed_form(kind, expected):
    schedule = Schedule(kind=kind, points=POINTS)
    for images, value in expected.items():
        assert schedule.at(images) == pytest.approx(value, rel=1e-12), images


def test_ends_are_held_and_a_constant_stays():
    late = Schedule(kind="linear", points=[[2, 5], [4, 1]])
    assert [late.at(images) for images in (0, 1999, 2000, 4000, 5000)] == [5, 5, 5, 1, 1]
    constant = Schedule(kind="constant", points=[[7, 3]])
    assert {constant.at(images) for images in (0, 7000, 10**9)} == {3.0}


@given(
    kind=st.sampled_from(["steps", "linear", "cosine"]),
    values=st.lists(st.floats(0, 1e6), min_size=2, max_size=5),
    images=st.integers(0, 6000),
)
def test_no_value_leaves_the_range_of_its_points(kind, values, images):
    schedule = Schedule(kind=kind, points=[[k, value] for k, value in enumerate(values)])
    tolerance = 1e-9 * max(values)
    assert min(values) - tolerance <= schedule.at(images) <= max(values) + tolerance
    at_points = [schedule.at(1000 * k) for k in range(len(values))]
    assert at_points == values


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            dict(kind="linaer"),
            "kind must be one of constant, steps, linear, cosine, got linaer; did you mean linear?",
        ),
        (dict(points=[]), "points must be pairs [kimg, value], as in [[0, 10], [1000, 3]], got []"),
        (
            dict(points=[[0, 1], 3]),
            "points must be pairs [kimg, value], as in [[0, 10], [1000, 3]], got [[0, 1], 3]",
        ),
        (dict(points=[[0, 1], [True, 3]]), "points must be pairs"),
        (dict(points=[[0, 1], [1, float("nan")]]), "points must be pairs"),
        (dict(points="0 1"), "points must be pairs"),
        (dict(points=[[0, 1], [0, 3]]), "points must be in the order of their kimg, got 0 after 0"),
        (dict(points=[[0, 1], [0.0001, 3]]), "points must be in the order of their kimg, got 0.0001 after 0"),
        (dict(points=[[-1, 1], [0, 3]]), "points must have a kimg of at least 0, got -1"),
        (dict(kind="constant"), "points must be a single one for kind constant, got 3; try steps"),
        (dict(points=[[0, 1]]), "points must be two or more for kind linear, got 1; try constant"),
        (
            dict(kind="steps", points=[[500, 3]]),
            "points must begin at kimg 0 for kind steps, got 500; add [0, VALUE], the value before",
        ),
    ],
)
def test_a_course_that_is_none_is_refused(bad, message):
    with pytest.raises(ValueError) as refused:
        Schedule(**{"kind": "linear", "points": POINTS, **bad})
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(r1_gamma="linear"), "r1_gamma must be a kind and points, as in {kind: linear, points: "),
        (
            dict(pl_weight={"kind": "linear"}),
            "pl_weight: points is missing; a schedule is {kind: linear, points: ",
        ),
        (dict(r1_gamma={"point": []}), "r1_gamma: there is no point; a schedule is {kind: linear, points: "),
        (dict(r1_gamma={"kind": "steps", "points": [[1, 2]]}), "r1_gamma: points must begin at kimg 0"),
        (
            dict(generator_lr={"kind": "linear", "points": [[0, 0.1], [5, -0.1]]}),
            "generator_lr: values must be at least 0, got -0.1 at kimg 5",
        ),
        (
            dict(p_init={"kind": "linear", "points": [[0, 0.1], [5, 1.5]]}),
            "p_init: values must be from 0 to 1, got 1.5 at kimg 5",
        ),
    ],
)
def test_what_is_wrong_with_an_argument_begins_with_its_name(bad, message):
    with pytest.raises(ValueError) as refused:
        Schedules(**bad)
    assert str(refused.value).startswith(message)


def linear(*points):
    return Schedule(kind="linear", points=points)


class WeightTakenOnce(R1Penalty):
    weight = 0.5

    def __init__(self):
        super().__init__(gamma=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            dict(r1=WeightTakenOnce(), schedules=Schedules(r1_gamma=linear((0, 1), (1, 2)))),
            "loss.r1_gamma cannot follow a schedule: weight of WeightTakenOnce does not follow its gamma; make it a"
            " property",
        ),
        (
            dict(r1=None, schedules=Schedules(r1_gamma=linear((0, 1), (1, 2)))),
            "loss.r1_gamma cannot follow a schedule: the penalty is null, which has no gamma",
        ),
        (
            dict(path_length=None, schedules=Schedules(pl_weight=linear((0, 1), (1, 2)))),
            "loss.pl_weight cannot follow a schedule: the penalty is null, which has no weight",
        ),
        (
            dict(schedules=Schedules(p_init=linear((0, 0), (1, 0.5)))),
            "ada.p_init can follow a schedule with ada=fixed alone, and ada is adaptive: there p is not set",
        ),
        (
            dict(
                ada=AdaController(mode="fixed", p_max=0.3),
                schedules=Schedules(p_init=linear((0, 0), (1, 0.5))),
            ),
            "ada.p_init must be at most p_max, 0.3, in its schedule",
        ),
    ],
)
def test_a_schedule_with_nothing_to_set_is_refused(options, message):
    with pytest.raises(ValueError) as refused:
        training(batch_size=4, **options)
    assert str(refused.value) == message


def test_each_step_is_computed_with_the_values_at_the_images_seen(monkeypatch):
    trained = training(
        batch_size=4,
        ada=AdaController(mode="fixed", p_init=0.9),
        generator_lr=0.1,
        discriminator_lr=0.1,
        schedules=Schedules(
            r1_gamma=linear((0, 1), (0.008, 3)),
            pl_weight=linear((0, 8), (0.008, 0)),
            generator_lr=linear((0, 0.001), (0.008, 0.003)),
            discriminator_lr=linear((0, 0.003), (0.008, 0.001)),
            p_init=linear((0, 0.25), (0.008, 0.75)),
        ),
    )
    seen = []

    def look(phase, *rest):
        if phase.name == "Dmain":
            lrs = [adam.param_groups[0]["lr"] for adam in trained.gradients.optimizers.values()]
            p = trained.augment.p.item(), trained.ada.p.item()
            seen.append([trained.r1.weight, trained.path_length.weight, *lrs, *p])

    monkeypatch.setattr(trained, "_run", look)
    for i in range(4):
        trained.step(*batch(4, i))
    # gamma / 2; the rates under the correction for path length every 2nd iteration, and R1 every 4th.
    expected = [
        [0.5, 8, 0.001 * 2 / 3, 0.003 * 4 / 5, 0.25, 0.25],
        [1.0, 4, 0.002 * 2 / 3, 0.002 * 4 / 5, 0.5, 0.5],
        *[[1.5, 0, 0.003 * 2 / 3, 0.001 * 4 / 5, 0.75, 0.75]] * 2,
    ]
    for ours, theirs in zip(seen, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)
    assert trained.schedules.now["r1_gamma"] == 3.0


def test_a_constant_schedule_is_the_setting_itself():
    """Oracle: the same numbers as plain settings; the same bits."""
    plain = training(
        batch_size=4,
        r1=R1Penalty(gamma=0.7),
        path_length=PathLengthPenalty(weight=3),
        generator_lr=0.002,
        discriminator_lr=0.0015,
        ada=AdaController(mode="fixed", p_init=0.4),
    )
    values = dict(r1_gamma=0.7, pl_weight=3, generator_lr=0.002, discriminator_lr=0.0015, p_init=0.4)
    scheduled = training(
        batch_size=4,
        r1=R1Penalty(gamma=0),
        ada=AdaController(mode="fixed"),
        schedules=Schedules(**{k: Schedule(kind="constant", points=[[0, v]]) for k, v in values.items()}),
    )
    assert {*values} == {*SCHEDULABLE}
    for i in range(2):
        plain.step(*batch(4, i))
        scheduled.step(*batch(4, i))
    assert_same_training(plain, scheduled)


def test_a_phase_runs_where_its_weight_is_not_zero(monkeypatch):
    trained = training(
        batch_size=4,
        r1=R1Penalty(gamma=0),
        r1_interval_iterations=1,
        pl_interval_iterations=1,
        schedules=Schedules(
            r1_gamma=Schedule(kind="steps", points=[[0, 0], [0.008, 2]]),
            pl_weight=Schedule(kind="steps", points=[[0, 2], [0.008, 0], [0.012, 1]]),
        ),
    )
    ran = []
    monkeypatch.setattr(trained, "_run", lambda phase, iteration, *rest: ran.append((iteration, phase.name)))
    for i in range(4):
        trained.step(*batch(4, i))
    assert [i for i, name in ran if name == "Dreg"] == [2, 3]
    assert [i for i, name in ran if name == "Greg"] == [0, 1, 3]


def test_while_path_length_is_off_its_mean_stays():
    trained = training(
        batch_size=4,
        pl_interval_iterations=1,
        schedules=Schedules(pl_weight=Schedule(kind="steps", points=[[0, 2], [0.004, 0], [0.008, 2]])),
    )
    means = []
    for i in range(3):
        trained.step(*batch(4, i))
        means.append(trained.path_length.mean_length.item())
    assert 0 < means[0] == means[1] < means[2]


@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_that_is_resumed_in_the_middle_of_its_schedules_equals_one_that_is_not(stop):
    def make():
        return training(
            batch_size=4,
            r1=R1Penalty(gamma=0),
            r1_interval_iterations=2,
            ada=AdaController(mode="fixed"),
            schedules=Schedules(
                r1_gamma=linear((0.004, 0), (0.02, 2)),
                pl_weight=Schedule(kind="steps", points=[[0, 0], [0.008, 2]]),
                generator_lr=Schedule(kind="cosine", points=[[0, 0.0025], [0.018, 0]]),
                discriminator_lr=Schedule(kind="linear", points=[[0, 0], [0.01, 0.003]]),
                p_init=linear((0, 0.1), (0.02, 0.9)),
            ),
        )

    whole = make()
    for i in range(5):
        whole.step(*batch(4, i))
    assert_same_training(whole, continued(make, stop=stop, iterations=5))


def test_lines_name_the_key_its_value_now_and_the_course():
    schedules = Schedules(r1_gamma=linear((0, 10), (1000, 3)))
    assert list(schedules.lines_at(500_000)) == [
        "schedule    loss.r1_gamma is 6.5 at kimg 500.000: linear, 10 at kimg 0, 3 at kimg 1000"
    ]


def test_on_a_gpu_no_host_waits_for_a_schedule(on_gpu):  # noqa: F811
    with pretending() as reads:
        trained = on_gpu(
            batch_size=8,
            ada=AdaController(mode="fixed"),
            schedules=Schedules(
                r1_gamma=linear((0, 1), (1, 2)),
                discriminator_lr=linear((0, 0.001), (1, 0.002)),
                p_init=linear((0, 0.5), (0.1, 1)),
            ),
        )
        trained.step(*there(0))
        reads.clear()
        for iteration in range(1, 3):
            trained.step(*there(iteration))
        assert reads == []
        assert trained.augment.p.device == GPU
        assert trained.augment._p_on(torch.device("cpu")).item() == pytest.approx(0.58)
