"""The evaluate command where something is wrong: on its command line, with the pictures, or with the disk."""

import pytest
from omegaconf import OmegaConf

import stylegan.evaluation.evaluation
from stylegan.cli.evaluate import main
from stylegan.evaluation import Evaluator
from tests.cli.evaluate_runs import FEW, ROOT, in_a_folder_of_its_own, records, small_run, twenty_images  # noqa: F401


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (["network=runs/b"], "there is no such file or folder"),
        (["network=runs/a", "metrics=fid50"], "did you mean fid50k"),
        (["network=runs/a", "metrics=is"], "use is50k"),
        (["network=runs/a", "metrics=fid50k_full"], "weights-inception-2015-12-05-6726825d.pth"),
        (["network=runs/a", "detector=inceptoin"], "detector must be one of"),
        (["network=runs/a", "num_fakes=1"], "num_fakes must be at least 2, got 1"),
        (["network=runs/a", "num_fakes=many"], "num_fakes must be a whole number"),
        (["network=runs/a", "checkpoints=some"], "it must be newest or all"),
        (["network=runs/a", "first_seed=4294967295", FEW], "first_seed must be from 0 to"),
        (["network=runs/a", "data.path=elsewhere"], "data=folder"),
        (["network=runs/a", "data=folder", "data.path=elsewhere"], "elsewhere"),
        (["network=runs/a", "data=flowers", "data.channels=1", "data.num_items=20"], "channels"),
        (["network=runs/a", "metrcs=kid"], "did you mean metrics?"),
        (["network=runs/a", "device=cuda:9"], "device=cuda:9"),
        (["network=runs/a", "precision=fp8"], "precision must be auto, fp32, bf16, fp16, got fp8"),
        (["network=runs/a", "noise_mode=some"], "noise_mode must be one of"),
        (["network=runs/a", "truncation=true"], "truncation must be a number"),
        (["network=runs/a", "truncation=nan"], "truncation must be between -100 and 100, got nan"),
        (["network=runs/a", "device=meta"], "device=meta cannot be used here"),
        (
            ["network=runs/a", "metrics=true"],
            "metrics must be a name, a list of names as in 'metrics=[kid,fid]', or none, got True",
        ),
        (["network=runs/a", "metrics=fid_infinity", "num_fakes=15"], "num_fakes must be at least 16"),
        (
            ["network=runs/a", "num_fakes=5000000000"],
            "num_fakes must be at most 4294967296 for metrics=kid_builtin, got 5000000000",
        ),
        (["network=runs/a", "num_fakes=1e3"], "num_fakes must be a whole number, got 1000.0; write 1000"),
        (["network=runs/a", "metrics=KID"], "metrics=KID: there is no such metric; did you mean kid?"),
        (["network=runs/a", "metrics=[kid,null]"], "metrics must be names, got null in the list; write"),
        (["network=runs/a", "metrics=kid,fid"], "'metrics=[kid,fid]' is a list"),
        (
            ["network=runs/a", "detector_path=w.pth"],
            "detector_path must be left out where all metrics use the detector builtin",
        ),
        (["network=runs/a", "metrics=none"], "nothing to do; say metrics=kid, or report=true"),
        (["network=runs/a", "metrics=[]"], "nothing to do"),
        (["network=runs/a", "metrics=null"], "nothing to do"),
    ],
)
def test_mistakes_are_one_line(run, arguments, reported, capsys):
    before = sorted(path.name for path in run.iterdir())
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert reported in err and err.count("\n") == 1, err
    assert sorted(path.name for path in run.iterdir()) == before


def test_a_folder_that_cannot_be_written_is_reported_before_anything_is_drawn(
    run, tmp_path, capsys, monkeypatch
):
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

    monkeypatch.setattr(stylegan.evaluation.evaluation, "append", append)
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
    assert main(["network=runs/a", "cache_dir=", "detector_path=", FEW]) == 0
    assert len(records(run, "kid_builtin")) == 1
    assert set(tmp_path.iterdir()) - before == {tmp_path / "cache"}


def test_help_shows_the_groups_that_the_command_has(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    options = sorted(path.stem for path in (ROOT / "conf" / "data").glob("*.yaml"))
    (data,) = [line for line in out.splitlines() if line.startswith("  data=")]
    assert data.endswith(f": {', '.join(options)}")
    assert "augpipe" not in out and "num_fakes=2000" in out


def test_a_run_whose_pictures_are_gone_says_so(run, capsys, tmp_path):
    stored = OmegaConf.load(run / "config.yaml")
    stored.data.path = str(tmp_path / "gone")
    OmegaConf.save(stored, run / "config.yaml")
    assert main(["network=runs/a", FEW]) == 2
    assert "name others by data=folder data.path=" in capsys.readouterr().err


def called(path):
    """What Hydra would make a file of, if it were built."""
    return {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "_args_": [str(path)]}}


@pytest.mark.parametrize(
    "data",
    [
        called,
        lambda made: {
            "_target_": "datamodules.FolderData",
            "path": called(made),
            "resolution": 8,
            "batch_size": 4,
        },
        lambda made: {"_target_": "datamodules.FolderData", "include": [called(made)], "path": "pictures"},
        lambda made: {"_target_": "datamodules.image_datamodule.os.system", "command": f"touch {made}"},
        lambda made: {"_target_": "${elsewhere}", "command": f"touch {made}"},
        lambda made: {"path": str(made)},
    ],
)
def test_nothing_of_a_strangers_folder_is_called(run, tmp_path, capsys, data):
    made = tmp_path / "made"
    stored = {"generator": {}, "data": data(made), "elsewhere": "os.system", "called": called(made)}
    OmegaConf.save(OmegaConf.create(stored), run / "config.yaml")
    assert main(["network=runs/a", FEW]) == 2
    err = capsys.readouterr().err
    assert not made.exists()
    assert (
        "config.yaml: data names " in err and "data=folder data.path=..." in err and err.count("\n") == 1
    ), err


@pytest.mark.parametrize("path", ["${oc.env:SECRET}", "${called}", "x/${elsewhere}", "\\\\${oc.env:SECRET}"])
def test_a_text_of_a_strangers_folder_is_looked_up_nowhere(run, tmp_path, capsys, monkeypatch, path):
    monkeypatch.setenv("SECRET", "told")
    made = tmp_path / "made"
    data = {"_target_": "datamodules.FolderData", "path": path, "resolution": 8, "batch_size": 4}
    stored = {"generator": {}, "data": data, "elsewhere": "told", "called": called(made)}
    OmegaConf.save(OmegaConf.create(stored), run / "config.yaml")
    assert main(["network=runs/a", FEW]) == 2
    err = capsys.readouterr().err
    assert "told" not in err and "${" in err and err.count("\n") == 1, err
    assert not made.exists()
