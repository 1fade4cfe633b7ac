"""Every public door refuses what is no feature matrix, and says which set and how many rows."""

import numpy as np
import pytest
import torch

from stylegan import metrics

ROWS = np.random.RandomState(0).randn(40, 5).astype(np.float32)
RNG = np.random.RandomState(0)
# Each takes (real, fake).
PAIRS = {
    "fid": metrics.fid,
    "fid_infinity": lambda real, fake: metrics.fid_infinity(real, fake, points=3),
    "kid": lambda real, fake: metrics.kid(real, fake, subsets=2, rng=RNG),
    "kid_full": metrics.kid_full,
    "kid_interval": metrics.kid_interval,
    "precision_recall": metrics.precision_recall,
    "density_coverage": metrics.density_coverage,
}
SINGLE = {
    "moments_of": metrics.moments_of,
    "update": lambda rows: metrics.Moments().update(rows),
    "inception_score": metrics.inception_score,
}


@pytest.mark.parametrize("metric", PAIRS.values(), ids=PAIRS)
class TestPairs:
    def test_widths_differ(self, metric):
        with pytest.raises(ValueError, match="real has 5 features a row, fake has 4"):
            metric(ROWS, ROWS[:, :4])

    @pytest.mark.parametrize("name", ["real", "fake"])
    def test_rows_are_not_finite(self, metric, name):
        bad = ROWS.copy()
        bad[3, 1], bad[7, 0], bad[7, 1] = np.nan, np.inf, -np.inf
        pair = {"real": ROWS, "fake": ROWS} | {name: bad}
        with pytest.raises(ValueError, match=rf"^{name}: 2 of 40 rows .* first row 3$"):
            metric(**pair)

    @pytest.mark.parametrize("name", ["real", "fake"])
    @pytest.mark.parametrize("num", [0, 1])
    def test_too_few_rows(self, metric, name, num):
        pair = {"real": ROWS, "fake": ROWS} | {name: ROWS[:num]}
        with pytest.raises(ValueError, match=f"^{name} has {num} rows"):
            metric(**pair)

    @pytest.mark.parametrize("name", ["real", "fake"])
    def test_what_is_not_a_float_matrix(self, metric, name):
        for wrong, message in ((ROWS[0], "shape"), (ROWS[:, :0], "shape"), (ROWS > 0, "floating")):
            pair = {"real": ROWS, "fake": ROWS} | {name: wrong}
            with pytest.raises(ValueError, match=f"^{name} must .*{message}"):
                metric(**pair)

    def test_any_floating_type_and_home(self, metric):
        """Half precision, tensors with a gradient, arrays that are read-only or not contiguous: equal numbers."""
        rows = ROWS.astype(np.float16)
        expected = metric(rows.astype(np.float64), rows[::-1].astype(np.float64))
        read_only = np.asfortranarray(rows.astype(np.float32))
        read_only.setflags(write=False)
        for same in (torch.from_numpy(rows).requires_grad_(), read_only):
            RNG.seed(0)
            got = metric(same, rows[::-1].copy())
            RNG.seed(0)
            expected = metric(rows.astype(np.float64), rows[::-1].astype(np.float64).copy())
            assert got == expected


@pytest.mark.parametrize("metric", SINGLE.values(), ids=SINGLE)
def test_one_set(metric):
    with pytest.raises(ValueError, match="has 0 rows"):
        metric(ROWS[:0])
    with pytest.raises(ValueError, match="40 of 40 rows"):
        metric(ROWS * np.nan)
    with pytest.raises(ValueError, match="shape"):
        metric(torch.zeros(3))
