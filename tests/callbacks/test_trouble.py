"""No checkpoint holds weights that are not finite, whatever it is that makes a checkpoint due."""

from types import SimpleNamespace

import pytest

from callbacks import KimgCheckpoint
from callbacks.non_finite_guard import TroubleGuard
from stylegan.errors import TrainingUnstableError
from tests.callbacks.callbacks_fakes import FakeModule


@pytest.fixture
def module() -> FakeModule:
    """After 8 of 40 images, and gone bad; nothing is due by its cadence."""
    module = FakeModule(total_images=40)
    module.images_seen.fill_(8)
    next(module.generator.parameters()).data.fill_(float("nan"))
    return module


def callbacks_of(tmp_path, *others) -> SimpleNamespace:
    guard = TroubleGuard(every_kimg=1, checkpoint_every_kimg=1)
    writer = KimgCheckpoint(every_kimg=1, folder=tmp_path, retry_every_kimg=0.004)
    return SimpleNamespace(callbacks=[guard, *others, writer], should_stop=False, is_global_zero=True)


def test_one_that_is_owed_is_looked_at_before_it_is_tried_again(tmp_path, module):
    trainer = callbacks_of(tmp_path)
    guard, writer = trainer.callbacks
    guard.on_train_batch_end(trainer, module)
    writer._owed = True
    with pytest.raises(TrainingUnstableError, match="not finite"):
        guard.on_train_batch_end(trainer, module)


def test_one_that_is_wanted_after_the_guards_turn_is_looked_at_by_its_writer(tmp_path, module):
    """As the best one of its scores, which are computed after that."""
    trainer = callbacks_of(tmp_path, SimpleNamespace(wants_checkpoint=True))
    with pytest.raises(TrainingUnstableError, match="not finite"):
        trainer.callbacks[-1].on_train_batch_end(trainer, module)
    assert not (tmp_path / "checkpoints").exists()
