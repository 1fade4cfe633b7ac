"""Prior estimation: shares by hand, and on a classifier that is wrong as often as is known."""

import pytest
import torch

from stylegan.report.prior_estimation import Shares, likeliest_shares


def test_ways_are_measured_by_their_own_chance():
    shares = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    unchanged = torch.tensor([[0.8, 0.1, 0.1], [0.9, 0.1, 0.0], [0.7, 0.1, 0.2]], dtype=torch.float64)
    found = Shares(shares, unchanged, torch.tensor([False, True, True]))
    strong = torch.tensor([False, True, False])
    assert found.changed_in(strong) == pytest.approx((0.2 - 0.1) / 0.9) and found.surely_in(strong)
    assert found.changed == pytest.approx((0.5 - 0.2) / 0.8) and found.surely


def test_shares_solve_the_confusion():
    confusion = torch.tensor([[0.9, 0.2], [0.1, 0.8]], dtype=torch.float64)
    counts = 1e4 * confusion @ torch.tensor([0.7, 0.3], dtype=torch.float64)
    # A little less than 0.3, for it is believed that nothing was changed.
    assert float(likeliest_shares(confusion, counts[None])[0, 1]) == pytest.approx(0.28, abs=0.03)
