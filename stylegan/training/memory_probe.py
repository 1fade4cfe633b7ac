"""A look at the memory that an iteration needs. It fills the process that does it: let that one end afterwards."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylegan.distributed.batch_split import Deal
from stylegan.machine.memory import ran_out
from stylegan.training.alone import Alone
from stylegan.training.lit_module import StyleGAN2ADA


def trial(module: StyleGAN2ADA, trainer: Any, processes: int) -> dict[str, Any]:
    """Runs each phase once, on random pictures, and tells the peak.

    Args:
        module: with the batch and the micro-batch of the run. trainer: for one device; its device and precision count.
        processes: of the run; the batch is shared among them.
    Returns: `peak_bytes`: of the process, or on a GPU of what torch has allocated there; None = there was no more to
        be had. `device_bytes`: [all that the GPU has, what of it is free for this process]; None on a CPU.
    Raises: ValueError for a device that does not tell its peak.
    """
    device = trainer.strategy.root_device
    if device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"micro_batch=auto can measure on CPUs and CUDA GPUs, not on {device.type}; set a number"
        )
    device_bytes = None
    if device.type == "cuda":
        torch.cuda.set_device(device)
        free, total = torch.cuda.mem_get_info(device)
        device_bytes = [total, free]
    try:
        with trainer.precision_plugin.train_step_context():
            _one_iteration(trainer.precision_plugin.convert_module(module).to(device), processes)
        peak = torch.cuda.max_memory_allocated(device) if device_bytes else _peak_of_process()
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        peak = None
    return {"peak_bytes": peak, "device_bytes": device_bytes}


def _one_iteration(module: StyleGAN2ADA, processes: int) -> None:
    """All phases, under what they meet in the middle of a run at the worst."""
    weight = module.generator.mapping.fc0.weight
    alone = Alone(module, data=_Unlabelled(module.generator.c_dim))
    # Adam makes its moments at its first step: with gradients of 0, which change no weight.
    for optimizer in alone.optimizers:
        optimizer.step()
    if module.augment is not None:
        module.augment.p = 1.0
    share = module.batch_size // processes
    parts = _work_on_few_parts(module, processes)
    size = (share, module.generator.channels, *module.generator.size)
    # Of the whole share, for they are there all the time.
    read = torch.randint(0, 256, size, dtype=torch.uint8, device=weight.device)
    images = read.to(weight.dtype) / 127.5 - 1
    labels = weight.new_zeros(share, module.discriminator.c_dim) if module.discriminator.c_dim else None
    taken = parts * module.micro_batch
    for phase in alone.phases:
        alone.run(phase, 0, images[:taken], None if labels is None else labels[:taken])
    module.update_ema()


def _work_on_few_parts(module: StyleGAN2ADA, processes: int) -> int:
    """Lets the module work on two parts at the most; with more of them it takes longer, and as much memory.

    A single part is another matter: path length keeps its graph.
    Returns: how many of a whole batch it works on.
    """
    deal_of_run = module._deal

    def few(samples: int) -> Deal:
        deal = deal_of_run(samples)
        mine = len(range(0, deal.count, processes))
        # So many processes that one or two parts are left to the first.
        return replace(deal, world=deal.count if mine == 1 else (deal.count + 1) // 2)

    module._deal = few
    deal = few(module.batch_size)
    return len(range(0, deal.count, deal.world))


class _Unlabelled:
    """Stands in for the data: a single item of no class."""

    num_items = 1

    def __init__(self, label_width: int):
        self.label_width = label_width

    def labels(self, items: Tensor) -> Tensor:
        return torch.zeros(len(items), self.label_width)


def _peak_of_process() -> int:
    """The most bytes that this process has held in memory at a time."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage's, which begins at what the process held that started this one.
        lines = status.read_text(encoding="utf-8").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
