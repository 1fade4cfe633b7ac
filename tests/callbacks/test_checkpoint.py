"""Checkpoints: names, cadence, content; and that no name is ever given to half a file."""

import errno
import os
import re
import resource
import shutil

import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO

from callbacks import AtomicCheckpointIO, KimgCheckpoint, StatsTicks
from stylegan.interop.checkpoint import load_generator
from stylegan.runs.checkpoints import damage_of
from stylegan.runs.folder import RunFolder
from tests.callbacks.tiny_run import CallAfter, failing_in, fit, idle_module, tiny_module, tiny_trainer

KINDS = ("ckpt", "ckpt.sha256", "safetensors")


def names(folder) -> list[str]:
    return sorted(os.listdir(folder / "checkpoints"))


def test_due_ones_and_the_end_each_with_its_generator(tmp_path):
    fit(idle_module(total_images=28), [KimgCheckpoint(every_kimg=0.010, folder=tmp_path)])
    stems = ["kimg0000000.012", "kimg0000000.020", "kimg0000000.028"]
    assert names(tmp_path) == sorted(f"{stem}.{kind}" for stem in stems for kind in KINDS)
    assert RunFolder(tmp_path).newest_checkpoint().name == "kimg0000000.028.ckpt"


def test_an_end_that_is_due_anyway_is_one_checkpoint(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(pl.Trainer, "save_checkpoint", lambda self, path, **_: saved.append(path.name))
    fit(idle_module(total_images=8), [KimgCheckpoint(every_kimg=0.008, folder=tmp_path)])
    assert saved == ["kimg0000000.008.ckpt"]


def test_both_files_hold_the_module_as_it_is(tmp_path):
    module = tiny_module(total_images=8, c_dim=6)
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
    module = failing_in(tiny_module(total_images=40), iteration=4, error=error("in the middle"))
    with pytest.raises((error, SystemExit)):
        fit(module, [KimgCheckpoint(every_kimg=0.012, folder=tmp_path)])
    assert names(tmp_path) == [f"kimg0000000.012.{kind}" for kind in KINDS]


def test_a_checkpoint_continues_to_the_weights_of_an_uninterrupted_run(tmp_path):
    module = tiny_module(total_images=24)
    fit(module, [KimgCheckpoint(every_kimg=0.012, folder=tmp_path)])
    resumed = tiny_module(total_images=24)
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
        assert sorted(os.listdir(path.parent)) == [path.name, f"{path.name}.sha256"]
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
        assert sorted(os.listdir(tmp_path)) == [path.name, f"{path.name}.sha256"]
        assert torch.load(path, weights_only=True) == {"x": 1}

    def test_file_and_folder_reach_the_disk_in_order(self, tmp_path, monkeypatch):
        calls, replace = [], os.replace
        monkeypatch.setattr(os, "fsync", lambda fd: calls.append(os.readlink(f"/proc/self/fd/{fd}")))
        monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
        if not os.path.exists("/proc/self/fd"):
            pytest.skip("needs /proc to tell which file a descriptor is")
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "a.ckpt")
        shown = [re.sub(r"\.\w{12}\.partial", "", call.removeprefix(str(tmp_path))) for call in calls]
        assert shown == ["/.a.ckpt", "replace", "", "/.a.ckpt.sha256", "replace", ""]

    def test_it_is_used_unless_the_user_chose_another(self, tmp_path):
        class Chosen(TorchCheckpointIO):
            pass

        for chosen, used in [(None, AtomicCheckpointIO), (Chosen(), Chosen)]:
            trainer = pl.Trainer(logger=False, plugins=[chosen] if chosen else None, accelerator="cpu")
            KimgCheckpoint(every_kimg=1, folder=tmp_path).setup(trainer, None, "fit")
            assert type(trainer.strategy.checkpoint_io) is used


def test_what_a_killed_writer_left_is_swept_up_and_nothing_else(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    keep = ["kimg0000000.008.ckpt", "kimg0000000.008.ckpt.bad", "notes.txt"]
    for name in [*keep, ".kimg0000000.012.ckpt.partial"]:
        (folder / name).touch()
    KimgCheckpoint(every_kimg=1, folder=tmp_path).setup(tiny_trainer(), None, "fit")
    assert names(tmp_path) == keep


def test_a_cadence_without_sense_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="^every_kimg must be a number of kimg above 0, got 0"):
        KimgCheckpoint(every_kimg=0, folder=tmp_path)


@pytest.mark.parametrize("options", [{"keep_last": 0}, {"keep_every_kimg": 0}, {"retry_every_kimg": -1}])
def test_a_policy_without_sense_is_refused_by_name(tmp_path, options):
    (key,) = options
    with pytest.raises(ValueError, match=f"^{key} must be"):
        KimgCheckpoint(every_kimg=1, folder=tmp_path, **options)


def test_older_checkpoints_go_with_all_that_is_theirs(tmp_path):
    policy = KimgCheckpoint(every_kimg=0.004, folder=tmp_path, keep_last=2, keep_every_kimg=0.012)
    fit(idle_module(total_images=36), [policy])
    stems = [f"kimg0000000.0{images}" for images in (12, 24, 32, 36)]
    assert names(tmp_path) == sorted(f"{stem}.{kind}" for stem in stems for kind in KINDS)


def test_copies_of_the_users_own_name_stay(tmp_path):
    """By hand, as where training has just saved."""
    folder, writer = RunFolder(tmp_path), KimgCheckpoint(every_kimg=1, folder=tmp_path, keep_last=1)
    folder.checkpoints.mkdir()
    copies = ["kimg-best.ckpt", "kimg0000001.000-keep.ckpt"]
    for name in [*copies, "kimg0000001.000.ckpt", "kimg0000002.000.ckpt"]:
        (folder.checkpoints / name).touch()
    writer._thin(tiny_trainer())
    assert names(tmp_path) == [*copies, "kimg0000002.000.ckpt"]


def test_training_that_is_asked_to_stop_is_saved(tmp_path):
    def stop(trainer, module):
        trainer.should_stop = module.images == 8

    fit(idle_module(total_images=40), [KimgCheckpoint(every_kimg=1, folder=tmp_path), CallAfter(stop)])
    assert RunFolder(tmp_path).newest_checkpoint().name == "kimg0000000.008.ckpt"


def test_without_room_training_continues_says_so_and_tries_again(tmp_path, monkeypatch, capsys):
    """The disk is full from image 8 to image 20; a checkpoint is due every 8, a new attempt every 4."""
    module = idle_module(total_images=28)
    usage = shutil.disk_usage(tmp_path)
    full = lambda _: usage._replace(free=0 if 8 < module.images <= 20 else usage.free)  # noqa: E731
    monkeypatch.setattr(shutil, "disk_usage", full)
    fit(module, [KimgCheckpoint(every_kimg=0.008, folder=tmp_path, retry_every_kimg=0.004)])
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert [line.split(":")[0] for line in said] == [
        "warning     no checkpoint at kimg 0.016",
        "warning     no checkpoint at kimg 0.020",
    ]
    stems = [f"kimg0000000.0{images}" for images in ("08", 24, 28)]
    assert names(tmp_path) == sorted(f"{stem}.{kind}" for stem in stems for kind in KINDS)


@pytest.mark.parametrize("last", [1, 2])
def test_without_room_nothing_goes_for_one_that_is_only_to_come(tmp_path, monkeypatch, last):
    module = idle_module(total_images=16)
    usage = shutil.disk_usage(tmp_path)
    full = lambda _: usage._replace(free=0 if module.images > 8 else usage.free)  # noqa: E731
    monkeypatch.setattr(shutil, "disk_usage", full)
    policy = KimgCheckpoint(every_kimg=0.004, folder=tmp_path, keep_last=last, keep_every_kimg=None)
    assert fit(module, [policy]).exit_code == 75
    stems = ["kimg0000000.004", "kimg0000000.008"][-last:]
    assert names(tmp_path) == sorted(f"{stem}.{kind}" for stem in stems for kind in KINDS)


def test_room_is_made_by_what_the_policy_lets_go(tmp_path, monkeypatch):
    """As where a run continues with a stricter policy on a disk that is full of what the older one kept."""
    fit(idle_module(total_images=12), [KimgCheckpoint(every_kimg=0.004, folder=tmp_path)])
    usage, there = shutil.disk_usage(tmp_path), tmp_path / "checkpoints" / "kimg0000000.004.ckpt"
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: usage._replace(free=0 if there.exists() else usage.free)
    )
    stricter = KimgCheckpoint(every_kimg=0.004, folder=tmp_path, keep_last=1, keep_every_kimg=None)
    resumed = idle_module(total_images=16)
    control = fit(resumed, [stricter], ckpt_path=tmp_path / "checkpoints" / "kimg0000000.012.ckpt")
    assert control.exit_code == 0
    assert names(tmp_path) == sorted(f"kimg0000000.016.{kind}" for kind in KINDS)


def test_a_write_that_fails_half_way_harms_nothing_saved(tmp_path, capsys):
    """A limit on the size of files replaces a full disk: real writes fail, in torch and in Python."""
    module = idle_module(total_images=12)

    def limit(trainer, module):
        size = 2000 if module.images == 8 else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    try:
        fit(module, [CallAfter(limit), KimgCheckpoint(every_kimg=0.004, folder=tmp_path)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert "no checkpoint at kimg 0.008" in capsys.readouterr().out
    stems = [f"kimg0000000.0{images}" for images in ("04", 12)]
    assert names(tmp_path) == sorted(f"{stem}.{kind}" for stem in stems for kind in KINDS)
    assert all(damage_of(path) is None for path in (tmp_path / "checkpoints").glob("*.ckpt"))
