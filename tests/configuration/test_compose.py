"""Which layer of the configuration wins, and what the schema refuses."""

from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf

from stylegan.configuration.compose import composed
from stylegan.configuration.hydra_errors import explain
from stylegan.configuration.keys import Filled
from stylegan.configuration.schema import TRAIN

CONF = Path(__file__).parents[2] / "conf"


def config_of(*overrides, config_dir=None):
    return composed("train", overrides, config_dir=config_dir).config


@pytest.fixture
def own(tmp_path):
    """A folder for a user's own files: own("experiment/mine", text) writes one and returns the folder."""

    def write(option: str, text: str) -> str:
        path = tmp_path / f"{option}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(tmp_path)

    return write


def mistake(*overrides, config_dir=None) -> str:
    with pytest.raises(HydraException) as caught:
        config_of(*overrides, config_dir=config_dir)
    return explain(caught.value, lambda: ["loss.r1_gamma"])


def test_the_order_of_the_layers_is_the_documented_one():
    defaults = OmegaConf.load(CONF / "train.yaml").defaults
    names = [item if isinstance(item, str) else next(iter(item)) for item in defaults]
    groups = ["preset", "data", "augpipe", "ada", "callbacks", "logger", "trainer", "experiment"]
    assert [name for name in names if not name.startswith("override ")] == ["schema", "_self_", *groups]


def test_a_plain_run_is_flowers_at_32_pixels_with_auto():
    composition = composed("train")
    chosen = {
        group: composition.choices[group] for group in ("data", "preset", "augpipe", "ada", "experiment")
    }
    assert chosen == {
        "data": "flowers",
        "preset": "auto",
        "augpipe": "bgc",
        "ada": "adaptive",
        "experiment": None,
    }
    assert composition.config.resolution == 32


def test_root_values_win_over_the_schema():
    # null in the structured configuration, 2 in train.yaml.
    assert config_of().loss.pl_weight == 2.0


def test_a_preset_wins_over_root_values():
    assert config_of("preset=cifar").loss.pl_weight == 0.0
    assert config_of("preset=stylegan2").ema.ramp_up is None


def test_a_group_wins_over_a_preset(own):
    folder = own("preset/loud", "# @package _global_\nada: {mode: fixed, target: 0.1}\n")
    config = config_of("preset=loud", "ada=adaptive", config_dir=folder)
    assert (config.ada.mode, config.ada.target) == ("adaptive", 0.1)


def test_groups_win_over_root_values():
    # target is in train.yaml next to what the group sets.
    config = config_of("ada=fixed", "ada.p_init=0.25")
    assert (config.ada.mode, config.ada.p_init, config.ada.target) == ("fixed", 0.25, 0.6)


def test_an_experiment_wins_over_root_preset_and_groups(own):
    text = "# @package _global_\nresolution: 64\nloss: {pl_weight: 3}\ndata: {xflip: true}\n"
    config = config_of("preset=cifar", "experiment=mine", config_dir=own("experiment/mine", text))
    assert (config.resolution, config.loss.pl_weight, config.data.xflip) == (64, 3.0, True)


def test_an_experiment_chooses_groups(own):
    text = "# @package _global_\ndefaults:\n  - override /preset: tiny\n  - override /ada: none\n"
    composition = composed("train", ["experiment=mine"], config_dir=own("experiment/mine", text))
    assert composition.config.generator.z_dim == 128
    assert composition.config.ada.mode == "none"
    assert composition.choices["preset"] == "tiny"


def test_the_command_line_wins_over_all(own):
    text = "# @package _global_\nloss: {pl_weight: 3}\ndefaults:\n  - override /preset: tiny\n"
    folder = own("experiment/mine", text)
    config = config_of("experiment=mine", "loss.pl_weight=4", "preset=stylegan2", config_dir=folder)
    assert (config.loss.pl_weight, config.generator.mapping_layers) == (4.0, 8)


def test_a_callback_can_be_switched_off_and_set():
    config = config_of("callbacks.snapshots=null", "callbacks.stats.every_kimg=1")
    assert config.callbacks.snapshots is None and config.callbacks.stats.every_kimg == 1


def test_wandb_is_added_to_the_default_loggers():
    assert set(config_of("logger=wandb").logger) == {*config_of().logger, "wandb"}
    assert not config_of("logger=none").logger


def test_betas_are_floats(own):
    # torch refuses betas of which one is an int.
    config = config_of("optim.betas=[0, 0.99]")
    assert [type(beta) for beta in config.optim.betas] == [float, float]


@pytest.mark.parametrize("section", ["loss", "optim", "ema"])
def test_a_typo_in_an_experiment_is_refused(own, section):
    text = f"# @package _global_\n{section}: {{r1_gama: 1}}\n"
    line = mistake("experiment=mine", config_dir=own("experiment/mine", text))
    assert f"{section}.r1_gama" in line and "experiment/mine" in line


def test_a_typo_at_the_root_of_a_preset_is_refused(own):
    assert "batchsize" in mistake(
        "preset=mine", config_dir=own("preset/mine", "# @package _global_\nbatchsize: 1\n")
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch_size", "1.5"),
        ("seed", "one"),
        ("total_kimg", "[1]"),
        ("loss.r1_gamma", "strong"),
        ("loss.pl_batch_shrink", "1.5"),
        ("optim.betas", "[a, b]"),
        ("ema.ramp_up", "often"),
    ],
)
def test_a_wrong_type_is_refused(own, key, value):
    assert key.partition("[")[0] in mistake(f"{key}={value}")
    section, _, leaf = key.rpartition(".")
    text = f"{section}: {{{leaf}: {value}}}\n" if section else f"{leaf}: {value}\n"
    folder = own("experiment/mine", f"# @package _global_\n{text}")
    assert leaf in mistake("experiment=mine", config_dir=folder)


def test_the_nearest_key_is_suggested():
    assert mistake("loss.r1_gama=1").endswith("did you mean loss.r1_gamma?")
    assert mistake("data.path=x").endswith("it comes with data=folder")
    assert "flowers32" in mistake("experiment=flower32")
    assert mistake("preset=paper").count("\n") == 0


def presets() -> list[Path]:
    return sorted((CONF / "preset").glob("*.yaml"))


@pytest.mark.parametrize("path", presets(), ids=lambda path: path.stem)
def test_a_preset_sets_what_presets_fill_in_and_nothing_that_a_group_chooses(path):
    tree = OmegaConf.to_container(OmegaConf.load(path))
    own = {key: value for key, value in tree.items() if not isinstance(value, dict)}
    own |= {f"{name}.{key}": value for name in tree.keys() - own.keys() for key, value in tree[name].items()}
    assert own and own.keys() <= {*TRAIN.filled_by(Filled.PRESET)}
