"""The beta-binomial test: its tail, and how often it is wrong."""

import pytest
import torch
from scipy import stats

from stylegan.report.chance import excess, upper_tail


@pytest.mark.parametrize(
    ("count", "total", "k", "n"), [(3, 50, 1, 100), (20, 40, 10, 200), (1, 5, 0.5, 30), (0, 9, 2, 9)]
)
def test_the_tail_is_that_of_the_beta_binomial(count, total, k, n):
    expected = stats.betabinom.sf(count - 1, total, k, n + 1 - k)
    assert upper_tail(count, total, k, n) == pytest.approx(expected, rel=1e-9)


def test_equal_populations_seldom_differ():
    generator = torch.Generator().manual_seed(0)
    alarms = 0
    for _ in range(300):
        fake, known = torch.rand(100, generator=generator), torch.rand(80, generator=generator)
        found = excess(fake, known, fake_like=torch.arange(100), reference_like=torch.arange(80), cap=1.0)
        alarms += found.p_value < 0.05
    assert alarms <= 0.05 * 300


def test_a_tenth_of_small_values_is_found_and_measured():
    generator = torch.Generator().manual_seed(0)
    fake, known = torch.rand(400, generator=generator) + 0.1, torch.rand(400, generator=generator) + 0.1
    fake[:40] = 0.01
    like = torch.arange(400)
    found = excess(fake, known, fake_like=like, reference_like=like, cap=0.75)
    assert found.p_value < 1e-6
    assert found.share == pytest.approx(0.1, abs=0.03)
    # All about one real: one event, not forty.
    found = excess(fake, known, fake_like=like.clamp_max(0), reference_like=like, cap=0.75)
    assert found.p_value > 0.01
