"""Config diff: what a resumed run may change, what only with allow_change, and what never."""

import pytest
from omegaconf import OmegaConf

from stylegan.configuration.compose import composed
from stylegan.errors import UserError
from stylegan.runs.config_diff import Change, changes, refuse_changes
from tests.configuration.completing import completed_from


def completed(*arguments):
    return completed_from(composed("train", ["preset=tiny", "batch_size=8", *arguments])).config


def stored(*arguments) -> dict:
    config = completed(*arguments)
    config.generator.c_dim = config.discriminator.c_dim = 0
    config.data_fingerprint = "abc"
    return OmegaConf.to_container(config, resolve=True)


def test_the_same_settings_are_no_change():
    assert changes(stored(), completed()) == []


@pytest.mark.parametrize(
    "argument",
    [
        *("total_kimg=7", "micro_batch=4", "callbacks.checkpoint.every_kimg=3", "logger=none", "trainer=cpu"),
        *("data.workers=2", "name=other", "runs_dir=elsewhere", "callbacks.snapshots=null", "max_time=1h"),
        *("data.worker_timeout_sec=60", "data.cache=false", "trainer.devices=2", "micro_batch=auto"),
        *("precision=fp32", "regulariser_precision=fp32", "num_half_res=2", "tf32=true"),
    ],
)
def test_what_is_harmless_passes(argument):
    assert refuse_changes(stored(), completed(argument), place="run") == []


def test_a_run_that_names_the_former_adapter_continues():
    before = stored()
    before["module"]["_target_"] = "stylegan.training.StyleGAN2ADA"
    assert refuse_changes(before, completed(), place="run") == []
    with pytest.raises(UserError, match="module._target_=stylegan.training.StyleGAN2ADA2, not"):
        before["module"]["_target_"] += "2"
        refuse_changes(before, completed(), place="run")


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(None, marks=pytest.mark.long),
        "scans",
        pytest.param("/a folder/of, scans", marks=pytest.mark.long),
    ],
)
def test_a_run_whose_cache_was_a_folder_resumes(folder):
    """`data.cache` named the folder that is `data.cache_dir` now."""
    of_folder = ("data=folder", "data.path=pictures.zip")
    before = stored(*of_folder)
    before["data"]["cache"] = folder
    del before["data"]["cache_dir"], before["data"]["devices"]
    for argument in ("data.cache=auto", "data.cache=true", "data.cache_dir=elsewhere"):
        assert refuse_changes(before, completed(*of_folder, argument), place="run") == []


@pytest.mark.parametrize(
    ("argument", "key"),
    [
        ("loss.r1_gamma=9", "loss.r1_gamma"),
        ("augpipe=bg", "augpipe.brightness"),
        ("ada.target=0.5", "ada.target"),
        ("optim.generator_lr=0.1", "optim.generator_lr"),
        ("ema.ramp_up=null", "ema.ramp_up"),
        ("discriminator.mbstd_group=2", "discriminator.mbstd_group"),
        ("data.xflip=true", "data.xflip"),
        ("data.seed=7", "data.seed"),
        ("loss.pl_weight=0", "loss.pl_weight"),
    ],
)
def test_what_is_risky_needs_allow_change(argument, key):
    before, now = stored(), completed(argument)
    with pytest.raises(UserError) as caught:
        refuse_changes(before, now, place="run")
    (line,) = [line for line in str(caught.value).splitlines() if f"with {key}=" in line]
    assert line.endswith(f"'allow_change=[{key}]'")
    now.allow_change = [key.partition(".")[0]]
    assert key in [change.key for change in refuse_changes(before, now, place="run")]


@pytest.mark.parametrize(
    ("argument", "key"),
    [
        *(("seed=3", "seed"), ("resolution=64", "resolution"), ("batch_size=16", "batch_size")),
        *(
            ("generator.w_dim=64", "generator.w_dim"),
            ("discriminator.channel_max=64", "discriminator.channel_max"),
            ("discriminator.freeze_layers=2", "discriminator.freeze_layers"),
        ),
        *(("data.channels=1", "data.channels"), ("data.resolution=16", "data.resolution")),
    ],
)
def test_what_no_run_can_change_is_refused_even_with_allow_change(argument, key):
    now = completed(argument, f"allow_change=[{key}]")
    with pytest.raises(UserError, match=rf"was started with {key}=.*another name="):
        refuse_changes(stored(), now, place="run")


def test_other_images_need_allow_change():
    before, now = stored(), completed()
    now.data_fingerprint = "def"
    with pytest.raises(
        UserError,
        match=r"started with other images or labels than .*; put them back, .*allow_change=\[data_fingerprint\]",
    ):
        refuse_changes(before, now, place="run")


def test_a_change_that_is_allowed_is_noted_as_what_it_became():
    before, now = stored(), completed("loss.r1_gamma=3", "allow_change=[loss.r1_gamma,data_fingerprint]")
    now.data_fingerprint = "def"
    notes = {change.key: change.note() for change in refuse_changes(before, now, place="run")}
    assert notes["loss.r1_gamma"].startswith("loss.r1_gamma is 3.0 now and was ")
    assert notes["data_fingerprint"] == "the images or labels have changed"


def test_a_value_that_follows_another_key_is_compared_where_it_is_set():
    found = changes(stored(), completed("loss.r1_gamma=9"))
    assert [change.key for change in found] == ["loss.r1_gamma"]


def test_a_size_is_shown_as_it_is_typed():
    before = stored("resolution=64x96")
    with pytest.raises(UserError, match="resolution=64x96, not 32, which"):
        refuse_changes(before, completed("resolution=32"), place="run")
    assert Change("resolution", [64, 96], [64, 32]).note() == "resolution is 64x32 now and was 64x96"


LINEAR = "schedules.loss.r1_gamma={kind: linear, points: [[0,10],[1000,3]]}"
STEPS = "schedules={loss.r1_gamma: {kind: steps, points: [[0,10]]}}"


@pytest.mark.parametrize(
    ("before", "now", "line"),
    [
        ([LINEAR], [], "schedules.loss.r1_gamma={kind: linear, points: [[0, 10], [1000, 3]]}, not null"),
        ([], [LINEAR], "schedules.loss.r1_gamma=null, not {kind: linear, points: [[0, 10], [1000, 3]]}"),
        (
            [LINEAR],
            [STEPS],
            "schedules.loss.r1_gamma={kind: linear, points: [[0, 10], [1000, 3]]}, not {kind: st",
        ),
        (["transfer.freeze=mapping"], [], "transfer.freeze=mapping, not null"),
        (
            ["transfer.freeze=[{names: mapping, until_kimg: 9}]"],
            ["transfer.freeze=mapping"],
            "transfer.freeze=[{names: mapping, until_kimg: 9}], not mapping",
        ),
    ],
)
def test_a_schedule_or_what_is_frozen_changes_as_a_whole_and_only_where_it_is_allowed(before, now, line):
    before, now = stored(*before), completed(*now)
    with pytest.raises(UserError) as refused:
        refuse_changes(before, now, place="run")
    assert f"was last started with {line}" in str(refused.value)
    (change,) = changes(before, now)
    for allowed in (change.key, change.key.partition(".")[0]):
        now.allow_change = [allowed]
        assert refuse_changes(before, now, place="run") == [change]


def test_a_run_from_before_there_were_schedules_had_none():
    before = stored()
    del before["schedules"], before["transfer"]
    assert changes(before, completed()) == []
    changed = changes(before, completed(LINEAR, "transfer.freeze=mapping"))
    assert {change.key for change in changed} == {"schedules.loss.r1_gamma", "transfer.freeze"}
