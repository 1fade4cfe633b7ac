"""Presets against the table of the public implementation, and the formulas that null stands for."""

import pytest

from stylegan import presets

# preset: reference devices, kimg, batch, mbstd group, channel_base, rate, gamma, EMA kimg, ramp, mapping
TABLE = {
    "stylegan2": (8, 25000, 32, 4, 32768, 0.002, 10, 10, None, 8),
    "paper256": (8, 25000, 64, 8, 16384, 0.0025, 1, 20, None, 8),
    "paper512": (8, 25000, 64, 8, 32768, 0.0025, 0.5, 20, None, 8),
    "paper1024": (8, 25000, 32, 4, 32768, 0.002, 2, 10, None, 8),
    "cifar": (2, 100000, 64, 32, 32768, 0.0025, 0.01, 500, 0.05, 2),
}
# The automatic choice on one device: resolution: batch, gamma, EMA kimg.
AUTO = {
    32: (32, 0.0064, 10),
    64: (32, 0.0256, 10),
    128: (32, 0.1024, 10),
    256: (16, 0.8192, 5),
    512: (8, 6.5536, 2.5),
    1024: (4, 52.4288, 1.25),
}
COMMON = {
    "generator.channel_max": 512,
    "discriminator.channel_max": 512,
    "generator.z_dim": 512,
    "generator.w_dim": 512,
    "generator.architecture": "skip",
    "generator.conv_clamp": 256,
    "discriminator.conv_clamp": 256,
    "discriminator.mbstd_channels": 1,
    "discriminator.freeze_layers": 0,
    "loss.r1_interval_iterations": 16,
    "loss.pl_interval_iterations": 4,
    "loss.pl_decay": 0.01,
    "loss.pl_batch_shrink": 2,
    "optim.betas": [0.0, 0.99],
    "optim.eps": 1e-8,
}


def derived(*arguments) -> dict:
    return {key: value for key, (value, _) in presets.derive(*arguments).items()}


@pytest.mark.parametrize("name", TABLE)
def test_a_preset_has_the_numbers_of_the_table(name):
    devices, kimg, batch, group, base, rate, gamma, half_life, ramp_up, mapping = TABLE[name]
    values = derived(name, 256, None, 1)
    assert values["total_kimg"] == kimg
    assert values["batch_size"] == batch
    assert values["micro_batch"] == batch // devices
    assert values["discriminator.mbstd_group"] == group
    assert values["generator.channel_base"] == values["discriminator.channel_base"] == base
    assert values["optim.generator_lr"] == values["optim.discriminator_lr"] == rate
    assert values["loss.r1_gamma"] == gamma
    assert values["ema.half_life_kimg"] == half_life
    assert values["ema.ramp_up"] == ramp_up
    assert values["generator.mapping_layers"] == mapping
    assert {key: values[key] for key in COMMON} == COMMON


def test_cifar_has_no_path_length_no_mixing_and_the_plain_discriminator():
    special = ("loss.pl_weight", "loss.style_mixing_prob", "discriminator.architecture")
    assert [derived("cifar", 32, None, 1)[key] for key in special] == [0, 0, "orig"]
    assert [derived("stylegan2", 32, None, 1)[key] for key in special] == [2, 0.9, "resnet"]


@pytest.mark.parametrize("resolution", AUTO)
def test_auto_on_one_device(resolution):
    batch, gamma, half_life = AUTO[resolution]
    values = derived("auto", resolution, None, 1)
    assert values["batch_size"] == values["micro_batch"] == batch
    assert values["loss.r1_gamma"] == pytest.approx(gamma, rel=1e-12)
    assert values["ema.half_life_kimg"] == half_life
    assert values["ema.ramp_up"] == 0.05
    assert values["generator.mapping_layers"] == 2


def test_auto_on_more_devices():
    assert derived("auto", 256, None, 2)["batch_size"] == 32
    assert derived("auto", 256, None, 2)["loss.r1_gamma"] == pytest.approx(0.4096)
    assert derived("auto", 1024, None, 8)["loss.r1_gamma"] == pytest.approx(6.5536)
    # More devices than images: one image each.
    assert derived("auto", 2048, None, 128)["batch_size"] == 128


def test_tiny_is_auto_with_small_networks():
    tiny, auto = derived("tiny", 32, None, 1), derived("auto", 32, None, 1)
    assert {key: value for key, value in tiny.items() if value != auto[key]} == {
        "total_kimg": 1000,
        "generator.z_dim": 128,
        "generator.w_dim": 128,
        "generator.channel_base": 4096,
        "generator.channel_max": 128,
        "discriminator.channel_base": 4096,
        "discriminator.channel_max": 128,
    }


def test_a_given_batch_enters_the_formulas_of_auto_and_leaves_the_papers_numbers():
    auto, paper = derived("auto", 32, 16, 1), derived("paper256", 256, 16, 1)
    assert (auto["loss.r1_gamma"], auto["ema.half_life_kimg"]) == (pytest.approx(0.0128), 5)
    assert (paper["loss.r1_gamma"], paper["ema.half_life_kimg"], paper["micro_batch"]) == (1, 20, 2)


def test_the_micro_batch_is_the_share_of_a_reference_device():
    assert derived("paper256", 256, None, 2)["micro_batch"] == 8
    assert derived("paper256", 256, 2, 1)["micro_batch"] == 1
    assert derived("auto", 32, None, 4)["micro_batch"] == 16


def test_every_value_says_where_it_comes_from():
    origins = {key: origin for key, (_, origin) in presets.derive("tiny", 32, None, 1).items()}
    assert origins["loss.r1_gamma"] == "formula 0.0002*32^2/32"
    assert origins["ema.half_life_kimg"] == "formula 32*10/32"
    assert origins["generator.z_dim"] == "preset tiny"
    assert origins["loss.pl_decay"] == "default"
    assert presets.derive("tiny", 32, 8, 1)["batch_size"] == (8, "given")


@pytest.mark.parametrize("name", presets.names())
def test_no_value_is_left_open(name):
    open_keys = {key for key, value in derived(name, 32, None, 1).items() if value is None}
    assert open_keys <= presets.NULL_IS_A_VALUE


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("huge", 32, None, 1), "paper256"),
        (("auto", 48, None, 1), "48"),
        (("auto", 4, None, 1), "4"),
        (("auto", 32, 0, 1), "batch_size"),
        (("auto", 32, None, 0), "devices"),
    ],
)
def test_nonsense_is_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        presets.derive(*arguments)
