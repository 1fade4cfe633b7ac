"""Workers that hang or die: the batches stay what they are, no process stays behind, and at the end a line says why."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import loader
from datamodules.loader import WorkersGivenUpError
from datamodules.sampler import ResumableSampler
from stylegan.errors import BadImageError
from tests.datamodules import test_image_datamodule
from tests.datamodules.test_image_datamodule import assert_same_batches

ROOT = Path(__file__).parents[2]
ITEMS, BATCH = 60, 4
# Sampled once, in batch 5: later than what the workers read at the start.
ITEM = int(ResumableSampler(num_items=ITEMS, batch_size=BATCH, seed=0).indices(np.array([22]))[0])


def flowers(**options):
    return test_image_datamodule.flowers(num_items=ITEMS, batch_size=BATCH, **options)


def living() -> list[int]:
    return [process.pid for process in multiprocessing.active_children()]


def gone(pids: list[int]) -> bool:
    """Whether no such process is there, not even as a zombie."""
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


class Broken:
    """A set that does something to the worker that reads an item. Args: times: in all, in any worker."""

    def __init__(self, dataset, item: int, fault, times: int):
        self.dataset, self.item, self.fault = dataset, item, fault
        self.left = torch.tensor(times).share_memory_()

    def __len__(self):
        return len(self.dataset)

    def key(self, index):
        return f"cats/{index}.png"

    def __getitem__(self, index):
        if index == self.item and self.left > 0:
            self.left -= 1
            self.fault()
        return self.dataset[index]


def broken(fault, *, times: int, timeout_sec: float | None, workers: int = 2):
    data = flowers(workers=workers, worker_timeout_sec=timeout_sec)
    data.dataset = Broken(data.dataset, item=ITEM, fault=fault, times=times)
    return data


def hang() -> None:
    time.sleep(1000)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    """The whole process stands still, also the thread that hands over what it has read."""
    os.kill(os.getpid(), signal.SIGSTOP)


def dawdle() -> None:
    """Longer than from one look at the workers to the next."""
    time.sleep(1.3)


class Unsendable(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def fail() -> None:
    raise KeyError("no such column")


def fail_unsendably() -> None:
    raise Unsendable("what", "went wrong")


@pytest.fixture(scope="module")
def expected():
    return list(islice(flowers(workers=0).train_dataloader(), 12))


@pytest.mark.parametrize("fault", [hang, die, stop])
def test_the_batches_are_those_of_workers_without_faults(expected, capfd, fault):
    batches = iter(broken(fault, times=2, timeout_sec=1).train_dataloader())
    received = [next(batches)]
    first = living()
    received += list(islice(batches, 11))
    assert_same_batches(received, expected)
    assert len(living()) == 2 and not set(living()) & set(first) and gone(first)
    said = capfd.readouterr().out.splitlines()
    assert len(said) == 2 and all(line.startswith("warning     data worker ") for line in said)
    assert all(f"reading cats/{ITEM}.png" in line and "started again" in line for line in said)
    assert all(("no batch in 1 s" in line) != (fault is die) for line in said)
    assert all(("SIGKILL" in line) == (fault is die) for line in said)
    began = time.monotonic()
    batches.close()
    assert living() == [] and time.monotonic() - began < 5


@pytest.mark.parametrize("timeout_sec", [10, None])
def test_one_that_takes_its_time_is_waited_for(expected, capfd, timeout_sec):
    """torch's loader times out meanwhile, again and again."""
    batches = iter(broken(dawdle, times=2, timeout_sec=timeout_sec, workers=1).train_dataloader())
    received = [next(batches)]
    first = living()
    received += list(islice(batches, 11))
    assert_same_batches(received, expected)
    assert living() == first and capfd.readouterr().out == ""
    batches.close()


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [(fail, KeyError, "no such column"), (fail_unsendably, RuntimeError, "Unsendable: what went wrong")],
)
def test_an_error_of_the_set_comes_as_it_is_with_the_place_where_it_was_raised(fault, kind, words):
    batches = iter(broken(fault, times=99, timeout_sec=None).train_dataloader())
    with pytest.raises(kind, match=words) as caught:
        list(islice(batches, 12))
    (note,) = caught.value.__notes__
    assert note.startswith("In data worker ") and f"in {fault.__name__}" in note
    assert living() == []


def test_workers_that_cannot_be_started_leave_the_loader_as_it_was(monkeypatch):
    """As where no more processes or files may be opened."""

    def fails(self):
        signal.signal(signal.SIGCHLD, lambda *_: None)
        raise OSError(errno.EMFILE, "Too many open files")

    batches, before = flowers(workers=1).train_dataloader(), signal.getsignal(signal.SIGCHLD)
    with monkeypatch.context() as patch:
        patch.setattr(torch.utils.data.DataLoader, "__iter__", fails)
        with pytest.raises(OSError, match="Too many open files"):
            next(iter(batches))
    assert signal.getsignal(signal.SIGCHLD) is before and batches.batch_sampler.passed_batches == 0
    assert len(next(iter(batches))[0]) == BATCH


def test_torchs_answer_to_a_dead_worker_is_known_where_another_loader_has_installed_it(monkeypatch):
    """Else it would stay, and raise in the middle of an iteration that a worker of ours is dead."""
    before = signal.getsignal(signal.SIGCHLD)
    monkeypatch.setattr("torch.utils.data._utils.signal_handling._SIGCHLD_handler_set", False)
    try:
        assert len(list(torch.utils.data.DataLoader(range(2), num_workers=1))) == 2
        assert signal.getsignal(signal.SIGCHLD) is not before
        assert loader._child_handler() is signal.SIG_DFL
        batches = iter(flowers(workers=1).train_dataloader())
        next(batches)
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
        batches.close()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert loader._child_handler() is before


def test_a_worker_killed_from_outside_is_not_noticed_before_its_batch_is_missing(expected, capfd):
    """torch would raise it at once, in the middle of anything that the main process does."""
    batches = iter(flowers(workers=2, worker_timeout_sec=None).train_dataloader())
    received = list(islice(batches, 3))
    os.kill(living()[0], signal.SIGKILL)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        sum(range(1000))
    received += list(islice(batches, 9))
    assert_same_batches(received, expected)
    assert capfd.readouterr().out.count("was killed (SIGKILL") == 1
    batches.close()
    assert living() == []


def test_the_position_survives_a_start_in_the_middle():
    """Restarts count from the first batch of this pass, which is not the first of the run; a new pass begins again."""
    data = flowers(workers=2)
    whole = list(islice(flowers(workers=0).train_dataloader(), 9))
    middle = data.train_dataloader()
    middle.batch_sampler.start = 5 * data.batch_size
    for _ in range(2):
        batches = iter(middle)
        received = [next(batches)]
        os.kill(living()[1], signal.SIGKILL)
        received += list(islice(batches, 3))
        batches.close()
        assert_same_batches(received, whole[5:])


def test_in_the_end_it_is_given_up_with_the_file_and_the_way_out(expected, capfd, monkeypatch):
    monkeypatch.setattr(loader, "MOST_RESTARTS", 1)
    batches = iter(broken(hang, times=99, timeout_sec=1).train_dataloader())
    received = []
    with pytest.raises(BadImageError) as caught:
        for batch in batches:
            received.append(batch)
    assert_same_batches(received, expected[: len(received)])
    message = str(caught.value)
    assert type(caught.value) is WorkersGivenUpError and "\n" not in message
    for part in (f"hangs reading cats/{ITEM}.png", "no batch in 1 s", "2 times in a row", "data.workers=0"):
        assert part in message
    assert "data.worker_timeout_sec" in message
    assert living() == []


def test_a_batch_that_comes_ends_the_row(expected, capfd, monkeypatch):
    """More faults than may come in a row, each with a batch between: all are overcome."""
    monkeypatch.setattr(loader, "MOST_RESTARTS", 1)
    batches = iter(flowers(workers=1).train_dataloader())
    received = [next(batches)]
    for _ in range(3):
        os.kill(living()[0], signal.SIGKILL)
        received.append(next(batches))
        # Read before the worker died; the ones after are missing.
        received += list(islice(batches, 2))
    assert_same_batches(received, expected[: len(received)])
    assert capfd.readouterr().out.count("(time 1 of 1)") == 3
    batches.close()


@pytest.mark.long
def test_one_that_hangs_does_not_keep_the_program_from_its_end():
    """Within the limit nothing has noticed yet; at the end of a program all children are waited for."""
    body = (
        "from itertools import islice\nfrom tests.datamodules.test_loader import broken, hang\n"
        "batches = iter(broken(hang, times=9, timeout_sec=300).train_dataloader())\n"
        "print(len(list(islice(batches, 4))))\n"
        "import time; time.sleep(0.5)"
    )
    began = time.monotonic()
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", body],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")
    assert time.monotonic() - began < 100  # and not the 300 of the limit; a busy machine takes 25 to start
