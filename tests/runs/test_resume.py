"""Folders of runs: finished, extended, refused, moved aside; and nothing next to them."""

import json
import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from PIL import Image

from stylegan.cli.generate import main as generate
from stylegan.cli.train import main
from stylegan.machine.memory import Room
from stylegan.runs.resume import is_plain

SMALL = [
    *("preset=tiny", "resolution=8", "batch_size=4", "trainer=cpu", "augpipe=blit"),
    *("generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8", "discriminator.channel_max=8"),
    *("callbacks.snapshots.columns=1", "callbacks.snapshots.rows=1"),
]
FLOWERS = [*SMALL, "data.num_items=10"]


def train(*arguments: str) -> int:
    return main([*FLOWERS, *arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A working folder with one finished run of 8 images."""
    place, before = tmp_path_factory.mktemp("place"), Path.cwd()
    os.chdir(place)
    try:
        assert train("name=run", "total_kimg=0.008") == 0
    finally:
        os.chdir(before)
    return place


@pytest.fixture
def here(place, monkeypatch) -> Path:
    monkeypatch.chdir(place)
    return place


def checkpoints(run: Path) -> list[str]:
    return sorted(path.stem for path in (run / "checkpoints").glob("*.ckpt"))


def folders(place: Path) -> set[str]:
    """Everything in the working folder, and what is directly in the folder of runs."""
    return {path.relative_to(place).as_posix() for path in [*place.glob("*"), *place.glob("runs/*")]}


def test_a_finished_run_says_so_and_a_larger_total_extends_it(here, capfd):
    assert train("name=run", "total_kimg=0.008") == 0
    assert "a larger total_kimg continues" in capfd.readouterr().out
    assert train("name=run", "total_kimg=0.012") == 0
    assert "continuing from kimg 0.008" in capfd.readouterr().out
    assert checkpoints(here / "runs" / "run")[-1] == "kimg0000000.012"


def test_an_older_run_is_moved_aside_only_on_request(here, capfd):
    assert train("name=twice", "total_kimg=0.004") == 0
    run = here / "runs" / "twice"
    assert train("name=twice", "total_kimg=0.008", "resume=never") == 2
    assert "overwrite=true" in capfd.readouterr().err
    for number, kimg in ((1, 0.008), (2, 0.004)):
        assert train("name=twice", f"total_kimg={kimg}", "resume=never", "overwrite=true") == 0
        assert f"note        the older run is now runs/twice.old-{number}" in capfd.readouterr().out
    kept = {name: checkpoints(here / "runs" / name) for name in ("twice.old-1", "twice.old-2", "twice")}
    assert kept == {
        "twice.old-1": ["kimg0000000.004"],
        "twice.old-2": ["kimg0000000.008"],
        "twice": ["kimg0000000.004"],
    }
    assert (run / "config.yaml").exists()


def test_a_mistake_leaves_the_older_run_where_it_was(here, capfd):
    assert train("name=stays", "total_kimg=0.004") == 0
    wrong = ("name=stays", "resume=never", "overwrite=true", "total_kimg=1", "loss.r1_gamma=-1")
    assert train(*wrong) == 2
    assert "loss.r1_gamma" in capfd.readouterr().err
    assert checkpoints(here / "runs" / "stays") == ["kimg0000000.004"]
    assert not (here / "runs" / "stays.old-1").exists()


def test_nothing_is_left_next_to_the_runs(tmp_path, monkeypatch, capfd):
    """The working folder after a training, a sweep, pictures and a refused command."""
    monkeypatch.chdir(tmp_path)
    assert train("name=one", "total_kimg=0.004") == 0
    assert folders(tmp_path) == {"runs", "runs/one"}
    assert train("-m", "name=many", "total_kimg=0.004", "seed=1,2") == 0
    jobs = {"runs/many-seed=1", "runs/many-seed=2"}
    assert folders(tmp_path) == {"runs", "runs/one", *jobs}
    assert generate(["network=runs/one", "seeds=0"]) == 0
    assert generate(["network=runs/one", "seeds=0", "out=pictures"]) == 0
    assert train("name=new", "total_kimg=-1") == 2
    assert train("-m", "name=new", "total_kimg=-1,-2") == 2
    assert train("name=new", "explain=true") == 0
    assert folders(tmp_path) == {"runs", "runs/one", *jobs, "pictures"}
    inside = {path.name for path in (tmp_path / "runs" / "one").iterdir()}
    assert inside == {
        *("config.yaml", "checkpoints", "snapshots", "stats.jsonl", "stats.csv", "tensorboard", "generated"),
        "events.jsonl",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs_dir=taken"], ["taken is a file", "runs_dir="]),
        (["runs_dir=/proc/nowhere"], ["/proc/nowhere/new cannot be written", "runs_dir="]),
        (["run_dir=mine"], ["run_dir is runs_dir/name"]),
        (["name=run", "resume=never"], ["runs/run holds a run already", "overwrite=true"]),
        (["overwrite=true"], ["resume=never"]),
        (["resolution=null"], ["resolution must be given", "got null"]),
    ],
)
def test_an_unusable_place_is_reported_in_a_line(here, capfd, arguments, words):
    (here / "taken").touch()
    assert train("name=new", "total_kimg=0.004", *arguments) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert all(word in line for word in words), line
    (here / "taken").unlink()
    assert not (here / "runs" / "new").exists()


def test_a_folder_that_is_read_only_is_reported_before_the_data_are_read(here, monkeypatch, capfd):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main([*SMALL, "name=new", "data=folder", "data.path=nowhere", "total_kimg=1"]) == 2
    assert "read-only" in capfd.readouterr().err


@pytest.mark.parametrize("inner", ["checkpoints", "snapshots"])
def test_a_folder_within_the_run_that_is_read_only_is_reported_at_once(here, monkeypatch, capfd, inner):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != inner)
    assert train("name=run", "total_kimg=1") == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"runs/run/{inner} is read-only" in line


def test_a_configuration_that_is_not_yaml_is_reported_in_a_line(here, capfd):
    assert train("name=bad", "total_kimg=0.004") == 0
    (here / "runs" / "bad" / "config.yaml").write_text("a: [\n")
    assert train("name=bad", "total_kimg=0.008") == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "runs/bad/config.yaml cannot be read" in line
    (here / "runs" / "bad" / "config.yaml").unlink()
    assert train("name=bad", "total_kimg=0.008") == 0


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        Image.new("RGB", (8, 12), (40 * i, 0, 0)).save(folder / f"{i}.png")
    return folder


def test_the_size_of_the_pictures_is_taken_where_none_is_given(here, pictures, tmp_path, capfd):
    data = ["data=folder", f"data.path={pictures}", f"data.cache_dir={tmp_path / 'cache'}"]
    assert main([*SMALL, *data, "resolution=null", "total_kimg=0.004"]) == 0
    out = capfd.readouterr().out
    assert "5 images at 12x8" in out
    stored = OmegaConf.load(here / "runs" / "folder12x8-tiny" / "config.yaml")
    assert stored.resolution == stored.generator.resolution == [12, 8]
    assert stored.loss.r1_gamma == pytest.approx(0.0002 * 12 * 8 / 4)
    assert main([*SMALL, *data, "resolution=null", "explain=true"]) == 0
    assert "12x8" in capfd.readouterr().out


def test_a_run_continues_with_other_data_only_where_that_is_allowed(here, pictures, tmp_path, capfd):
    data = ["data=folder", f"data.path={pictures}", f"data.cache_dir={tmp_path / 'cache'}", "name=grows"]
    folder = here / "runs" / "grows"
    assert main([*SMALL, *data, "total_kimg=0.004"]) == 0
    before = OmegaConf.load(folder / "config.yaml").data_fingerprint
    Image.new("RGB", (8, 12), (0, 0, 250)).save(pictures / "new.png")
    assert main([*SMALL, *data, "total_kimg=0.008"]) == 2
    assert "was last started with other images or labels than there are now" in capfd.readouterr().err
    assert main([*SMALL, *data, "total_kimg=0.008", "allow_change=[data_fingerprint]"]) == 0
    after = OmegaConf.load(folder / "config.yaml").data_fingerprint
    assert isinstance(before, str) and before != after
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    (event,) = [event for event in events if event["event"] == "allow_change"]
    assert (event["key"], event["before"], event["now"]) == ("data_fingerprint", before, after)
    assert event["checkpoint"] == "kimg0000000.004.ckpt"
    assert main([*SMALL, *data, "total_kimg=0.012"]) == 0


def test_a_run_that_began_when_cache_was_a_folder_continues(here, pictures, tmp_path, capfd):
    data = ["data=folder", f"data.path={pictures}", "name=older"]
    assert main([*SMALL, *data, f"data.cache_dir={tmp_path / 'kept'}", "total_kimg=0.004"]) == 0
    config = OmegaConf.load(here / "runs" / "older" / "config.yaml")
    config.data.cache = config.data.pop("cache_dir")
    del config.data.devices
    OmegaConf.save(config, here / "runs" / "older" / "config.yaml")
    capfd.readouterr()
    assert main([*SMALL, *data, f"data.cache={tmp_path / 'kept'}", "total_kimg=0.008"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"data.cache_dir={tmp_path / 'kept'}" in line and "data.cache must be auto" in line
    assert main([*SMALL, *data, "total_kimg=0.008"]) == 0
    assert "continuing from kimg 0.004" in capfd.readouterr().out
    assert OmegaConf.load(here / "runs" / "older" / "config.yaml").data.cache == "auto"


def test_images_that_memory_cannot_hold_are_reported_in_a_line(here, pictures, monkeypatch, capfd):
    monkeypatch.setattr(
        "datamodules.datasets.pixel_memory.room_of_machine", lambda: Room(10**9, 5 * 3 * 8 * 8 - 1)
    )
    data = ["data=folder", f"data.path={pictures}", "name=full", "total_kimg=0.004"]
    assert main([*SMALL, *data, "data.cache=true"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "data.cache=true: 5 pictures of 8x8 take 1.0 kB of memory, and 1.0 kB are free" in line
    assert not (here / "runs" / "full").exists()
    assert main([*SMALL, *data]) == 0
    assert "note        data.cache=auto keeps no decoded pictures" in capfd.readouterr().out


@pytest.mark.parametrize("value", ["sometimes", "2", "null", "[auto]"])
def test_another_cache_is_reported_in_a_line(here, pictures, capfd, value):
    assert main([*SMALL, "data=folder", f"data.path={pictures}", "name=new", f"data.cache={value}"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "data.cache must be auto, true or false" in line


def test_runs_among_the_pictures_are_refused(tmp_path, monkeypatch, capfd):
    """The grids of the first start would be pictures of the second."""
    for i in range(6):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    data = ["data=folder", "name=run", "total_kimg=0.004"]
    for place in (["data.path=."], [f"data.path={tmp_path}", "runs_dir=deep/er"]):
        assert main([*SMALL, *data, *place]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert "lies inside data.path=" in line and "runs_dir=" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{i}.png" for i in range(6)]
    beside = tmp_path.with_name(f"{tmp_path.name} runs")
    for total in (0.004, 0.008):
        outside = [*SMALL, *data, "data.path=.", f"runs_dir={beside}", f"total_kimg={total}"]
        assert main(outside) == 0, capfd.readouterr().err
    # By choice, the user's own care: the second start has the same pictures as the first.
    for total in (0.004, 0.008):
        chosen = [*SMALL, *data, "data.path=.", "data.exclude=[runs]", f"total_kimg={total}"]
        assert main(chosen) == 0, capfd.readouterr().err


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("schedules.loss.r1_gamma", {"kind": "linear", "points": [[0, 10], [1000, 3]]}, True),
        ("transfer.freeze", ["mapping", {"names": "b4", "until_kimg": 20}], True),
        ("generator.conv_clamp", {"kind": "linear"}, False),
        ("data.include", [["a"]], False),
        ("data.include", ["a", "b"], True),
        ("schedules.loss.r1_gamma", {"_target_": "os.system", "command": "x"}, False),
        ("schedules.loss.r1_gamma", {"points": [{"_target_": "os.system"}]}, False),
        ("transfer.freeze", [{"names": "${oc.env:HOME}"}], False),
    ],
)
def test_of_a_strangers_values_only_schedules_and_what_is_frozen_may_be_nested(key, value, taken):
    assert is_plain(value, key) is taken
