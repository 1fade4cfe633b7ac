"""The interval of KID: its value, its variance against simulation, and how often it holds the truth."""

from itertools import product

import numpy as np
import pytest

from stylegan.metrics import kid, kid_full, kid_interval
from stylegan.metrics.kid import cubic_kernel
from stylegan.metrics.kid_interval import Variances, variances_of


def uniform(num, width, seed, scale=1.0):
    """Independent features in [0, scale), as skewed and bounded as those of a rectified layer may be."""
    return np.random.RandomState(seed).rand(num, width) * scale


def exact_kid(width, scale):
    """Closed form between `uniform` with scale and with 1: kernel moments up to the third, see test_metrics_kid."""
    total = 0.0
    for power, c in ((1, 3), (2, 3), (3, 1)):
        for index in product(range(width), repeat=power):
            counts = np.bincount(index)
            moment = np.prod(1 / (counts + 1.0))
            total += c / width**power * (moment * (scale**power - 1)) ** 2
    return total


def scores(num, *, n_real, n_fake, size, subsets, scale, width=6):
    """One score an experiment, each on samples of its own."""
    return np.array(
        [
            kid_interval(
                uniform(n_real, width, 2 * i),
                uniform(n_fake, width, 2 * i + 1, scale),
                subsets=subsets,
                subset_size=size,
                seed=i,
            )
            for i in range(num)
        ]
    )


def test_the_value_is_kids():
    real, fake = uniform(50, 4, 0), uniform(40, 4, 1, 1.3)
    score = kid_interval(real, fake, subsets=7, subset_size=20, seed=3)
    own = kid(real, fake, subsets=7, subset_size=20, rng=np.random.RandomState(3))
    assert score.value == pytest.approx(own, rel=1e-12)
    assert score.low < score.value < score.high
    assert score.high - score.value == pytest.approx(1.959964 * score.standard_error, rel=1e-5)
    assert score == kid_interval(real, fake, subsets=7, subset_size=20, seed=3)
    wide = kid_interval(real, fake, subsets=7, subset_size=20, seed=3, confidence=0.99)
    assert wide.low < score.low and wide.value == score.value


def test_a_subset_that_is_the_whole_is_taken_once():
    real, fake = uniform(40, 4, 0), uniform(40, 4, 1, 1.3)
    score = kid_interval(real, fake, subsets=100)
    assert score.value == pytest.approx(kid_full(real, fake), rel=1e-9)
    assert score.std_of_subsets == 0 and score.standard_error > 0


def test_the_spread_of_subsets_is_that_of_their_values():
    real, fake = uniform(50, 4, 0), uniform(60, 4, 1, 1.3)
    rng, values = np.random.RandomState(3), []
    for _ in range(5):
        values.append(kid(real, fake, subsets=1, subset_size=20, rng=rng))
    score = kid_interval(real, fake, subsets=5, subset_size=20, seed=3)
    assert score.std_of_subsets == pytest.approx(np.std(values, ddof=1), rel=1e-9)


CASES = {
    "equal, whole": dict(n_real=40, n_fake=40, size=40, subsets=1, scale=1.0),
    "apart, whole": dict(n_real=40, n_fake=40, size=40, subsets=1, scale=1.3),
    "equal, subsets": dict(n_real=60, n_fake=90, size=30, subsets=5, scale=1.0),
    "apart, subsets": dict(n_real=60, n_fake=90, size=30, subsets=5, scale=1.3),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_standard_error_is_what_experiments_show_or_more(case):
    """Mean estimated variance over that of 300 values: up to twice where all of it comes from pairs."""
    found = scores(300, **case)
    ratio = np.mean(found[:, 3] ** 2) / found[:, 0].var()
    low, high = (1.6, 2.8) if case["scale"] == 1 else (0.85, 1.5)
    assert low < ratio < high
    error = found[:, 0].std() / np.sqrt(len(found))
    assert abs(found[:, 0].mean() - exact_kid(6, case["scale"])) <= 4 * error


@pytest.mark.parametrize("scale", [1.0, 1.3])
def test_the_variances_of_parts_are_unbiased(scale):
    """Hoeffding's sum of their means over 1,000 experiments is the variance of MMD² of as many rows, and of more."""
    found, values = [], {12: [], 24: []}
    for i in range(1000):
        real, fake = uniform(24, 4, 2 * i), uniform(24, 4, 2 * i + 1, scale)
        for num, some in values.items():
            some.append(kid_full(real[:num], fake[:num]))
        x, y = fake[:12], real[:12]
        found.append(variances_of(cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y)))
    mean = Variances(*np.mean(found, axis=0))
    for num, some in values.items():
        assert mean.of_rows(num, num) + mean.of_pairs(num, num) == pytest.approx(np.var(some), rel=0.15)


@pytest.mark.long
@pytest.mark.parametrize("scale", [1.0, 1.1, 1.4])
@pytest.mark.parametrize(
    "sizes",
    [
        dict(n_real=100, n_fake=100, size=100, subsets=1),
        dict(n_real=300, n_fake=300, size=100, subsets=20),
        dict(n_real=150, n_fake=400, size=150, subsets=10),
        dict(n_real=500, n_fake=500, size=50, subsets=100),
    ],
    ids=lambda sizes: "-".join(str(value) for value in sizes.values()),
)
@pytest.mark.parametrize("width", [6, 24])
def test_coverage(sizes, scale, width):
    """The interval holds the population's KID in about 95 of 100 experiments, or nearly all where KID is 0."""
    found = scores(600, **sizes, scale=scale, width=width)
    truth = exact_kid(width, scale)
    covered = np.mean((found[:, 1] <= truth) & (truth <= found[:, 2]))
    print(f"covered {covered:.3f}, width {found[:, 3].mean():.2e} for {truth:.2e}")
    assert 0.915 <= covered and (covered <= 0.99 or scale < 1.2)


def test_mistakes():
    rows = uniform(20, 3, 0)
    for confidence in (0, 1, 95):
        with pytest.raises(ValueError, match=f"confidence must be between 0 and 1, got {confidence}"):
            kid_interval(rows, rows, confidence=confidence)
    with pytest.raises(ValueError, match="at least 4 for an interval, got 3"):
        kid_interval(rows, rows, subset_size=3)
    with pytest.raises(ValueError, match="real has 3 rows"):
        kid_interval(rows[:3], rows)
