"""What `explain=true` prints, and who is said to have set each value."""

from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from stylegan.cli.train import main
from stylegan.configuration import presets as presets
from stylegan.configuration.compose import composed
from stylegan.configuration.explain import explained
from tests.configuration.completing import completed_from


def rows(lines) -> dict[str, tuple[str, str]]:
    """{key: (value, origin)} of the printed lines: columns are two blanks apart at least."""
    cells = [[cell for cell in line.strip().split("  ") if cell] for line in lines if line.startswith("  ")]
    return {row[0].strip(): (row[1].strip(), row[2].strip()) for row in cells}


def explanation(*overrides, config_dir=None) -> dict[str, tuple[str, str]]:
    composition = composed("train", overrides, config_dir=config_dir)
    return rows(lines_of(composition))


def lines_of(composition) -> list[str]:
    done = completed_from(composition)
    return explained(replace(composition, config=done.config), done.origins, memory="about 1 GB")


@pytest.fixture
def own(tmp_path):
    def write(option: str, text: str) -> str:
        path = tmp_path / f"{option}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# @package _global_\n{text}")
        return str(tmp_path)

    return write


def test_each_kind_of_origin_is_named():
    reported = explanation("preset=stylegan2", "batch_size=16", "trainer=cpu", "ada.target=0.6")
    assert reported["batch_size"] == ("16", "command line")
    assert reported["ada.target"] == ("0.6", "command line")  # though it equals the default
    assert reported["loss.r1_gamma"] == ("20", "formula 10*32/16")
    assert reported["generator.mapping_layers"] == ("8", "preset stylegan2")
    assert reported["loss.pl_decay"] == ("0.01", "default")
    assert reported["augpipe.hue"] == ("1", "augpipe bgc")
    assert reported["trainer.accelerator"] == ("cpu", "trainer cpu")
    assert reported["generator.c_dim"] == ("null", "the data")
    assert reported["name"] == ("flowers32-stylegan2", "formula <data><resolution>-<preset>")
    assert reported["preset"] == ("stylegan2", "command line") and reported["data"] == ("flowers", "default")


def test_an_experiment_and_a_config_dir_are_the_users(own):
    own("experiment/mine", "defaults: [override /preset: mine]\nloss: {pl_weight: 2}\n")
    folder = own("preset/mine", "batch_size: 8\nema: {half_life_kimg: 3}\n")
    reported = explanation("experiment=mine", "seed=0", config_dir=folder)
    assert reported["loss.pl_weight"] == ("2", "experiment mine")
    assert reported["ema.half_life_kimg"] == ("3", "--config-dir preset/mine.yaml")
    assert reported["loss.r1_gamma"] == ("0.0256", "formula 0.0002*32*32/8")
    assert reported["preset"] == ("mine", "experiment mine")
    assert reported["seed"] == ("0", "command line")


def test_the_command_line_is_named_before_an_experiment(own):
    folder = own("experiment/mine", "loss: {pl_weight: 3}\n")
    assert explanation("experiment=mine", "loss={pl_weight: 4}", config_dir=folder)["loss.pl_weight"] == (
        "4",
        "command line",
    )


def test_a_null_that_is_derived_is_not_the_users():
    assert explanation("preset=cifar", "loss.r1_gamma=null")["loss.r1_gamma"] == ("0.01", "preset cifar")


def test_the_last_line_is_the_memory():
    assert lines_of(composed("train", ["preset=tiny"]))[-2:] == ["", "memory  about 1 GB"]


def test_every_value_is_printed_once():
    composition = composed("train", ["preset=tiny"])
    lines = lines_of(composition)
    keys = [line.split()[0] for line in lines if line.startswith("  ")]
    assert len(keys) == len({*keys})
    config = OmegaConf.to_container(composition.config)
    for section in ("generator", "discriminator", "loss", "optim", "ema", "data"):
        for name, value in config[section].items():
            follows = str(value).startswith("${")
            assert (f"{section}.{name}" in keys) is not (follows or name == "_convert_"), f"{section}.{name}"


def presets_explained():
    """Each preset, each size and each batch once; all of them together in the long run."""
    for name in presets.names():
        for resolution in ("32", "48x32", "256"):
            for batch in (None, 16):
                usual = (resolution, batch) == ("48x32", 16) or name == "auto" and batch is None
                yield pytest.param(name, resolution, batch, marks=() if usual else pytest.mark.long)


@pytest.mark.parametrize(("name", "resolution", "batch"), list(presets_explained()))
def test_every_preset_is_explained_with_what_it_derives(name, resolution, batch):
    batches = [] if batch is None else [f"batch_size={batch}"]
    reported = explanation(f"preset={name}", f"resolution={resolution}", *batches)
    for key, (value, origin) in presets.derive(name, resolution, batch, 1).items():
        shown, said = reported[key]
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert float(shown) == pytest.approx(value, rel=1e-9), key
        assert said == ("command line" if origin == "given" else origin), key


def test_it_prints_and_makes_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["explain=true", "preset=tiny", "trainer=gpu"]) == 0
    out = capfd.readouterr().out
    assert rows(out.splitlines())["ema.half_life_kimg"] == ("10", "formula 32*10/32")
    assert out.splitlines()[-1].startswith("memory  about ")
    assert list(tmp_path.iterdir()) == []


SCHEDULED = (
    *("preset=tiny", "resolution=8", "generator.channel_max=4", "discriminator.channel_max=4"),
    "schedules.loss.r1_gamma={kind: linear, points: [[0, 10], [1000, 3]]}",
    "transfer.freeze=[{names: mapping, until_kimg: 100}]",
)


def test_a_schedule_is_one_value_with_one_origin():
    reported = explanation(*SCHEDULED)
    course = "{kind: linear, points: [[0, 10], [1000, 3]]}"
    assert reported["schedules.loss.r1_gamma"] == (course, "command line")
    assert reported["schedules.loss.pl_weight"] == ("null", "default")
    assert reported["transfer.freeze"] == ("[{names: mapping, until_kimg: 100}]", "command line")
    dotted = explanation("schedules={loss.r1_gamma: {kind: linear, points: [[0, 10], [1000, 3]]}}")
    assert dotted["schedules.loss.r1_gamma"] == (course, "command line")


@pytest.mark.parametrize(
    ("images", "gamma", "state"), [(0, "10", ""), (250_000, "8.25", "; at kimg 250.000 they learn")]
)
def test_what_changes_on_the_way_is_explained_as_it_is_where_the_run_would_continue(
    tmp_path, capsys, images, gamma, state
):
    if images:
        (tmp_path / "mine" / "checkpoints").mkdir(parents=True)
        # Nothing of it is read but its name.
        (tmp_path / "mine" / "checkpoints" / f"kimg{images / 1000:011.3f}.ckpt").touch()
    assert main([*SCHEDULED, "name=mine", f"runs_dir={tmp_path}", "explain=true"]) == 0
    lines = capsys.readouterr().out.splitlines()
    now = f"kimg {images / 1000:.3f}"
    assert rows(lines)["loss.r1_gamma"] == (gamma, f"its schedule, at {now}")
    assert f"schedule    loss.r1_gamma is {gamma} at {now}: linear, 10 at kimg 0, 3 at kimg 1000" in lines
    (frozen,) = [line for line in lines if line.startswith("frozen")]
    assert frozen.startswith("frozen      mapping until kimg 100 (4 tensors, ") and frozen.endswith(
        f"parameters){state}"
    )


def test_names_that_no_parameter_has_are_found_by_explain(tmp_path, capsys):
    assert main([*SCHEDULED, "transfer.freeze=maping", f"runs_dir={tmp_path}", "explain=true"]) == 2
    assert capsys.readouterr().err.endswith(
        "transfer.freeze: 'maping' is found in no parameter's name; did you mean mapping?\n"
    )
