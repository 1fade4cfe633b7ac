"""Boundaries of scored latents."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from stylegan.latents.directions.boundary import ends_of, find_boundary, logistic_regression, read_scores
from stylegan.latents.latent_files import write_latents
from tests.latents.directions.planted import W, cosine, unit


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_the_solver_finds_the_minimum_that_scipy_finds():
    rows = normal(60, 4)
    is_high = (
        (rows @ normal(4, seed=1) + normal(60, seed=2)) > 0.7
    ).double()  # unequal classes, not separable
    share = torch.where(is_high > 0.5, 0.5 / is_high.sum(), 0.5 / (1 - is_high).sum()).numpy()
    sign = (2 * is_high - 1).numpy()

    def loss(theta):
        margin = sign * (rows.numpy() @ theta[:4] + theta[4])
        return (share * np.logaddexp(0, -margin)).sum() + 0.05 / 2 * (theta[:4] ** 2).sum()

    expected = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-10}).x
    weights, bias = logistic_regression(rows, is_high, l2=0.05)
    np.testing.assert_allclose([*weights, bias], expected, atol=1e-5)


@pytest.mark.parametrize("l2", [1e-8, 1e-3, 10.0])
def test_the_gradient_is_zero_also_where_classes_are_apart(l2):
    rows = torch.cat([normal(30, 6) - 4, normal(30, 6, seed=1) + 4])
    is_high = torch.arange(60) >= 30
    weights, bias = logistic_regression(rows, is_high.double(), l2=l2)
    weights.requires_grad_(), bias.requires_grad_()
    margin = (rows @ weights + bias) * (2 * is_high.double() - 1)
    value = torch.nn.functional.softplus(-margin).mean() + l2 / 2 * weights.square().sum()
    gradients = torch.autograd.grad(value, [weights, bias])
    assert max(float(g.abs().max()) for g in gradients) < 1e-6


@pytest.mark.parametrize("width", [W, 64])
def test_a_planted_factor_of_the_scores_is_found(width):
    """Also where w spreads most along another direction, to which the difference of means would be drawn."""
    planted, spread = unit(1, width).double(), unit(2, width).double()
    ws = normal(6000, width) + 3 * normal(6000, 1, seed=3) * spread + 10
    scores = ws @ planted + 0.3 * normal(6000, seed=4)
    found = find_boundary(ws, scores, share=0.1)
    assert cosine(found.normal, planted) > 0.9
    assert found.accuracy > 0.95 and found.share == 0.1
    assert found.trained == 2 * 420 and found.held_out == 2 * 180
    # The plane is between the two ends, not anywhere.
    beyond = (ws @ found.normal.double() > found.offset).double().mean()
    assert 0.3 < beyond < 0.7
    means = ws[scores > scores.quantile(0.9)].mean(0) - ws[scores < scores.quantile(0.1)].mean(0)
    assert cosine(means, planted) < cosine(found.normal, planted)


def test_scores_without_meaning_are_no_better_than_chance():
    found = find_boundary(normal(4000, W), normal(4000, seed=9), share=0.2)
    assert 0.4 < found.accuracy < 0.6


def test_two_values_are_two_classes_whatever_their_share():
    scores = torch.tensor([0.0] * 90 + [1.0] * 10)
    low, high, share = ends_of(scores[torch.randperm(100, generator=torch.Generator().manual_seed(0))])
    assert (len(low), len(high), share) == (90, 10, 0.1)


@pytest.mark.parametrize(
    ("count", "share", "at_end"), [(10_000, None, 200), (1000, None, 100), (60, None, 30), (1000, 0.3, 300)]
)
def test_the_share_at_each_end(count, share, at_end):
    scores = torch.arange(count, dtype=torch.float64).flip(0)
    low, high, _ = ends_of(scores, share)
    assert len(low) == len(high) == at_end
    assert scores[low].max() == at_end - 1 and scores[high].min() == count - at_end


def test_a_score_that_both_ends_reach_is_of_neither():
    stars = torch.tensor([1.0] * 20 + [2] * 10 + [3] * 40 + [4] * 10 + [5] * 20)
    low, high, share = ends_of(stars)
    assert stars[low].unique().tolist() == [1, 2] and stars[high].unique().tolist() == [4, 5]
    assert len(low) == len(high) == 30 and share == 0.3


@pytest.mark.parametrize(
    ("scores", "share", "message"),
    [
        ([1, 2, 3, 4], None, "4 latents have 2 at an end"),
        ([], None, "0 latents have 0 at an end"),
        ([5] * 100, None, "100 latents have 0 at an end"),
        (range(100), 0.7, "share must be above 0 and at most 0.5, got 0.7"),
        (range(100), 0.01, "at least 5 are needed"),
    ],
)
def test_too_little_is_said(scores, share, message):
    with pytest.raises(ValueError, match=message):
        ends_of(torch.tensor(list(scores), dtype=torch.float64), share)


def test_a_table_of_seeds_and_latents(tmp_path):
    write_latents(tmp_path / "walk.npz", w=torch.arange(24.0).reshape(3, 2, 4))
    (tmp_path / "fox").mkdir()
    write_latents(tmp_path / "fox" / "one.npz", w=torch.ones(1, 2, 4))
    table = tmp_path / "smile.csv"
    table.write_text("\ufeffseed,score\n42, 0.5\nwalk.npz[2],-1e2\n\nfox/one.npz,3\n", encoding="utf-8")
    found = read_scores(table)
    assert found.scores.tolist() == [0.5, -100, 3]
    assert found.points[0].seed == 42 and found.points[1].w[0, 0] == 16 and found.points[2].w[0, 0] == 1
    table.write_text("7,1\n8,0\n")
    assert [point.seed for point in read_scores(table).points] == [7, 8]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,0\n2\n", r"line 2: 2: a line is seed,score"),
        ("1,much\n", "line 1: 1,much: a line is"),
        ("1,nan\n", "line 1: 1,nan"),
        ("0-3,1\n", "line 1: 0-3: neither a seed nor a file"),
        ("walk.npz,1\n", "line 1: walk.npz: the file has 3 latents; write one a line, as in walk.npz.3."),
        ("../walk.npz,1\n", "latent files are in the folder of the CSV"),
        ("/etc/a.npz,1\n", "latent files are in the folder of the CSV"),
        ("~/a.npz,1\n", "latent files are in the folder of the CSV"),
        ("gone.npz,1\n", "line 1: gone.npz: there is no such file"),
        ("walk.npz[3],1\n", "line 1: walk.npz.3.: the file has 3 latents, numbered 0 to 2"),
        ("99999999999,1\n", "line 1=99999999999: 99999999999 is above"),
        ("1,2,3\n", "line 1: 1,2,3: a line is seed,score"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, message):
    write_latents(tmp_path / "walk.npz", w=torch.zeros(3, 2, 4))
    (tmp_path / "smile.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_scores(tmp_path / "smile.csv")


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_table_or_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("scores") / "a.csv"
    path.write_bytes(content)
    try:
        found = read_scores(path)
    except ValueError as error:
        assert str(error).startswith("scores=") and len(str(error).splitlines()) == 1
    else:
        assert len(found.points) == len(found.scores)
