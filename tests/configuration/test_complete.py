"""What is filled in, refused and written before a training starts."""

import pytest
from omegaconf import OmegaConf

from stylegan.configuration.complete import check
from stylegan.configuration.compose import composed, job_suffix
from stylegan.errors import UserError
from stylegan.runs.checkpoints import write_checkpoint
from stylegan.runs.folder import RunFolder, checkpoint_name
from stylegan.runs.records import write_config
from stylegan.runs.resume import find_checkpoint, stored_config
from tests.configuration import completing
from tests.configuration.completing import labelled


def completed(*arguments, swept=()) -> tuple:
    config = completing.completed(*arguments, swept=swept).config
    return config, RunFolder(config.run_dir)


def test_nulls_are_derived_and_values_that_are_set_stay():
    config, _ = completed("preset=auto", "batch_size=8", "loss.r1_gamma=3", "discriminator.mbstd_group=2")
    assert (config.batch_size, config.micro_batch, config.total_kimg) == (8, 8, 25000)
    assert (config.loss.r1_gamma, config.discriminator.mbstd_group) == (3, 2)
    assert config.ema.half_life_kimg == 2.5


def test_another_batch_changes_what_depends_on_it():
    config, _ = completed("preset=stylegan2", "batch_size=2")
    assert (config.loss.r1_gamma, config.ema.half_life_kimg) == (160, 10 * 2 / 32)
    assert (config.discriminator.mbstd_group, config.micro_batch) == (2, 2)


def test_what_the_user_names_stays_even_where_it_equals_the_presets(tmp_path):
    config, _ = completed("preset=stylegan2", "batch_size=16", "loss.r1_gamma=10")
    assert (config.loss.r1_gamma, config.ema.half_life_kimg) == (10, 5)
    config, _ = completed("preset=stylegan2", "batch_size=16", "loss={r1_gamma: 10}")
    assert config.loss.r1_gamma == 10
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\nbatch_size: 16\nema: {half_life_kimg: 10}\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    composition = composed("train", ["preset=stylegan2", "experiment=mine"], config_dir=str(tmp_path))
    config = completing.completed_from(composition).config
    assert (config.ema.half_life_kimg, config.loss.r1_gamma) == (10, 20)


def test_without_rederiving_the_presets_numbers_stay():
    config, _ = completed("preset=stylegan2", "batch_size=16", "rederive=false")
    assert (config.loss.r1_gamma, config.ema.half_life_kimg, config.discriminator.mbstd_group) == (10, 10, 4)
    config, _ = completed("preset=auto", "batch_size=2", "rederive=false")
    assert (config.loss.r1_gamma, config.ema.half_life_kimg) == (pytest.approx(0.0064), 10)
    assert config.discriminator.mbstd_group == 4


def test_a_value_that_is_set_to_null_is_derived():
    config, _ = completed("preset=stylegan2", "loss.r1_gamma=null", "discriminator.mbstd_group=null")
    assert (config.loss.r1_gamma, config.discriminator.mbstd_group) == (10, 4)


@pytest.mark.parametrize("key", ["ema.ramp_up", "generator.conv_clamp", "discriminator.conv_clamp"])
def test_a_null_that_means_none_stays(key):
    assert OmegaConf.select(completed(f"{key}=null")[0], key) is None
    assert OmegaConf.select(completed()[0], key) is not None


def test_a_preset_of_the_users_own_is_derived_as_auto(tmp_path):
    (tmp_path / "preset").mkdir()
    (tmp_path / "preset" / "mine.yaml").write_text("# @package _global_\nbatch_size: 4\ntotal_kimg: 1\n")
    composition = composed("train", ["preset=mine"], config_dir=str(tmp_path))
    config = completing.completed_from(composition).config
    assert config.loss.r1_gamma == pytest.approx(0.0002 * 32**2 / 4)
    assert config.generator.channel_base == 16384


def test_the_name_holds_data_resolution_and_preset():
    config, folder = completed("preset=tiny", "resolution=64", "runs_dir=all, my runs")
    assert folder.path.as_posix() == "all, my runs/flowers64-tiny"
    assert config.logger.jsonl.folder == config.run_dir == str(folder.path)


def test_text_that_looks_like_an_interpolation_stays_text(tmp_path):
    config, folder = completed("name=${seed}", f"runs_dir={tmp_path}")
    config.generator.c_dim = 0
    write_config(config, folder)
    assert folder.config.parent.name == "${seed}"
    assert OmegaConf.load(folder.config).callbacks.checkpoint.folder == str(tmp_path / "${seed}")


@pytest.mark.parametrize("name", ["a/b", "..", "", "a\\b"])
def test_a_name_is_one_folder(name):
    with pytest.raises(ValueError, match="name"):
        completed(f"name={name}")


def test_jobs_of_a_sweep_get_folders_of_their_own():
    _, first = completed("name=x", swept={"seed": "1", "loss.r1_gamma": "0.5"}.items())
    _, second = completed("name=x", swept={"seed": "2", "loss.r1_gamma": "0.5"}.items())
    assert first.path.name == "x-seed=1-loss.r1_gamma=0.5"
    assert second.path.name == "x-seed=2-loss.r1_gamma=0.5"
    assert completed("name=x", swept={"name": "x"}.items())[1].path.name == "x"


def test_what_cannot_be_in_a_name_does_not_make_two_jobs_one():
    suffixes = {job_suffix({"data.path": path}) for path in ("a/b", "a b", "a_b", "a" * 200, "a" * 201)}
    assert len(suffixes) == 5
    assert all("/" not in suffix and len(suffix) < 200 for suffix in suffixes)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["resolution=50"], "resolution: no network draws 50x50"),
        (["resolution=big"], "resolution must be pixels a side"),
        (["resolution=[32]"], "resolution must be pixels a side"),
        (["resolution=null"], "resolution must be set"),
        (["batch_size=0"], "batch_size"),
        (["batch_size=6", "micro_batch=4"], "micro_batch can be 1, 2, 3, 6"),
        (["total_kimg=-1"], "total_kimg"),
        (["seed=-1"], "seed must be from 0 to"),
        (["data=folder"], "data.path"),
        (["trainer.devices=2", "batch_size=9"], "batch_size 9 cannot be divided among 2 devices"),
        (["trainer=cpu", "trainer.devices=[0,1]"], "on the CPU say how many: trainer.devices=2"),
        (["trainer=ddp"], "trainer.devices=null takes the processes that torchrun or Slurm started"),
        (["trainer.num_nodes=2"], "trainer.num_nodes=2, and this process is alone"),
        (["trainer.devices=auto"], "trainer.devices"),
        (["trainer.devices=[]"], "trainer.devices must be a number of devices or a list of them"),
        (["trainer.num_nodes=two"], "trainer.num_nodes must be a whole number of at least 1, got two"),
        (["trainer.num_nodes=0"], "trainer.num_nodes must be a whole number of at least 1, got 0"),
        (["trainer.devices=2", "trainer.strategy=ddp"], "trainer.strategy=ddp sums gradients a second time"),
        (["+loss.r1_gama=1"], "loss.r1_gama; did you mean loss.r1_gamma"),
        (["+resolutoin=64"], "resolutoin; did you mean resolution"),
        (["~data"], "data"),
        (["run_dir=here"], "set runs_dir=... and name=..."),
        (["data_fingerprint=x"], "data_fingerprint"),
        (["overwrite=true"], "resume=never"),
    ],
)
def test_nonsense_is_refused_by_its_key(arguments, word):
    with pytest.raises((ValueError, UserError), match=word.replace(".", "\\.")) as caught:
        completed(*arguments)
    assert str(caught.value).count("\n") == 0


def test_faults_are_reported_together():
    with pytest.raises(UserError) as caught:
        completed(
            "batch_size=0", "seed=-1", "generator.z_dim=wide", "+loss.gamma=1", "resolution=7", "data=folder"
        )
    reported = str(caught.value).splitlines()
    for key in ("batch_size", "seed", "generator.z_dim", "loss.gamma", "resolution", "data.path"):
        assert sum(key in line for line in reported) == 1, key
    assert len(reported) == 6


@pytest.mark.parametrize(
    ("text", "stored", "name"),
    [
        ("48x32", [48, 32], "flowers48x32-auto"),
        ("[48,32]", [48, 32], "flowers48x32-auto"),
        ("64x64", 64, "flowers64-auto"),
        ("96", 96, "flowers96-auto"),
    ],
)
def test_a_size_is_stored_as_constructors_take_it(text, stored, name):
    config, folder = completed(f"resolution={text}")
    assert (config.resolution, config.generator.resolution, folder.path.name) == (stored, stored, name)


def test_the_networks_learn_the_width_of_the_labels():
    before, _ = completed()
    config = labelled(before, 5)
    assert config.generator.c_dim == config.discriminator.c_dim == 5 and before.generator.c_dim is None
    with pytest.raises(ValueError, match="generator.c_dim"):
        labelled(config, 4)


def test_the_written_configuration_is_resolved(tmp_path):
    config, folder = completed(f"runs_dir={tmp_path}", "resolution=64")
    config = labelled(config)
    write_config(config, folder)
    text = folder.config.read_text()
    assert "${" not in text and "???" not in text
    written = OmegaConf.load(folder.config)
    assert written.generator.resolution == written.data.resolution == 64
    assert written.module.micro_batch == config.micro_batch


@pytest.fixture
def begun(tmp_path) -> RunFolder:
    """A run folder with a configuration and two checkpoints, of no meaning but whole."""
    config, folder = completed(f"runs_dir={tmp_path}", "name=run", "data=folder", "data.path=a.zip")
    config = labelled(config)
    write_config(config, folder)
    folder.checkpoints.mkdir()
    for images in (800, 12800):
        path = folder.checkpoints / f"{checkpoint_name(images)}.ckpt"
        write_checkpoint(path, lambda file: file.write(b"whole"))
    return folder


def test_resume_finds_the_requested_checkpoint(begun, tmp_path):
    fresh = RunFolder(tmp_path / "fresh")
    newest = begun.checkpoints / "kimg0000012.800.ckpt"
    assert find_checkpoint("auto", begun) == (newest, [])
    assert find_checkpoint("auto", fresh) == (None, [])
    assert find_checkpoint("never", fresh) == (None, [])
    assert find_checkpoint(str(begun.path), fresh) == (newest, [])
    older = begun.checkpoints / "kimg0000000.800.ckpt"
    assert find_checkpoint(str(older), fresh) == (older, [])
    with pytest.raises(ValueError, match="two histories"):
        find_checkpoint(str(older), begun)


def test_resume_by_the_runs_own_folder_passes_over_a_damaged_checkpoint(begun):
    newest, older = (begun.checkpoints / f"kimg{name}.ckpt" for name in ("0000012.800", "0000000.800"))
    newest.write_bytes(b"cut")
    found, said = find_checkpoint(str(begun.path), begun)
    assert found == older and len(said) == 1 and newest.name in said[0]


def test_a_run_whose_checkpoints_are_all_damaged_says_that_it_begins_again(begun):
    for path in begun.checkpoints.glob("*.ckpt"):
        path.write_bytes(b"cut")
    found, said = find_checkpoint("auto", begun)
    assert found is None and len(said) == 3 and "begins again" in said[-1]
    assert find_checkpoint("auto", begun) == (None, [])


@pytest.fixture
def branch(begun, tmp_path) -> RunFolder:
    """A run that began from `begun`, and has a checkpoint of its own."""
    config, folder = completed(
        f"runs_dir={tmp_path}", "name=branch", "data=folder", "data.path=a.zip", f"resume={begun.path}"
    )
    config = labelled(config)
    write_config(config, folder)
    folder.checkpoints.mkdir()
    write_checkpoint(folder.checkpoints / "kimg0000012.900.ckpt", lambda file: file.write(b"whole"))
    return folder


def test_a_branch_continues_from_its_own_checkpoint(begun, branch, tmp_path, monkeypatch):
    own = branch.checkpoints / "kimg0000012.900.ckpt"
    found, said = find_checkpoint(str(begun.path), branch)
    assert found == own and len(said) == 1 and str(begun.path) in said[0]
    monkeypatch.chdir(begun.path.parent)
    assert find_checkpoint("run", branch)[0] == own
    # Those of the older run may have been thinned out since.
    (begun.checkpoints / "kimg0000012.800.ckpt").rename(tmp_path / "kept")
    assert find_checkpoint(str(begun.path), branch)[0] == own
    (tmp_path / "kept").rename(begun.checkpoints / "kimg0000012.800.ckpt")
    # Without a whole one of its own it begins once more.
    own.write_bytes(b"cut")
    found, said = find_checkpoint(str(begun.path), branch)
    assert found == begun.checkpoints / "kimg0000012.800.ckpt" and own.name in said[0]


def test_a_run_that_began_otherwise_is_not_a_branch(begun, branch, tmp_path):
    for folder, start in ((begun, branch.path), (branch, begun.checkpoints / "kimg0000000.800.ckpt")):
        before = sorted(folder.path.rglob("*"))
        with pytest.raises(ValueError, match=r"holds a run already \(kimg0000012.*leave resume out"):
            find_checkpoint(str(start), folder)
        assert sorted(folder.path.rglob("*")) == before


def test_resume_refuses_what_is_not_there_and_what_would_be_mixed(begun, tmp_path):
    with pytest.raises(ValueError, match="overwrite=true"):
        find_checkpoint("never", begun)
    assert find_checkpoint("never", begun, overwrite=True) == (None, [])
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ValueError, match="no such checkpoint"):
            find_checkpoint(str(path), begun)


@pytest.mark.parametrize("text", ["a: [", "- 1", "\x00", "just words"])
def test_a_configuration_that_cannot_be_read_is_named(begun, text):
    begun.config.write_text(text)
    with pytest.raises(ValueError, match="config.yaml cannot be read") as caught:
        stored_config(begun)
    assert "\n" not in str(caught.value)


def test_the_names_of_the_classes_reach_the_generator():
    config = labelled(completed()[0], 2, ["corgi", "${seed}"])
    assert OmegaConf.to_container(config.generator, resolve=True)["label_names"] == ["corgi", "${seed}"]


@pytest.mark.parametrize("kind", ["loss.r1_gamma", "augpipe", "data_fingerprint", "generator.conv_clamp"])
def test_allow_change_takes_keys_and_sections(kind):
    assert check(composed("train", [f"allow_change=[{kind}]"])).config.allow_change == [kind]


@pytest.mark.parametrize(
    ("kind", "way_out"),
    [
        ("loss.r1gamma", "; did you mean loss.r1_gamma?"),
        ("augpip", "; did you mean augpipe?"),
        ("typo", "; they are named as in 'allow_change=[loss.r1_gamma]'"),
    ],
)
def test_what_allow_change_names_and_there_is_not_is_refused(kind, way_out):
    with pytest.raises(UserError) as caught:
        check(composed("train", [f"allow_change=[{kind}]"]))
    assert str(caught.value).startswith(f"allow_change=[{kind}]: there is no key {kind}{way_out}")
