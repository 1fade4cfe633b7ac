"""The benchmark of the metrics measures every step and writes what it shows."""

import json

import pytest

from benchmarks.metrics import STEPS, made, main


def test_all_steps_are_measured_and_written(tmp_path, capsys):
    file = tmp_path / "figures.json"
    assert main(["--rows", "30", "--features", "5", "--skip", "kid", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert list(figures["steps"]) == [step for step in STEPS if step != "kid"]
    assert all(step["wall_sec"] >= 0 and step["peak_memory_gib"] > 0 for step in figures["steps"].values())
    precision, recall = figures["steps"]["precision_recall"]["values"]
    assert 0 < precision <= 1 and 0 < recall <= 1
    assert "precision_recall" in capsys.readouterr().out


def test_the_features_are_those_of_the_seed():
    rows = made(2500, 3, seed=1)
    assert rows.dtype.name == "float32" and rows.min() == 0
    assert (rows == made(2500, 3, seed=1)).all() and (rows != made(2500, 3, seed=2)).any()
    # No part of it is another one again.
    assert not (rows[:1000] == rows[1000:2000]).all()


def test_nonsense_is_refused():
    with pytest.raises(SystemExit) as stopped:
        main(["--rows", "9"])
    assert stopped.value.code == 2
