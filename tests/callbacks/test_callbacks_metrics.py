"""Scores during training: when, at whose cost, what is kept, and that training does not notice."""

import json

import pytest
import pytorch_lightning as pl
import torch
from callbacks_fakes import FakeData, FakeModule, fit

import callbacks.metrics
from callbacks.checkpoint import KimgCheckpoint
from callbacks.metrics import Metrics
from callbacks.preemption import Preemption
from stylegan.evaluation import Score, read_records
from stylegan.evaluation.fingerprint import weights_sha256
from stylegan.run_folder import RunFolder

TWENTY = 0.08  # of 80 images in batches of 4: iterations 2, 4, ...


class Averages:
    """Means over quarters of a picture: a detector without weights."""

    name, checksum, resize = "builtin", "0" * 8, "none"
    calls = 0

    def features(self, images):
        Averages.calls += 1
        return torch.nn.functional.avg_pool2d(images.float() / 255, 4).flatten(1)

    def embedding(self, images):
        return torch.nn.functional.avg_pool2d(images, 4).flatten(1)

    def to(self, device):
        return self


class Set:
    def __init__(self):
        self.pixels = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator())

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        return self.pixels[index], torch.zeros(0)

    def labels(self, indices):
        return torch.zeros(len(indices), 0)

    def content_digest(self):
        return "the same every time"


class Data(FakeData):
    fingerprint = "abc"

    def __init__(self):
        super().__init__()
        self.dataset = Set()


@pytest.fixture(autouse=True)
def without_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(
        callbacks.metrics,
        "open_detectors",
        lambda definitions, **_: {definition.detector: Averages() for definition in definitions},
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def made(tmp_path, **options):
    options = {"names": "kid", "every_kimg": 0.008, "num_fakes": 20, "budget": 1.0, "report": False} | options
    return Metrics(folder=tmp_path, **options)


def trained(tmp_path, total=40, others=(), ckpt_path=None, **options):
    module, metrics = FakeModule(total_images=total), made(tmp_path, **options)
    metrics._within_budget = lambda module: True
    fit(module, [metrics, *others], data=Data(), ckpt_path=ckpt_path)
    return module, metrics


def kimg_of(tmp_path, name="kid_builtin"):
    path = tmp_path / f"metric-{name}.jsonl"
    return [record["kimg"] for record in read_records(path)] if path.exists() else []


def test_at_multiples_and_after_the_last_iteration_never_at_the_start(tmp_path):
    trained(tmp_path, total=36)
    assert kimg_of(tmp_path) == [0.008, 0.016, 0.024, 0.032, 0.036]


def test_at_the_start_where_it_is_asked_for(tmp_path):
    _, metrics = trained(tmp_path, total=16, at_start=True)
    assert kimg_of(tmp_path) == [0.0, 0.008, 0.016]
    assert 0 not in metrics.kept_images, "there is no checkpoint before the first iteration"


def test_a_run_shorter_than_the_cadence_has_none(tmp_path):
    trained(tmp_path, total=4)
    assert kimg_of(tmp_path) == []


def test_none_is_none(tmp_path):
    Averages.calls = 0
    trained(tmp_path, names="none")
    assert Averages.calls == 0 and not list(tmp_path.glob("metric-*"))


def test_training_does_not_notice(tmp_path):
    with_them, _ = trained(tmp_path, names=["kid", "fid", "pr"])
    without, _ = trained(tmp_path / "other", names="none")
    assert kimg_of(tmp_path)
    for name, value in with_them.state_dict().items():
        assert torch.equal(value, without.state_dict()[name]), name
    assert with_them.generator_ema.training == without.generator_ema.training


def test_a_line_has_the_protocol_the_weights_and_the_file(tmp_path):
    checkpoint = KimgCheckpoint(every_kimg=1.0, folder=tmp_path)
    module, _ = trained(tmp_path, total=8, others=[checkpoint])
    [record] = read_records(tmp_path / "metric-kid_builtin.jsonl")
    assert record["snapshot_pkl"] == "checkpoints/kimg0000000.008.safetensors"
    assert record["protocol"]["data_fingerprint"] == "abc"
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


def test_older_checkpoints_tell_a_plateau_by_one_bool(tmp_path):
    metrics = made(tmp_path)
    metrics.course.add(Score("kid_builtin", {"kid_builtin": 1.0}, {}, 0.0), 8)
    old = metrics.state_dict() | {"told_plateau": True}
    again = made(tmp_path)
    again.load_state_dict(old)
    assert again.state_dict()["told_plateau"] == ["kid_builtin"]
    again.load_state_dict(old | {"told_plateau": False})
    assert again.state_dict()["told_plateau"] == []


def test_a_killed_run_writes_the_same_scores(tmp_path):
    trained(tmp_path / "whole", total=40)
    trained(tmp_path / "cut", total=20, others=[KimgCheckpoint(every_kimg=0.012, folder=tmp_path / "cut")])
    # After the checkpoint at 12 it had gone on to 20, which is forgotten.
    checkpoint = tmp_path / "cut" / "checkpoints" / "kimg0000000.012.ckpt"
    trained(tmp_path / "cut", total=40, ckpt_path=checkpoint)

    def results(folder):
        return [r["results"] for r in read_records(tmp_path / folder / "metric-kid_builtin.jsonl")]

    assert kimg_of(tmp_path / "cut") == kimg_of(tmp_path / "whole")
    assert results("cut") == results("whole")


def test_a_run_that_goes_on_without_metrics_forgets_those_past_its_checkpoint(tmp_path):
    trained(tmp_path, total=20, others=[KimgCheckpoint(every_kimg=0.012, folder=tmp_path)])
    assert kimg_of(tmp_path) == [0.008, 0.016, 0.02]
    checkpoint = tmp_path / "checkpoints" / "kimg0000000.012.ckpt"
    trained(tmp_path, total=40, ckpt_path=checkpoint, names="none")
    assert kimg_of(tmp_path) == [0.008]


def test_an_interrupted_evaluation_is_made_up_for(tmp_path):
    preemption, checkpoint = Preemption(), KimgCheckpoint(every_kimg=1.0, folder=tmp_path)
    inside = Averages.features

    class Interrupting(Averages):
        def features(self, images):
            if preemption._signal is None and len(kimg_of(tmp_path)) == 1:
                preemption._signal = 15
            return inside(self, images)

    module, metrics = FakeModule(total_images=40), made(tmp_path)
    metrics.detectors = {"builtin": Interrupting()}
    metrics._within_budget = lambda module: True
    fit(module, [preemption, metrics, checkpoint], data=Data())
    assert module.images == 16 and kimg_of(tmp_path) == [0.008]
    assert preemption.exit_code == 143
    saved = RunFolder(tmp_path).newest_checkpoint()
    assert saved.name == "kimg0000000.016.ckpt"
    trained(tmp_path, total=40, ckpt_path=saved)
    trained(tmp_path / "whole", total=40)
    assert kimg_of(tmp_path) == kimg_of(tmp_path / "whole")


def test_what_is_too_dear_is_left_out_and_said(tmp_path, capsys):
    module, metrics = FakeModule(total_images=40), made(tmp_path, budget=1e-9)
    fit(module, [metrics], data=Data())
    # The first one, whose cost is not known yet, and the last one.
    assert kimg_of(tmp_path) == [0.008, 0.04]
    assert "callbacks.metrics.every_kimg or budget helps" in capsys.readouterr().out


def test_one_that_takes_too_long_is_given_up(tmp_path, capsys):
    trained(tmp_path, total=16, max_minutes=1e-9)
    assert kimg_of(tmp_path) == []
    assert "callbacks.metrics.max_minutes=1e-09" in capsys.readouterr().out


def test_the_best_checkpoint_is_written_and_kept(tmp_path):
    _, metrics = trained(
        tmp_path,
        total=80,
        others=[KimgCheckpoint(every_kimg=1.0, folder=tmp_path, keep_last=1, keep_every_kimg=None)],
    )
    records = list(read_records(tmp_path / "metric-kid_builtin.jsonl"))
    best = min(records, key=lambda record: record["results"]["kid_builtin"])
    assert metrics.kept_images == {round(best["kimg"] * 1000)}
    assert (tmp_path / best["snapshot_pkl"]).exists()
    assert (tmp_path / best["snapshot_pkl"]).with_suffix(".ckpt").exists()
    # Beside it the newest, and nothing else.
    assert len(list((tmp_path / "checkpoints").glob("*.ckpt"))) == len({best["kimg"], 0.08})


def test_a_plateau_is_said_once_and_ends_the_run_where_that_is_asked_for(tmp_path, capsys):
    frozen = FakeModule(total_images=80)
    frozen.configure_optimizers = lambda: torch.optim.SGD(frozen.generator.parameters(), lr=0.0)
    frozen.generator_ema.load_state_dict(frozen.generator.state_dict())
    metrics = made(tmp_path, plateau_kimg=0.024, stop_on_plateau=True)
    metrics._within_budget = lambda module: True
    fit(frozen, [metrics], data=Data())
    assert frozen.images == 32  # scored at 8, and 24 images later nothing had changed
    out = capsys.readouterr().out
    assert out.count("has not clearly improved") == 1 and "the run ends" in out


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
        fit(FakeModule(total_images=16), [metrics], loggers=[charts], data=Data())
        shown.append(charts.names)
    for names in shown:
        assert {name.rpartition("/")[0] for name in names} == {
            "Metrics/kid_builtin",
            "Metrics/kid_builtin_low",
            "Metrics/kid_builtin_high",
        }
    assert not shown[0] & shown[1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"names": "fid5k"}, "fid5k"),
        ({"every_kimg": 0}, "callbacks.metrics.every_kimg"),
        ({"budget": 0}, "metrics=none turns them off"),
        ({"budget": 1.5}, "callbacks.metrics.budget"),
        ({"max_minutes": 0}, "callbacks.metrics.max_minutes"),
        ({"plateau_kimg": -1}, "callbacks.metrics.plateau_kimg"),
        ({"stop_on_plateau": True, "plateau_kimg": None}, "needs a plateau_kimg"),
        ({"detector": "none"}, "detector=none"),
        ({"num_fakes": 1}, "num_fakes"),
        ({"num_fakes": 2**32 + 1}, "callbacks.metrics.num_fakes=4294967297.* at most 4294967296"),
        ({"num_fakes": 2**31 + 1, "names": "ppl"}, "callbacks.metrics.num_fakes=.* at most 2147483648"),
        ({"first_seed": -1}, "callbacks.metrics.first_seed=-1"),
        ({"first_seed": 2**32 - 20, "num_fakes": 21}, "callbacks.metrics.first_seed"),
        ({"first_seed": 2**32 - 2000, "num_fakes": 1001, "names": "ppl"}, "callbacks.metrics.first_seed"),
        ({"truncation": float("nan")}, "callbacks.metrics.truncation=nan"),
        ({"truncation": float("inf")}, "callbacks.metrics.truncation=inf"),
    ],
)
def test_wrong_options_are_told(tmp_path, options, told):
    with pytest.raises(ValueError, match=told):
        made(tmp_path, **options)


def test_a_full_disk_costs_the_record_alone(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(callbacks.metrics, "append_record", full)
    module, _ = trained(tmp_path, total=16)
    assert module.images == 16
    assert "metric-kid_builtin.jsonl could not be written" in capsys.readouterr().out


def test_records_are_lines_of_json(tmp_path):
    trained(tmp_path, total=16, names=["kid", "fid"])
    for name in ("kid_builtin", "fid_builtin"):
        for line in (tmp_path / f"metric-{name}.jsonl").read_text().splitlines():
            assert json.loads(line)["metric"] == name


def test_a_run_ends_with_a_report(tmp_path, capsys):
    trained(tmp_path, total=16, report=True)
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    findings = {finding["key"] for finding in json.loads((tmp_path / "report.json").read_text())["findings"]}
    assert {"copies", "diversity", "overfitting"} <= findings
    assert str(tmp_path / "report.html") in capsys.readouterr().out


def test_data_that_cannot_be_scored_cost_the_scores_alone(tmp_path, capsys):
    few, foreign = Data(), Data()
    few.dataset.pixels = few.dataset.pixels[:3]
    foreign.dataset = [1, 2, 3]
    for data in (few, foreign):
        module = FakeModule(total_images=16)
        fit(module, [made(tmp_path)], data=data)
        assert module.images == 16 and not list(tmp_path.glob("metric-*"))
        assert "warning     no metrics:" in capsys.readouterr().out


def test_weights_that_have_gone_bad_are_left_to_whoever_looks_after_them(tmp_path, capsys):
    class Spoiling(pl.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            if module.images == 12:
                next(module.generator_ema.parameters()).fill_(float("nan"))

    module, metrics = FakeModule(total_images=16), made(tmp_path, names=["kid", "ppl"], report=True)
    metrics.detectors = {"builtin": Averages()}
    metrics._within_budget = lambda module: True
    fit(module, [metrics, Spoiling()], data=Data())
    assert module.images == 16 and kimg_of(tmp_path) == [0.008]
    assert "no metrics at kimg 0.016: weights are not finite" in capsys.readouterr().out
    assert not (tmp_path / "report.html").exists()


def test_a_run_that_a_plateau_ends_has_a_report_and_says_the_best(tmp_path, capsys):
    frozen = FakeModule(total_images=80)
    frozen.configure_optimizers = lambda: torch.optim.SGD(frozen.generator.parameters(), lr=0.0)
    frozen.generator_ema.load_state_dict(frozen.generator.state_dict())
    metrics = made(tmp_path, plateau_kimg=0.024, stop_on_plateau=True, report=True)
    metrics._within_budget = lambda module: True
    fit(frozen, [metrics], data=Data())
    assert frozen.images == 32 and (tmp_path / "report.html").exists()
    assert "best kid_builtin:" in capsys.readouterr().out


def test_no_report_before_the_end_and_none_without_metrics(tmp_path):
    trained(tmp_path, total=16, report=True, names="none")
    assert not (tmp_path / "report.html").exists()
