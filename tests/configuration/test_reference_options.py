"""`rederive=false` against the numbers of the reference, which keeps its own with any batch."""

import json
import os
from pathlib import Path

import pytest

from stylegan.configuration.complete import derived_values, with_values
from stylegan.configuration.compose import composed
from stylegan.configuration.explain import origins, users_keys
from stylegan.configuration.presets import derive

FILE = Path(os.environ.get("GOLDEN_DIR", Path(__file__).parents[1] / "golden")) / "ada.json"
RECORD = json.loads(FILE.read_text()) if FILE.exists() else {}
pytestmark = pytest.mark.skipif(not RECORD, reason=f"{FILE} is not there")

AUTO = RECORD.get("auto_config", [])
# With numbers of training in them; a network that continues from another one is described elsewhere.
SETS = [case for case in RECORD.get("option_sets", []) if case["error"] is None]


@pytest.mark.parametrize("batch", [None, 16, 128])
@pytest.mark.parametrize("case", AUTO, ids=lambda case: case["desc"])
def test_the_automatic_numbers_stay_with_another_batch(case, batch):
    derived = derive("auto", case["resolution"], batch, case["gpus"], rederive=False)
    values = {key: value for key, (value, _) in derived.items()}
    assert values["batch_size"] == (batch or case["batch_size"])
    assert values["loss.r1_gamma"] == pytest.approx(case["r1_gamma"], rel=1e-12)
    assert values["ema.half_life_kimg"] == case["ema_kimg"]
    assert values["discriminator.mbstd_group"] == case["mbstd_group_size"]
    assert values["optim.generator_lr"] == case["lrate"]


@pytest.mark.parametrize("case", SETS, ids=lambda case: " ".join(map(str, case["options"])) or "plain")
def test_option_sets(case):
    options, theirs = case["options"], case["training_options"]
    words = {
        "cfg": "preset",
        "batch": "batch_size",
        "gamma": "loss.r1_gamma",
        "kimg": "total_kimg",
    }
    overrides = [f"{words[key]}={value}" for key, value in options.items() if key in words]
    composition = composed("train", [f"resolution={case['resolution']}", "rederive=false", *overrides])
    users, devices = users_keys(origins(composition)), options.get("gpus", 1)
    derived = derived_values(
        composition.config, composition.choices["preset"], devices, users=users, rederive=False
    )
    ours = with_values(composition.config, {key: value for key, (value, _) in derived.items()})
    assert ours.batch_size == theirs["batch_size"]
    assert ours.micro_batch == theirs["batch_gpu"]
    assert ours.total_kimg == theirs["total_kimg"]
    assert ours.loss.r1_gamma == pytest.approx(theirs["loss_kwargs"]["r1_gamma"], rel=1e-12)
    assert ours.ema.half_life_kimg == theirs["ema_kimg"]
    assert ours.discriminator.mbstd_group == theirs["D_kwargs"]["epilogue_kwargs"]["mbstd_group_size"]
    assert ours.discriminator.channel_base == theirs["D_kwargs"]["channel_base"]
    assert ours.optim.discriminator_lr == theirs["D_opt_kwargs"]["lr"]
