"""Where shared memory is short, batches come another way, and are what they are."""

import errno
import multiprocessing
import pickle
from itertools import islice

import pytest
import torch
from torch.utils.data import DataLoader

from datamodules import sending
from datamodules.datasets.pixel_memory import shared_zeros
from datamodules.loader import WorkersGivenUpError
from datamodules.sending import SentBatch, collate
from tests.datamodules.test_image_datamodule import assert_same_batches, flowers

# Of torch, as seen in a container with 64 kB of it.
FULL = "unable to allocate shared memory(shm) for file </torch_22_27_0>: No space left on device (28)"


def no_room(items):
    raise RuntimeError(FULL)


def test_batches_that_find_no_room_are_those_of_the_main_process(monkeypatch, capfd):
    expected = list(islice(flowers(num_items=60, batch_size=4, workers=0).train_dataloader(), 6))
    monkeypatch.setattr(sending, "default_collate", no_room)
    found = list(islice(flowers(num_items=60, batch_size=4, workers=2).train_dataloader(), 6))
    assert_same_batches(found, expected)
    assert all(not part.is_shared() for batch in found for part in batch)
    said = capfd.readouterr().out
    assert said.count("warning") == said.count("\n") == 1
    assert "/dev/shm has no room" in said and "--shm-size" in said and "data.workers=0" in said


def test_the_main_process_has_no_other_way(monkeypatch):
    monkeypatch.setattr(sending, "default_collate", no_room)
    with pytest.raises(RuntimeError, match="unable to allocate"):
        collate([(torch.zeros(2), torch.zeros(0))])


def test_a_batch_on_its_way_is_bytes_and_can_be_pinned(monkeypatch):
    tensors = [torch.arange(6, dtype=torch.uint8).view(2, 3), torch.zeros(2, 0)]
    there = pickle.loads(pickle.dumps(SentBatch(tensors)))
    assert all(map(torch.equal, there.tensors, tensors))
    there.tensors[0][0] = 9  # as what torch sends, it may be written to
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self + 1)  # there may be no GPU
    assert torch.equal(SentBatch(tensors).pin_memory().tensors[0], tensors[0] + 1)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.ENOENT])
def test_workers_that_find_no_room_for_their_semaphores_are_a_line(monkeypatch, code):
    def fails(self):
        raise OSError(code, "No space left on device")

    batches = flowers(num_items=60, batch_size=4, workers=1).train_dataloader()
    monkeypatch.setattr(DataLoader, "__iter__", fails)
    with pytest.raises(
        WorkersGivenUpError, match=r"cannot be started .*/dev/shm.*--shm-size.*data\.workers=0"
    ):
        next(iter(batches))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
def test_shared_zeros_are_written_by_workers_and_seen_here(dtype):
    zeros = shared_zeros(3, dtype)
    assert zeros.tolist() == [0, 0, 0] and zeros.dtype == dtype
    worker = multiprocessing.get_context("fork").Process(target=zeros.fill_, args=(1,))
    worker.start()
    worker.join()
    assert zeros.tolist() == [1, 1, 1]
    assert len(shared_zeros(0, dtype)) == 0
