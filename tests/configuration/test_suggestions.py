"""Suggestions: the nearest right word, and what another program's word is called here."""

import pytest

from stylegan.configuration.suggestions import nearest, nearest_key, option_needed, option_values, options_of

KEYS = ["data", "seed", "total_kimg", "loss.r1_gamma", "loss.pl_weight", "data.xflip", "data._target_"]


def test_the_options_that_set_a_key():
    assert option_values("data.path") == {"folder": "???"}
    assert option_values("data.xflip") == {"flowers": False, "folder": False}
    assert option_values("logger.wandb.project") == {"wandb": "stylegan"}
    assert option_values("seed") == option_values("loss.r1_gamma") == option_values("preset.batch_size") == {}


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("sed", "; did you mean seed?"),
        ("r1_gama", "; did you mean loss.r1_gamma?"),
        ("loss.r1_gama", "; did you mean loss.r1_gamma?"),
        ("loss.qqq", "; loss has pl_weight, r1_gamma"),
        ("kimg", "; here it is total_kimg"),
        ("data.path", " here; it comes with data=folder"),
        ("data.pth", "; did you mean data.path, which comes with data=folder?"),
        ("seed", " among what was chosen"),
        ("data.mirror", "; here it is data.xflip"),
        ("loss.gamma", "; here it is loss.r1_gamma"),
        ("qqqqqq", ""),
    ],
)
def test_the_nearest_key(key, hint):
    assert nearest_key(key, KEYS) == hint


def test_a_name_of_other_programs_is_that_of_the_command_whose_keys_there_are():
    assert nearest_key("outdir", ["name", "runs_dir"]) == "; here it is runs_dir"
    assert nearest_key("outdir", ["network", "runs_dir", "out"]) == "; here it is out"


def test_a_key_that_was_renamed_is_found_by_its_old_name():
    known = ["callbacks.stats.every_kimg", "callbacks.non_finite_guard.every_kimg"]
    assert nearest_key("callbacks.trouble.every_kimg", known) == f"; here it is {known[1]}"


def test_nearest_is_silent_where_no_word_is_near():
    assert nearest("tinny", ["tiny", "auto"]) == "; did you mean tiny?"
    assert nearest("xyz", ["tiny", "auto"]) == nearest("xyz", []) == ""


def test_the_options_of_a_group():
    assert options_of("ada") == ["adaptive", "fixed", "none"]
    assert options_of("loss") == options_of("../conf") == options_of("") == []


@pytest.mark.parametrize(
    ("key", "train", "evaluate"),
    [
        ("data.path", "folder", None),
        ("data.labels_path", "folder", "folder"),
        ("data.num_items", None, "flowers"),
        ("data.xflip", None, None),
        ("logger.wandb.project", "wandb", None),
        ("logger.tensorboard.name", None, None),
        ("callbacks.stats.every_kimg", None, None),
        ("trainer.devices", None, None),
        ("ada.target", None, None),
        ("seed", None, None),
    ],
)
def test_the_option_that_a_key_needs_beside_the_commands_own_choice(key, train, evaluate):
    assert option_needed(key, "train") == train
    assert option_needed(key, "evaluate") == (evaluate or train if key == "data.path" else evaluate)
