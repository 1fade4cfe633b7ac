"""Run control: what callbacks may ask of a run and of each other, and the order in which they act.

Each of our callbacks, and a user's own, finds the run's one `RunControl` by `RunControl.of(trainer)`, so none of them
looks for another among `trainer.callbacks`. The cadence and the timing that every callback needs are here, too.
"""

import math
import re
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, ClassVar, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import nn

from stylegan.distributed.collectives import largest_over_ranks, on_rank_zero, rank
from stylegan.errors import EXIT_TRY_AGAIN
from stylegan.training.stats import RunningStats

MAINTENANCE = "Timing/maintenance_sec"
# Each as it is abbreviated and written out; compared in lower case.
_UNITS_SEC = {
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
}
_TIME = re.compile(
    rf"([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?)({'|'.join(sorted(_UNITS_SEC, key=len, reverse=True))})",
    re.ASCII | re.IGNORECASE,
)


class TrainingModule(Protocol):
    """What callbacks use of the training module, which is `stylegan.training.StyleGAN2ADA` or one like it."""

    generator: nn.Module
    generator_ema: nn.Module  # what is drawn, scored and saved on its own
    discriminator: nn.Module
    ada: Any  # its tensors p and sign_mean
    stats: RunningStats  # values added here stand in the next row
    batch_size: int  # images an iteration, of all processes
    total_images: int  # where training ends
    device: torch.device
    precision: str | None  # that the networks compute in

    @property
    def images(self) -> int:
        """Images seen."""

    @property
    def kimg(self) -> float:
        """Thousands of images seen."""

    @property
    def iteration(self) -> int:
        """Number of the next iteration, from 0."""

    @property
    def rollbacks(self) -> int:
        """How often the run went back to an older checkpoint."""

    @property
    def is_last(self) -> bool:
        """Whether the iteration just finished was the last."""

    def due(self, every_kimg: float) -> bool:
        """Whether the iteration just finished reached a multiple of `every_kimg`, or was the last."""


class Place(IntEnum):
    """When one of our callbacks acts at the end of an iteration, first to last."""

    GUARD = 1  # before anything is scored, recorded or drawn from weights that are not finite
    SCORES = 2  # before the vote: what a signal interrupts here is owed in this iteration's checkpoint
    VOTE = 3  # whether this iteration is the last
    REPORT = 4  # rows, grids and lines; the row also holds the time that the scores took


class RunCallback(pl.Callback):
    """A callback that has a place among the others. A checkpoint writer needs none: it derives from Lightning's
    `Checkpoint`, which the Trainer itself puts last."""

    place: ClassVar[Place] = Place.REPORT


class Beginning(pl.Callback):
    """Tells `RunControl` that training has begun: what was prepared for it is put back where it has not."""

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        RunControl.of(trainer).has_begun = True


def in_order(callbacks: Iterable[pl.Callback]) -> list[pl.Callback]:
    """The order in which callbacks act: ours by their `Place`, then Lightning's `Checkpoint`s.

    Ours change seats among themselves. A callback of the user's keeps its seat in the list, also between ours,
    and always before the checkpoint, which must hold what all others did at its iteration. Our callbacks are
    right in any other order, too: then weights may be scored before the guard looks at them, never saved.
    """
    listed = list(callbacks)
    ours = iter(sorted((one for one in listed if isinstance(one, RunCallback)), key=lambda one: one.place))
    seated = [next(ours) if isinstance(one, RunCallback) else one for one in listed]
    return sorted(seated, key=lambda one: isinstance(one, Checkpoint))


class Deadline:
    """When the time of a run is up. It counts from here on, also while the run goes back to an older checkpoint.

    Args:
        max_time: as in `11h30m`, `90m`, `1d`.
    Raises: ValueError for a time that cannot be read.
    """

    def __init__(self, max_time: str) -> None:
        self._end_sec = time.monotonic() + seconds_of(max_time)

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end_sec


class RunControl:
    """What callbacks may ask of one run, and of each other.

    Of the run: to stop with an exit code (`stop`), whether this process was asked to leave, so that long work need not
    begin (`asked_to_leave`), that all processes decide on it together (`vote_to_leave`), and that its folder is still
    its own, before anything is written there (`verify_folder`).
    Of the checkpoint writer: a checkpoint of this iteration (`want_checkpoint`), to keep some (`keep`), to verify the
    weights first (`verify_with`), and whether there will be one after this iteration (`will_save`).

    Attributes:
        deadline: when the run's time is up; None = never.
        signal: the number of the signal that asked this process to leave, or None.
        folder_guard: raises RunFolderLostError where the run's folder is another's by now; of rank 0. Nothing, where
            no lock is held, as in a script.
        exit_code: 0, or that of the first `stop` that gave one.
        has_begun: whether the first batch was there, so that training could begin (`Beginning`).
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        self._trainer = weakref.ref(trainer)
        self.deadline: Deadline | None = None
        self.signal: int | None = None
        self.folder_guard: Callable[[], None] = _nothing
        self.exit_code = 0
        self.has_begun = False
        self._wanted_at_images: int | None = None
        self._writers: list[Callable[[TrainingModule], bool]] = []
        self._verifiers: list[Callable[[TrainingModule], None]] = []
        self._keepers: list[Callable[[], set[int]]] = []

    @classmethod
    def of(cls, trainer: pl.Trainer) -> "RunControl":
        """The one of this trainer."""
        if trainer not in _CONTROLS:
            _CONTROLS[trainer] = cls(trainer)
        return _CONTROLS[trainer]

    def continue_from(self, before: "RunControl") -> None:
        """Takes over what was asked of the trainer before, where the parts of a run are built again to go back."""
        self.deadline, self.signal, self.folder_guard = before.deadline, before.signal, before.folder_guard

    def verify_folder(self) -> None:
        """To be called before anything is written to the run's folder, on all processes; it costs one small read.

        Raises: RunFolderLostError where it is no longer this run's, on all processes.
        """
        on_rank_zero(self.folder_guard)

    def stop(self, exit_code: int = 0) -> None:
        """Ends training after this iteration, which is saved; to be called on all processes."""
        self.exit_code = self.exit_code or exit_code
        self._must_have_trainer().should_stop = True

    @property
    def asked_to_leave(self) -> bool:
        """Whether a signal, the deadline or pictures that are away ask this process to leave after this iteration."""
        return bool(self._reason_to_leave())

    def vote_to_leave(self) -> bool:
        """Stops all processes where any was asked to leave, with the exit code of the reason: 128 + signal, or 75.

        To be called on all processes: a signal may reach one alone, and all leave after the same iteration.
        """
        exit_code = largest_over_ranks(self._reason_to_leave())
        if exit_code:
            self.stop(exit_code)
        return bool(exit_code)

    def _reason_to_leave(self) -> int:
        if self.signal is not None:
            return 128 + self.signal
        is_over = self.deadline is not None and self.deadline.is_over
        # A loader of the user's own knows no such thing.
        loader = getattr(self._trainer(), "train_dataloader", None)
        is_without_data = getattr(loader, "away", None) is not None
        return EXIT_TRY_AGAIN if is_over or is_without_data else 0

    def want_checkpoint(self, module: TrainingModule) -> None:
        """Asks for a checkpoint of this iteration; to be called on all processes."""
        self._wanted_at_images = module.images

    def is_checkpoint_wanted(self, module: TrainingModule) -> bool:
        """Whether this iteration must be saved, at no writer's own cadence: a callback asked, or training stops."""
        wanted = self._wanted_at_images == module.images or self._must_have_trainer().should_stop
        return bool(module.images) and wanted

    def will_save(self, module: TrainingModule) -> bool:
        """Whether there will be a checkpoint after this iteration, as far as is known when it is asked."""
        return any(self.is_checkpoint_wanted(module) or is_due(module) for is_due in self._writers)

    def writes(self, is_due: Callable[[TrainingModule], bool]) -> None:
        """Registers the writer of checkpoints. Args: is_due: whether one is due by the writer's own cadence."""
        _add(self._writers, is_due)

    def verify_with(self, verify: Callable[[TrainingModule], None]) -> None:
        """Lets `verify` look at the module before each checkpoint, on all processes; what it raises prevents that."""
        _add(self._verifiers, verify)

    def verify_before_saving(self, module: TrainingModule) -> None:
        """To be called by a checkpoint writer, right before each checkpoint, on all processes.

        Raises: RunFolderLostError; what the verifiers raise, as TrainingUnstableError.
        """
        self.verify_folder()
        for verify in self._verifiers:
            verify(module)

    def keep(self, kept_images: Callable[[], set[int]]) -> None:
        """Keeps checkpoints from being deleted. Args: kept_images: the images seen at them, asked each time."""
        _add(self._keepers, kept_images)

    @property
    def kept_images(self) -> set[int]:
        """Images seen at the checkpoints that no policy may delete."""
        return set().union(*(kept_images() for kept_images in self._keepers))

    def _must_have_trainer(self) -> pl.Trainer:
        trainer = self._trainer()
        assert trainer is not None, "a control is found by its trainer, which is gone"
        return trainer


# Not an attribute of the Trainer, which is Lightning's; gone with it.
_CONTROLS: "weakref.WeakKeyDictionary[pl.Trainer, RunControl]" = weakref.WeakKeyDictionary()


def _nothing() -> None:
    pass


def _add(listeners: list[Any], listener: Any) -> None:
    # A trainer that fits twice sets its callbacks up twice.
    if listener not in listeners:
        listeners.append(listener)


def check_every_kimg(name: str, every_kimg: float) -> float:
    """Cadence in thousands of images, checked before a long run begins.

    Args:
        name: of the constructor's argument, for the message.
        every_kimg: its value.
    Returns: it, as a float.
    Raises: ValueError unless it is a finite number above 0.
    """
    if not (math.isfinite(every_kimg) and every_kimg > 0):
        raise ValueError(
            f"{name} must be a number of kimg above 0, got {every_kimg}; a whole callback is switched off by null, as"
            " in callbacks.snapshots=null"
        )
    return float(every_kimg)


@contextmanager
def maintenance(module: TrainingModule) -> Iterator[None]:
    """Adds the wall time inside, that of images, checkpoints and scores, to `module.stats`.

    `StatsTicks` shows its sum, and takes it off the time of the tick. Open work of the device is waited for first, so
    that training does not count as the work besides it.
    """
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)
    start_sec = time.perf_counter()
    try:
        yield
    finally:
        # The others wait meanwhile: it is the same time, and counts once.
        if not rank():
            module.stats.add(MAINTENANCE, time.perf_counter() - start_sec)


def seconds_of(text: str) -> float:
    """`1d`, `11h30m`, `90min`, `2hours` → seconds.  Raises: ValueError for anything else, and for no time at all."""
    parts = _TIME.findall(str(text))
    seconds = sum(float(number) * _UNITS_SEC[unit.lower()] for number, unit in parts)
    if "".join(map("".join, parts)) != str(text) or seconds <= 0:
        raise ValueError(f"max_time must be a time above 0, as in 11h30m, 90m or 1d; got {text}")
    return seconds
