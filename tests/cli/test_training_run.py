"""What fails before the first step is reported as what it is: the checkpoint's fault, a file's, or neither's."""

import errno
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.utils.data import DataLoader

from callbacks.control import Deadline, RunControl
from stylegan.cli import training_run
from stylegan.cli.plan import Plan
from stylegan.cli.training_run import Parts, fit, fit_until_done
from stylegan.distributed.launch import RunProcesses
from stylegan.distributed.processes import Process
from stylegan.errors import TrainingUnstableError, UserError
from stylegan.runs.folder import RunFolder
from tests.callbacks.tiny_run import tiny_trainer


class Straight(pl.LightningModule):
    """The smallest thing that learns."""

    def __init__(self, width=2):
        super().__init__()
        self.layer = nn.Linear(width, 1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).square().mean()


class Images(pl.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(torch.ones(2, 2), batch_size=2)


class Failing(pl.Callback):
    def __init__(self, error):
        self.error = error

    def on_fit_start(self, trainer, module):
        raise self.error


def fitting(folder, checkpoint, *callbacks, width=2, **options):
    quiet = dict(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", default_root_dir=folder, callbacks=list(callbacks), **quiet
    )
    return fit(Parts(trainer, Straight(width), []), Images(), checkpoint, **options), trainer


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("run") / "kimg0000000.002.ckpt"
    code, trainer = fitting(path.parent, None)
    assert code == 0
    trainer.save_checkpoint(path)
    return path


@pytest.mark.parametrize("spoilt", [False, True], ids=["of another size", "cut off"])
def test_a_checkpoint_that_does_not_do_is_named_with_a_way_out(checkpoint, tmp_path, spoilt):
    path = tmp_path / checkpoint.name
    path.write_bytes(checkpoint.read_bytes()[: 500 if spoilt else None])
    with pytest.raises(
        UserError, match=f"^{path} cannot be continued from: .*; rename it to {path.name}.bad"
    ):
        fitting(tmp_path, path, width=3)
    with pytest.raises(UserError) as caught:
        fitting(tmp_path, path, width=3, resume="runs/other")
    line = str(caught.value)
    assert line.startswith(f"resume=runs/other: {path.name} cannot be continued from: ")
    assert "rename" not in line and "name another checkpoint by resume=..." in line and "\n" not in line
    assert "set what it was trained with (no config.yaml tells)" in line


def test_a_disk_that_is_full_is_not_the_checkpoints_fault(checkpoint, tmp_path):
    full = Failing(OSError(errno.ENOSPC, "No space left on device", "runs/a/events.jsonl"))
    for path in (checkpoint, None):
        with pytest.raises(UserError) as caught:
            fitting(tmp_path, path, full)
        line = str(caught.value)
        assert line.startswith("runs/a/events.jsonl: No space left on device; nothing was trained")
        assert "rename" not in line and "\n" not in line
    with pytest.raises(UserError, match="^a file of the run: it is gone; nothing was trained"):
        fitting(tmp_path, checkpoint, Failing(OSError("it is gone")))


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("a bug"), KeyError("a bug")])
def test_what_a_callback_of_ones_own_raises_stays_what_it_is(checkpoint, tmp_path, error):
    with pytest.raises(type(error), match="a bug") as caught:
        fitting(tmp_path, checkpoint, Failing(error))
    assert caught.value is error


def test_an_end_that_wandb_refuses_hides_no_mistake(checkpoint, tmp_path, monkeypatch, capsys):
    def refuse():
        raise ConnectionResetError("its service\nis gone")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(finish=refuse))
    with pytest.raises(UserError, match="^net.csv: Permission denied; nothing was trained"):
        fitting(tmp_path, None, Failing(PermissionError(errno.EACCES, "Permission denied", "net.csv")))
    assert fitting(tmp_path, None)[0] == 0
    line = "warning     W&B could not end its run (its service is gone)\n"
    assert capsys.readouterr().out.count(line) == 2


def test_a_run_that_goes_back_keeps_what_was_asked_of_it(monkeypatch, tmp_path):
    class Module:
        rollbacks, kimg = 0, 0.1

        def went_back(self, times):
            self.rollbacks = times

    def unstable_once(parts, data, checkpoint, *, resume, config):
        if not parts.module.rollbacks:
            raise TrainingUnstableError("weights are not finite", max_rollbacks=3)
        controls.append(RunControl.of(parts.trainer))
        return 0

    controls = []

    def build_again(config, *, transfer=None):
        return Parts(tiny_trainer(), Module(), [])

    monkeypatch.setattr(training_run, "fit", unstable_once)
    monkeypatch.setattr(training_run, "build", build_again)
    folder = RunFolder(tmp_path)
    plan = Plan(OmegaConf.create({"resume": "auto"}), folder)
    parts = Parts(tiny_trainer(), Module(), [])
    before = RunControl.of(parts.trainer)
    before.deadline, before.signal, before.folder_guard = Deadline("1h"), 15, lambda: None
    result = fit_until_done(plan, parts, None, RunProcesses(Process()))
    (control,) = controls
    assert result.exit_code == 0 and control is not before
    assert (control.deadline, control.signal, control.folder_guard) == (
        *(before.deadline, before.signal, before.folder_guard),
    )
    (event,) = [json.loads(line) for line in folder.events.read_text().splitlines()]
    assert (event["event"], event["rollbacks"], event["reason"]) == ("rollback", 1, "weights are not finite")


@pytest.mark.parametrize(
    ("code", "saved", "line"),
    [
        (0, 8, "done: kimg 0.008"),
        (130, 8, "done: kimg 0.008"),  # while it closed what it had open
        (130, 4, "interrupted at kimg 0.008; the same command continues from kimg0000000.004.ckpt"),
        (75, 4, "interrupted at kimg 0.008; the same command continues from kimg0000000.004.ckpt"),
        (130, None, "interrupted at kimg 0.008; there is no checkpoint yet"),
    ],
)
@pytest.mark.parametrize("leaves", [False, True])
def test_a_run_that_has_nothing_left_is_done(monkeypatch, tmp_path, capsys, code, saved, line, leaves):
    def fitted(*_, **__):
        if leaves and code:
            raise SystemExit(code)
        return code

    monkeypatch.setattr(training_run, "fit", fitted)
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    if saved:
        (folder.checkpoints / f"kimg0000000.{saved:03d}.ckpt").touch()
    plan = Plan(OmegaConf.create({"resume": "auto", "total_kimg": 0.008}), folder)
    parts = Parts(None, SimpleNamespace(kimg=0.008), [])
    if leaves and code:
        with pytest.raises(SystemExit):
            fit_until_done(plan, parts, None, RunProcesses(Process()))
    else:
        assert fit_until_done(plan, parts, None, RunProcesses(Process())).exit_code == code
    assert capsys.readouterr().out.splitlines()[0] == line
