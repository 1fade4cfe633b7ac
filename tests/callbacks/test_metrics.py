"""Scores during training: when, at whose cost, what is kept, and that training does not notice."""

import json

import pytest
import pytorch_lightning as pl
import torch

from callbacks.checkpoint import KimgCheckpoint
from callbacks.control import RunControl
from callbacks.preemption import Preemption
from stylegan.evaluation import Score, ScoreError
from stylegan.runs.folder import RunFolder
from tests.callbacks.scored_run import Averages, kimg_of, made, trained
from tests.callbacks.tiny_run import CallAfter, fit, idle_module, tiny_data, tiny_trainer


def test_at_multiples_and_after_the_last_iteration_never_at_the_start(tmp_path):
    trained(tmp_path, total=36)
    assert kimg_of(tmp_path) == [0.008, 0.016, 0.024, 0.032, 0.036]


def test_at_the_start_on_request(tmp_path):
    _, metrics = trained(tmp_path, total=16, at_start=True)
    assert kimg_of(tmp_path) == [0.0, 0.008, 0.016]
    assert 0 not in metrics.best.kept_images(), "there is no checkpoint before the first iteration"


def test_a_run_shorter_than_the_cadence_has_none(tmp_path):
    trained(tmp_path, total=4)
    assert kimg_of(tmp_path) == []


def test_none_is_none(tmp_path):
    Averages.calls = 0
    trained(tmp_path, names="none")
    assert Averages.calls == 0 and not list(tmp_path.glob("metric-*"))


def test_training_does_not_notice(tmp_path):
    with_them, _ = trained(tmp_path, total=24, learns=True, names=["kid", "fid", "pr"])
    without, _ = trained(tmp_path / "other", total=24, learns=True, names="none")
    assert kimg_of(tmp_path)
    for name, value in with_them.state_dict().items():
        assert torch.equal(value, without.state_dict()[name]), name
    assert with_them.generator_ema.training == without.generator_ema.training


def test_older_checkpoints_tell_a_plateau_by_one_bool(tmp_path):
    metrics = made(tmp_path)
    metrics.best.add([Score("kid_builtin", {"kid_builtin": 1.0}, {}, 0.0)], 8)
    old = metrics.state_dict() | {"told_plateau": True}
    again = made(tmp_path)
    again.load_state_dict(old)
    assert again.state_dict()["told_plateau"] == ["kid_builtin"]
    again.load_state_dict(old | {"told_plateau": False})
    assert again.state_dict()["told_plateau"] == []


@pytest.mark.parametrize("names", ["ppl", "kid"])
def test_a_score_that_cannot_be_computed_ends_no_training(tmp_path, monkeypatch, capsys, names):
    """Path lengths that are not finite, and an error of a metric that compares features."""
    monkeypatch.setattr(Averages, "embedding", lambda self, images: images.flatten(1) * torch.nan)

    def failing(*args, **options):
        raise ValueError("features: 3 are not finite")

    monkeypatch.setattr("stylegan.evaluation.evaluator.score_of", failing)
    module, _ = trained(tmp_path, total=16, names=names)
    assert module.images == 16 and not list(tmp_path.glob("metric-*"))
    lines = [line for line in capsys.readouterr().out.splitlines() if "no metrics at kimg" in line]
    assert len(lines) == 2 and "not finite" in lines[0] and "kimg 0.008" in lines[0]


def test_an_error_of_one_process_alone_is_not_passed_over(tmp_path, monkeypatch):
    """The others would wait for it: only what all of them meet lets all continue."""
    monkeypatch.setattr("callbacks.metrics.world", lambda: 2)
    module, metrics = idle_module(total_images=16), made(tmp_path)

    class Failing:
        error = ValueError("an image cannot be read")

        def scores(self, *args, **options):
            raise self.error

    metrics._evaluator = Failing()
    trainer = tiny_trainer()
    with pytest.raises(ValueError, match="an image cannot be read"):
        metrics._evaluate(trainer, module)
    Failing.error = ScoreError("kid: not finite")
    metrics._evaluate(trainer, module)


@pytest.mark.parametrize("voting_first", [False, True], ids=["in order", "in another order"])
def test_an_interrupted_evaluation_is_made_up_for(tmp_path, voting_first):
    control = []

    class Interrupting(Averages):
        def features(self, images):
            if len(kimg_of(tmp_path)) == 1:
                control[0].signal = 15
            return super().features(images)

    module, metrics = idle_module(total_images=40), made(tmp_path)
    metrics.detectors = {"builtin": Interrupting()}
    voting = [Preemption(), metrics] if voting_first else [metrics, Preemption()]
    find = CallAfter(lambda trainer, module: control.append(RunControl.of(trainer)))
    checkpoint = KimgCheckpoint(every_kimg=1.0, folder=tmp_path)
    assert fit(module, [find, *voting, checkpoint]).exit_code == 143
    assert module.images == 16 and kimg_of(tmp_path) == [0.008]
    saved = RunFolder(tmp_path).newest_checkpoint()
    assert saved.name == "kimg0000000.016.ckpt"
    trained(tmp_path, total=24, ckpt_path=saved)
    assert kimg_of(tmp_path) == [0.008, 0.016, 0.024]


def test_what_is_too_dear_is_left_out_and_said(tmp_path, capsys):
    metrics = made(tmp_path)
    metrics.budget = 1e-9
    fit(idle_module(total_images=40), [metrics])
    # The first one, whose cost is not known yet, and the last one.
    assert kimg_of(tmp_path) == [0.008, 0.04]
    assert "callbacks.metrics.every_kimg or budget helps" in capsys.readouterr().out


def test_one_that_takes_too_long_is_given_up(tmp_path, capsys):
    trained(tmp_path, total=16, max_minutes=1e-9)
    assert kimg_of(tmp_path) == []
    assert "callbacks.metrics.max_minutes=1e-09" in capsys.readouterr().out


def test_a_plateau_is_reported_once_and_ends_the_run_on_request(tmp_path, capsys):
    module = idle_module(total_images=80)
    metrics = made(tmp_path, plateau_kimg=0.024, stop_on_plateau=True)
    fit(module, [metrics])
    assert module.images == 32  # scored at 8, and 24 images later nothing had changed
    out = capsys.readouterr().out
    assert out.count("has not clearly improved") == 1 and "the run ends" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": "fid5k"}, "fid5k"),
        ({"every_kimg": 0}, "^every_kimg must"),
        ({"budget": 0}, "metrics=none turns metrics off"),
        ({"budget": 1.5}, "^budget must"),
        ({"max_minutes": 0}, "^max_minutes must"),
        ({"plateau_kimg": -1}, "^plateau_kimg must"),
        ({"stop_on_plateau": True, "plateau_kimg": None}, "needs a plateau_kimg"),
        ({"detector": "none"}, "detector must be one of .*, got none"),
        ({"num_fakes": 1}, "num_fakes"),
        ({"num_fakes": 2**32 + 1}, "^num_fakes must be at most 4294967296 .* got 4294967297"),
        ({"num_fakes": 2**31 + 1, "names": "ppl"}, "^num_fakes must be at most 2147483648"),
        ({"first_seed": -1}, "^first_seed must be .* got -1"),
        ({"first_seed": 2**32 - 20, "num_fakes": 21}, "^first_seed"),
        ({"first_seed": 2**32 - 2000, "num_fakes": 1001, "names": "ppl"}, "^first_seed"),
        ({"truncation": float("nan")}, "^truncation must be .* got nan"),
        ({"truncation": float("inf")}, "^truncation must be .* got inf"),
    ],
)
def test_wrong_options_are_refused_by_name(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        made(tmp_path, **options)


def test_a_run_ends_with_a_report(tmp_path, capsys):
    trained(tmp_path, total=16, report=True)
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    written = json.loads((tmp_path / "report.json").read_text())
    # What a network is trained on at this moment is not taken on trust.
    assert written["notes"] == []
    assert written["about"]["network"] == "checkpoints/kimg0000000.016.safetensors"
    opened = tiny_data()
    opened.setup()
    assert written["about"]["data fingerprint"] == opened.fingerprint
    findings = {finding["key"] for finding in written["findings"]}
    assert {"copies", "diversity", "overfitting"} <= findings
    assert str(tmp_path / "report.html") in capsys.readouterr().out


class ForeignData(pl.LightningDataModule):
    """A user's own, whose data set is no set of ours."""

    dataset = [1, 2, 3]

    def train_dataloader(self):
        flowers = tiny_data()
        flowers.setup()
        return flowers.train_dataloader()


@pytest.mark.parametrize("data", [tiny_data(num_items=3), ForeignData()], ids=["too few", "foreign"])
def test_data_that_cannot_be_scored_cost_the_scores_alone(tmp_path, capsys, data):
    module = idle_module(total_images=16)
    fit(module, [made(tmp_path)], data=data)
    assert module.images == 16 and not list(tmp_path.glob("metric-*"))
    assert "warning     no metrics:" in capsys.readouterr().out


def test_weights_that_have_gone_bad_are_left_to_whoever_looks_after_them(tmp_path, capsys):
    def spoil(trainer, module):
        if module.images == 12:
            next(module.generator_ema.parameters()).fill_(float("nan"))

    module, metrics = idle_module(total_images=16), made(tmp_path, names=["kid", "ppl"], report=True)
    fit(module, [metrics, CallAfter(spoil)])
    assert module.images == 16 and kimg_of(tmp_path) == [0.008]
    assert "no metrics at kimg 0.016: weights are not finite" in capsys.readouterr().out
    assert not (tmp_path / "report.html").exists()


def test_a_run_that_a_plateau_ends_has_a_report_and_says_the_best(tmp_path, capsys):
    module = idle_module(total_images=80)
    metrics = made(tmp_path, plateau_kimg=0.024, stop_on_plateau=True, report=True)
    fit(module, [metrics])
    assert module.images == 32 and (tmp_path / "report.html").exists()
    assert "best kid_builtin:" in capsys.readouterr().out


def test_no_report_before_the_end_and_none_without_metrics(tmp_path):
    trained(tmp_path, total=16, report=True, names="none")
    assert not (tmp_path / "report.html").exists()
