"""What was derived for the devices of the first start stays, on any devices of a resumed run."""

import os

import pytest
from omegaconf import OmegaConf

from stylegan.configuration.compose import composed
from stylegan.runs.config_diff import changes
from stylegan.runs.folder import RunFolder
from stylegan.runs.records import wandb_id_values, write_config
from tests.configuration.completing import completed_from

KEPT = (
    "batch_size",
    "discriminator.mbstd_group",
    "loss.r1_gamma",
    "ema.half_life_kimg",
    "optim.generator_lr",
)


def completed(runs, *words):
    done = completed_from(composed("train", [f"runs_dir={runs}", "name=run", "resolution=256", *words]))
    return done.config, done.origins


@pytest.fixture
def run(tmp_path):
    """A run of one device that has a checkpoint; batch 16 of `auto` at 256 px."""
    config, _ = completed(tmp_path)
    config.data_fingerprint = config.generator.label_names = ""
    config.generator.c_dim = config.discriminator.c_dim = 0
    write_config(config, RunFolder(config.run_dir))
    checkpoints = RunFolder(config.run_dir).checkpoints
    checkpoints.mkdir()
    (checkpoints / "kimg0000000.016.ckpt").touch()
    return tmp_path


def test_more_devices_go_on_with_the_same_batch(run):
    before = OmegaConf.to_container(OmegaConf.load(run / "run/config.yaml"))
    config, origins = completed(run, "trainer.devices=8")
    assert config.batch_size == 16 and config.micro_batch == 2
    for key in KEPT:
        assert OmegaConf.select(config, key) == OmegaConf.select(OmegaConf.create(before), key), key
        assert origins[key] == "the run that continues"
    assert changes(before, config) == []
    # Eight devices would begin with another batch.
    fresh, origins = completed(run, "trainer.devices=8", "name=other")
    assert fresh.batch_size != 16 and origins["batch_size"] != "the run that continues"


def test_what_the_user_sets_is_compared(run):
    before = OmegaConf.to_container(OmegaConf.load(run / "run/config.yaml"))
    config, _ = completed(run, "trainer.devices=2", "batch_size=32", "loss.r1_gamma=9")
    assert {change.key for change in changes(before, config)} == {"batch_size", "loss.r1_gamma"}


@pytest.mark.parametrize("words", [["resume=never", "overwrite=true"], ["name=elsewhere"]])
def test_a_run_that_begins_derives_again(run, words):
    _, origins = completed(run, "trainer.devices=8", *words)
    assert "the run that continues" not in origins.values()


def test_a_file_that_cannot_be_read_is_reported_elsewhere(run):
    (run / "run/config.yaml").write_text("{no yaml")
    config, origins = completed(run)
    assert config.batch_size == 16 and "the run that continues" not in origins.values()


def test_a_micro_batch_stays_as_long_as_there_are_as_many_devices(run):
    """It may have been measured; for another number of devices it need not divide what each of them gets."""
    path = run / "run/config.yaml"
    stored = OmegaConf.load(path)
    stored.micro_batch = 4
    OmegaConf.save(stored, path)
    config, origins = completed(run)
    assert config.micro_batch == 4 and origins["micro_batch"] == "the run that continues"
    assert completed(run, "trainer.devices=2")[0].micro_batch == 8
    assert completed(run, "micro_batch=16")[0].micro_batch == 16
    assert completed(run, "micro_batch=auto")[0].micro_batch == "auto"


def called(path) -> dict:
    """What Hydra would make a file of, if it were built."""
    return {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "_args_": [str(path)]}}


@pytest.mark.parametrize("wrap", [lambda node: node, lambda node: [1, node], lambda node: [[node]]])
def test_nothing_of_a_strangers_folder_is_called(run, wrap):
    path = run / "run/config.yaml"
    stored = OmegaConf.load(path)
    stored.generator.channel_base = wrap(called(run / "made"))
    OmegaConf.save(stored, path)
    with pytest.raises(
        ValueError, match=r"run/config.yaml: generator.channel_base must be a number, .*; correct it"
    ):
        completed(run)


def test_a_text_of_a_strangers_folder_is_looked_up_nowhere(run):
    path = run / "run/config.yaml"
    stored = OmegaConf.load(path)
    stored.generator.channel_base = r"\${module}"
    OmegaConf.save(stored, path)
    assert completed(run)[0].generator.channel_base == "${module}"


@pytest.mark.parametrize("written", ["${oc.env:SECRET}", ["${oc.env:SECRET}"], {"a": "${oc.env:SECRET}"}])
@pytest.mark.parametrize("key", ["generator.channel_base", "loss", "generator"])
def test_a_strangers_folder_reads_no_variable_of_the_environment(run, written, key, monkeypatch):
    monkeypatch.setenv("SECRET", "told")
    path = run / "run/config.yaml"
    stored = OmegaConf.load(path)
    OmegaConf.update(stored, key, written, merge=False)
    OmegaConf.save(stored, path)
    try:
        shown = OmegaConf.to_yaml(completed(run)[0], resolve=True)
    except ValueError as error:
        shown = str(error)
    assert "told" not in shown


@pytest.mark.parametrize("known", [called("made"), [called("made")], "${oc.env:HOME}", 7])
def test_the_id_of_a_run_is_a_word(known, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    config = OmegaConf.create({"logger": {"wandb": {"id": None}}})
    (found,) = wandb_id_values(config, {"logger": {"wandb": {"id": known}}}).values()
    assert isinstance(found, str) and found != os.environ["HOME"]


def test_another_batch_is_refused_as_what_it_is_and_not_for_its_micro_batch(run):
    """With 16 images at a time, as the run has it, a batch of 6 could not be split."""
    config, _ = completed(run, "batch_size=6")
    before = OmegaConf.to_container(OmegaConf.load(RunFolder(config.run_dir).config))
    assert config.micro_batch == 6
    assert [change.key for change in changes(before, config)][0] == "batch_size"
