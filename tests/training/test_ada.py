"""p by its closed form, its bounds and its modes."""

import pytest
import torch

from stylegan.training import AdaController

STEP = 32 * 4 / 500_000


def after(ada, signs, times):
    for _ in range(times):
        ada.update(torch.as_tensor(signs, dtype=torch.float32))
        ada.adjust(32)
    return ada.p.item()


@pytest.mark.parametrize(("signs", "direction"), [([1, 1, 1, 1], 1), ([1, 1, -1, -1], -1)])
def test_p_moves_by_equal_steps(signs, direction):
    ada = AdaController(p_init=0.5)
    assert after(ada, signs, 10) == pytest.approx(0.5 + direction * 10 * STEP, abs=1e-6)


def test_p_stays_at_the_target():
    ada = AdaController(target=0.5, p_init=0.3)
    assert after(ada, [1, 1, 1, -1], 5) == pytest.approx(0.3, abs=1e-7)


@pytest.mark.parametrize(("p_max", "expected"), [(1.0, 1.0), (0.7, 0.7), (None, 4.5)])
def test_the_ceiling_is_p_max_and_null_means_none(p_max, expected):
    ada = AdaController(kimg=0.32, p_init=0.5, p_max=p_max)  # a step is 0.4
    assert after(ada, [1, 1], 10) == pytest.approx(expected, abs=1e-5)


def test_the_floor_is_zero():
    assert after(AdaController(), [-1], 3) == 0


@pytest.mark.parametrize(("mode", "p"), [("fixed", 0.4), ("none", 0.0)])
def test_other_modes_keep_p(mode, p):
    ada = AdaController(mode=mode, p_init=0.4)
    assert after(ada, [1, 1, 1], 20) == pytest.approx(p)
    assert ada.sign_mean.item() == 1.0


def test_without_reports_the_previous_mean_counts_also_after_a_restart():
    ada = AdaController(p_init=0.5)
    after(ada, [1, 1], 1)
    restored = AdaController(p_init=0.0)
    restored.load_state_dict(ada.state_dict())
    for controller in (ada, restored):
        controller.adjust(32)
        assert controller.p.item() == pytest.approx(0.5 + 2 * STEP, abs=1e-6)


def test_the_mean_pools_passes_by_their_size():
    ada = AdaController()
    ada.update(torch.ones(6))
    ada.update(-torch.ones(2))
    ada.adjust(8)
    assert ada.sign_mean.item() == 0.5


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(mode="off"), "mode must be one of adaptive, fixed, none, got 'off'"),
        (dict(target=1.5), "target must be a mean of signs, from -1 to 1, got 1.5"),
        (dict(kimg=0), "kimg must be above 0, got 0"),
        (dict(interval_iterations=0), "interval_iterations must be at least 1, got 0"),
        (dict(p_init=1.2), "p_init must be from 0 to 1, got 1.2"),
        (dict(p_init=0.6, p_max=0.5), "p_max must be at least p_init, 0.6, or null for no ceiling, got 0.5"),
    ],
)
def test_bad_settings_are_named(bad, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        AdaController(**bad)
