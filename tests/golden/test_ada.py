"""The controller of p, the decay of the average generator, and the correction for lazy regularisation."""

import pytest
import torch

from stylegan.training import AdaController
from stylegan.training.ema import ema_decay, update_average
from stylegan.training.gradients import corrected_adam
from tests.golden.golden import json_params


def records(name):
    return lambda data: [(str(i), record) for i, record in enumerate(data[name])]


@pytest.mark.parametrize("case", json_params("ada.json", records("ada")))
def test_controller(case):
    ada = AdaController(
        target=case["ada_target"],
        kimg=case["ada_kimg"],
        interval_iterations=case["ada_interval"],
        p_init=case["p0"],
        p_max=None,
    )
    means = []
    for i, logits in enumerate(case["real_logits"]):
        if logits is not None:
            ada.update(torch.tensor(logits).sign())
        if (i + 1) % case["ada_interval"] == 0:
            ada.adjust(case["batch_size"])
            means.append(ada.sign_mean.item())
        assert ada.p.item() == pytest.approx(case["p_after_each_iteration"][i], rel=0, abs=1e-6), i
    assert means == pytest.approx(case["sign_mean_at_each_update"], rel=0, abs=1e-6)


@pytest.mark.parametrize("case", json_params("ada.json", records("ema_beta")))
def test_ema_decay(case):
    for images, expected in zip(case["cur_nimg"], case["ema_beta"], strict=True):
        decay = ema_decay(
            batch_size=case["batch_size"],
            half_life_kimg=case["ema_kimg"],
            ramp_up=case["ema_rampup"],
            images_seen=images,
        )
        assert decay == pytest.approx(expected, rel=0, abs=1e-6), images


@pytest.mark.parametrize("case", json_params("ada.json", lambda data: [("steps", data["ema_weights"])]))
def test_ema_weights(case):
    class Vector(torch.nn.Module):
        def __init__(self, values):
            super().__init__()
            self.values = torch.nn.Parameter(torch.tensor(values))

    average = Vector(case["steps"][0]["ema"])
    for i, step in enumerate(case["steps"]):
        decay = ema_decay(
            batch_size=case["batch_size"],
            half_life_kimg=case["ema_kimg"],
            ramp_up=case["ema_rampup"],
            images_seen=i * case["batch_size"],
        )
        assert decay == pytest.approx(step["ema_beta"], rel=0, abs=1e-6)
        update_average(average, Vector(step["param"]), decay)
        assert average.values.tolist() == pytest.approx(step["ema"], rel=0, abs=1e-6), i


@pytest.mark.parametrize("case", json_params("ada.json", records("lazy_regularisation")))
def test_lazy_regularisation(case):
    if case["reg_interval"] is None:
        assert corrected_adam(lr=0.1, betas=(0.0, 0.99), interval_iterations=None) == (0.1, (0.0, 0.99))
        return
    lr, betas = corrected_adam(lr=case["lr"], betas=case["betas"], interval_iterations=case["reg_interval"])
    assert lr == pytest.approx(case["effective_lr"], rel=1e-9)
    assert betas == pytest.approx(case["effective_betas"], rel=1e-9)
