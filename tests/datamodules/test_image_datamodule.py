"""The data module: flips, labels, previews, and batches that do not depend on workers or interruptions."""

import multiprocessing
import os
import pickle
import signal
import time
import traceback
import zipfile
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from datamodules import FlowersData, FolderData, image_datamodule
from datamodules.sampler import ResumableSampler
from stylegan.machine.process import usable_cores


def flowers(**options) -> FlowersData:
    defaults = dict(resolution=8, batch_size=4, seed=0, num_items=10, labels="own")
    data = FlowersData(**{**defaults, **options})
    data.setup()
    return data


def assert_same_batches(left, right):
    assert len(left) == len(right)
    for (images, labels), (other_images, other_labels) in zip(left, right, strict=True):
        assert torch.equal(images, other_images) and torch.equal(labels, other_labels)


def test_flips_double_the_set():
    plain, doubled = flowers(), flowers(xflip=True)
    assert (plain.num_items, doubled.num_items) == (10, 20)
    for index in range(10):
        image, label = plain.dataset[index]
        assert torch.equal(doubled.dataset[index][0], image)
        flipped = np.ascontiguousarray(image.numpy()[:, :, ::-1])
        np.testing.assert_array_equal(doubled.dataset[index + 10][0], flipped)
        assert torch.equal(doubled.dataset[index + 10][1], label)
    assert torch.equal(doubled.labels(torch.arange(20)), plain.labels(torch.arange(10)).repeat(2, 1))


def test_items_end_where_the_set_ends():
    data = flowers(xflip=True)
    assert len([item for item in data.dataset]) == 20
    with pytest.raises(IndexError):
        data.dataset[-1]


def test_batches_are_the_items_in_the_samplers_order():
    data = flowers(workers=0, xflip=True)
    sampler = ResumableSampler(num_items=20, batch_size=4, seed=0)
    for (images, labels), indices in islice(zip(data.train_dataloader(), sampler, strict=False), 12):
        assert images.dtype == torch.uint8 and images.shape == (4, 3, 8, 8)
        assert labels.dtype == torch.float32 and labels.shape == (4, 6)
        assert torch.equal(images, torch.stack([data.dataset[i][0] for i in indices]))
        assert torch.equal(labels, data.labels(torch.tensor(indices)))


def test_a_batch_may_be_larger_than_the_set():
    images, labels = next(iter(flowers(num_items=3, batch_size=8, labels="none").train_dataloader()))
    assert images.shape == (8, 3, 8, 8) and labels.shape == (8, 0)


def test_workers_change_nothing_and_leave_the_random_state_alone(tmp_path):
    """Also reading a zip after the main process has: its handle must not be shared."""
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for number in range(12):
            Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)).save(
                tmp_path / "one.png"
            )
            archive.write(tmp_path / "one.png", f"{number}.png")

    def batches(workers: int) -> list:
        data = FolderData(path=tmp_path / "set.zip", resolution=8, batch_size=5, seed=1, workers=workers)
        data.setup()
        data.preview(2)
        return list(islice(data.train_dataloader(), 6))

    state = torch.get_rng_state()
    alone = batches(0)
    assert_same_batches(alone, batches(2))
    assert torch.equal(state, torch.get_rng_state())


def test_workers_outlive_signals_to_the_group_and_end_with_the_loader():
    data = flowers(workers=1)
    expected = list(islice(flowers(workers=0).train_dataloader(), 8))
    batches = iter(data.train_dataloader())
    received = [next(batches)]
    (worker,) = multiprocessing.active_children()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        os.kill(worker.pid, number)
    received += list(islice(batches, 7))
    assert_same_batches(received, expected)
    began = time.monotonic()
    del batches
    worker.join(10)
    assert not worker.is_alive() and time.monotonic() - began < 5


class Clock(pl.LightningModule):
    """Counts the images it is given, and keeps what it saw."""

    def __init__(self, stop_after: int):
        super().__init__()
        self.automatic_optimization = False
        self.register_buffer("images_seen", torch.zeros((), dtype=torch.int64))
        self.stop_after = stop_after
        self.batches = []

    def training_step(self, batch, _):
        self.batches.append(batch)
        self.images_seen += len(batch[0])
        if len(self.batches) == self.stop_after:
            self.trainer.should_stop = True

    def configure_optimizers(self):
        return None


def fit(data: FlowersData, steps: int, ckpt_path=None) -> tuple[list, pl.Trainer]:
    module = Clock(steps)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        max_steps=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return module.batches, trainer


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_continues_where_it_stopped(tmp_path):
    whole, _ = fit(flowers(), steps=8)
    begun, trainer = fit(flowers(), steps=3)
    trainer.save_checkpoint(tmp_path / "stopped.ckpt")
    resumed, _ = fit(flowers(), steps=5, ckpt_path=tmp_path / "stopped.ckpt")
    assert_same_batches(begun + resumed, whole)
    assert not torch.equal(resumed[0][0], whole[0][0])


def test_setup_opens_once_and_construction_opens_nothing():
    data = FolderData(path="/does/not/exist", resolution=8, batch_size=1, seed=0)
    with pytest.raises(RuntimeError, match="setup"):
        data.train_dataloader()
    with pytest.raises(ValueError, match="/does/not/exist"):
        data.setup("fit")
    drawn = flowers()
    dataset = drawn.dataset
    drawn.setup("fit")
    assert drawn.dataset is dataset


@pytest.mark.parametrize("count", [1, 6, 10, 23])
def test_preview_shows_fixed_items_of_the_set(count):
    data = flowers()
    images, labels = data.preview(count)
    again, labels_again = data.preview(count)
    assert torch.equal(images, again) and torch.equal(labels, labels_again)
    assert images.shape == (count, 3, 8, 8) and labels.shape == (count, 6)
    known = {data.dataset[i][0].numpy().tobytes(): data.dataset[i][1] for i in range(10)}
    shown = [image.numpy().tobytes() for image in images]
    assert all(torch.equal(known[key], label) for key, label in zip(shown, labels, strict=True))
    assert len(set(shown)) == min(count, 10)


def test_a_data_module_travels_to_a_fresh_process():
    """Where workers are not forked, the set is pickled."""
    dataset = flowers(xflip=True).dataset
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[13][0], dataset[13][0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"resolution": 4},
        {"resolution": 32.0},
        {"resolution": True},
        {"resolution": [1000, 600]},
        {"channels": 0},
        {"balanced": 1},
        {"val_fraction": 1.0},
        {"val_fraction": "some"},
        {"subset": 0},
        {"max_bad": -1},
        {"include": [1.5]},
        {"exclude": [""]},
        {"labels_path": "labels.csv"},
        {"batch_size": 0},
        {"batch_size": True},
        {"seed": -1},
        {"workers": -1},
        {"worker_timeout_sec": 0},
        {"worker_timeout_sec": True},
        {"xflip": "often"},
        {"labels": "folder"},
        {"path": None},
        {"path": ""},
    ],
    ids=str,
)
def test_wrong_values_are_refused_with_argument_value_and_way_out(wrong):
    """A message begins with the argument's name: a command puts the key of the configuration in its place."""
    ((name, value),) = wrong.items()
    fine = dict(path="x", resolution=8, batch_size=1, seed=0)
    with pytest.raises(ValueError) as caught:
        FolderData(**{**fine, **wrong})
    message = str(caught.value)
    assert message.startswith(f"{name} ") and str(value) in message
    assert any(
        way in message
        for way in ("try ", "must be one of ", "true or false", "nearest", "as in", "with labels")
    )


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
def test_workers_default_to_none_on_a_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert flowers().train_dataloader().num_workers == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    loader = flowers().train_dataloader()
    assert loader.num_workers == min(3, usable_cores()) and loader.pin_memory and loader.prefetch_factor == 2


class Faulty(FlowersData):
    """A set of a user's own with a mistake in it."""

    def open_dataset(self):
        dataset = super().open_dataset()
        dataset.image = lambda index: {}["missing"]
        return dataset


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_in_a_set_is_raised_where_it_is_read_from(workers):
    """With the worker's own traceback, and without leaving the worker behind."""
    data = Faulty(resolution=8, batch_size=2, workers=workers)
    data.setup()
    batches = iter(data.train_dataloader())
    with pytest.raises(KeyError, match="missing") as caught:
        next(batches)
    reported = "".join(traceback.format_exception(caught.value))
    assert "open_dataset" in reported or "lambda" in reported
    del batches
    assert multiprocessing.active_children() == []


def beside(device: str, **options):
    """A data module whose trainer trains on a device that need not be there."""
    data = flowers(**options)
    data.trainer = SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device(device)),
        lightning_module=None,
        global_rank=0,
        world_size=1,
    )
    return data


@pytest.mark.parametrize("there", [False, True])
def test_the_trainers_device_decides_not_what_is_built_in(monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    on_cpu, on_gpu = beside("cpu").train_dataloader(), beside("cuda:0").train_dataloader()
    assert (on_cpu.num_workers, on_cpu.pin_memory) == (0, False)
    assert (on_gpu.num_workers, on_gpu.pin_memory, on_gpu.prefetch_factor) == (
        min(3, usable_cores()),
        True,
        2,
    )
    asked = beside("cuda:0", workers=0).train_dataloader()
    assert (asked.num_workers, asked.pin_memory, asked.prefetch_factor) == (0, True, None)


class Noting(torch.Tensor):
    """A tensor that notes how it is asked to move, and stays."""

    def to(self, *args, **options):
        self.asked = (args, options)
        return self


def test_batches_are_copied_without_waiting_to_a_gpu():
    """Lightning's own hook does so; a release that stopped would cost time, and nothing would tell."""
    batch = (torch.zeros(2, 3, 8, 8).as_subclass(Noting), torch.zeros(2, 6).as_subclass(Noting))
    moved = flowers().transfer_batch_to_device(batch, torch.device("cuda:0"), 0)
    for part in moved:
        assert part.asked == ((torch.device("cuda:0"),), {"non_blocking": True})


@pytest.mark.parametrize(
    "beside_gpu, cores, expected", [(False, 8, 0), (True, 8, 3), (True, 2, 2), (True, 1, 1)]
)
def test_three_with_a_gpu_and_no_more_than_cores(beside_gpu, cores, expected, monkeypatch):
    monkeypatch.setattr(image_datamodule, "usable_cores", lambda: cores)
    data = FlowersData(resolution=8, batch_size=4)
    monkeypatch.setattr(data, "_beside_gpu", lambda: beside_gpu)
    assert data._num_workers() == expected
