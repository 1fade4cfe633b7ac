"""What our configuration makes of the reference's command lines, against its own training options."""

import pytest
from omegaconf import DictConfig

from stylegan.configuration.complete import derived_values, with_values
from stylegan.configuration.compose import composed
from stylegan.configuration.presets import derive
from tests.golden.golden import json_params

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
    devices = case["options"].get("gpus", 1)
    derived = derived_values(composition.config, composition.choices["preset"], devices)
    return with_values(composition.config, {key: value for key, (value, _) in derived.items()})


@pytest.mark.parametrize("case", json_params("ada.json", option_cases))
def test_training_options(case, ours):
    theirs = case["training_options"]
    pairs = _networks(ours, theirs) | _training(ours, theirs) | _augmentation(ours, theirs)
    assert {name: own for name, (own, _) in pairs.items()} == {
        name: other for name, (_, other) in pairs.items()
    }


# What both say of a thing, by its name: (ours, theirs).
Pairs = dict[str, tuple[object, object]]


def _networks(ours: DictConfig, theirs: dict) -> Pairs:
    generator, synthesis = theirs["G_kwargs"], theirs["G_kwargs"]["synthesis_kwargs"]
    discriminator = theirs["D_kwargs"]
    block, epilogue = discriminator["block_kwargs"], discriminator["epilogue_kwargs"]
    g, d = ours.generator, ours.discriminator
    return {
        "z_dim": (g.z_dim, generator["z_dim"]),
        "w_dim": (g.w_dim, generator["w_dim"]),
        "mapping_layers": (g.mapping_layers, generator["mapping_kwargs"]["num_layers"]),
        "G channel_base": (g.channel_base, synthesis["channel_base"]),
        "G channel_max": (g.channel_max, synthesis["channel_max"]),
        "G conv_clamp": (g.conv_clamp, synthesis["conv_clamp"]),
        "G architecture": (g.architecture, synthesis.get("architecture", "skip")),
        "D channel_base": (d.channel_base, discriminator["channel_base"]),
        "D channel_max": (d.channel_max, discriminator["channel_max"]),
        "D conv_clamp": (d.conv_clamp, discriminator["conv_clamp"]),
        "D architecture": (d.architecture, discriminator.get("architecture", "resnet")),
        "freeze_layers": (d.freeze_layers, block.get("freeze_layers", 0)),
        "mbstd_group": (d.mbstd_group, epilogue["mbstd_group_size"]),
        "mbstd_channels": (d.mbstd_channels, epilogue.get("mbstd_num_channels", 1)),
    }


def _training(ours: DictConfig, theirs: dict) -> Pairs:
    pairs: Pairs = {}
    for network, options in (
        ("generator", theirs["G_opt_kwargs"]),
        ("discriminator", theirs["D_opt_kwargs"]),
    ):
        pairs |= {
            f"{network}_lr": (ours.optim[f"{network}_lr"], options["lr"]),
            f"{network} betas": (list(ours.optim.betas), options["betas"]),
            f"{network} eps": (ours.optim.eps, options["eps"]),
        }
    loss = theirs["loss_kwargs"]
    return pairs | {
        "r1_gamma": (ours.loss.r1_gamma, pytest.approx(loss["r1_gamma"], rel=1e-12)),
        # The defaults of the reference's loss, where a set does not change them.
        "pl_weight": (ours.loss.pl_weight, loss.get("pl_weight", 2)),
        "pl_decay": (ours.loss.pl_decay, loss.get("pl_decay", 0.01)),
        "pl_batch_shrink": (ours.loss.pl_batch_shrink, loss.get("pl_batch_shrink", 2)),
        "style_mixing_prob": (ours.loss.style_mixing_prob, loss.get("style_mixing_prob", 0.9)),
        "pl_interval": (ours.loss.pl_interval_iterations, theirs.get("G_reg_interval", 4)),
        "r1_interval": (ours.loss.r1_interval_iterations, theirs.get("D_reg_interval", 16)),
        "total_kimg": (ours.total_kimg, theirs["total_kimg"]),
        "batch_size": (ours.batch_size, theirs["batch_size"]),
        "micro_batch": (ours.micro_batch, theirs["batch_gpu"]),
        "ema_kimg": (ours.ema.half_life_kimg, theirs["ema_kimg"]),
        "ema_rampup": (ours.ema.ramp_up, theirs["ema_rampup"]),
        "xflip": (ours.data.xflip, theirs["training_set_kwargs"]["xflip"]),
        "seed": (ours.seed, theirs["random_seed"]),
    }


def _augmentation(ours: DictConfig, theirs: dict) -> Pairs:
    if "augment_kwargs" not in theirs:
        return {"ada.mode": (ours.ada.mode, "none")}
    strengths = {key: value for key, value in theirs["augment_kwargs"].items() if key != "class_name"}
    ranges = {"xint_max", "rotate_max", "hue_max", "imgfilter_bands", "cutout_size"}
    pairs: Pairs = {
        f"augpipe.{key}": (value, strengths.get(key, 0))
        for key, value in ours.augpipe.items()
        if key != "_target_" and not key.endswith("_std") and key not in ranges
    }
    pairs["p_init"] = ours.ada.p_init, theirs.get("augment_p", 0)
    if "ada_target" not in theirs:
        return pairs | {"ada.mode": (ours.ada.mode, "fixed")}
    return pairs | {
        "ada.mode": (ours.ada.mode, "adaptive"),
        "ada.target": (ours.ada.target, theirs["ada_target"]),
        "ada.kimg": (ours.ada.kimg, theirs.get("ada_kimg", 500)),
        "ada.interval": (ours.ada.interval_iterations, theirs.get("ada_interval", 4)),
    }
