"""The evaluate command, from the command line to the records."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from stylegan.cli.evaluate import main
from stylegan.interop.checkpoint import save_generator
from stylegan.networks import Discriminator
from tests.cli.evaluate_runs import (  # noqa: F401
    FEW,
    ROOT,
    in_a_folder_of_its_own,
    make_generator,
    records,
    small_run,
    twenty_images,
)
from tests.interop.pickle_files import pickled, snapshot


def test_a_run_is_scored_against_what_it_was_trained_on(run, capsys):
    assert main(["network=runs/a", "metrics=[kid,fid]", FEW]) == 0
    [kid], [fid] = records(run, "kid_builtin"), records(run, "fid_builtin")
    assert kid["snapshot_pkl"] == "checkpoints/kimg0000012.000.safetensors" and kid["kimg"] == 12.0
    assert kid["protocol"]["num_reals"] == 20 and kid["protocol"]["num_fakes"] == 24
    out = capsys.readouterr().out
    # The number first, then whose it is and its protocol; what the protocol says, once, after it.
    lines, place = out.splitlines(), "runs/a/checkpoints/kimg0000012.000.safetensors"
    for name, record, line in (("kid_builtin", kid, 0), ("fid_builtin", fid, 2)):
        assert lines[line].startswith(f"{name} {record['results'][name]:.5g} (")
        assert lines[line].endswith(f"  kimg 12.000  {place}  protocol {record['protocol_id']}")
        assert lines[line + 1].startswith(f"protocol {record['protocol_id']}: {name}, builtin ")
        assert f"scores      runs/a/metric-{name}.jsonl" in lines
    assert "24 fakes against 20 reals, 8x8" in out


def test_a_pickle_is_scored_with_its_discriminator(pictures, tmp_path, capsys):
    size = {"c_dim": 0, "img_resolution": 8, "img_channels": 3}
    widths = {"channel_base": 32, "channel_max": 4, "conv_clamp": 256}
    g_options = {
        **size,
        "z_dim": 4,
        "w_dim": 4,
        "mapping_kwargs": {"num_layers": 1},
        "synthesis_kwargs": widths,
    }
    discriminator = Discriminator(resolution=8, channel_base=32, channel_max=4)
    content = snapshot(make_generator(), discriminator, g_options=g_options, d_options=size | widths)
    (tmp_path / "network.pkl").write_bytes(pickled(content))
    data = ["data=folder", f"data.path={pictures}", "resolution=8", "data.workers=0"]
    assert main(["network=network.pkl", *data, "metrics=kid", "report=true", FEW]) == 0
    [kid] = records(tmp_path, "kid_builtin")
    assert kid["snapshot_pkl"] == "network.pkl"
    assert "there is no discriminator" not in (tmp_path / "report.html").read_text(encoding="utf-8")


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
    said = [line for line in capsys.readouterr().out.splitlines() if line.endswith(" already")]
    for record, line in zip((found[0], found[1]), said, strict=True):
        assert line.startswith(f"kid_builtin {record['results']['kid_builtin']:.5g} (")
        assert line.endswith("  is in runs/a/metric-kid_builtin.jsonl already")
    assert main(["network=runs/a", "checkpoints=all", "again=true", FEW]) == 0
    values = {record["kimg"]: record["results"]["kid_builtin"] for record in found}
    again = records(run, "kid_builtin")[3:]
    assert {record["kimg"]: record["results"]["kid_builtin"] for record in again} == values
    best = min(values, key=values.get)
    [said] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("best ")]
    assert f"kimg{best:011.3f}.safetensors" in said


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


def test_records_that_runs_share_and_weights_that_change_are_distinguished(run, tmp_path, capsys):
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


def test_a_data_module_of_ones_own_takes_only_the_keys_it_has(run, tmp_path, monkeypatch, capsys):
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
    # A run's folder may come from anyone, so that it calls nothing; the user does, in words.
    assert main(["network=runs/a", FEW]) == 2
    assert "data=<its file> with --config-dir" in capsys.readouterr().err
    (tmp_path / "my_conf" / "data").mkdir(parents=True)
    (tmp_path / "my_conf" / "data" / "boards.yaml").write_text("_target_: my_boards.Data\nside: 8\n")
    assert main(["--config-dir", str(tmp_path / "my_conf"), "data=boards", "network=runs/a", FEW]) == 0
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
    assert done.stdout.count("kid_builtin ") == 1


def test_the_records_are_json(run):
    assert main(["network=runs/a", FEW]) == 0
    [line] = (run / "metric-kid_builtin.jsonl").read_text().splitlines()
    assert json.loads(line)["metric"] == "kid_builtin"


def test_a_report_knows_whether_the_network_was_trained_on_the_pictures(run, pictures):
    def notes(*arguments):
        assert main([*arguments, "metrics=none", "report=true", "out=written"]) == 0
        return json.loads(Path("written/report.json").read_text())["notes"]

    stored = OmegaConf.load(run / "config.yaml")
    data = instantiate(stored.data)
    data.setup("fit")
    stored.data_fingerprint = data.fingerprint
    OmegaConf.save(stored, run / "config.yaml")
    folder = ["data=folder", f"data.path={pictures}"]
    assert notes("network=runs/a") == notes("network=runs/a", *folder) == []
    # Of these some are held out of what was not held out in training.
    [other] = notes("network=runs/a", *folder, "data.val_fraction=0.3")
    assert "not the pictures" in other and "config.yaml" in other
    (run / "checkpoints" / "kimg0000012.000.safetensors").rename("lone.safetensors")
    [alone] = notes("network=lone.safetensors", *folder)
    assert "on trust" in alone


def test_a_report_is_one_page_that_needs_nothing_else(run, capsys):
    assert main(["network=runs/a", "report=true", "first_seed=7", "noise_mode=const", FEW]) == 0
    page = (run / "report.html").read_text()
    assert "http://" not in page and "https://" not in page and "<script" not in page
    assert "<title>Is it learning or copying? a, kimg 12.000</title>" in page
    content = json.loads((run / "report.json").read_text())
    about = content["about"]
    assert len(about.pop("detector checksum")) >= 8 and len(about.pop("data fingerprint")) == 32
    assert about == {
        "real pictures": 20,
        "fakes": 400,
        "held-out pictures": 0,
        "resolution": "8x8",
        "channels": 3,
        "network": "checkpoints/kimg0000012.000.safetensors",
        "kimg": 12.0,
        "seeds": "7 to 406",
        "truncation": 1.0,
        "noise mode": "const",
        "labels": "none",
        "precision": about["precision"],
        "detector": "builtin",
        "origin of the pictures": "trust",
    }
    assert "report.html" in capsys.readouterr().out


@pytest.fixture
def other_run(run, tmp_path):
    """Another run on the same pictures, with other weights."""
    other = tmp_path / "runs" / "b"
    shutil.copytree(run, other)
    for number, path in enumerate(sorted((other / "checkpoints").iterdir())):
        save_generator(path, make_generator(10 + number))
    return other


@pytest.mark.parametrize("named", ["runs/a,runs/b", "runs/*", "runs/[ab]"])
def test_several_runs_are_scored_each_in_its_folder_and_compared_in_one_table(run, other_run, capsys, named):
    assert main([f"network={named}", FEW]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {folder.name: records(folder, "kid_builtin")[0] for folder in (run, other_run)}
    assert len({record["protocol_id"] for record in found.values()}) == 1
    head = next(place for place, line in enumerate(lines) if line.startswith("kid_builtin, lower is better"))
    rows = [line.split() for line in lines[head + 1 :]]
    best = sorted(found, key=lambda name: found[name]["results"]["kid_builtin"])
    assert [row[5] for row in rows] == [f"runs/{name}" for name in best]
    for row, name in zip(rows, best, strict=True):
        results = found[name]["results"]
        half = (results["kid_builtin_high"] - results["kid_builtin_low"]) / 2
        assert row[:5] == [f"{results['kid_builtin']:.4g}", "±", f"{half:.2g}", "kimg", "12.000"]


def test_several_runs_go_on_where_they_were_stopped(run, other_run, capsys):
    assert main(["network=runs/a", FEW]) == 0
    assert main(["network=runs/a,runs/b", FEW]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("metric-kid_builtin.jsonl already") for line in lines].count(True) == 1
    assert {line.split()[5] for line in lines[-2:]} == {"runs/a", "runs/b"}, "both are in the table"
    assert main(["network=runs/a,runs/b", FEW]) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == lines[-3:]
    assert [len(records(folder, "kid_builtin")) for folder in (run, other_run)] == [1, 1]
    assert main(["network=runs/a,runs/b", "again=true", FEW]) == 0
    assert [len(records(folder, "kid_builtin")) for folder in (run, other_run)] == [2, 2]


def test_a_run_that_cannot_be_scored_costs_none_of_the_others(run, other_run, tmp_path, capsys):
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"rubbish")
    (tmp_path / "runs" / "empty").mkdir()
    assert main(["network=runs/*", FEW]) == 2
    out, err = capsys.readouterr()
    assert len(records(other_run, "kid_builtin")) == 1 and "runs/b" in out.splitlines()[-1]
    assert "runs/a" in err and "cannot be read" in err and "Traceback" not in err
    assert err.splitlines()[-1] == "stylegan-evaluate: 2 of 3 were not scored: runs/a, runs/empty"


def test_a_name_that_fits_nothing_scores_nothing(run, capsys):
    assert main(["network=runs/a,runs/x*", FEW]) == 2
    assert "network=runs/x*: no run or network is called so" in capsys.readouterr().err
    assert not (run / "metric-kid_builtin.jsonl").exists()
    assert main(["network=runs/a,runs/nowhere", FEW]) == 2
    assert "runs/nowhere: there is no such file" in capsys.readouterr().err
    assert len(records(run, "kid_builtin")) == 1


def test_one_page_is_not_written_over_another(run, other_run, capsys):
    assert main(["network=runs/*", "report=true", "out=here", FEW]) == 2
    assert "each run has a report of its own" in capsys.readouterr().err
