"""Presets against the table of the public implementation, and the formulas that null stands for."""

import pytest

from stylegan.configuration import presets as presets

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


@pytest.mark.parametrize("resolution", [32, 256, 1024])
@pytest.mark.parametrize("name", ["auto", "tiny"])
def test_a_given_batch_enters_the_formulas(name, resolution):
    values = derived(name, resolution, 16, 1)
    assert values["loss.r1_gamma"] == pytest.approx(0.0002 * resolution**2 / 16, rel=1e-12)
    assert (values["ema.half_life_kimg"], values["discriminator.mbstd_group"]) == (5, 4)
    assert derived(name, resolution, 3, 1)["discriminator.mbstd_group"] == 3


@pytest.mark.parametrize("resolution", [32, 256, 1024])
@pytest.mark.parametrize("batch", [4, 16, 128])
@pytest.mark.parametrize("name", TABLE)
def test_a_given_batch_scales_a_fixed_preset(name, batch, resolution):
    _, _, own, group, _, _, gamma, half_life, _, _ = TABLE[name]
    values = derived(name, resolution, batch, 1)
    assert values["loss.r1_gamma"] == pytest.approx(gamma * own / batch, rel=1e-12)
    assert values["ema.half_life_kimg"] == pytest.approx(half_life * batch / own, rel=1e-12)
    assert values["discriminator.mbstd_group"] == min(group, batch)
    changed = {key for key, value in derived(name, resolution, None, 1).items() if values[key] != value}
    assert changed <= {"batch_size", "micro_batch", *presets.FOLLOW_THE_BATCH}


@pytest.mark.parametrize("resolution", [32, 256, 1024])
@pytest.mark.parametrize("batch", [4, 16, 128])
@pytest.mark.parametrize("name", presets.names())
def test_without_rederiving_only_the_batch_changes(name, batch, resolution):
    """As in the reference, whose numbers are those of its own batch with any other batch, too."""
    own = derived(name, resolution, None, 1)
    values = {
        key: value for key, (value, _) in presets.derive(name, resolution, batch, 1, rederive=False).items()
    }
    assert values["batch_size"] == batch
    differing = {key for key, value in values.items() if value != own[key]}
    assert differing <= {"batch_size", "micro_batch"}


def test_the_presets_own_batch_changes_nothing():
    for name in presets.names():
        own = derived(name, 64, None, 1)
        assert derived(name, 64, own["batch_size"], 1) == own


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("batch", [1, 12, 28, 64])
def test_a_micro_batch_divides_the_batch_and_is_no_larger_than_a_reference_devices(name, batch):
    micro_batch = derived(name, 256, batch, 1)["micro_batch"]
    limit = TABLE[name][2] // TABLE[name][0]
    assert batch % micro_batch == 0 and micro_batch <= limit
    assert all(batch % larger for larger in range(micro_batch + 1, min(limit, batch) + 1))


def test_the_micro_batch_of_the_others_is_all_that_a_device_gets():
    assert derived("auto", 32, None, 4)["micro_batch"] == 16
    assert derived("paper256", 256, None, 2)["micro_batch"] == 8


@pytest.mark.parametrize("size", ["48x32", [48, 32], (48, 32)])
def test_rectangles_enter_by_area_or_by_the_longer_side(size):
    values = derived("auto", size, None, 1)
    assert values["batch_size"] == 32
    assert values["loss.r1_gamma"] == pytest.approx(0.0002 * 48 * 32 / 32, rel=1e-12)
    wide = derived("auto", [256, 1024], None, 1)
    assert (wide["batch_size"], wide["optim.generator_lr"], wide["generator.channel_base"]) == (
        4,
        0.002,
        32768,
    )
    assert wide["loss.r1_gamma"] == pytest.approx(0.0002 * 256 * 1024 / 4, rel=1e-12)


def test_every_value_says_where_it_comes_from():
    origins = {key: origin for key, (_, origin) in presets.derive("tiny", 32, None, 1).items()}
    assert origins["loss.r1_gamma"] == "formula 0.0002*32*32/32"
    assert origins["ema.half_life_kimg"] == "formula 32*10/32"
    assert origins["generator.z_dim"] == "preset tiny"
    assert origins["loss.pl_decay"] == "default"
    assert presets.derive("tiny", 32, 8, 1)["batch_size"] == (8, "given")
    scaled = presets.derive("stylegan2", 32, 16, 1)
    assert scaled["loss.r1_gamma"] == (20, "formula 10*32/16")
    assert scaled["ema.half_life_kimg"] == (5, "formula 10*16/32")
    assert scaled["total_kimg"] == (25000, "preset stylegan2")
    kept = presets.derive("tiny", 32, 8, 1, rederive=False)["ema.half_life_kimg"]
    assert kept == (10, "formula 32*10/32, for the preset's own batch")


@pytest.mark.parametrize("name", presets.names())
def test_no_value_is_left_open(name):
    open_keys = {key for key, value in derived(name, 32, None, 1).items() if value is None}
    assert open_keys <= presets.NULL_IS_A_VALUE


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("huge", 32, None, 1), "paper256"),
        (("auto", 50, None, 1), "50x50"),
        (("auto", 4, None, 1), "4x4"),
        (("auto", 32, 0, 1), "batch_size"),
        (("auto", 32, None, 0), "devices"),
    ],
)
def test_nonsense_is_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        presets.derive(*arguments)
