"""Scores during training: what is written of them, which files they name, and what a run that continues forgets."""

import json

import pytest
import pytorch_lightning as pl

import callbacks.scores
from callbacks.checkpoint import KimgCheckpoint
from stylegan.errors import UserError
from stylegan.evaluation import read_records
from stylegan.evaluation.protocol import weights_sha256
from tests.callbacks.scored_run import kimg_of, made, trained
from tests.callbacks.tiny_run import fit, idle_module, tiny_data


def test_a_line_has_the_protocol_the_weights_and_the_file(tmp_path):
    checkpoint = KimgCheckpoint(every_kimg=1.0, folder=tmp_path)
    module, _ = trained(tmp_path, total=8, others=[checkpoint])
    opened = tiny_data()
    opened.setup()
    [record] = read_records(tmp_path / "metric-kid_builtin.jsonl")
    assert record["snapshot_pkl"] == "checkpoints/kimg0000000.008.safetensors"
    assert record["protocol"]["data_fingerprint"] == opened.fingerprint
    assert record["weights_sha256"] == weights_sha256(module.generator_ema)
    assert set(record["results"]) == {"kid_builtin", "kid_builtin_low", "kid_builtin_high"}


def test_a_file_is_named_only_where_there_is_one(tmp_path):
    checkpoint = KimgCheckpoint(every_kimg=0.012, folder=tmp_path, keep_last=None, keep_every_kimg=None)
    trained(tmp_path, total=40, others=[checkpoint], at_start=True, every_kimg=0.004)
    records = list(read_records(tmp_path / "metric-kid_builtin.jsonl"))
    assert len(records) == 11 and records[0]["snapshot_pkl"] is None
    for record in records:
        path = tmp_path / "checkpoints" / f"kimg{record['kimg']:011.3f}.safetensors"
        assert record["snapshot_pkl"] == (f"checkpoints/{path.name}" if path.exists() else None)
    named = [record["snapshot_pkl"] is not None for record in records]
    assert any(named) and not all(named[1:])


def test_without_a_callback_that_writes_them_no_file_is_named(tmp_path):
    trained(tmp_path, total=16)
    assert [record["snapshot_pkl"] for record in read_records(tmp_path / "metric-kid_builtin.jsonl")] == [
        None,
        None,
    ]


def test_a_killed_run_writes_the_same_scores(tmp_path):
    trained(tmp_path / "whole", learns=True, total=40)
    trained(
        tmp_path / "cut",
        learns=True,
        total=20,
        others=[KimgCheckpoint(every_kimg=0.012, folder=tmp_path / "cut")],
    )
    # After the checkpoint at 12 it had come to 20, which is forgotten.
    checkpoint = tmp_path / "cut" / "checkpoints" / "kimg0000000.012.ckpt"
    trained(tmp_path / "cut", learns=True, total=40, ckpt_path=checkpoint)

    def results(folder):
        return [r["results"] for r in read_records(tmp_path / folder / "metric-kid_builtin.jsonl")]

    assert kimg_of(tmp_path / "cut") == kimg_of(tmp_path / "whole")
    assert results("cut") == results("whole")


def test_a_run_that_continues_without_metrics_forgets_those_past_its_checkpoint(tmp_path):
    trained(tmp_path, total=20, others=[KimgCheckpoint(every_kimg=0.012, folder=tmp_path)])
    assert kimg_of(tmp_path) == [0.008, 0.016, 0.02]
    checkpoint = tmp_path / "checkpoints" / "kimg0000000.012.ckpt"
    trained(tmp_path, total=40, ckpt_path=checkpoint, names="none")
    assert kimg_of(tmp_path) == [0.008]


def test_the_best_checkpoint_is_written_and_kept(tmp_path):
    _, metrics = trained(
        tmp_path,
        total=40,
        learns=True,
        others=[KimgCheckpoint(every_kimg=1.0, folder=tmp_path, keep_last=1, keep_every_kimg=None)],
    )
    records = list(read_records(tmp_path / "metric-kid_builtin.jsonl"))
    best = min(records, key=lambda record: record["results"]["kid_builtin"])
    assert metrics.best.kept_images() == {round(best["kimg"] * 1000)}
    assert (tmp_path / best["snapshot_pkl"]).exists()
    assert (tmp_path / best["snapshot_pkl"]).with_suffix(".ckpt").exists()
    # Besides it the newest, and nothing else.
    assert len(list((tmp_path / "checkpoints").glob("*.ckpt"))) == len({best["kimg"], 0.04})


class Charts(pl.loggers.Logger):
    """Keeps the names of what is logged."""

    name, version = "charts", 0

    def __init__(self):
        super().__init__()
        self.names = set()

    def log_metrics(self, metrics, step=None):
        self.names |= set(metrics) - {"kimg"}

    def log_hyperparams(self, params, *rest):
        pass


def test_charts_of_two_protocols_are_two(tmp_path):
    shown = []
    for num_fakes in (20, 24):
        charts, metrics = Charts(), made(tmp_path, num_fakes=num_fakes)
        fit(idle_module(total_images=16), [metrics], loggers=[charts])
        shown.append(charts.names)
    for names in shown:
        assert {name.rpartition("/")[0] for name in names} == {
            "Metrics/kid_builtin",
            "Metrics/kid_builtin_low",
            "Metrics/kid_builtin_high",
        }
    assert not shown[0] & shown[1]


def test_a_full_disk_costs_the_record_alone(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(callbacks.scores, "append_record", full)
    module, _ = trained(tmp_path, total=16)
    assert module.images == 16
    assert "metric-kid_builtin.jsonl could not be written" in capsys.readouterr().out


def test_records_that_are_refused_cost_themselves_alone(tmp_path, monkeypatch, capsys):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", "metric-kid_builtin.jsonl")

    monkeypatch.setattr(callbacks.scores, "append_record", refused)
    module, _ = trained(tmp_path, total=16)
    assert module.images == 16
    assert "metric-kid_builtin.jsonl: Permission denied); the rest continues" in capsys.readouterr().out


def test_records_that_are_refused_at_the_start_are_one_line(tmp_path):
    (tmp_path / "metric-kid_builtin.jsonl").mkdir()
    with pytest.raises(UserError, match="metric-kid_builtin.jsonl: Is a directory; nothing was trained"):
        trained(tmp_path, total=16)


def test_records_are_lines_of_json(tmp_path):
    trained(tmp_path, total=16, names=["kid", "fid"])
    for name in ("kid_builtin", "fid_builtin"):
        for line in (tmp_path / f"metric-{name}.jsonl").read_text().splitlines():
            assert json.loads(line)["metric"] == name
