"""The evaluate command, from the command line to the records."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import stylegan.evaluation.networks
from stylegan.cli.evaluate import main
from stylegan.evaluation import Evaluator, read_records
from stylegan.interop.checkpoint import save_generator
from stylegan.networks import Generator

ROOT = Path(__file__).parents[2]
SMALL = dict(resolution=8, z_dim=4, w_dim=4, mapping_layers=1, channel_base=32, channel_max=4)
FEW = "num_fakes=24"


def make_generator(seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Generator(**SMALL | options)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(20):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(tmp_path, pictures):
    """A run with three checkpoints, of which the generators are left."""
    folder = tmp_path / "runs" / "a"
    (folder / "checkpoints").mkdir(parents=True)
    for number, images in enumerate((4000, 8000, 12000)):
        save_generator(
            folder / "checkpoints" / f"kimg{images / 1000:011.3f}.safetensors", make_generator(number)
        )
    data = {
        "_target_": "datamodules.FolderData",
        "path": str(pictures),
        "resolution": 8,
        "batch_size": 4,
        "cache": "auto",
        "workers": 2,
    }
    OmegaConf.save(OmegaConf.create({"generator": {}, "data": data}), folder / "config.yaml")
    return folder


def records(folder, name):
    return list(read_records(folder / f"metric-{name}.jsonl"))


def test_a_run_is_scored_against_what_it_was_trained_on(run, capsys):
    assert main(["network=runs/a", "metrics=[kid,fid]", FEW]) == 0
    [kid], [fid] = records(run, "kid_builtin"), records(run, "fid_builtin")
    assert kid["snapshot_pkl"] == "checkpoints/kimg0000012.000.safetensors" and kid["kimg"] == 12.0
    assert kid["protocol"]["num_reals"] == 20 and kid["protocol"]["num_fakes"] == 24
    out = capsys.readouterr().out
    assert f"kimg 12.000  kid_builtin {kid['results']['kid_builtin']:.5g}" in out
    assert f"fid_builtin {fid['results']['fid_builtin']:.5g}" in out
    assert out.count("protocol ") == 2 and "24 fakes against 20 reals, 8x8" in out


def test_twice_gives_the_same_numbers(run):
    for _ in range(2):
        assert main(["network=runs/a", "metrics=[kid,fid,pr,dc,ppl]", FEW]) == 0
    for name in ("kid", "fid", "pr", "dc", "ppl"):
        first, second = records(run, f"{name}_builtin")
        assert first["results"] == second["results"] and first["protocol_id"] == second["protocol_id"]


def test_all_checkpoints_go_on_where_they_were_stopped(run, capsys):
    middle = run / "checkpoints" / "kimg0000008.000.safetensors"
    middle.rename(run / "aside")
    assert main(["network=runs/a", "checkpoints=all", FEW]) == 0
    (run / "aside").rename(middle)
    assert main(["network=runs/a", "checkpoints=all", FEW]) == 0
    found = records(run, "kid_builtin")
    assert [record["kimg"] for record in found] == [4.0, 12.0, 8.0]
    assert "is in runs/a/metric-kid_builtin.jsonl already" in capsys.readouterr().out.replace(
        str(run.parent.parent) + "/", ""
    )
    assert main(["network=runs/a", "checkpoints=all", "again=true", FEW]) == 0
    values = {record["kimg"]: record["results"]["kid_builtin"] for record in found}
    again = records(run, "kid_builtin")[3:]
    assert {record["kimg"]: record["results"]["kid_builtin"] for record in again} == values
    best = min(values, key=values.get)
    assert f"kimg{best:011.3f}.safetensors" in capsys.readouterr().out.splitlines()[-1]


def test_the_best_of_all_checkpoints_is_among_those_that_were_scored_before_too(run, capsys):
    assert main(["network=runs/a", "checkpoints=all", FEW]) == 0
    [said] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("best ")]
    values = {
        record["snapshot_pkl"]: record["results"]["kid_builtin"] for record in records(run, "kid_builtin")
    }
    best = min(values, key=values.get)
    assert said.endswith(best)
    # Only one that is not the best is left to score.
    path = run / "metric-kid_builtin.jsonl"
    other = max(values, key=values.get)
    path.write_text("".join(line for line in path.read_text().splitlines(True) if other not in line))
    for _ in range(2):
        assert main(["network=runs/a", "checkpoints=all", FEW]) == 0
        assert said in capsys.readouterr().out


def test_records_that_runs_share_and_weights_that_change_are_told_apart(run, tmp_path, capsys):
    other = tmp_path / "runs" / "b"
    shutil.copytree(run, other)
    names = [path.name for path in sorted((run / "checkpoints").iterdir())]
    for number, name in enumerate(names):
        save_generator(other / "checkpoints" / name, make_generator(10 + number))
    command = ["checkpoints=all", "out=shared", FEW]
    assert main(["network=runs/a", *command]) == 0 and main(["network=runs/b", *command]) == 0
    found = records(tmp_path / "shared", "kid_builtin")
    assert [record["snapshot_pkl"] for record in found] == 2 * [f"checkpoints/{name}" for name in names]
    assert len({record["weights_sha256"] for record in found}) == 6
    assert len({record["results"]["kid_builtin"] for record in found}) == 6
    # The same weights are known, in whichever file they are; others under an old name are not.
    shutil.copy(run / "checkpoints" / names[0], run / "checkpoints" / names[1])
    save_generator(run / "checkpoints" / names[2], make_generator(20))
    capsys.readouterr()
    assert main(["network=runs/a", *command]) == 0
    assert capsys.readouterr().out.count(" already") == 2
    assert len(records(tmp_path / "shared", "kid_builtin")) == 7


def test_a_data_module_of_ones_own_takes_only_the_keys_it_has(run, tmp_path, monkeypatch):
    (tmp_path / "my_boards.py").write_text(
        "import torch\n"
        "from datamodules.datasets import ImageDataset\n"
        "class Boards(ImageDataset):\n"
        "    size, channels = (8, 8), 3\n"
        "    def __len__(self):\n"
        "        return 20\n"
        "    def image(self, index):\n"
        "        return torch.full((3, 8, 8), index, dtype=torch.uint8)\n"
        "class Data:\n"
        "    def __init__(self, *, side):\n"
        "        self.side = side\n"
        "    def setup(self, stage):\n"
        "        self.dataset = Boards()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    stored = OmegaConf.load(run / "config.yaml")
    stored.data = {"_target_": "my_boards.Data", "side": 8}
    OmegaConf.save(stored, run / "config.yaml")
    assert main(["network=runs/a", FEW]) == 0
    assert records(run, "kid_builtin")[0]["protocol"]["num_reals"] == 20


def test_a_lone_file_and_other_pictures(tmp_path, pictures):
    save_generator("lone.safetensors", make_generator())
    assert main(["network=lone.safetensors", "data=folder", f"data.path={pictures}", FEW, "out=scores"]) == 0
    [record] = records(tmp_path / "scores", "kid_builtin")
    assert record["snapshot_pkl"] == "lone.safetensors" and record["kimg"] is None


def test_flowers_need_no_pictures(tmp_path):
    save_generator("lone.safetensors", make_generator())
    assert main(["network=lone.safetensors", "data=flowers", "data.num_items=30", FEW]) == 0
    assert records(tmp_path, "kid_builtin")[0]["protocol"]["num_reals"] == 30


def test_labels_are_drawn_from_the_data(tmp_path, capsys):
    save_generator("lone.safetensors", make_generator(c_dim=6))
    arguments = ["network=lone.safetensors", "data=flowers", "data.num_items=30", FEW]
    assert main([*arguments, "data.labels=own"]) == 0
    assert records(tmp_path, "kid_builtin")[0]["protocol"]["labels"] == "drawn from the data's"
    assert main(arguments) == 2
    assert "set data.labels as in its training" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["network=runs/b"], "there is no such file or folder"),
        (["network=runs/a", "metrics=fid50"], "did you mean fid50k"),
        (["network=runs/a", "metrics=is"], "use is50k"),
        (["network=runs/a", "metrics=fid50k_full"], "weights-inception-2015-12-05-6726825d.pth"),
        (["network=runs/a", "detector=inceptoin"], "detector=inceptoin"),
        (["network=runs/a", "num_fakes=1"], "num_fakes=1"),
        (["network=runs/a", "num_fakes=many"], "num_fakes must be a whole number"),
        (["network=runs/a", "checkpoints=some"], "it must be newest or all"),
        (["network=runs/a", "first_seed=4294967295", FEW], "first_seed=4294967295"),
        (["network=runs/a", "data.path=elsewhere"], "data=folder"),
        (["network=runs/a", "data=folder", "data.path=elsewhere"], "elsewhere"),
        (["network=runs/a", "data=flowers", "data.channels=1", "data.num_items=20"], "channels"),
        (["network=runs/a", "metrcs=kid"], "did you mean metrics?"),
        (["network=runs/a", "device=cuda:9"], "device=cuda:9"),
        (["network=runs/a", "precision=fp8"], "precision=fp8"),
        (["network=runs/a", "noise_mode=some"], "noise_mode=some"),
        (["network=runs/a", "truncation=true"], "truncation must be a number"),
        (["network=runs/a", "truncation=nan"], "truncation=nan"),
        (["network=runs/a", "device=meta"], "device=meta cannot be used here"),
        (["network=runs/a", "metrics=true"], "metrics=True: it must be a name"),
        (["network=runs/a", "metrics=fid_infinity", "num_fakes=15"], "num_fakes=15"),
        (
            ["network=runs/a", "num_fakes=5000000000"],
            "num_fakes=5000000000: for metrics=kid_builtin it must be at",
        ),
        (["network=runs/a", "num_fakes=1e3"], "num_fakes must be a whole number, got 1000.0; write 1000"),
        (["network=runs/a", "metrics=KID"], "metrics=KID: there is no such metric; did you mean kid?"),
        (["network=runs/a", "metrics=[kid,null]"], "metrics: null in the list is no name of a metric; write"),
        (["network=runs/a", "metrics=kid,fid"], "'metrics=[kid,fid]' is a list"),
        (
            ["network=runs/a", "detector_path=w.pth"],
            "detector_path=w.pth: these metrics use the detector builtin",
        ),
        (["network=runs/a", "metrics=none"], "nothing to do; say metrics=kid, or report=true"),
        (["network=runs/a", "metrics=[]"], "nothing to do"),
        (["network=runs/a", "metrics=null"], "nothing to do"),
    ],
)
def test_mistakes_are_one_line(run, arguments, told, capsys):
    before = sorted(path.name for path in run.iterdir())
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1, err
    assert sorted(path.name for path in run.iterdir()) == before


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_drawn(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Evaluator, "scores", lambda *_, **__: pytest.fail("it was computed"))
    (tmp_path / "file").touch()
    (tmp_path / "scores" / "metric-kid_builtin.jsonl").mkdir(parents=True)
    for out in ("file/scores", "scores"):
        assert main(["network=runs/a", f"out={out}", FEW]) == 2
        err = capsys.readouterr().err
        assert f"{out}" in err and "name another folder by out=" in err and err.count("\n") == 1


def test_a_disk_that_is_full_at_the_end_costs_the_record_alone(run, capsys, monkeypatch):
    written = []

    def append(folder, score, **rest):
        written.append(score)
        if len(written) == 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(stylegan.evaluation.networks, "append", append)
    assert main(["network=runs/a", "checkpoints=all", FEW]) == 75
    out, err = capsys.readouterr()
    assert len(written) == 3 and "best kid_builtin" in out
    for score in written:
        assert f"kid_builtin {score.value:.5g}" in out
    assert "metric-kid_builtin.jsonl could not be written (No space left on device)" in err
    assert "kimg0000004.000.safetensors" in err and err.count("\n") == 1


def test_empty_paths_are_as_good_as_none(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = set(tmp_path.iterdir())
    assert main(["network=runs/a", "out=", "cache_dir=", "detector_path=", FEW]) == 0
    assert len(records(run, "kid_builtin")) == 1
    assert set(tmp_path.iterdir()) - before == {tmp_path / "cache"}


def test_help_shows_the_groups_that_the_command_has(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    groups = out.partition("== Configuration groups ==")[2].partition("== Config ==")[0]
    options = sorted(path.stem for path in (ROOT / "conf" / "data").glob("*.yaml"))
    assert f"\ndata: {', '.join(options)}\n" in groups
    assert "augpipe" not in out and "num_fakes: 2000" in out


def test_a_run_whose_pictures_are_gone_says_so(run, capsys, tmp_path):
    stored = OmegaConf.load(run / "config.yaml")
    stored.data.path = str(tmp_path / "gone")
    OmegaConf.save(stored, run / "config.yaml")
    assert main(["network=runs/a", FEW]) == 2
    assert "name others by data=folder data.path=" in capsys.readouterr().err


@pytest.mark.long
def test_two_processes_of_torchrun_write_what_one_does(run, tmp_path):
    assert main(["network=runs/a", "metrics=[kid,fid,pr]", FEW]) == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command += ["-m", "stylegan.cli.evaluate", "network=runs/a", "metrics=[kid,fid,pr]", FEW]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("kid", "fid", "pr"):
        one, two = records(run, f"{name}_builtin")
        assert one["results"] == two["results"] and (one["num_gpus"], two["num_gpus"]) == (1, 2)
    assert done.stdout.count("kid_builtin_low") == 1


def test_the_records_are_json(run):
    assert main(["network=runs/a", FEW]) == 0
    [line] = (run / "metric-kid_builtin.jsonl").read_text().splitlines()
    assert json.loads(line)["metric"] == "kid_builtin"


def test_a_report_is_one_page_that_needs_nothing_else(run, capsys):
    assert main(["network=runs/a", "report=true", FEW]) == 0
    page = (run / "report.html").read_text()
    assert "http://" not in page and "https://" not in page and "<script" not in page
    content = json.loads((run / "report.json").read_text())
    assert content["about"]["real pictures"] == 20
    assert "report.html" in capsys.readouterr().out
