"""Error messages: what a constructor says of its argument is shown with the key that the user sets."""

import pytest
from omegaconf import OmegaConf

from stylegan.configuration.compose import composed
from stylegan.configuration.hydra_errors import from_input, instantiate_part, key_to_set
from stylegan.configuration.presets import derive
from stylegan.errors import UserError


class Penalty:
    def __init__(self, *, gamma: float = 1.0, name: str = ""):
        if name:
            raise ValueError(name)
        if gamma < 0:
            raise ValueError(f"gamma must be at least 0, got {gamma}; try gamma=1, not the_gamma=1")
        if gamma == 13:
            raise KeyError("a bug of ours")


class Module:
    def __init__(self, *, r1: Penalty, seed: int = 0):
        if seed < 0:
            raise ValueError(f"seed={seed}: it must be at least 0")


@pytest.fixture
def config():
    here = __name__
    return OmegaConf.create(
        {
            "loss": {"r1_gamma": 1},
            "seed": 0,
            "own": {"_target_": f"{here}.Penalty", "gamma": "${loss.r1_gamma}"},
            "callbacks": {"penalty": {"_target_": f"{here}.Penalty", "gamma": 1}},
            "module": {
                "_target_": f"{here}.Module",
                "seed": "${oc.select:seed,3}",
                "r1": {"_target_": f"{here}.Penalty", "gamma": "${loss.r1_gamma}"},
            },
        }
    )


def mistake(config, key, **arguments) -> str:
    with pytest.raises(UserError) as caught:
        instantiate_part(config, key, **arguments)
    return str(caught.value)


def test_the_key_that_an_argument_follows_takes_its_place(config):
    config.loss.r1_gamma = -1
    line = "loss.r1_gamma must be at least 0, got -1; try loss.r1_gamma=1, not the_gamma=1"
    assert mistake(config, "module") == line
    # The part itself is elsewhere.
    config.module.r1 = "${own}"
    assert mistake(config, "module") == mistake(config, "own") == line


def test_a_value_of_its_own_is_named_where_it_is(config):
    config.module.r1.gamma = -2
    assert mistake(config, "module").startswith("module.r1.gamma must be at least 0, got -2")
    config.callbacks.penalty.gamma = -3
    assert mistake(config, "callbacks.penalty").startswith(
        "callbacks.penalty.gamma must be at least 0, got -3"
    )


def test_an_argument_that_the_configuration_leaves_out_has_a_key(config):
    del config.own["gamma"]
    assert mistake(config, "own", gamma=-4).startswith("own.gamma must be at least 0")


def test_a_message_with_an_equals_sign_is_read_too(config):
    config.seed = -1
    assert mistake(config, "module") == "seed=-1: it must be at least 0"
    config.module.seed = -5
    assert mistake(config, "module") == "module.seed=-5: it must be at least 0"


@pytest.mark.parametrize(
    "text", ["loss.r1_gamma must be above 0", "there is no gamma", "gammas must differ", "data.path: no file"]
)
def test_what_does_not_begin_with_an_argument_stays(config, text):
    config.own.name = text
    assert mistake(config, "own") == text


def test_an_error_from_inside_stays_a_bug(config):
    config.own.gamma = 13
    with pytest.raises(Exception, match="a bug of ours") as caught:
        instantiate_part(config, "own")
    assert not isinstance(caught.value, UserError)


def test_an_unknown_argument_is_a_mistake(config):
    assert "'gama'" in mistake(config, "own", gama=1)


def test_key_to_set_stops_where_nothing_is_followed(config):
    written = OmegaConf.to_container(config)
    assert key_to_set(written, "module.r1.gamma") == "loss.r1_gamma"
    assert key_to_set(written, "module.seed") == "seed"
    assert key_to_set(written, "module.r1") == "module.r1"
    assert key_to_set(written, "nowhere.at.all") == "nowhere.at.all"


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("data.workers=-1", "data"),
        ("data.val_fraction=2", "data"),
        ("ada.target=9", "ada"),
        ("callbacks.checkpoint.keep_last=0", "callbacks.checkpoint"),
        ("callbacks.stats.every_kimg=-1", "callbacks.stats"),
        ("max_time=soon", "callbacks.preemption"),
    ],
)
def test_parts_of_ours_are_reported_by_the_users_key(word, part):
    config = composed("train", [word, "batch_size=4", "run_dir=run"]).config
    line = mistake(config, part)
    assert word.partition("=")[0] in line and "\n" not in line


def test_a_word_that_is_nearly_right_is_answered_with_the_right_one():
    config = composed("train", ["data=folder", "data.path=x", "data.labels=folder", "batch_size=4"]).config
    assert mistake(config, "data") == (
        "data.labels must be one of none, folders, json, csv, got 'folder'; did you mean data.labels=folders?"
    )


@pytest.mark.parametrize(
    "word",
    [
        "loss.r1_gamma=-1",
        "loss.pl_weight=-1",
        "loss.style_mixing_prob=7",
        "optim.eps=-1",
        "ema.ramp_up=-1",
        "precision=float32",
    ],
)
def test_values_that_the_module_takes_over_are_reported_where_they_are_set(word):
    config = composed("train", [word, "generator.channel_max=4", "discriminator.channel_max=4"]).config
    for key, (value, _) in derive("auto", 32, None, 1).items():
        if OmegaConf.select(config, key) is None:
            OmegaConf.update(config, key, value)
    config.generator.c_dim = config.discriminator.c_dim = 0
    line = mistake(config, "module")
    assert line.startswith(word.partition("=")[0]) and "module." not in line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "runs/a"), "runs/a: Permission denied; see to it that you"),
        (OSError(5, "Input/output error", b"runs/caf\xc3\xa9"), "runs/café: Input/output error"),
        (OSError(5, "Input/output error"), "[Errno 5] Input/output error"),
        (FileNotFoundError("no such pictures; set data.path"), "no such pictures; set data.path"),
    ],
)  # fmt: skip
def test_a_file_that_the_system_refuses_is_named_in_words(error, line):
    with pytest.raises(UserError) as told, from_input():
        raise error
    assert str(told.value).startswith(line)
