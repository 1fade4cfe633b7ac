"""No checkpoint holds weights that are not finite, for any reason that makes a checkpoint due."""

import shutil

import pytest
import pytorch_lightning as pl
import torch

from callbacks import KimgCheckpoint, RunControl
from callbacks.non_finite_guard import NonFiniteGuard
from stylegan.errors import TrainingUnstableError
from tests.callbacks.tiny_run import CallAfter, fit, idle_module, iterate, tiny_trainer


def poison(module) -> None:
    next(module.generator.parameters()).data.fill_(float("nan"))


class PoisonDuring(pl.Callback):
    """Spoils a weight before the iteration that starts at `images`, as training may."""

    def __init__(self, images: int) -> None:
        self.images = images

    def on_train_batch_start(self, trainer, module, *_):
        if module.images == self.images:
            poison(module)


def test_one_that_is_owed_is_looked_at_before_it_is_tried_again(tmp_path, monkeypatch):
    """The checkpoint at 4 finds no room; at 8 it is tried again, and nothing else is due."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    came = []
    callbacks = [
        NonFiniteGuard(every_kimg=1),
        CallAfter(lambda trainer, module: came.append(module.images)),
        PoisonDuring(images=4),
        CallAfter(
            lambda trainer, module: module.images == 4 and RunControl.of(trainer).want_checkpoint(module)
        ),
        KimgCheckpoint(every_kimg=1, folder=tmp_path, retry_every_kimg=0.004),
    ]
    with pytest.raises(TrainingUnstableError, match="weights are not finite"):
        fit(idle_module(total_images=40), callbacks)
    assert came == [4], "the guard looks before others score and draw"


def test_one_that_is_wanted_after_the_guards_turn_is_looked_at_by_its_writer(tmp_path):
    """As the best one of its scores, which are computed after that."""
    came = []

    def want(trainer, module):
        came.append(module.images)
        if module.images == 8:
            RunControl.of(trainer).want_checkpoint(module)

    callbacks = [
        NonFiniteGuard(every_kimg=1),
        PoisonDuring(images=4),
        CallAfter(want),
        KimgCheckpoint(every_kimg=1, folder=tmp_path),
    ]
    with pytest.raises(TrainingUnstableError, match="weights are not finite"):
        fit(idle_module(total_images=40), callbacks)
    assert came == [4, 8] and not (tmp_path / "checkpoints").exists()


def test_a_loss_counts_where_it_was_not_finite_at_two_looks_in_a_row():
    guard, module, trainer = NonFiniteGuard(every_kimg=0.004), idle_module(total_images=400), tiny_trainer()

    def look(loss: float) -> None:
        iterate(module)
        module.stats.take()
        module.stats.add("Loss/G/loss", torch.tensor(loss))
        guard.on_train_batch_end(trainer, module)

    for loss in (float("nan"), 1.0, float("inf")):
        look(loss)
    with pytest.raises(TrainingUnstableError, match="Loss/G/loss stays non-finite"):
        look(float("nan"))


def test_older_checkpoints_restore_it_by_its_first_name():
    assert NonFiniteGuard().state_key == "TroubleGuard"


@pytest.mark.parametrize(("name", "value"), [("every_kimg", 0), ("max_rollbacks", -1)])
def test_values_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be .*, got {value}"):
        NonFiniteGuard(**{name: value})
