"""FID against closed forms, other libraries, and its own statistics."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance

from stylegan.metrics import Moments, fid, fid_bias, fid_infinity, frechet_distance, moments_of


def features(num, width, seed=0, decay=1.0):
    """Rows with a spectrum that falls as that of real features does, turned about."""
    random = np.random.RandomState(seed)
    turn = np.linalg.qr(random.randn(width, width))[0]
    return (random.randn(num, width) * np.arange(1.0, width + 1) ** -decay) @ turn


def exact_moments(mean, covariance, count=1000):
    return Moments(count, np.asarray(mean, float), np.asarray(covariance, float))


class Given(nn.Module):
    """Replaces a feature network where the features are there already."""

    def __init__(self, num_features):
        super().__init__()
        self.num_features = num_features

    def forward(self, features):
        return features


def test_commuting_covariances_have_a_closed_form():
    """In one eigenbasis it is |Δμ|² + Σ (√a − √b)²."""
    random = np.random.RandomState(0)
    turn = np.linalg.qr(random.randn(64, 64))[0]
    a, b, step = random.rand(64), random.rand(64) ** 4, random.randn(64) / 10
    real = exact_moments(np.ones(64), turn @ np.diag(a) @ turn.T)
    fake = exact_moments(np.ones(64) + step, turn @ np.diag(b) @ turn.T)
    closed = step @ step + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert frechet_distance(real, fake) == pytest.approx(closed, rel=1e-6)


def test_any_covariances_against_the_square_root_of_a_matrix():
    real, fake = moments_of(features(500, 20, 1)), moments_of(features(400, 20, 2, decay=0.5) + 0.1)
    step = real.mean - fake.mean
    root = scipy.linalg.sqrtm(real.covariance @ fake.covariance).real
    expected = step @ step + np.trace(real.covariance + fake.covariance - 2 * root)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-6)


def test_the_order_of_sets_rows_and_features_changes_nothing():
    real, fake = features(300, 12, 1), features(200, 12, 2)
    value = fid(real, fake)
    assert fid(fake, real) == pytest.approx(value, rel=1e-9)
    assert fid(real[::-1], fake[::-1]) == pytest.approx(value, rel=1e-9)
    assert fid(real[:, ::-1], fake[:, ::-1]) == pytest.approx(value, rel=1e-9)
    assert fid(3 * real + 5, 3 * fake + 5) == pytest.approx(9 * value, rel=1e-9)


@pytest.mark.parametrize(
    ("num", "width", "decay"), [(400, 20, 0.5), (30, 200, 0.5), (2, 50, 0), (300, 256, 3)]
)
def test_equal_sets_have_none(num, width, decay):
    """Also where the rows do not span the space, and where the spectrum falls below the rounding."""
    rows = features(num, width, decay=decay)
    assert fid(rows, rows[::-1]) <= 1e-6 * rows.var(axis=0).sum()
    assert fid(rows.astype(np.float32), rows.astype(np.float32)) <= 1e-6 * rows.var(axis=0).sum()


@pytest.mark.long
def test_equal_sets_of_2048_features_have_none():
    for num in (1000, 5000):
        rows = features(num, 2048, decay=1).astype(np.float32)
        assert fid(rows, rows) <= 1e-6 * rows.var(axis=0).sum()


def test_few_rows_against_a_gram_matrix_of_rows():
    """With n < F the root's singular values are those of the centred rows' product, a small matrix."""
    real, fake = features(30, 200, 1, decay=0.5), features(20, 200, 2, decay=0.5)
    x, y = real - real.mean(axis=0), fake - fake.mean(axis=0)
    roots = np.linalg.svd(x @ y.T, compute_uv=False) / np.sqrt(len(x) * len(y))
    step = real.mean(axis=0) - fake.mean(axis=0)
    expected = step @ step + np.square(x).sum() / len(x) + np.square(y).sum() / len(y) - 2 * roots.sum()
    assert fid(real, fake) == pytest.approx(expected, rel=1e-9)


def test_sets_that_do_not_vary():
    rows = np.ones((3, 4))
    assert fid(rows, rows) == 0
    assert fid(rows, 3 * rows) == pytest.approx(16)


def test_torch_fidelity_and_torchmetrics_agree():
    """They divide the covariance by n − 1; given that, all three are one number."""
    real, fake = torch.from_numpy(features(400, 32, 1)), torch.from_numpy(features(300, 32, 2) + 0.05)
    unbiased = [
        exact_moments(rows.mean(0), torch.from_numpy(np.cov(rows.numpy().T)), len(rows))
        for rows in (real, fake)
    ]
    value = frechet_distance(*unbiased)
    statistics = [fid_features_to_statistics(rows) for rows in (real, fake)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert value == pytest.approx(theirs, rel=1e-4)
    of_torchmetrics = FrechetInceptionDistance(feature=Given(32))
    of_torchmetrics.update(real, real=True)
    of_torchmetrics.update(fake, real=False)
    assert value == pytest.approx(of_torchmetrics.compute().item(), rel=1e-4)


def test_the_bias_in_one_dimension():
    """There FID = (μ̂_r − μ̂_f)² + (σ̂_r − σ̂_f)², on average 3/2·σ²(1/n + 1/m) for equal Gaussians."""
    one = exact_moments([0.0], [[4.0]])
    assert fid_bias(one, one, n_real=100, n_fake=300) == pytest.approx(1.5 * 4 * (1 / 100 + 1 / 300))


@pytest.mark.parametrize("kind", ["equal", "different"])
def test_the_bias_is_what_many_samples_show(kind):
    """Mean excess over the closed form of 300 pairs of samples, within 4 standard errors and second order."""
    random = np.random.RandomState(0)
    a = np.arange(1, 9.0) ** -1
    b = a if kind == "equal" else a[::-1] * 0.5 + 0.2
    shift = 0 if kind == "equal" else 0.3
    n, m = 400, 600
    real, fake = exact_moments(np.zeros(8), np.diag(a)), exact_moments(np.full(8, shift), np.diag(b))
    excess = [
        fid(random.randn(n, 8) * np.sqrt(a), random.randn(m, 8) * np.sqrt(b) + shift) for _ in range(300)
    ] - np.float64(frechet_distance(real, fake))
    bias = fid_bias(real, fake, n_real=n, n_fake=m)
    error = np.std(excess) / np.sqrt(len(excess))
    assert abs(np.mean(excess) - bias) <= 4 * error + 0.03 * bias
    # And it is no matter of chance.
    assert bias > 4 * error or kind == "different"


def test_large_gaussian_samples_lie_within_the_computed_bias():
    random = np.random.RandomState(0)
    scale = np.linspace(0.5, 1.5, 64)
    real = exact_moments(np.zeros(64), np.eye(64))
    fake = exact_moments(np.zeros(64), np.diag(scale**2))
    num = 50_000
    reals = random.randn(num, 64)
    for of_fakes, exact in ((fake, np.square(scale - 1).sum()), (real, 0.0)):
        fakes = random.randn(num, 64) * np.sqrt(np.diag(of_fakes.covariance))
        bias = fid_bias(real, of_fakes, n_real=num, n_fake=num)
        assert frechet_distance(real, of_fakes) == pytest.approx(exact, rel=1e-6, abs=1e-9)
        assert abs(fid(reals, fakes) - exact - bias) <= bias
    assert fid(reals, fakes) == pytest.approx(bias, rel=0.1)


@pytest.mark.parametrize(("rows_a_feature", "plugged_in"), [(1, 0.5), (4, 0.9), (16, 0.96)])
def test_the_bias_of_few_rows(rows_a_feature, plugged_in):
    """Right down to a row a feature where the moments are known; from moments of so few rows too small."""
    random = np.random.RandomState(0)
    scale = np.arange(1.0, 33) ** -0.25
    exact = exact_moments(np.zeros(32), np.diag(scale**2))
    num = 32 * rows_a_feature
    pairs = [[moments_of(random.randn(num, 32) * scale) for _ in range(2)] for _ in range(40)]
    bias = fid_bias(exact, exact, n_real=num, n_fake=num)
    assert np.mean([frechet_distance(*pair) for pair in pairs]) == pytest.approx(bias, rel=0.03)
    assert np.mean([fid_bias(*pair) for pair in pairs]) / bias == pytest.approx(plugged_in, abs=0.06)


def test_the_bias_falls_with_both_counts_and_vanishes():
    real, fake = moments_of(features(300, 12, 1)), moments_of(features(200, 12, 2))
    own = fid_bias(real, fake)
    assert own == fid_bias(real, fake, n_real=300, n_fake=200)
    assert fid_bias(real, fake, n_real=math.inf, n_fake=200) == pytest.approx(
        own * (1 / 200) / (1 / 200 + 1 / 300)
    )
    assert fid_bias(real, fake, n_real=math.inf, n_fake=math.inf) == 0
    with pytest.raises(ValueError, match="above 0, got 300 and 0"):
        fid_bias(real, fake, n_fake=0)


def test_infinity_takes_the_fakes_bias_away():
    """Equal Gaussians: the plain FID is its bias, the extrapolated one is what the reals leave, on average."""
    random = np.random.RandomState(0)
    n, m = 20_000, 1000
    real = random.randn(n, 10)
    fakes = [random.randn(m, 10) for _ in range(20)]
    exact = exact_moments(np.zeros(10), np.eye(10))
    left = fid_bias(exact, exact, n_real=n, n_fake=math.inf)
    values = np.array([fid_infinity(real, fake, seed=i) for i, fake in enumerate(fakes)])
    plain = np.mean([fid(real, fake) for fake in fakes])
    assert plain == pytest.approx(fid_bias(exact, exact, n_real=n, n_fake=m), rel=0.1)
    assert abs(values.mean() - left) <= 4 * values.std() / np.sqrt(len(values))
    assert abs(values.mean()) < plain / 5


def test_infinity_is_a_line_through_nested_subsets():
    real, fake = features(300, 6, 1), features(200, 6, 2)
    order = np.random.RandomState(5).permutation(200)
    sizes = np.array([20, 110, 200])
    distances = [fid(real, fake[order[:size]]) for size in sizes]
    design = np.stack([np.ones(3), 1 / sizes], axis=1)
    expected = np.linalg.lstsq(design, distances, rcond=None)[0][0]
    assert fid_infinity(real, fake, points=3, seed=5) == pytest.approx(expected, rel=1e-6)
    for points in (1, 200):
        with pytest.raises(ValueError, match=f"points={points}"):
            fid_infinity(real, fake, points=points)


def test_moments_of_different_widths():
    with pytest.raises(ValueError, match="real has 6 features a row, fake has 5"):
        frechet_distance(moments_of(features(9, 6)), moments_of(features(9, 5)))
