"""What our configuration makes of the reference's command lines, against its own training options."""

import pytest
from golden import json_params
from omegaconf import DictConfig

from stylegan.cli.complete import fill_nulls
from stylegan.cli.compose import composed
from stylegan.presets import derive

# Not of this part: labels, subsets, transfer; and a batch, from which we derive what the reference keeps.
OTHER_PARTS = {"batch", "cond", "subset", "resume"}
# Of the run and the machine, not of what is learned.
NOT_OURS = {"gpus", "snap", "metrics", "nhwc", "nobench", "allow_tf32", "workers"}


def belongs(case: dict) -> bool:
    asked = {key for key, value in case["options"].items() if (key, value) != ("resume", "noresume")}
    return case["error"] is None and not OTHER_PARTS & asked


def auto_cases(record: dict):
    for case in record["auto_config"]:
        yield f"{case['resolution']}px-{case['gpus']}gpu", case


def option_cases(record: dict):
    for index, case in enumerate(record["option_sets"]):
        if belongs(case):
            yield f"set{index}", case


@pytest.mark.parametrize("case", json_params("ada.json", auto_cases))
def test_automatic_configuration(case):
    values = {
        key: value for key, (value, _) in derive("auto", case["resolution"], None, case["gpus"]).items()
    }
    assert values["batch_size"] == case["batch_size"]
    assert values["micro_batch"] == case["batch_gpu"]
    assert values["discriminator.mbstd_group"] == case["mbstd_group_size"]
    assert values["generator.channel_base"] == values["discriminator.channel_base"] == case["channel_base"]
    assert values["optim.generator_lr"] == values["optim.discriminator_lr"] == case["lrate"]
    assert values["loss.r1_gamma"] == pytest.approx(case["r1_gamma"], rel=1e-12)
    assert values["ema.half_life_kimg"] == case["ema_kimg"]
    assert values["ema.ramp_up"] == case["ema_rampup"]
    assert values["generator.mapping_layers"] == case["mapping_layers"]
    assert values["total_kimg"] == case["total_kimg"]


def overrides_for(options: dict) -> list[str]:
    """The reference's options in our words."""
    words = {
        "cfg": lambda value: [f"preset={value}"],
        "aug": lambda value: [f"ada={ {'ada': 'adaptive', 'noaug': 'none', 'fixed': 'fixed'}[value] }"],
        "p": lambda value: [f"ada.p_init={value}"],
        "target": lambda value: [f"ada.target={value}"],
        "augpipe": lambda value: [f"augpipe={value}"],
        "mirror": lambda value: [f"data.xflip={str(value).lower()}"],
        "gamma": lambda value: [f"loss.r1_gamma={value}"],
        "kimg": lambda value: [f"total_kimg={value}"],
        "freezed": lambda value: [f"discriminator.freeze_layers={value}"],
        "seed": lambda value: [f"seed={value}"],
        # Half precision, which the option also switches off, is not asked for anywhere in ours.
        "fp32": lambda value: ["generator.conv_clamp=null", "discriminator.conv_clamp=null"] if value else [],
        "resume": lambda value: [],  # `noresume`, see `belongs`
    }
    unknown = options.keys() - words.keys() - NOT_OURS
    assert not unknown, f"what do {unknown} mean in our words?"
    return [override for key in words.keys() & options.keys() for override in words[key](options[key])]


@pytest.fixture
def ours(case) -> DictConfig:
    composition = composed("train", [f"resolution={case['resolution']}", *overrides_for(case["options"])])
    fill_nulls(composition.config, composition.choices["preset"], case["options"].get("gpus", 1))
    return composition.config


@pytest.mark.parametrize("case", json_params("ada.json", option_cases))
def test_training_options(case, ours):
    theirs = case["training_options"]
    _same_players(ours, theirs)
    _same_training(ours, theirs)
    _same_augmentation(ours, theirs)


def _same_players(ours: DictConfig, theirs: dict) -> None:
    generator, synthesis = theirs["G_kwargs"], theirs["G_kwargs"]["synthesis_kwargs"]
    assert ours.generator.z_dim == generator["z_dim"]
    assert ours.generator.w_dim == generator["w_dim"]
    assert ours.generator.mapping_layers == generator["mapping_kwargs"]["num_layers"]
    assert ours.generator.channel_base == synthesis["channel_base"]
    assert ours.generator.channel_max == synthesis["channel_max"]
    assert ours.generator.conv_clamp == synthesis["conv_clamp"]
    assert ours.generator.architecture == synthesis.get("architecture", "skip")

    discriminator = theirs["D_kwargs"]
    assert ours.discriminator.channel_base == discriminator["channel_base"]
    assert ours.discriminator.channel_max == discriminator["channel_max"]
    assert ours.discriminator.conv_clamp == discriminator["conv_clamp"]
    assert ours.discriminator.architecture == discriminator.get("architecture", "resnet")
    assert ours.discriminator.freeze_layers == discriminator["block_kwargs"].get("freeze_layers", 0)
    assert ours.discriminator.mbstd_group == discriminator["epilogue_kwargs"]["mbstd_group_size"]
    assert ours.discriminator.mbstd_channels == discriminator["epilogue_kwargs"].get("mbstd_num_channels", 1)


def _same_training(ours: DictConfig, theirs: dict) -> None:
    for player, options in (("generator", theirs["G_opt_kwargs"]), ("discriminator", theirs["D_opt_kwargs"])):
        assert ours.optim[f"{player}_lr"] == options["lr"]
        assert list(ours.optim.betas) == options["betas"]
        assert ours.optim.eps == options["eps"]
    loss = theirs["loss_kwargs"]
    assert ours.loss.r1_gamma == pytest.approx(loss["r1_gamma"], rel=1e-12)
    # The defaults of the reference's loss, where a set does not change them.
    assert ours.loss.pl_weight == loss.get("pl_weight", 2)
    assert ours.loss.pl_decay == loss.get("pl_decay", 0.01)
    assert ours.loss.pl_batch_shrink == loss.get("pl_batch_shrink", 2)
    assert ours.loss.style_mixing_prob == loss.get("style_mixing_prob", 0.9)
    assert ours.loss.pl_interval_iterations == theirs.get("G_reg_interval", 4)
    assert ours.loss.r1_interval_iterations == theirs.get("D_reg_interval", 16)
    assert ours.total_kimg == theirs["total_kimg"]
    assert ours.batch_size == theirs["batch_size"]
    assert ours.micro_batch == theirs["batch_gpu"]
    assert ours.ema.half_life_kimg == theirs["ema_kimg"]
    assert ours.ema.ramp_up == theirs["ema_rampup"]
    assert ours.data.xflip == theirs["training_set_kwargs"]["xflip"]
    assert ours.seed == theirs["random_seed"]


def _same_augmentation(ours: DictConfig, theirs: dict) -> None:
    if "augment_kwargs" not in theirs:
        assert ours.ada.mode == "none"
        return
    strengths = {key: value for key, value in theirs["augment_kwargs"].items() if key != "class_name"}
    ranges = {"xint_max", "rotate_max", "hue_max", "imgfilter_bands", "cutout_size"}
    for key, value in ours.augpipe.items():
        if key != "_target_" and not key.endswith("_std") and key not in ranges:
            assert value == strengths.get(key, 0), key
    assert ours.ada.p_init == theirs.get("augment_p", 0)
    if "ada_target" in theirs:
        assert (ours.ada.mode, ours.ada.target) == ("adaptive", theirs["ada_target"])
        assert ours.ada.kimg == theirs.get("ada_kimg", 500)
        assert ours.ada.interval_iterations == theirs.get("ada_interval", 4)
    else:
        assert ours.ada.mode == "fixed"
