"""A run that begins by a transfer: what it takes, what it writes, how it continues, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from stylegan.cli.train import main

SMALL = [
    *("preset=tiny", "resolution=8", "batch_size=4", "trainer=cpu", "augpipe=blit", "metrics=none"),
    *("generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8", "discriminator.channel_max=8"),
    *("data.num_items=10", "callbacks.snapshots=null", "logger=none"),
]
# A step that moves hardly any weight, so that the first checkpoint shows what the run began with.
STILL = ["optim.generator_lr=1e-30", "optim.discriminator_lr=1e-30", "total_kimg=0.004"]


def train(*words: str) -> int:
    return main([*SMALL, *words])


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("place")
    assert train("name=base", "total_kimg=0.008", f"runs_dir={place}") == 0
    return place / "base"


@pytest.fixture
def here(begun, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(begun, tmp_path / "runs" / "base")
    return tmp_path


def state(run: str, kimg: str) -> dict[str, torch.Tensor]:
    path = Path("runs", run, "checkpoints", f"kimg0000000.{kimg}.ckpt")
    return torch.load(path, weights_only=True)["state_dict"]


def events(run: str, kind: str) -> list[dict]:
    lines = Path("runs", run, "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def test_it_begins_with_the_weights_and_nothing_else_and_continues_without_another_transfer(here, capfd):
    words = ("name=new", "transfer.path=runs/base", "resolution=16", *STILL)
    assert train(*words) == 0
    out = capfd.readouterr().out
    file = "runs/base/checkpoints/kimg0000000.008.ckpt"
    assert f"this run begins by a transfer from {file} (sha256 " in out and "continuing" not in out
    assert "EMA generator: 63.4% of its parameters from the generator (EMA); tensors: 32 matched" in out
    old, new = state("base", "008"), state("new", "004")
    assert new["images_seen"] == 4 and old["images_seen"] == 8
    shared = [
        n
        for n in old
        if n in new and n.startswith(("generator.synthesis", "generator_ema.", "discriminator.b4"))
    ]
    shared = [name for name in shared if not name.endswith("w_avg")]
    assert len(shared) > 60 and all(torch.equal(old[name], new[name]) for name in shared)
    assert not torch.equal(old["generator.synthesis.b4.const"], old["generator_ema.synthesis.b4.const"])
    # What was taken is on record.
    report = json.loads(Path("runs/new/transfer.json").read_text())
    (event,) = events("new", "transfer")
    assert report["path"] == event["path"] == file and report["sha256"] == event["sha256"]
    digest = Path(f"{file}.sha256").read_text().split()[0]
    assert event["sha256"] == digest and round(event["shares"]["generator"], 3) == 0.634
    assert "synthesis.b16.torgb.weight" in Path("runs/new/transfer.txt").read_text()
    config = OmegaConf.load("runs/new/config.yaml")
    assert config.transfer.path == "runs/base" and config.ada.kimg == 100 and config.ema.ramp_up is None
    # The file is no longer needed.
    shutil.rmtree("runs/base")
    assert train(*words[:-1], "total_kimg=0.008") == 0
    assert "continuing from kimg 0.004" in capfd.readouterr().out
    assert state("new", "008")["images_seen"] == 8 and len(events("new", "transfer")) == 1
    assert main(["resume=runs/new", "total_kimg=0.012"]) == 0
    assert "continuing from kimg 0.008" in capfd.readouterr().out
    # Another one would be another beginning.
    assert train("name=new", "transfer.path=runs/other", "resolution=16", *STILL) == 2
    assert "transfer.path=runs/base, not runs/other, which no run can change" in capfd.readouterr().err


def test_explain_shows_the_report_and_who_set_what(here, capfd):
    before = sorted(here.rglob("*"))
    words = ("name=new", "transfer.path=runs/base", "data.labels=own", "explain=true")
    assert train(*words) == 0
    lines = capfd.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("  ")}
    assert rows["ada.kimg"] == ["100", "transfer"] and rows["ema.ramp_up"] == ["null", "transfer"]
    assert lines[-4].startswith("transfer  this run begins by a transfer from runs/base/checkpoints/")
    assert lines[-1].startswith("transfer  discriminator: ") and "16 left random" in lines[-1]
    assert train(*words, "ada.kimg=500", "ema.ramp_up=0.05") == 0
    rows = {
        line.split()[0]: line.split()[1:]
        for line in capfd.readouterr().out.splitlines()
        if line.startswith("  ")
    }
    assert rows["ada.kimg"] == ["500", "command", "line"] and rows["ema.ramp_up"] == [
        "0.05",
        "command",
        "line",
    ]
    assert train("name=new", "explain=true") == 0
    assert "transfer  " not in capfd.readouterr().out.split("memory  ")[1]
    assert train("name=base", "transfer.path=runs/base", "explain=true") == 0
    assert (
        capfd.readouterr()
        .out.splitlines()[-1]
        .startswith("transfer  none: runs/base has kimg0000000.008.ckpt")
    )
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["transfer.path=runs/base", "generator.channel_max=64"],
            "of the generator's parameters come from the file",
        ),
        (["transfer.path=runs/bsae"], "did you mean transfer.path=runs/base?"),
        (["transfer.path=base"], "did you mean transfer.path=runs/base?"),
        (["transfer.path=cut.ckpt"], "transfer.path=cut.ckpt cannot be read, it may be incomplete"),
        (["transfer.path=runs/base", "transfer.parts=[G,X]"], "transfer.parts must be some of G, D, EMA"),
        (["transfer.path=runs/base", "transfer.parts=[]"], "got none"),
        (
            ["transfer.path=runs/base", "transfer.min_matched=1.5"],
            "transfer.min_matched must be from 0 to 1, got 1.5",
        ),
        (["transfer.path=''"], "transfer.path is empty"),
        (["resume=runs/base"], "transfer.path=runs/base name=new"),
        (["resume=runs/base/checkpoints/kimg0000000.008.ckpt"], "kimg0000000.008.ckpt name=new"),
        (
            ["resume=runs/base/checkpoints/kimg0000000.008.safetensors"],
            "kimg0000000.008.safetensors name=new",
        ),
        (["resume=a.safetensors"], "transfer.path=a.safetensors begins a new run with its weights"),
    ],
)
def test_what_is_refused_leaves_nothing(here, capfd, words, line):
    Path("cut.ckpt").write_bytes(b"PK")
    Path("a.safetensors").touch()
    before = sorted(here.rglob("*"))
    assert train("name=new", "total_kimg=0.004", *words) == 2
    (err,) = capfd.readouterr().err.splitlines()
    assert line in err
    assert sorted(here.rglob("*")) == before


def test_a_generator_alone_seeds_both_and_the_discriminator_is_random(here, capfd):
    path = "runs/base/checkpoints/kimg0000000.008.safetensors"
    assert train("name=new", f"transfer.path={path}", *STILL) == 0
    assert "discriminator: left random, no network of the file is for it" in capfd.readouterr().out
    old, new = state("base", "008"), state("new", "004")
    for name in ("const", "conv1.weight", "torgb.weight"):
        for kind in ("generator", "generator_ema"):
            assert torch.equal(new[f"{kind}.synthesis.b4.{name}"], old[f"generator_ema.synthesis.b4.{name}"])


def test_a_start_that_fails_after_the_transfer_leaves_nothing(here, monkeypatch, capfd):
    def fails(*_, **__):
        raise OSError(28, "No space left on device", "stats.csv")

    monkeypatch.setattr("pytorch_lightning.Trainer.fit", fails)
    assert train("name=new", "transfer.path=runs/base", *STILL) == 2
    assert not Path("runs/new").exists() and "nothing was trained" in capfd.readouterr().err


@pytest.mark.long
def test_several_processes_have_the_weights_of_rank_0(here, capfd):
    words = (
        "transfer.path=runs/base",
        *STILL,
        "batch_size=4",
        "discriminator.mbstd_group=2",
        "micro_batch=2",
    )
    assert train("name=one", *words) == 0
    assert train("name=two", *words, "trainer.devices=2") == 0
    one, two = state("one", "004"), state("two", "004")
    assert all(torch.equal(one[name], two[name]) for name in one if name.startswith("generator.synthesis."))
