"""`resume=runs/foxes`: that run's own configuration, seen from anywhere, and nothing of a stranger's is built."""

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from PIL import Image

from stylegan.cli.train import main
from stylegan.configuration.command_line import literal, quote_free_text
from stylegan.configuration.compose import composed
from stylegan.runs.continuing import run_named, with_run, words_of_run
from stylegan.runs.folder import RunFolder
from stylegan.runs.records import record_start, write_config
from tests.configuration.completing import completed, labelled

SMALL = [
    *("preset=tiny", "resolution=8", "batch_size=4", "trainer=cpu", "augpipe=blit", "metrics=none"),
    *("generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8", "discriminator.channel_max=8"),
    *(
        "callbacks.snapshots.columns=1",
        "callbacks.snapshots.rows=1",
        "ada.target=0.55",
        "logger.tensorboard=null",
    ),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A working folder with images, and the finished run `foxes` of 8 images, started from there."""
    place, before = tmp_path_factory.mktemp("made"), Path.cwd()
    (place / "pictures").mkdir()
    for i in range(6):
        Image.new("RGB", (8, 8), (40 * i, 90, 30)).save(place / "pictures" / f"{i}.png")
    os.chdir(place)
    try:
        words = ["data=folder", "data.path=pictures", "data.xflip=1", "name=foxes", "total_kimg=0.008"]
        assert main([*SMALL, *words, "data.cache_dir=kept"]) == 0
    finally:
        os.chdir(before)
    return place


@pytest.fixture
def place(made, tmp_path, monkeypatch) -> Path:
    """A copy of it, which is the working folder."""
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def said(capfd, *words: str, code: int = 0) -> str:
    capfd.readouterr()
    assert main(list(words)) == code, capfd.readouterr().err
    streams = capfd.readouterr()
    return streams.err if code else streams.out


def runs(place: Path) -> list[str]:
    return sorted(path.name for path in (place / "runs").iterdir())


def of_run(*words: str):
    """What the command makes of its words."""
    overrides = quote_free_text(words)
    return with_run(composed("train", [*words_of_run(overrides), *overrides]))


@pytest.mark.parametrize("where", ["runs/foxes", "runs/foxes/", "runs/foxes/checkpoints", "./runs/foxes"])
def test_a_run_is_named_by_its_folder_or_what_is_in_it(place, where):
    assert run_named(where).path == Path("runs/foxes")
    assert run_named("runs/foxes/checkpoints/kimg0000000.008.ckpt").path == Path("runs/foxes")
    assert [run_named(other) for other in ("auto", "never", "runs", "pictures", "runs/foxes/snapshots")] == [
        None
    ] * 5


@pytest.mark.parametrize(
    "where",
    ["runs/foxes", "runs/foxes/", "runs/foxes/checkpoints", "runs/foxes/checkpoints/kimg0000000.008.ckpt"],
)
def test_a_run_alone_brings_its_configuration(place, where):
    before = OmegaConf.load("runs/foxes/config.yaml")
    composition = of_run(f"resume={where}")
    config = composition.config
    assert (config.name, config.runs_dir, config.resume) == ("foxes", "runs", "auto")
    for key in ("resolution", "batch_size", "total_kimg", "seed", "data.path", "data.xflip", "ada.target",
                "generator.z_dim", "discriminator.channel_max", "trainer.accelerator", "metrics",
                "callbacks.snapshots.columns", "logger.tensorboard", "loss.r1_gamma"):  # fmt: skip
        assert OmegaConf.select(config, key) == OmegaConf.select(before, key), key
    assert composition.choices["preset"] == "tiny" and composition.choices["data"] == "folder"


def test_a_finished_run_says_so_of_itself_and_a_larger_total_extends_it(place, capfd):
    out = said(capfd, "resume=runs/foxes")
    assert out.startswith("runs/foxes has reached total_kimg=0.008 already")
    out = said(capfd, "resume=runs/foxes", "total_kimg=0.012")
    assert "continuing from kimg 0.008 (kimg0000000.008.ckpt)" in out and "run folder  runs/foxes" in out
    assert runs(place) == ["foxes"]
    after = OmegaConf.load("runs/foxes/config.yaml")
    assert (after.total_kimg, after.data.path, after.ada.target) == (0.012, "pictures", 0.55)


def test_each_start_leaves_its_command_in_the_folder(place, capfd):
    said(capfd, "resume=runs/foxes", "total_kimg=0.012")
    events = [json.loads(line) for line in open("runs/foxes/events.jsonl")]
    first, last = [event for event in events if event["event"] == "start"]
    assert shlex.split(first["command"])[:2] == ["python", "train.py"] and "name=foxes" in first["command"]
    assert last["command"] == "python train.py resume=runs/foxes total_kimg=0.012"
    assert last["checkpoint"] == "kimg0000000.008.ckpt" and last["groups"]["data"] == "folder"
    # As a shell takes it: the words come through again.
    assert main(shlex.split(first["command"])[2:]) == 0


def test_words_of_the_command_line_win_where_they_may(place, capfd):
    assert of_run("resume=runs/foxes", "data.path=elsewhere", "ada=fixed").config.ada.mode == "fixed"
    assert of_run("resume=runs/foxes", "data=folder", "data.path=x").config.data.xflip is True
    err = said(capfd, "resume=runs/foxes", "total_kimg=1", "ada.target=0.7", code=2)
    assert "ada.target=0.55, not 0.7" in err and "allow_change=[ada.target]" in err
    err = said(capfd, "resume=runs/foxes", "total_kimg=1", "generator.z_dim=16", code=2)
    assert "no run can change" in err
    allowed = ("total_kimg=0.012", "ada.target=0.7", "allow_change=[ada.target]")
    assert "ada.target is 0.7 now" in said(capfd, "resume=runs/foxes", *allowed)
    # What was allowed once is not allowed for ever.
    assert "ada.target=0.7, not 0.6" in said(
        capfd, "resume=runs/foxes", "total_kimg=1", "ada.target=0.6", code=2
    )


def test_from_another_folder_the_images_are_found(place, tmp_path, monkeypatch, capfd):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    out = said(capfd, f"resume={place}/runs/foxes", "total_kimg=0.012")
    assert "continuing from kimg 0.008" in out
    assert list((tmp_path / "other").iterdir()) == []


def test_a_project_that_has_moved_is_found_by_the_place_of_the_run(place, tmp_path, monkeypatch):
    shutil.move(place, tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    config = of_run("resume=moved/runs/foxes").config
    assert Path(config.data.path) == tmp_path / "moved" / "pictures"
    assert (config.name, config.runs_dir) == ("foxes", "moved/runs")
    monkeypatch.chdir(tmp_path / "moved" / "runs" / "foxes")
    assert of_run("resume=.").config.name == "foxes"


def test_a_run_folder_that_was_moved_alone_finds_the_images_where_it_was_started(
    place, tmp_path, monkeypatch
):
    events = place / "runs" / "foxes" / "events.jsonl"
    event = json.loads(events.read_text())
    events.write_text(json.dumps({**event, "working_dir": str(place)}) + "\n")
    shutil.move(place / "runs" / "foxes", tmp_path / "red foxes, [2]")
    monkeypatch.chdir(tmp_path)
    config = of_run("resume=red foxes, [2]").config
    assert Path(config.data.path) == place / "pictures" and config.name == "red foxes, [2]"


STRANGE = [
    *(r"p ${seed}", r"p \\${oc.env:HOME}"),
    *(pytest.param(name, marks=pytest.mark.long) for name in (r"p \${seed}", "p ${", "p ${}", "p $\\{seed}")),
]


@pytest.mark.parametrize("name", STRANGE)
def test_images_in_a_folder_of_any_name_are_found(place, name, tmp_path, monkeypatch):
    shutil.move(place / "pictures", place / name)
    stored = OmegaConf.load("runs/foxes/config.yaml")
    stored.data.path = literal(name)
    OmegaConf.save(stored, "runs/foxes/config.yaml")
    assert of_run("resume=runs/foxes").config.data.path == name
    monkeypatch.chdir(tmp_path)
    assert of_run("resume=here/runs/foxes").config.data.path == str(place / name)


@pytest.mark.parametrize("name", STRANGE)
def test_a_run_of_any_name_continues(place, name):
    shutil.move("runs/foxes", f"runs/{name}")
    composition = of_run(f"resume=runs/{name}")
    assert composition.config.name == name and composition.config.resume == "auto"
    assert composition.choices["data"] == "folder" and composition.choices["preset"] == "tiny"
    with pytest.raises(ValueError, match="a new run that begins with its weights: transfer.path="):
        of_run(f"resume=runs/{name}", "name=other")


def test_a_run_without_a_checkpoint_names_its_command(place, capfd):
    shutil.rmtree("runs/foxes/checkpoints")
    err = said(capfd, "resume=runs/foxes", code=2)
    assert "No checkpoint found in runs/foxes" in err and "python train.py preset=tiny" in err


def test_the_command_named_is_one_that_begins_the_run(place, capfd):
    said(capfd, "resume=runs/foxes", "total_kimg=0.012")
    shutil.rmtree("runs/foxes/checkpoints")
    err = said(capfd, "resume=runs/foxes", code=2)
    assert "begins it again: python train.py preset=tiny" in err and "train.py resume=" not in err
    # That of another run's checkpoint begins this one, too.
    Path("runs/cats").mkdir()
    event = {"event": "start", "command": "python train.py resume=runs/cats name=foxes"}
    Path("runs/foxes/events.jsonl").write_text(json.dumps({**event, "working_dir": str(place)}) + "\n")
    assert "train.py resume=runs/cats name=foxes" in said(capfd, "resume=runs/foxes", code=2)
    # But not where that is gone.
    Path("runs/cats").rmdir()
    assert said(capfd, "resume=runs/foxes", code=2).strip().endswith("begin it by its command")
    event["command"] = f"python train.py resume={place}/runs/foxes/checkpoints/kimg0000000.008.ckpt"
    Path("runs/foxes/events.jsonl").write_text(json.dumps({**event, "working_dir": "/"}) + "\n")
    assert said(capfd, "resume=runs/foxes", code=2).strip().endswith("begin it by its command")


def test_a_generator_of_the_run_itself_is_no_checkpoint(place, capfd):
    file = "runs/foxes/checkpoints/kimg0000000.008.safetensors"
    assert Path(file).exists()
    err = said(capfd, f"resume={file}", code=2)
    assert "this is a generator alone" in err and "histories" not in err


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("ada.target", "high", "ada.target must be a number, got 'high'"),
        pytest.param(
            "loss.r1_gamma", "much", "loss.r1_gamma must be a number, got 'much'", marks=pytest.mark.long
        ),
        pytest.param(
            "batch_size", -4, "batch_size must be above 0 and finite, got -4", marks=pytest.mark.long
        ),
        pytest.param(
            "data.xflip", "often", "data.xflip must be true or false, got 'often'", marks=pytest.mark.long
        ),
        ("resolution", {"a": 1}, "resolution must be a value, got {'a': 1}"),
        pytest.param(
            "metrics", [{"a": 1}], "metrics must be a value, got [{'a': 1}]", marks=pytest.mark.long
        ),
        ("generator", {"z_dim": {"a": 1}}, "generator.z_dim must be a value, got {'a': 1}"),
        ("callbacks", [1], "callbacks must be a set of keys, got [1]"),
    ],
)
def test_a_damaged_value_is_that_of_the_file(place, capfd, key, value, line):
    stored = OmegaConf.load("runs/foxes/config.yaml")
    OmegaConf.update(stored, key, value, merge=isinstance(value, dict) and key == "generator")
    OmegaConf.save(stored, "runs/foxes/config.yaml")
    assert f"in runs/foxes/config.yaml: {line}" in said(capfd, "resume=runs/foxes", "total_kimg=1", code=2)
    if key not in ("callbacks", "generator"):
        leaf = "metrics=none" if key == "metrics" else f"{key}=8"
        assert "config.yaml:" not in said_anyhow(capfd, "resume=runs/foxes", leaf, "explain=true")


def said_anyhow(capfd, *words: str) -> str:
    capfd.readouterr()
    main(list(words))
    return capfd.readouterr().err


def test_schedules_and_what_is_frozen_come_along(place):
    course = {"kind": "linear", "points": [[0, 1], [2, 0.2]]}
    freeze = ["mapping", {"names": "b4", "until_kimg": 1}]
    stored = OmegaConf.load("runs/foxes/config.yaml")
    # As a run has them: where they are set, and where that is followed.
    for key in ("schedules.loss.r1_gamma", "module.schedules.r1_gamma"):
        OmegaConf.update(stored, key, course)
    for key in ("transfer.freeze", "module.freeze"):
        OmegaConf.update(stored, key, freeze)
    OmegaConf.save(stored, "runs/foxes/config.yaml")
    config = of_run("resume=runs/foxes").config
    assert config.schedules.loss.r1_gamma == config.module.schedules.r1_gamma == course
    assert config.transfer.freeze == config.module.freeze == freeze
    config = of_run("resume=runs/foxes", "schedules={loss.r1_gamma: null}", "transfer.freeze=null").config
    assert config.schedules.loss.r1_gamma is config.transfer.freeze is None


def test_overwrite_needs_a_beginning(place, capfd):
    assert "it needs resume=never" in said(capfd, "resume=runs/foxes", "overwrite=true", code=2)


def test_jobs_of_a_sweep_do_not_continue_one_run(place, capfd):
    err = said(capfd, "-m", "resume=runs/foxes", "total_kimg=0.012", "ada.target=0.5,0.6", code=2)
    assert "transfer.path=runs/foxes" in err and "name=" not in err and runs(place) == ["foxes"]


@pytest.mark.long
def test_a_sweep_over_runs_continues_each_in_its_place(place, capfd):
    shutil.copytree("runs/foxes", "runs/cats")
    out = said(capfd, "-m", "resume=choice(runs/foxes,runs/cats)", "total_kimg=0.012")
    assert out.count("continuing from kimg 0.008") == 2 and runs(place) == ["cats", "foxes"]


def called(path: Path) -> dict:
    return {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "_args_": [str(path)]}}


@pytest.mark.parametrize(
    "key",
    [
        "callbacks.progress",
        "callbacks.mine",
        "data",
        "logger.mine",
        "module.r1",
        "loss.r1_gamma",
        "name",
        "seed",
        "ada",
        "trainer",
        "generator.label_names",
        "data.include",
        "metrics",
        "schedules.loss.r1_gamma",
        "transfer.freeze",
        "extra",
    ],  # fmt: skip
)
def test_nothing_of_a_strangers_folder_is_called(place, capfd, key):
    stored = OmegaConf.load("runs/foxes/config.yaml")
    OmegaConf.update(stored, key, called(place / "made"), force_add=True, merge=False)
    OmegaConf.save(stored, "runs/foxes/config.yaml")
    code = main(["resume=runs/foxes", "total_kimg=0.012"])
    assert not (place / "made").exists()
    assert code == 2 and "Traceback" not in capfd.readouterr().err


def test_a_strangers_text_is_looked_up_nowhere(place, monkeypatch):
    monkeypatch.setenv("SECRET", "told")
    stored = OmegaConf.load("runs/foxes/config.yaml")
    stored.data.path, stored.runs_dir = "${oc.env:SECRET}", r"\${seed}"
    OmegaConf.save(stored, "runs/foxes/config.yaml")
    assert "told" not in OmegaConf.to_yaml(of_run("resume=runs/foxes").config, resolve=False)


def test_groups_of_a_stranger_are_files_of_ours(place):
    event = {
        "event": "start",
        "groups": {"data": "../../evil", "preset": ["tiny"], "augpipe": "bgc", "hydra": "x"},
    }
    Path("runs/foxes/events.jsonl").write_text(json.dumps(event) + "\n[[[")
    assert words_of_run(["resume='runs/foxes'"]) == ["augpipe=bgc", "data=folder", "logger=default"]


def test_a_part_of_the_users_own_is_asked_for_by_the_runs_command(place, capfd):
    stored = OmegaConf.load("runs/foxes/config.yaml")
    stored.module.adversarial_loss._target_ = "my_loss.Hinge"
    OmegaConf.save(stored, "runs/foxes/config.yaml")
    err = said(capfd, "resume=runs/foxes", "total_kimg=1", code=2)
    assert "module.adversarial_loss names my_loss.Hinge" in err and "--config-dir" in err


@pytest.mark.parametrize(
    ("word", "line"),
    [
        (
            "experiment=flowers32",
            "not with data=flowers, which experiment=flowers32 chooses: leave experiment=flowers32 out, or add"
            " data=folder",
        ),
        ("data=flowers", "not with data=flowers: leave data=flowers out"),
    ],
)
def test_other_data_than_a_run_had_are_named_as_they_are_typed(place, capfd, word, line):
    (err,) = said(capfd, "resume=runs/foxes", word, code=2).splitlines()
    assert err == f"stylegan-train: runs/foxes was started with data=folder, {line}"


def test_an_old_run_without_events_continues(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(Path(__file__).parent / "old_run", tmp_path / "runs" / "old")
    out = said(capfd, "resume=runs/old", "total_kimg=0.088", "callbacks.metrics.num_fakes=8")
    assert "continuing from kimg 0.080" in out and runs(tmp_path) == ["old"]


# Beginning from another run


@pytest.mark.long
def test_a_run_that_began_from_another_one_with_an_earlier_version_continues(place, capfd):
    shutil.copytree("runs/foxes", "runs/tl")
    config = Path("runs/tl/config.yaml")
    config.write_text(config.read_text().replace("resume: auto", "resume: runs/foxes"))
    said(capfd, "resume=runs/tl", "total_kimg=0.012")
    config.write_text(config.read_text().replace("resume: auto", "resume: runs/foxes"))
    again = ("resume=runs/foxes", "name=tl", "total_kimg=0.016")
    out = said(capfd, *again)
    assert "continues from its own checkpoint" in out and "continuing from kimg 0.012" in out
    assert "runs/tl has reached" in said(capfd, *again)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["resume=runs/foxes"], "a new run that begins with its weights: transfer.path=runs/foxes name=b"),
        (["resume=runs/foxes", "total_kimg=1", "generator.z_dim=16"], "transfer.path=runs/foxes name=b"),
        (["resume=runs/foxes/checkpoints/kimg0000000.008.safetensors"], "008.safetensors name=b"),
        (["resume=alone.ckpt", *SMALL, "total_kimg=0.008"], "or transfer.path=alone.ckpt, with which kimg begins at 0"),
        (["resume=net.pkl"], "this is a network of another kind"),
        (["resume=foxes"], "did you mean resume=runs/foxes?"),
        (["resume=runs"], "did you mean resume=runs/foxes?"),
        (["resume=cut.ckpt"], "cut.ckpt cannot be continued from: it is incomplete"),
        (["resume=alone.ckpt", *SMALL, "generator.z_dim=16", "total_kimg=1"], "alone.ckpt cannot be continued from"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_nothing(place, capfd, words, line):
    checkpoint = Path("runs/foxes/checkpoints/kimg0000000.008.ckpt").read_bytes()
    Path("cut.ckpt").write_bytes(checkpoint[:1000])
    Path("net.pkl").write_bytes(b"\x80\x04.")
    Path("alone.ckpt").write_bytes(checkpoint)
    before = sorted(place.rglob("*"))
    err = said(capfd, *words, "name=b", code=2)
    assert line in err and "Traceback" not in err
    assert sorted(place.rglob("*")) == before


def test_a_file_that_is_alone_begins_a_run(place, capfd):
    shutil.copy("runs/foxes/checkpoints/kimg0000000.008.ckpt", "alone.ckpt")
    out = said(capfd, *SMALL, "resume=alone.ckpt", "name=b", "total_kimg=0.012", "data.num_items=10")
    assert "beginning from alone.ckpt" in out and RunFolder("runs/b").newest_checkpoint() is not None


@pytest.mark.parametrize(
    ("started", "again", "line"),
    [
        (["preset=tiny"], [], "preset=tiny: add preset=tiny, or give python train.py resume=runs/messy total_kimg=0.5"),
        (["preset=tiny"], ["preset=cifar"], "preset=tiny: add preset=tiny, or give python train.py resume=runs/messy"),
        (["augpipe=blit"], [], "augpipe=blit: add augpipe=blit, or give python train.py resume=runs/messy"),
        (["augpipe=blit", "preset=tiny"], [], "preset=tiny augpipe=blit: add preset=tiny augpipe=blit, or give"),
        (["preset=tiny", "ada=fixed"], ["ada.mode=none"], "preset=tiny ada=fixed: add preset=tiny ada=fixed, or give"),
    ],
)  # fmt: skip
def test_a_group_that_was_forgotten_is_the_first_line(tmp_path, monkeypatch, capfd, started, again, line):
    monkeypatch.chdir(tmp_path)
    words = ["name=messy", "resolution=8", "batch_size=4", "total_kimg=0.4"]
    begun = completed(*words, *started)
    config, folder = labelled(begun.config), RunFolder("runs/messy")
    config.data_fingerprint = ""
    write_config(config, folder)
    folder.checkpoints.mkdir()
    (folder.checkpoints / "kimg0000000.400.ckpt").write_bytes(b"")
    groups = composed("train", [*words, *started]).choices
    record_start(folder, [*words, *started], choices=groups, resume="auto", checkpoint=None)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(
        "stylegan.cli.plan.find_checkpoint", lambda *_, **__: (folder.newest_checkpoint(), [])
    )
    first, *others = said(capfd, *words[:-1], "total_kimg=0.5", *again, code=2).splitlines()
    assert f"runs/messy was started with {line}" in first
    assert ["ada.mode" in other for other in others] == ["ada.mode=none" in again] * len(others)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_was_typed_has_its_line_next_to_the_group_that_was_forgotten(place, capfd):
    again = ["data=folder", "data.path=pictures", "data.xflip=1", "name=foxes", "total_kimg=1"]
    words = [word for word in SMALL if word != "augpipe=blit" and not word.startswith("ada.target")]
    first, second = said(capfd, *words, *again, "ada.target=0.7", code=2).splitlines()
    assert "add augpipe=blit" in first and first.endswith("resume=runs/foxes total_kimg=1 ada.target=0.7")
    assert "ada.target=0.55, not 0.7" in second and second.endswith("'allow_change=[ada.target]'")


def test_a_reference_in_a_run_folder_is_looked_up_nowhere_where_a_group_was_forgotten(place, capfd):
    stored = OmegaConf.load("runs/foxes/config.yaml")
    stored.total_kimg = "${oc.env:NOT_THERE}"
    OmegaConf.save(stored, "runs/foxes/config.yaml")
    again = ["data=folder", "data.path=pictures", "data.xflip=1", "name=foxes", "total_kimg=1"]
    err = said(capfd, *(word for word in SMALL if word != "augpipe=blit"), *again, code=2)
    assert "runs/foxes was started with augpipe=blit" in err and "NOT_THERE" not in err


def test_a_choice_that_leaves_few_pictures_is_named(place, capfd):
    few = ("data=folder", "data.path=pictures", "data.xflip=1", "data.exclude=['[1-5].png']", "name=few")
    err = said(capfd, *SMALL, *few, code=2)
    assert "than the 2 pictures there are (of 12; data.exclude leaves 2); choose more of them, or add" in err
