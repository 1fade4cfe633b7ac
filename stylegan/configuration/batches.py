"""The arithmetic of batches: devices, micro-batches, accumulation and minibatch-std groups."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from stylegan.distributed.processes import Process
from stylegan.machine.text import counted


def images_per_device(*, batch_size: int, devices: int) -> int:
    """Images of a batch that a device gets.  Raises: ValueError where the batch does not come out even."""
    if batch_size % devices:
        raise ValueError(
            f"batch_size {batch_size} cannot be divided among {devices} devices (trainer.devices)"
        )
    return batch_size // devices


def accumulation(*, batch_size: int, micro_batch: int, devices: int) -> int:
    """Micro-batches a device runs one after another: batch = devices x micro-batch x accumulation.

    Raises: ValueError where the batch does not come out even.
    """
    device_batch = images_per_device(batch_size=batch_size, devices=devices)
    if device_batch % micro_batch:
        fitting = ", ".join(str(part) for part in range(1, device_batch + 1) if device_batch % part == 0)
        raise ValueError(
            f"micro_batch {micro_batch} does not divide the {counted(device_batch, 'image')} a device gets of"
            f" batch_size {batch_size}; micro_batch can be {fitting}"
        )
    return device_batch // micro_batch


def whole_groups(device_batch: int, group: int) -> list[int]:
    """The micro-batches, smallest first, that leave the result as it is: the minibatch-std groups stay whole.

    Args: device_batch: images of a batch that a device gets. group: the requested size of the groups, at least 1.
    Returns: what divides it and is a multiple of the group; and all of it.
    """
    return [
        part
        for part in range(1, device_batch + 1)
        if device_batch % part == 0 and (part % group == 0 or part == device_batch)
    ]


def effective_group(part: int, group: int) -> int:
    """The minibatch-std group that a part of the batch can form: the largest divisor of it, at most `group`.

    Args: part: images that pass the discriminator together. group: the requested size, at least 1.
    """
    return next(size for size in range(min(part, group), 0, -1) if part % size == 0)


def count_devices(devices: int | str | Sequence[int], num_nodes: int = 1) -> int:
    """How many devices `trainer.devices` names.

    Raises: ValueError for `auto` and -1: batch and rates are derived from a number that must be known.
    """
    if isinstance(devices, Sequence) and not isinstance(devices, str) and devices:
        return len(devices) * num_nodes
    if not str(devices).isdecimal() or int(devices) < 1:
        raise ValueError(f"trainer.devices must be a number of devices or a list of them, got {devices}")
    return int(devices) * num_nodes


def devices_of_run(trainer: DictConfig, process: Process) -> tuple[int, dict[str, Any]]:
    """How many devices a run has in all, and the values of `trainer` for it, as many as there are processes.

    Args:
        trainer: that group of the configuration; `devices` and `num_nodes` may be null.
        process: this one among those that were started.
    Returns: the number of devices, and {dotted key: value} of what was null.
    Raises: ValueError where the processes that were started are not the requested ones.
    """
    settled: dict[str, Any] = {}
    devices, num_nodes = trainer.devices, trainer.get("num_nodes", 1)
    if "num_nodes" in trainer and num_nodes is None:
        num_nodes = settled["trainer.num_nodes"] = process.num_nodes
    if devices is None:
        if process.world == 1:
            raise ValueError(
                "trainer.devices=null takes the processes that torchrun or Slurm started, and this one is alone; set"
                " trainer.devices=2, which starts them on this machine, or begin the command with"
                " torchrun --standalone --nproc_per_node 2"
            )
        devices = settled["trainer.devices"] = process.local_world
    if not isinstance(num_nodes, int) or isinstance(num_nodes, bool) or num_nodes < 1:
        raise ValueError(f"trainer.num_nodes must be a whole number of at least 1, got {num_nodes}")
    count = count_devices(devices, num_nodes)
    if trainer.get("accelerator") == "cpu" and OmegaConf.is_list(devices):
        raise ValueError(
            f"trainer.devices={devices} are numbers of GPUs; on the CPU say how many: trainer.devices={count}"
        )
    if process.world > 1 and count != process.world:
        # Its variables alone can be left over in a shell.
        of_shell = process.starter == "torchrun"
        left_over = "; where nothing started them, unset RANK and WORLD_SIZE" if of_shell else ""
        raise ValueError(
            f"{process.starter} started {process.world} processes, trainer.devices={devices} and"
            f" trainer.num_nodes={num_nodes} ask for {count}; trainer=ddp uses the processes that were"
            f" started{left_over}"
        )
    if process.world == 1 and num_nodes > 1:
        raise ValueError(
            f"trainer.num_nodes={num_nodes}, and this process is alone; start the command on each node by torchrun or"
            " srun (docs/restarts.md has the lines), with trainer=ddp"
        )
    if count > 1 and isinstance(strategy := trainer.get("strategy", "auto"), str) and strategy != "auto":
        raise ValueError(
            f"trainer.strategy={strategy} sums gradients a second time: the module sums them itself; leave it out"
        )
    return count, settled


def devices_of(config: DictConfig) -> int:
    """Devices of a run, one process each.  Args: config: complete."""
    return count_devices(config.trainer.devices, config.trainer.get("num_nodes", 1))


_FEW = 10  # pictures; no smaller batch makes a training of fewer


def refuse_more_than_there_are(
    batch_size: int, num_items: int, num_found: int | None = None, chosen_by: Sequence[str] = ()
) -> None:
    """Refuses a batch that would show the same image twice.

    Args:
        num_items: images to train on.
        num_found: files of which those were chosen; None = unknown.
        chosen_by: the keys that chose.
    Raises: ValueError with what helps.
    """
    if batch_size <= num_items:
        return
    there = "1 picture there is" if num_items == 1 else f"{num_items} pictures there are"
    ways_out = [] if num_items < _FEW else [f"set batch_size={num_items} or less"]
    if chosen_by and num_found is not None and num_found > num_items:
        *others, last = chosen_by
        keys = f"{', '.join(others)} and {last}" if others else last
        there += f" (of {num_found}; {keys} leave{'' if others else 's'} {num_items})"
        ways_out.append("choose more of them")
    ways_out.append("add pictures")
    way_out = f"{', '.join(ways_out[:-1])}, or {ways_out[-1]}" if len(ways_out) > 1 else ways_out[0]
    raise ValueError(f"batch_size={batch_size} is more than the {there}; {way_out}")
