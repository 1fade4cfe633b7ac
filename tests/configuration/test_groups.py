"""What the options of single groups promise; that each of them is complete and builds: `test_every_option.py`."""

from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from stylegan.configuration.compose import composed
from tests.configuration.completing import completed_from

CONF = Path(__file__).parents[2] / "conf"
GROUPS = ("preset", "data", "augpipe", "ada", "callbacks", "logger", "trainer", "experiment")
STRENGTHS = (
    *("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac"),
    *("brightness", "contrast", "lumaflip", "hue", "saturation", "imgfilter", "noise", "cutout"),
)


def options() -> list[tuple[str, str]]:
    return [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]


def completed(*overrides):
    return completed_from(composed("train", overrides)).config


def test_the_groups_hold_what_is_documented():
    names = {group: {option for where, option in options() if where == group} for group in GROUPS}
    assert names["augpipe"] == {
        *("none", "blit", "geom", "color", "filter", "noise", "cutout"),
        *("bg", "bgc", "bgcf", "bgcfn", "bgcfnc"),
    }
    assert names["preset"] == {"auto", "stylegan2", "paper256", "paper512", "paper1024", "cifar", "tiny"}
    assert names["ada"] == {"adaptive", "fixed", "none"}


@pytest.mark.parametrize("option", [option for group, option in options() if group == "ada"])
def test_an_ada_option_sets_the_mode_alone(option):
    assert list(OmegaConf.load(CONF / "ada" / f"{option}.yaml")) == ["mode"]
    controller = instantiate(completed(f"ada={option}").ada)
    assert controller.mode == option


@pytest.mark.parametrize("option", [option for group, option in options() if group == "augpipe"])
def test_an_augpipe_option_builds_a_pipe(option):
    config = completed(f"augpipe={option}")
    pipe = instantiate(config.augpipe, _convert_="all")
    for strength in STRENGTHS:
        assert getattr(pipe, strength, config.augpipe[strength]) == config.augpipe[strength]
    assert {config.augpipe[strength] for strength in STRENGTHS} <= {0.0, 1.0}


@pytest.mark.parametrize("preset", ["tiny", "cifar"])
def test_a_preset_builds_the_module(preset):
    config = completed(f"preset={preset}", "generator.channel_max=16", "discriminator.channel_max=16")
    config.generator.c_dim = config.discriminator.c_dim = 0
    module = instantiate(config.module)
    assert module.batch_size == config.batch_size
    assert module.generator.z_dim == config.generator.z_dim
    assert (0 if module.path_length is None else module.path_length.weight) == config.loss.pl_weight
    assert module.gradients.adam["generator"].betas[0] == config.optim.betas[0]
