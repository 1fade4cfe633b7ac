"""Schedules in a configuration: both ways of writing them, what is refused, and what a course comes to."""

import pytest
from omegaconf import OmegaConf

from stylegan.configuration.complete import with_values
from stylegan.configuration.hydra_errors import instantiate_part
from stylegan.configuration.schema import TRAIN
from stylegan.configuration.unknown_keys import SCHEDULABLE, schedule_faults
from stylegan.errors import UserError
from stylegan.training.schedules import SCHEDULABLE as FOLLOWERS
from tests.configuration.completing import completed, labelled

LINEAR = "{kind: linear, points: [[0,10],[1000,3]]}"


def test_the_keys_are_those_that_the_training_sets():
    assert set(SCHEDULABLE) == {key for key, _ in FOLLOWERS.values()}
    assert set(SCHEDULABLE) < set(TRAIN.keys)


@pytest.mark.parametrize(
    "word", [f"schedules={{loss.r1_gamma: {LINEAR}}}", f"schedules.loss.r1_gamma={LINEAR}"]
)
def test_a_schedule_is_written_nested_or_by_the_dotted_key(word):
    config = completed(word, "preset=tiny").config
    assert config.schedules.loss.r1_gamma == {"kind": "linear", "points": [[0, 10], [1000, 3]]}
    assert "loss.r1_gamma" not in config.schedules
    schedules = instantiate_part(config, "module.schedules")
    assert schedules.values_at(500_000) == {"r1_gamma": 6.5}


def test_a_recipe_may_write_either_and_the_command_line_wins(tmp_path):
    place = tmp_path / "experiment"
    place.mkdir()
    (place / "mine.yaml").write_text(
        "# @package _global_\nschedules:\n  loss.r1_gamma: {kind: constant, points: [[0, 2]]}\n"
        "  optim: {generator_lr: {kind: constant, points: [[0, 0.001]]}}\n"
    )
    config = completed("experiment=mine", "preset=tiny", config_dir=str(tmp_path)).config
    assert instantiate_part(config, "module.schedules").values_at(0) == {
        "r1_gamma": 2.0,
        "generator_lr": 0.001,
    }
    config = completed(
        "experiment=mine", "schedules.optim.generator_lr=null", "preset=tiny", config_dir=str(tmp_path)
    ).config
    assert instantiate_part(config, "module.schedules").values_at(0) == {"r1_gamma": 2.0}


LIST = "loss.r1_gamma, loss.pl_weight, optim.generator_lr, optim.discriminator_lr, ada.p_init can"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            [f"schedules={{ema.half_life_kimg: {LINEAR}}}"],
            f"schedules.ema.half_life_kimg: ema.half_life_kimg cannot follow a schedule; {LIST}",
        ),
        (
            [f"schedules.loss.r1_gama={LINEAR}"],
            f"schedules.loss.r1_gama: loss.r1_gama cannot follow a schedule; {LIST}; did you mean loss.r1_gamma?",
        ),
        (
            ["schedules.loss=3"],
            "schedules.loss must be a set of keys, as in schedules.loss.r1_gamma=..., got 3",
        ),
        (
            [f"schedules.ada.p_init={LINEAR}"],
            "schedules.ada.p_init needs ada=fixed: with ada=adaptive p follows the discriminator",
        ),
        (
            [f"schedules.ada.p_init={LINEAR}", "ada=none"],
            "schedules.ada.p_init needs ada=fixed: with ada=none nothing is augmented",
        ),
        (
            ["transfer.freeze=3"],
            "transfer.freeze must be text or a set of keys or a list of text or a set of keys or null, got 3",
        ),
        (
            ["transfer.freeze=[mapping,3]"],
            "transfer.freeze must be text or a set of keys or a list of text or a set of keys or null, got"
            " ['mapping', 3]",
        ),
    ],
)
def test_what_cannot_be_so_is_one_line(words, line):
    with pytest.raises(UserError) as refused:
        completed(*words, "preset=tiny")
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["schedules.loss.r1_gamma={kind: linaer, points: [[0,10],[1000,3]]}"],
            "schedules.loss.r1_gamma: kind must be one of constant, steps, linear, cosine, got linaer;"
            " did you mean linear?",
        ),
        (
            ["schedules.optim.generator_lr=3"],
            "schedules.optim.generator_lr must be a kind and points, as in {kind: linear, points: [[0, 10],"
            " [1000, 3]]}, got 3",
        ),
        (
            ["transfer.freeze=maping"],
            "transfer.freeze: 'maping' is found in no parameter's name; did you mean mapping?",
        ),
        (
            ["transfer.freeze=[{names: mapping, till_kimg: 20}]"],
            "transfer.freeze: there is no till_kimg; did you mean until_kimg?",
        ),
    ],
)
def test_what_a_constructor_refuses_begins_with_the_key(words, line):
    small = [
        "preset=tiny",
        "resolution=8",
        "generator.z_dim=4",
        "generator.w_dim=4",
        "generator.channel_max=4",
    ]
    with pytest.raises(UserError) as refused:
        instantiate_part(labelled(completed(*words, *small).config), "module")
    assert str(refused.value) == line


def test_a_module_of_the_users_without_schedules_is_named():
    config = completed("preset=tiny", f"schedules.loss.r1_gamma={LINEAR}", "transfer.freeze=mapping").config
    own = with_values(config, {"module": OmegaConf.create({"_target_": "my.Training"})})
    assert list(schedule_faults(own)) == [
        "schedules.loss.r1_gamma is of no use: module._target_=my.Training takes no schedules",
        "transfer.freeze is of no use: module._target_=my.Training takes no freeze",
    ]
