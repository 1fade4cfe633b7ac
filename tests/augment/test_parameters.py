"""Draws, gates and percentiles."""

import math

import pytest
import torch
from scipy.special import erfinv

from stylegan.augment import AugmentPipe
from stylegan.augment.options import STRENGTHS
from stylegan.augment.parameters import GATES

EVERYTHING = dict.fromkeys(STRENGTHS, 1)


def draw(pipe, n=8, seed=0, shape=(3, 8, 8)):
    return pipe.draw(n, shape, torch.Generator().manual_seed(seed))


def test_draws_do_not_depend_on_p_and_have_a_row_a_sample():
    pipe = AugmentPipe(**EVERYTHING)
    pipe.p = 0.0
    first = draw(pipe)
    pipe.p = 0.7
    second = draw(pipe)
    assert list(first) == ["gate", "uniform", "normal", "noise"]
    for name, table in first.items():
        assert table.shape[0] == 8 and table.dtype == torch.float32
        assert torch.equal(table, second[name])
    assert first["noise"].shape == (8, 3, 8, 8)
    assert "noise" not in draw(AugmentPipe(**EVERYTHING | {"noise": 0}))


def test_rows_of_the_draws_are_the_draws_of_the_rows():
    pipe = AugmentPipe(**EVERYTHING)
    pipe.p = 0.5
    draws = draw(pipe, 12)
    part = {name: table[1::3] for name, table in draws.items()}
    for whole, dealt in zip(pipe.parameters_of(draws), pipe.parameters_of(part), strict=True):
        torch.testing.assert_close(whole[1::3], dealt)


@pytest.mark.parametrize(
    "strength, p, chance", [(1, 0.3, 0.3), (0.5, 0.3, 0.15), (3, 0.5, 1), (1, 2.0, 1), (1, 0, 0)]
)
def test_gates_open_with_strength_times_p(strength, p, chance):
    n = 20000
    pipe = AugmentPipe(**dict.fromkeys(STRENGTHS, strength), imgfilter_bands=(1, 1, 1, 0.5))
    pipe.p = p
    gates = pipe.gates(draw(pipe, n, shape=(1, 1, 1)))
    assert list(gates) == list(GATES)
    for name, gate in gates.items():
        for j, share in enumerate(gate.double().mean(0).tolist()):
            expected = 1 - math.sqrt(1 - chance) if name == "rotate" else chance
            if name == "imgfilter" and j == 3:
                expected = min(strength * 0.5 * p, 1)
            assert abs(share - expected) <= 4.5 * math.sqrt(expected * (1 - expected) / n)


def test_one_of_the_two_rotations_comes_with_the_full_chance():
    pipe = AugmentPipe(rotate=0.8)
    pipe.p = 0.5
    share = pipe.gates(draw(pipe, 20000))["rotate"].any(1).double().mean().item()
    assert abs(share - 0.4) <= 4.5 * math.sqrt(0.4 * 0.6 / 20000)


def test_no_number_is_used_twice():
    """Gates and values of different transforms are uncorrelated, and so are their magnitudes."""
    n = 20000
    draws = draw(AugmentPipe(), n)
    columns = torch.cat([draws["gate"] < 0.5, draws["uniform"], draws["normal"], draws["normal"].abs()], 1)
    correlations = torch.corrcoef(columns.double().T)
    correlations.fill_diagonal_(0)
    assert columns.shape[1] == 19 + 10 + 12 + 12
    assert correlations.abs().max() <= 5 / math.sqrt(n)


def test_percentile_form():
    q = 0.8
    pipe = AugmentPipe(**EVERYTHING | {"aniso": 0}, imgfilter_bands=(1, 0, 1, 1), scale_std=0.4, hue_max=0.5)
    pipe.p = 0.0  # plays no part
    p = pipe.parameters_at(q, 2, torch.float64)
    z = erfinv(2 * q - 1)
    expected = {
        "xflip": [1],
        "rotate90": [3],
        "xint": [0.6 * 0.125] * 2,
        "scale": [0.4 * z],
        "rotate": [0.6 * math.pi, 0],
        "aniso": [0],
        "xfrac": [0.125 * z] * 2,
        "brightness": [0.2 * z],
        "contrast": [0.5 * z],
        "lumaflip": [1],
        "hue": [0.3 * math.pi],
        "saturation": [z],
        "imgfilter": [z, 0, z, z],
        "noise": [0.1 * erfinv(q)],
        "cutout": [0.5],
        "cutout_center": [q, q],
    }
    assert list(expected) == list(p._fields)
    for name, values in expected.items():
        assert getattr(p, name).tolist() == [pytest.approx(values)] * 2, name


@pytest.mark.parametrize("percentile", [0.0, 1.0, -0.1, 30, math.nan])
def test_percentile_out_of_range_is_refused(percentile):
    with pytest.raises(ValueError, match="between 0 and 1"):
        AugmentPipe(xflip=1)(torch.zeros(1, 3, 8, 8), percentile=percentile)
