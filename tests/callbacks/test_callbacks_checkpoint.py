"""Checkpoints: names, cadence, content; and that no name is ever given to half a file."""

import errno
import os
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from callbacks_fakes import FakeModule, fit
from lightning_fabric.plugins import TorchCheckpointIO

from callbacks import AtomicCheckpointIO, KimgCheckpoint, StatsTicks
from stylegan.interop.checkpoint import load_generator
from stylegan.run_folder import RunFolder


def names(folder) -> list[str]:
    return sorted(os.listdir(folder / "checkpoints"))


def test_due_ones_and_the_end_each_with_its_generator(tmp_path):
    fit(FakeModule(total_images=28), [KimgCheckpoint(every_kimg=0.010, folder=tmp_path)])
    stems = ["kimg0000000.012", "kimg0000000.020", "kimg0000000.028"]
    assert names(tmp_path) == sorted(f"{stem}.{kind}" for stem in stems for kind in ("ckpt", "safetensors"))
    assert RunFolder(tmp_path).newest_checkpoint().name == "kimg0000000.028.ckpt"


def test_an_end_that_is_due_anyway_is_one_checkpoint(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(pl.Trainer, "save_checkpoint", lambda self, path, **_: saved.append(path.name))
    fit(FakeModule(total_images=8), [KimgCheckpoint(every_kimg=0.008, folder=tmp_path)])
    assert saved == ["kimg0000000.008.ckpt"]


def test_both_files_hold_the_module_as_it_is(tmp_path):
    module = FakeModule(total_images=8, c_dim=3)
    fit(module, [KimgCheckpoint(every_kimg=1, folder=tmp_path), StatsTicks()])
    stem = tmp_path / "checkpoints" / "kimg0000000.008"
    checkpoint = torch.load(f"{stem}.ckpt", weights_only=True)
    assert set(checkpoint["state_dict"]) == set(module.state_dict())
    for name, tensor in module.state_dict().items():
        assert torch.equal(checkpoint["state_dict"][name], tensor), name
    # The row of this very iteration has been written before: its sums are not in the checkpoint again.
    assert checkpoint["callbacks"]["StatsTicks"]["stats"] == {}
    assert checkpoint["callbacks"]["StatsTicks"]["tick"] == 1
    generator = load_generator(f"{stem}.safetensors")
    assert generator.options == module.generator_ema.options
    for name, tensor in module.generator_ema.state_dict().items():
        assert torch.equal(generator.state_dict()[name], tensor), name
    live = module.generator.state_dict()
    assert any(not torch.equal(generator.state_dict()[name], live[name]) for name in live)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_half_an_iteration_is_never_saved(tmp_path, monkeypatch, error):
    class Failing(FakeModule):
        def training_step(self, batch, batch_idx):
            if self.iteration == 4:
                self.generator.mapping.fc0.weight.data.fill_(7)
                raise error("in the middle")
            super().training_step(batch, batch_idx)

    with pytest.raises((error, SystemExit)):
        fit(Failing(total_images=40), [KimgCheckpoint(every_kimg=0.012, folder=tmp_path)])
    assert names(tmp_path) == ["kimg0000000.012.ckpt", "kimg0000000.012.safetensors"]


def test_a_checkpoint_continues_to_the_weights_of_an_uninterrupted_run(tmp_path):
    module = FakeModule(total_images=24)
    fit(module, [KimgCheckpoint(every_kimg=0.012, folder=tmp_path)])
    resumed = FakeModule(total_images=24)
    half = tmp_path / "checkpoints" / "kimg0000000.012.ckpt"
    fit(resumed, [KimgCheckpoint(every_kimg=0.012, folder=tmp_path)], ckpt_path=half)
    assert resumed.images == 24
    for name, tensor in module.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


class TestAtomicCheckpointIO:
    def test_no_file_under_the_final_name_while_writing(self, tmp_path, monkeypatch):
        path, seen, save = tmp_path / "deep" / "kimg0000000.012.ckpt", [], torch.save

        def observed(checkpoint, file):
            save(checkpoint, file)
            seen.extend(os.listdir(path.parent))

        monkeypatch.setattr(torch, "save", observed)
        AtomicCheckpointIO().save_checkpoint({"x": torch.ones(3)}, path)
        assert len(seen) == 1 and not seen[0].endswith(".ckpt")
        assert os.listdir(path.parent) == [path.name]
        assert torch.equal(torch.load(path, weights_only=True)["x"], torch.ones(3))

    @pytest.mark.parametrize(
        "error", [OSError(errno.ENOSPC, "disk full"), RuntimeError("inline_container"), KeyboardInterrupt()]
    )
    def test_a_failure_keeps_the_old_file_and_leaves_nothing(self, tmp_path, monkeypatch, error):
        path = tmp_path / "kimg0000000.012.ckpt"
        AtomicCheckpointIO().save_checkpoint({"x": 1}, path)

        def fail(checkpoint, file):
            file.write(b"half a file")
            raise error

        monkeypatch.setattr(torch, "save", fail)
        with pytest.raises(type(error)):
            AtomicCheckpointIO().save_checkpoint({"x": 2}, path)
        assert os.listdir(tmp_path) == [path.name]
        assert torch.load(path, weights_only=True) == {"x": 1}

    def test_file_and_folder_reach_the_disk_in_order(self, tmp_path, monkeypatch):
        calls, replace = [], os.replace
        monkeypatch.setattr(os, "fsync", lambda fd: calls.append(os.readlink(f"/proc/self/fd/{fd}")))
        monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
        if not os.path.exists("/proc/self/fd"):
            pytest.skip("needs /proc to tell which file a descriptor is")
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "a.ckpt")
        partial, *rest = calls
        assert Path(partial).match(str(tmp_path / ".a.ckpt.*.partial"))
        assert rest == ["replace", str(tmp_path)]

    def test_it_is_used_unless_the_user_chose_another(self, tmp_path):
        class Chosen(TorchCheckpointIO):
            pass

        for chosen, used in [(None, AtomicCheckpointIO), (Chosen(), Chosen)]:
            trainer = pl.Trainer(logger=False, plugins=[chosen] if chosen else None, accelerator="cpu")
            KimgCheckpoint(every_kimg=1, folder=tmp_path).setup(trainer, FakeModule(total_images=4), "fit")
            assert type(trainer.strategy.checkpoint_io) is used


def test_what_a_killed_writer_left_is_swept_up_and_nothing_else(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    keep = ["kimg0000000.008.ckpt", "kimg0000000.008.ckpt.bad", "notes.txt"]
    for name in [*keep, ".kimg0000000.012.ckpt.partial"]:
        (folder / name).touch()
    trainer = pl.Trainer(logger=False, accelerator="cpu")
    KimgCheckpoint(every_kimg=1, folder=tmp_path).setup(trainer, FakeModule(total_images=4), "fit")
    assert names(tmp_path) == keep


def test_a_cadence_without_sense_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"callbacks\.checkpoint\.every_kimg.*0"):
        KimgCheckpoint(every_kimg=0, folder=tmp_path)
