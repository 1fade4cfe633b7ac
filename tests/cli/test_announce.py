"""The last lines of a training name files that are there and a command that runs."""

import json
import shlex

import pytest

from stylegan.cli.announce import channels_text, say_scores_of_sweep, say_where_to_look
from stylegan.cli.command import Result, run_command
from stylegan.evaluation.protocol import protocol_id
from stylegan.evaluation.records import Score, append
from stylegan.runs.folder import RunFolder
from stylegan.runs.network_files import networks_named


def run_with(tmp_path, generator: str) -> RunFolder:
    folder = RunFolder(tmp_path / "my run")
    folder.checkpoints.mkdir(parents=True)
    (folder.checkpoints / "kimg0000000.016.ckpt").touch()
    folder.config.write_text(f"generator: {generator}\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "generator, label",
    [
        ("{c_dim: 0}", ""),
        ("{c_dim: [", ""),
        ("{c_dim: 2}", " label=0"),
        ("{c_dim: 2, label_names: [fox, red fox]}", " label=fox"),
        ("{c_dim: 2, label_names: [red fox, fox]}", " 'label=red fox'"),
    ],
)
def test_the_next_command_names_a_class_where_the_network_asks_for_one(tmp_path, capsys, generator, label):
    folder = run_with(tmp_path, generator)
    say_where_to_look(folder)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("  next ") and last.endswith(f"'network={folder.path}' seeds=0-15{label}")


@pytest.mark.parametrize(
    "channels, words", [(None, ""), (1, ", grey"), (3, ", RGB"), (4, ", RGB and alpha"), (6, ", 6 channels")]
)
def test_channels_are_named_where_the_data_have_the_option(channels, words):
    assert channels_text(channels) == words


def scored(folder, value):
    folder.mkdir()
    results = {"kid_builtin": value, "kid_builtin_low": value - 0.1, "kid_builtin_high": value + 0.1}
    append(folder, Score("kid_builtin", results, {}, 1.0), images=1000, network=None, processes=1)


def test_a_sweep_ends_with_one_table_of_its_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runs = {seed: tmp_path / f"s-seed={seed}" for seed in (1, 2, 3)}
    for seed, value in ((1, 0.5), (2, 0.2)):
        scored(runs[seed], value)

    def task(composition):
        seed = composition.config.seed
        if seed == 4:
            raise ValueError("this one fails")
        return Result(0, folder=runs[seed])  # 3 came to no score

    def sweep(*words):
        return run_command("train", task, words, program="p", closing=say_scores_of_sweep)

    with pytest.raises(ValueError):
        sweep("-m", "data=flowers", "seed=1,4")
    capsys.readouterr()
    assert sweep("-m", "data=flowers", "seed=1,2,3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].startswith("kid_builtin, lower is better  (protocol ")
    assert lines[-2:] == ["  0.2 ± 0.1  kimg 1.000  s-seed=2", "  0.5 ± 0.1  kimg 1.000  s-seed=1"]


@pytest.mark.parametrize("others", [[], ["s-seed=30"]])
@pytest.mark.parametrize(
    "names, codes, why",
    [
        ("kid", (0, 0), ": the runs were too short for one"),
        ("none", (0, 0), ": none were asked for"),
        ("kid", (0, 3), ""),
        ("[", (0, 0), ""),
    ],
)
def test_a_sweep_without_scores_says_why_and_what_gives_them(
    tmp_path, monkeypatch, capsys, names, codes, why, others
):
    monkeypatch.chdir(tmp_path)
    folders = [RunFolder(tmp_path / "runs" / name) for name in ("s-seed=1", "s-seed=2", *others)]
    for folder in folders:
        folder.checkpoints.mkdir(parents=True)
        (folder.checkpoints / "kimg0000000.016.ckpt").touch()
        settings = f"generator: {{c_dim: 0}}\ncallbacks: {{metrics: {{names: {names}}}}}\n"
        folder.config.write_text(settings, encoding="utf-8")
    say_scores_of_sweep(
        [Result(code, folder=folder.path) for code, folder in zip(codes, folders, strict=False)]
    )
    [empty, line] = capsys.readouterr().out.splitlines()
    said, command = line.split("; ")
    assert (empty, said) == ("", f"no scores to compare{why}")
    network = shlex.split(command.removesuffix(" gives them"))[-1]
    assert network == ("network=runs/s-seed=1,runs/s-seed=2" if others else "network=runs/s-seed=*")
    found = networks_named(network.removeprefix("network="))
    assert found == ["runs/s-seed=1", "runs/s-seed=2"]


def test_a_sweep_that_has_trained_nothing_says_nothing(tmp_path, capsys):
    say_scores_of_sweep([Result(2), Result(2, folder=tmp_path / "a")])
    assert capsys.readouterr().out.strip() == ""


@pytest.mark.parametrize("words", [["data=flowers", "seed=1"], ["-m", "data=flowers", "seed=1"]])
def test_one_run_has_no_table(tmp_path, words):
    scored(tmp_path / "run", 0.5)
    called = []
    task = lambda _: Result(0, folder=tmp_path / "run")  # noqa: E731
    assert run_command("train", task, words, program="p", closing=called.append) == 0 and not called


def write_scores(folder, *rows):
    lines = [
        json.dumps({"results": {"kid_builtin": value}, "protocol": {"num_fakes": num_fakes}, "kimg": kimg})
        for num_fakes, kimg, value in rows
    ]
    folder.path.joinpath("metric-kid_builtin.jsonl").write_text("\n".join(lines))


def test_the_best_checkpoint_of_each_score_and_the_report_are_named(tmp_path, capsys):
    folder = run_with(tmp_path, "{c_dim: 0}")
    folder.path.joinpath("report.html").touch()
    write_scores(folder, (10, 0.040, 0.3), (10, 0.016, 0.2), (10, 0.060, 0.25), (10, 0, 0.1), (10, None, 0.1))
    say_where_to_look(folder)
    out = capsys.readouterr().out
    best = folder.checkpoints / "kimg0000000.016.ckpt"
    assert f"  best        kid_builtin 0.2 at kimg 0.016: {best}\n" in out
    assert f"  report      {folder.path / 'report.html'}\n" in out and "too short" not in out


def test_the_last_lines_and_the_table_of_a_sweep_name_the_same_best(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = run_with(tmp_path, "{c_dim: 0}")
    write_scores(folder, (10, 0.020, 0.01), (20, 0.040, 0.3), (20, 0.016, 0.2), (20, 0, 0.1), (20, None, 0.1))
    say_scores_of_sweep([Result(0, folder=folder.path)])
    table = capsys.readouterr().out
    say_where_to_look(folder)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  best ")]
    ids = [protocol_id({"num_fakes": count}) for count in (10, 20)]
    assert said == [
        f"  best        kid_builtin (protocol {ids[0]}) 0.01 at kimg 0.020",
        f"  best        kid_builtin (protocol {ids[1]}) 0.2 at kimg 0.016: {folder.checkpoints}/kimg0000000.016.ckpt",
    ]
    assert "  0.01  kimg 0.020  my run\n" in table and "  0.2  kimg 0.016  my run\n" in table
    assert table.count("my run") == 2


def test_damaged_scores_do_not_end_the_last_lines(tmp_path, capsys):
    folder = run_with(tmp_path, "{c_dim: 0}")
    write_scores(folder, (10, 0.016, "x"), (10, "7", 0.2), (10, 1e308, 0.2), (10, float("nan"), 0.2))
    say_where_to_look(folder)
    assert "  best " not in capsys.readouterr().out


def test_a_run_that_was_too_short_for_a_score_says_so(tmp_path, capsys):
    folder = run_with(tmp_path, "{c_dim: 0}\ncallbacks: {metrics: {names: kid, every_kimg: 20.0}}")
    say_where_to_look(folder)
    assert "too short for one (callbacks.metrics.every_kimg is 20); " in capsys.readouterr().out
    folder.config.write_text("generator: {c_dim: 0}\ncallbacks: {metrics: {names: none, every_kimg: 20.0}}\n")
    say_where_to_look(folder)
    assert "too short" not in capsys.readouterr().out


def test_the_next_command_is_that_of_the_python_that_ran(tmp_path, monkeypatch, capsys):
    """`make train` runs .venv/bin/python, while `python` may be another one, or none."""
    folder = run_with(tmp_path, "{c_dim: 0}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])
    monkeypatch.setattr("sys.executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/python")
    say_where_to_look(folder)
    assert "next        .venv/bin/python generate.py 'network=" in capsys.readouterr().out
    monkeypatch.setattr("shutil.which", lambda name: str(tmp_path / ".venv" / "bin" / "python"))
    say_where_to_look(folder)
    assert "next        python generate.py 'network=" in capsys.readouterr().out
