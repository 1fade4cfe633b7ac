"""From batches to the device: pinned beside a GPU alone, and copied while it computes."""

from types import SimpleNamespace

import pytest
import torch

from stylegan.machine.process import usable_cores
from tests.datamodules.test_module import flowers


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
