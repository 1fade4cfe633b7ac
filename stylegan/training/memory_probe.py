"""Memory probe: the peak of one iteration. It fills the process that runs it: let that one end afterwards."""

import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from stylegan.images import to_float
from stylegan.machine.memory import ran_out
from stylegan.training.lit_module import StyleGAN2ADA
from stylegan.training.step import AdversarialTraining

# With more parts a probe takes longer, and as much memory. A single one is another matter: path length keeps its graph.
_PARTS = 2


def probe_memory(part: nn.Module, trainer: pl.Trainer, processes: int) -> dict[str, Any]:
    """Runs each phase once, on random images, and measures the peak.

    Args:
        part: the training, with the batch and the micro-batch of the run.
        trainer: for one device; its device and precision count.
        processes: of the run; the batch is split among them.
    Returns: `peak_bytes`: of the process, or on a GPU of what torch has allocated there; None = memory ran out.
        `device_bytes`: [all that the GPU has, what of it is free for this process]; None on a CPU.
    Raises: ValueError for a training of another kind, or a device that does not report its peak.
    """
    training = part.adversarial_training if isinstance(part, StyleGAN2ADA) else part
    if not isinstance(training, AdversarialTraining):
        raise ValueError(
            f"micro_batch=auto measures phases of AdversarialTraining, and {type(part).__name__} has none; set a number"
        )
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
            trainer.precision_plugin.convert_module(training).to(device)
            _one_iteration(training, processes)
        peak = torch.cuda.max_memory_allocated(device) if device_bytes else _peak_of_process()
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        peak = None
    return {"peak_bytes": peak, "device_bytes": device_bytes}


def _one_iteration(training: AdversarialTraining, processes: int) -> None:
    """All phases, under what they meet in the middle of a run at the worst."""
    generator, discriminator = training.generator, training.discriminator
    training.start(_Unlabelled(generator.c_dim))
    # What a schedule turns on later, or thaws, needs its memory then.
    training.schedules.set(training.schedules.largest(), training)
    training.gradients.freeze(())
    # Adam makes its moments at its first step: with gradients of 0, which change no weight.
    for optimizer in training.gradients.optimizers.values():
        optimizer.step()
    if training.augment is not None:
        training.augment.p = 1.0
    own = training.batch_size // processes
    size = (own, generator.channels, *generator.size)
    # Of this process's whole batch, for they are there all the time.
    read = torch.randint(0, 256, size, dtype=torch.uint8, device=training.device)
    images = to_float(read).to(training.networks.weight.dtype)
    labels = images.new_zeros(own, int(discriminator.c_dim)) if discriminator.c_dim else None
    split = training.batch_split(training.batch_size).first_parts(_PARTS, world=processes)
    taken = len(split.own(range(split.count))) * (training.batch_size // split.count)
    for phase in training.phases:
        if phase.is_on:
            training.run_phase(
                phase.name,
                images[:taken],
                None if labels is None else labels[:taken],
                narrowed=lambda whole: whole.first_parts(_PARTS, world=processes),
            )
    training.update_ema()


class _Unlabelled:
    """Labels of no data: a single item of no class."""

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
