"""The studies start, and the one that draws scores shows all results of a record and no line that a kill cut short."""

import pkgutil
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import studies
from benchmarks.studies import plot_metrics, plot_stats
from stylegan.evaluation.protocol import protocol_id
from stylegan.evaluation.records import Score, append, record_path

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(studies.__path__)])
def test_a_study_starts_as_a_module_and_shows_its_options(name, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, f"benchmarks.studies.{name}", raising=False)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as left:
        runpy.run_module(f"benchmarks.studies.{name}", run_name="__main__")
    assert left.value.code == 0
    assert f"usage: {name}.py" in capsys.readouterr().out
    assert f"python -m benchmarks.studies.{name}" in (
        ROOT / "benchmarks" / "studies" / f"{name}.py"
    ).read_text("utf-8")


def test_each_result_has_a_diagram_and_an_unfinished_line_has_none(tmp_path):
    for i in (1, 2):
        results = {"pr_precision": 0.1 * i, "pr_recall": 0.2 * i, "pr_density": float("nan")}
        append(tmp_path, Score("pr", results, {}, 1.0), images=i * 1000, network=None, processes=1)
    path = record_path(tmp_path, "pr")
    path.write_text(path.read_text() + '{"results": {"pr_prec')
    name = protocol_id({})
    assert plot_metrics.read(path) == {
        ("pr_precision", name): {"": [(1.0, 0.1), (2.0, 0.2)]},
        ("pr_recall", name): {"": [(1.0, 0.2), (2.0, 0.4)]},
    }
    plot_metrics.main([str(tmp_path / "a.png"), str(path)])
    width, height = Image.open(tmp_path / "a.png").size
    assert (width, height) == (plot_stats.WIDTH, 2 * plot_stats.HEIGHT)


def test_an_interval_belongs_to_its_result(tmp_path):
    results = {"kid": 1.0, "kid_low": 0.5, "kid_high": 1.5, "fid": 3.0, "fid_bias": 1.0}
    append(tmp_path, Score("kid", results, {}, 1.0), images=1000, network=None, processes=1)
    found = plot_metrics.read(record_path(tmp_path, "kid"))
    assert {key[0]: set(curves) for key, curves in found.items()} == {
        "kid": {"", "_low", "_high"},
        "fid": {""},
    }


def scored(folder, values, num_fakes=10):
    folder.mkdir(parents=True, exist_ok=True)
    for kimg, value in values.items():
        results = {"kid": value, "kid_low": value - 0.1, "kid_high": value + 0.1}
        score = Score("kid", results, {"num_fakes": num_fakes}, 1.0)
        append(folder, score, images=kimg * 1000, network=None, processes=1)


def test_runs_share_an_axis_under_their_names_and_protocols_do_not(tmp_path):
    scored(tmp_path / "a", {1: 0.5, 2: 0.5})
    scored(tmp_path / "b", {1: 0.3, 4: 0.3})
    scored(tmp_path / "b", {1: 0.7, 2: 0.6}, num_fakes=20)
    found = plot_metrics.diagrams_of([tmp_path / "a", tmp_path / "b"])
    assert [list(runs) for runs in found.values()] == [["a", "b"], ["b"]]
    assert found["kid", protocol_id({"num_fakes": 10})]["b"][""] == [(1.0, 0.3), (4.0, 0.3)]
    plot_metrics.main([str(tmp_path / "both.png"), str(tmp_path / "a"), str(tmp_path / "b")])
    image = Image.open(tmp_path / "both.png").convert("RGB")
    assert image.size == (plot_stats.WIDTH, 2 * plot_stats.HEIGHT)
    colours = {colour for _, colour in image.getcolors(1 << 20)}
    for colour in (one for pair in plot_metrics.COLOURS[:2] for one in pair):
        wanted = bytes.fromhex(colour[1:])
        # Resampling rings.
        assert min(max(abs(a - b) for a, b in zip(wanted, found, strict=True)) for found in colours) < 30


def test_two_runs_of_one_name_are_distinguished(tmp_path):
    for parent in ("one", "two"):
        scored(tmp_path / parent / "run", {1: 0.5, 2: 0.4})
    [runs] = plot_metrics.diagrams_of([tmp_path / "one/run", tmp_path / "two/run"]).values()
    assert list(runs) == ["one/run", "two/run"]


def test_nothing_to_draw_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit):
        plot_metrics.main([str(tmp_path / "a.png"), str(tmp_path)])
    assert "no scores of a known kimg" in capsys.readouterr().err
