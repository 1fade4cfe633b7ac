"""Memory that runs out in the middle of a training is reported with the way out."""

from types import SimpleNamespace

import pytest
import torch

from stylegan.cli.training_run import Parts, fit
from stylegan.errors import UserError


class Trainer:
    """What `fit` asks of one."""


def fitting(error, micro_batch=8):
    def fails(*args, **kwargs):
        raise error

    trainer = Trainer()
    trainer.fit, trainer.world_size, trainer.train_dataloader = fails, 1, object()
    return fit(Parts(trainer, SimpleNamespace(micro_batch=micro_batch), []), data=None, checkpoint=None)


@pytest.mark.parametrize("micro_batch", [8, None])
def test_memory_that_ran_out_is_a_mistake_with_a_way_out(micro_batch):
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore for developers")
    with pytest.raises(UserError) as caught:
        fitting(error, micro_batch)
    line = str(caught.value)
    assert f"micro_batch={micro_batch or 'null'}" in line and "micro_batch=auto" in line
    assert "Tried to allocate 2.00 GiB" in line and "for developers" not in line


def test_another_error_is_not_taken_for_it():
    with pytest.raises(RuntimeError, match="shapes"):
        fitting(RuntimeError("shapes cannot be multiplied"))


def test_shared_memory_that_is_full_is_a_line_with_three_ways_out():
    """Of a data module of the user's own; ours sends its batches another way."""
    with pytest.raises(UserError) as caught:
        fitting(
            RuntimeError(
                "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left on device"
            )
        )
    line = str(caught.value)
    assert "/dev/shm" in line and "--shm-size" in line and "data.workers=0" in line and "\n" not in line
