"""`micro_batch=auto`: how many images fit into memory at a time, measured before the training begins.

Each measurement is one iteration in a process of its own: nothing of it stays behind in the one that trains, and one
that the kernel ends for lack of memory has simply not fitted. That process reads a complete configuration from its
input, and writes one line of JSON at the end of its output."""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from stylegan.cli.announce import quiet_lightning
from stylegan.configuration.batches import devices_of, images_per_device, whole_groups
from stylegan.configuration.complete import with_values
from stylegan.configuration.hydra_errors import explain, instantiate_part
from stylegan.distributed.processes import Process, this_process
from stylegan.errors import UserError
from stylegan.machine.console import say
from stylegan.machine.memory import Room, held_bytes, in_words, promised_bytes, room_of_machine
from stylegan.machine.process import end_with_starter, environment_of_child, give_back_memory, prepare_host
from stylegan.machine.text import counted

# A measurement is a process alone, however this one was started.
_OF_SEVERAL = ("TORCHELASTIC_", "SLURM_", *Process().environment())


class Need(NamedTuple):
    """peak_bytes: the most that was held at a time; infinite where no more memory was available.

    usable_bytes: what there was.
    """

    peak_bytes: float
    usable_bytes: int

    @property
    def fits(self) -> bool:
        return self.peak_bytes <= self.usable_bytes

    def __str__(self) -> str:
        usable = in_words(self.usable_bytes)
        return (
            f"{in_words(self.peak_bytes)} of {usable}"
            if self.peak_bytes < math.inf
            else f"more than {usable}"
        )


def measured_micro_batch(config: DictConfig) -> tuple[int, str]:
    """The largest micro-batch that fits and leaves the result as it is.

    Args: config: complete but for `micro_batch`, with what the data tell.
    Returns: it, and its origin.
    Raises: UserError where none fits, or the parts cannot be built.
    """
    import torch

    devices = devices_of(config)
    device_batch = images_per_device(batch_size=config.batch_size, devices=devices)
    # A user's own network need not compare images.
    compares = config.discriminator.get("mbstd_channels", 1)
    group = config.discriminator.get("mbstd_group") or 1 if compares else 1
    sizes = whole_groups(device_batch, group)
    say(
        f"measuring   how many of {counted(device_batch, 'image')} fit into memory at a time: main phases, path length"
        " and R1; it can take a minute"
    )
    give_back_memory()
    torch.cuda.empty_cache()  # of an earlier job of a sweep
    if promised := promised_bytes():
        say(
            f"measuring   {in_words(promised)} of the machine's memory are left to pictures that stay in it;"
            " data.cache=false needs none"
        )
    local = min(devices, this_process().local_world) if this_process().world > 1 else devices

    def measure(part: int) -> Need:
        need = _measured(config, part, processes_here=local)
        say(f"measuring   {part} at a time: {need}")
        return need

    part, need = largest_that_fits(sizes, measure)
    if not need.fits:
        raise UserError(_too_large(config, part, need, device_batch=device_batch, group=group))
    say(f"measuring   micro_batch={part}; a tenth of the memory stays free")
    return part, f"measured, {need}"


def largest_that_fits(sizes: Sequence[int], measure: Callable[[int], Need]) -> tuple[int, Need]:
    """The largest of `sizes` that fits, measuring as few as possible; none twice, and none that is not likely to fit.

    What two of them need predicts what the others will, by a straight line. Needs that grow faster than that are met on
    the way down, for the one that is returned has been measured.
    Args: sizes: ascending; at least one.
    Returns: it and its need; where none fits, the smallest and its need.
    """
    known = [(sizes[0], measure(sizes[0]))]
    if not known[0][1].fits:
        return known[0]
    low, high = 0, len(sizes)  # of these indices, the one fits, and the other does not or is none
    while (guess := _most_likely(sizes[low + 1 : high], known)) is not None:
        index = sizes.index(guess)
        need = measure(guess)
        if need.fits:
            known.append((guess, need))
            low = index
        else:
            high = index
    return known[-1]


def _most_likely(sizes: Sequence[int], known: Sequence[tuple[int, Need]]) -> int | None:
    """The largest of `sizes` that should fit, by the two largest that do; with one known, the next one."""
    if not sizes or len(known) == 1:
        return sizes[0] if sizes else None
    (small, before), (large, need) = known[-2:]
    slope = (need.peak_bytes - before.peak_bytes) / (large - small)
    likely = [size for size in sizes if need.peak_bytes + slope * (size - large) <= need.usable_bytes]
    return likely[-1] if likely else None


def _measured(config: DictConfig, part: int, *, processes_here: int) -> Need:
    """What training with micro-batches of `part` needs.

    Args: processes_here: of the run, on this machine; on a CPU they share its memory.
    """
    tried = with_values(config, {"micro_batch": part})
    room = _room(processes_here)
    environment = {
        name: value for name, value in environment_of_child().items() if not name.startswith(_OF_SEVERAL)
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "stylegan.cli.memory_probe"],
        # Unresolved: a constructor's message is to name the key that was followed.
        input=OmegaConf.to_yaml(tried),
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode == -signal.SIGKILL:
        return Need(math.inf, room.usable_bytes // processes_here)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise RuntimeError(f"measuring micro_batch={part} ended with exit code {done.returncode}")
    report = json.loads(done.stdout.splitlines()[-1])
    if fault := report.get("fault"):
        raise UserError(fault)
    usable = room.usable_bytes // processes_here
    if report["device_bytes"]:
        usable = Room(*report["device_bytes"]).usable_bytes
    peak = report["peak_bytes"]
    return Need(math.inf if peak is None else peak, usable)


def _room(processes_here: int) -> Room:
    """Of the machine, with what this process holds: training will take its place.

    Without what pictures will take as they are read: each process keeps its own.
    Raises: UserError.
    """
    room = room_of_machine()
    if room is None:
        raise UserError("micro_batch=auto cannot find out how much memory this system has; set a number")
    free = min(room.free_bytes + held_bytes(), room.total_bytes)
    return room._replace(free_bytes=max(0, free - promised_bytes() * processes_here))


def _too_large(config: DictConfig, part: int, need: Need, *, device_batch: int, group: int) -> str:
    smaller = "a smaller resolution, generator.channel_base and discriminator.channel_base"
    if part > 1:
        smaller += " or discriminator.mbstd_group" if part == group else " or batch_size"
    peak = (
        in_words(need.peak_bytes)
        if need.peak_bytes < math.inf
        else f"more than {in_words(need.usable_bytes)}"
    )
    return (
        f"micro_batch=auto: the smallest micro-batch of {counted(device_batch, 'image')}, {part}, needs {peak} of"
        f" memory, and {in_words(need.usable_bytes)} can be used (a tenth stays free); set {smaller}"
    )


def main() -> int:
    # Who types Ctrl-C means the command, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_starter()
    prepare_host()
    with suppress(OSError):
        # Where the machine has no memory left the kernel should end this process, and no other.
        Path("/proc/self/oom_score_adj").write_text("1000")
    quiet_lightning()
    print(json.dumps(_report(OmegaConf.create(sys.stdin.read()))), flush=True)
    return 0


def _report(config: DictConfig) -> dict[str, Any]:
    from stylegan.training.memory_probe import probe_memory

    try:
        trainer = instantiate_part(
            config,
            "trainer",
            devices=_one_of(config.trainer.devices),
            num_nodes=1,
            strategy="auto",
            logger=False,
            enable_checkpointing=False,
        )
        module = instantiate_part(config, "module")
        return probe_memory(module, trainer, devices_of(config))
    except Exception as error:
        reason = explain(error)
        if reason is None:
            raise
        return {"fault": reason}


def _one_of(devices: Any) -> Any:
    """The first one; the others get as much to do."""
    return [devices[0]] if isinstance(devices, Sequence) and not isinstance(devices, str) else 1


if __name__ == "__main__":
    sys.exit(main())
