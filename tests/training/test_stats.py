"""Running statistics against numpy, and what they promise about devices, saving and empty reports."""

import io
import math
import time

import numpy as np
import pytest
import torch

from stylegan.training.stats import RunningStats, Stat


def test_pooled_reports_equal_numpy_over_all_values():
    rng = np.random.default_rng(0)
    parts = [rng.normal(3, 2, size=shape) for shape in [(4, 1), (7,), (2, 3, 5), ()]]
    stats = RunningStats()
    for part in parts:
        stats.add("Loss/scores/real", torch.as_tensor(part))
    everything = np.concatenate([part.ravel() for part in parts])
    taken = stats.take()["Loss/scores/real"]
    assert taken.num == everything.size
    assert taken.mean == pytest.approx(everything.mean(), rel=1e-12)
    assert taken.std == pytest.approx(everything.std(), rel=1e-12)


def test_sums_are_float64_for_any_values():
    # 1e8 + 1 has no float32; a float32 sum would lose the ones.
    stats = RunningStats()
    stats.add("x", torch.full((3,), 1e8, dtype=torch.float32))
    stats.add("x", torch.ones(3, dtype=torch.float16))
    assert stats.take()["x"].mean == (3e8 + 3) / 6


def test_names_keep_the_order_of_their_first_report_and_taking_clears():
    stats = RunningStats()
    for name in ["b", "a", "b", "c"]:
        stats.add(name, torch.ones(2))
    assert list(stats.take()) == ["b", "a", "c"]
    assert stats.take() == {}
    stats.add("a", 5.0)
    assert stats.take() == {"a": Stat(1, 5.0, 0.0)}


def test_nothing_is_read_while_adding(monkeypatch):
    # Tensor.item and friends all pass through these; on a device each would be a wait.
    def refuse(*_):
        raise AssertionError("add() read a value")

    stats = RunningStats()
    values = torch.ones(4, requires_grad=True) * 2
    for reader in ["item", "tolist", "__float__", "__bool__", "__int__", "cpu", "numpy"]:
        monkeypatch.setattr(torch.Tensor, reader, refuse)
    stats.add("x", values)
    stats.add("x", values)
    monkeypatch.undo()
    assert not stats.state_dict()["x"].requires_grad
    assert stats.take() == {"x": Stat(8, 2.0, 0.0)}


def test_add_works_on_a_device_whose_values_cannot_be_read():
    stats = RunningStats()
    for _ in range(2):
        stats.add("x", torch.ones(4, device="meta"))
    with pytest.raises(NotImplementedError, match="no data"):
        stats.take()


def test_variance_never_below_zero_and_not_a_number_is_not_hidden():
    stats = RunningStats()
    stats.add("same", torch.full((1000,), 0.1, dtype=torch.float64))
    stats.add("broken", torch.tensor([1.0, math.nan]))
    stats.add("huge", torch.tensor([math.inf]))
    taken = stats.take()
    assert 0.0 <= taken["same"].std < 1e-7
    assert math.isnan(taken["broken"].mean) and math.isnan(taken["broken"].std)
    assert taken["huge"].mean == math.inf and math.isnan(taken["huge"].std)


def test_an_empty_report_says_nothing():
    stats = RunningStats()
    stats.add("x", torch.ones(0))
    assert stats.take() == {}


def test_state_goes_through_weights_only_and_continues_the_sums():
    whole, first = RunningStats(), RunningStats()
    values = torch.linspace(-1, 2, 11)
    whole.add("x", values)
    first.add("x", values[:4])
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second = RunningStats()
    second.add("forgotten", 1.0)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    second.add("x", values[4:])
    assert second.take()["x"] == pytest.approx(whole.take()["x"], rel=1e-12)
    assert first.take()["x"].num == 4  # the state was a copy


def test_work_is_measured_in_milliseconds(monkeypatch):
    now = 5.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    stats = RunningStats()
    for milliseconds in (4, 8):
        with stats.measure("Timing/Gmain", torch.device("cpu")):
            now += milliseconds / 1000
    taken = stats.take()["Timing/Gmain"]
    assert (taken.num, taken.mean, taken.std) == pytest.approx((2, 6, 2))
    assert stats.take() == {}
