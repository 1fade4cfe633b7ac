"""The contract of callbacks: what one asks of the run and of another, and in which order they act."""

import gc
import itertools
import weakref

import pytest
import pytorch_lightning as pl
from hydra.utils import instantiate

from callbacks import KimgCheckpoint, Progress, RunControl, SnapshotGrid, StatsTicks, in_order
from callbacks.control import TrainingModule, check_every_kimg
from callbacks.metrics import Metrics
from callbacks.non_finite_guard import NonFiniteGuard
from callbacks.preemption import Preemption
from callbacks.progress import Machine
from stylegan.configuration.compose import composed
from stylegan.errors import EXIT_TRY_AGAIN
from stylegan.runs.folder import RunFolder
from tests.callbacks.tiny_run import CallAfter, fit, idle_module, iterate, tiny_module, tiny_trainer


def test_the_training_module_has_all_that_callbacks_use():
    offered = {*TrainingModule.__annotations__, *vars(TrainingModule)}
    names = {name for name in offered if not name.startswith("_")}
    assert {"images", "due", "generator_ema", "stats"} < names
    module = tiny_module(total_images=4)
    assert [name for name in sorted(names) if not hasattr(module, name)] == []


def test_a_trainer_has_one_which_goes_with_it():
    trainer, other = tiny_trainer(), tiny_trainer()
    control = RunControl.of(trainer)
    assert RunControl.of(trainer) is control and RunControl.of(other) is not control
    gone = weakref.ref(control)
    del trainer, control
    gc.collect()
    assert gone() is None


def test_a_callback_of_the_users_stops_a_run_with_an_exit_code_and_a_checkpoint(tmp_path):
    def stop(trainer, module):
        if module.images == 8:
            RunControl.of(trainer).stop(7)
            RunControl.of(trainer).stop(9)  # the first one counts

    module = idle_module(total_images=40)
    assert fit(module, [KimgCheckpoint(every_kimg=1, folder=tmp_path), CallAfter(stop)]).exit_code == 7
    assert RunFolder(tmp_path).newest_checkpoint().name == "kimg0000000.008.ckpt"


def test_a_callback_of_the_users_asks_for_checkpoints_and_keeps_them(tmp_path):
    class Second(pl.Callback):
        """Requests the second checkpoint, and keeps it."""

        foreseen = ()

        def setup(self, trainer, module, stage):
            RunControl.of(trainer).keep(lambda: {8})

        def on_train_batch_end(self, trainer, module, *_):
            control = RunControl.of(trainer)
            if module.images == 8:
                control.want_checkpoint(module)
            self.foreseen += (control.will_save(module),)

    second = Second()
    writer = KimgCheckpoint(every_kimg=1, folder=tmp_path, keep_last=1, keep_every_kimg=None)
    fit(idle_module(total_images=16), [writer, second])
    assert second.foreseen == (False, True, False, True)
    stems = sorted(path.stem for path in (tmp_path / "checkpoints").glob("*.ckpt"))
    assert stems == ["kimg0000000.008", "kimg0000000.016"]


def test_without_a_writer_no_checkpoint_is_foreseen():
    module, control = idle_module(total_images=16), RunControl.of(tiny_trainer())
    iterate(module)
    control.want_checkpoint(module)
    assert control.is_checkpoint_wanted(module) and not control.will_save(module)
    control.writes(lambda module: False)
    assert control.will_save(module)


def test_before_the_first_iteration_no_checkpoint_is_wanted():
    module, control = idle_module(total_images=16), RunControl.of(tiny_trainer())
    control.want_checkpoint(module)
    control.stop()
    assert not control.is_checkpoint_wanted(module)


def test_who_is_asked_is_asked_once_also_where_a_trainer_fits_twice():
    asked, control = [], RunControl.of(tiny_trainer())
    verify = asked.append
    for _ in range(2):
        control.verify_with(verify)
    control.verify_before_saving("module")
    assert asked == ["module"]


def test_a_signal_comes_before_the_time_that_is_up():
    class Over:
        is_over = True

    control = RunControl.of(trainer := tiny_trainer())
    assert not control.asked_to_leave and not control.vote_to_leave() and not trainer.should_stop
    control.deadline = Over()
    assert control.asked_to_leave
    control.signal = 15
    assert control.vote_to_leave() and trainer.should_stop and control.exit_code == 143
    alone = RunControl.of(tiny_trainer())
    alone.deadline = Over()
    assert alone.vote_to_leave() and alone.exit_code == EXIT_TRY_AGAIN


def ours(folder) -> list[pl.Callback]:
    return [
        NonFiniteGuard(),
        Metrics(names="none", folder=folder),
        Preemption(),
        StatsTicks(),
        KimgCheckpoint(every_kimg=1, folder=folder),
    ]


def test_from_any_list_the_order_is_the_documented_one(tmp_path):
    first, last = CallAfter(None), CallAfter(None)
    wanted = [NonFiniteGuard, Metrics, Preemption, StatsTicks, KimgCheckpoint]
    for listed in itertools.permutations(ours(tmp_path)):
        ordered = in_order([first, *listed, last])
        assert ordered[0] is first and ordered[-2] is last  # the checkpoint alone comes after it
        assert [type(one) for one in ordered if not isinstance(one, CallAfter)] == wanted


def test_the_default_group_is_listed_in_order(tmp_path):
    config = composed("train", ["name=run", "resolution=8", f"runs_dir={tmp_path}"]).config
    config.run_dir = str(tmp_path)
    callbacks = [instantiate(node) for node in config.callbacks.values()]
    assert len(callbacks) == 8 and in_order(callbacks) == callbacks


def test_what_has_no_reason_to_move_stays_where_it_is(tmp_path):
    listed = [
        Progress(),
        Machine(),
        SnapshotGrid(every_kimg=1, folder=tmp_path),
        CallAfter(None),
        StatsTicks(),
    ]
    assert in_order(listed) == listed


@pytest.mark.parametrize("every_kimg", [0, -1, float("nan"), float("inf")])
def test_a_cadence_without_sense_is_refused(every_kimg):
    with pytest.raises(ValueError, match=f"^every_kimg must be a number of kimg above 0, got {every_kimg}"):
        check_every_kimg("every_kimg", every_kimg)
