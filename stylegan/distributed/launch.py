"""Rank 0 and its workers: how they are started, agree, and end together.

torchrun and Slurm start all processes of a run, each with the same command. Where the command is alone and
`trainer.devices` is more than one, it starts the others itself, on this machine. All of them compose the same
configuration and run the same code; what rank 0 alone decides (the plan of a run, and where it continues after
non-finite weights) is broadcast.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from stylegan.distributed.processes import (
    INTERFACE,
    LOOPBACK,
    Process,
    Waiting,
    is_lost_connection,
    this_process,
)
from stylegan.errors import EXIT_TRY_AGAIN, ProcessLostError, RunEndedError, UserError
from stylegan.machine.console import say_error
from stylegan.machine.process import environment_of_child

# A process that ends breaks the connections to the others, which mostly notice at once. GPUs may wait without end.
_NOTICED_SEC = 20.0


class RunProcesses:
    """This process and the others of its runs.

    A run is: rank 0 broadcasts its plan, all `agree` that they are ready, and rank 0 ends it with `end_run`. A command
    may have several runs one after the other, as in a sweep; `close` ends them all.

    Args:
        process: this one; alone, nothing is sent.
        listening: as in `meeting_place`.
    Raises: UserError where they cannot meet.
    """

    def __init__(self, process: Process, *, listening: int | None = None):
        self.process = process
        self._store = _meet(process, listening) if process.world > 1 else None
        self._sent = 0
        self._broken = False
        self._closed: int | None = None
        self._trains = False  # between `agree` and the end of a run: others may wait in a collective

    @property
    def is_rank_zero(self) -> bool:
        return self.process.rank == 0

    def decide(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Lets rank 0 alone decide something.  Returns: its decision, on all processes.

        Args: work: gives plain values.
        Raises: RunEndedError on workers, where rank 0 has ended the run instead.
        """
        if not self.is_rank_zero:
            return self._hear()["decided"]
        decided = work()
        self._tell({"decided": decided})
        return decided

    def agree(self, fault: str | None = None) -> None:
        """All processes say that they are ready, or why not.

        Raises: UserError on rank 0 with the faults of the workers; ProcessLostError on rank 0 where one is gone;
            RunEndedError on workers, where rank 0 has ended the run.
        """
        if self._store is None:
            return
        if not self.is_rank_zero:
            self._report(fault)
            self._hear()
            self._trains = True
            return
        answers = [f"report/{self._sent}/{rank}" for rank in range(1, self.process.world)]
        waiting = Waiting(self.process)
        while not self._all_there(answers):
            if dead := self._dead():
                raise ProcessLostError(", ".join(dead))
            waiting.say_once(lambda: sum(not self._all_there([answer]) for answer in answers))
            time.sleep(0.05)
        if faults := [fault for key in answers if (fault := self._get(key)["fault"])]:
            raise UserError("\n".join(faults))
        self._tell({"go": True})

    def end_run(self, code: int) -> int:
        """Ends a run on all processes.  Returns: its exit code, which is rank 0's.  Args: code: of this process."""
        if self.is_rank_zero:
            if not self._broken:
                with suppress(RuntimeError):  # workers may have gone before
                    self._tell({"end": code})
            return code
        if self._broken:
            return code  # rank 0 waits for this process to end
        try:
            while True:
                self._hear()
        except RunEndedError as ended:
            return ended.exit_code

    def close(self, code: int = 0, *, fault: str | None = None) -> int:
        """Ends the command on all processes.  Returns: its exit code, which is rank 0's.

        Args:
            code: of this process.
            fault: why this worker could not take part in a run. Rank 0 says so, or this worker where the run has begun.
        """
        if self._store is None:
            return code
        if not self.is_rank_zero:
            if self._trains or self._broken:
                # The others wait in a collective, and not for an answer: only when this process ends do they notice.
                if fault is not None:
                    say_error(f"process {self.process.rank} of {self.process.world}: {fault}")
                return code
            code = self._closed if self._closed is not None else self._until_closed(fault)
            self._put(f"left/{self.process.rank}", {})
            self._leave_group()
            return code
        with suppress(RuntimeError):  # they may have gone before
            self._tell({"close": code})
            end = time.monotonic() + _NOTICED_SEC
            others = [f"left/{rank}" for rank in range(1, self.process.world)]
            # The place where they read it ends with this process.
            while not self._broken and not self._all_there(others) and time.monotonic() < end:
                time.sleep(0.05)
        self._leave_group()
        return code

    def exit_code_after_loss(self) -> int:
        """After the connection broke: the exit code that the run ends with."""
        self._broken = True
        return EXIT_TRY_AGAIN

    def _until_closed(self, fault: str | None) -> int:
        """For a worker that has met a fault of its own: it answers every question of rank 0, until that ends."""
        while True:
            try:
                if "decided" in self._hear():
                    self._report(fault)
            except RunEndedError:
                if self._closed is not None:
                    return self._closed

    def _dead(self) -> list[str]:
        """A line for each process that is known to have ended too early."""
        return []

    def _report(self, fault: str | None) -> None:
        name = f"process {self.process.rank} of {self.process.world} on {socket.gethostname()}"
        self._put(
            f"report/{self._sent}/{self.process.rank}",
            {"fault": None if fault is None else f"{name}: {fault}"},
        )

    def _tell(self, message: dict[str, Any]) -> None:
        self._put(f"message/{self._sent}", message)
        self._sent += 1

    def _hear(self) -> dict[str, Any]:
        """The next message of rank 0; waits for as long as rank 0 looks at a large set of images."""
        if self._closed is not None:
            raise RunEndedError(self._closed)
        message = self._get(f"message/{self._sent}")
        self._sent += 1
        if "close" in message:
            self._closed = message["close"]
        if "close" in message or "end" in message:
            self._trains = False
            raise RunEndedError(message.get("end", message.get("close")))
        return message

    def _all_there(self, keys: list[str]) -> bool:
        return self._store is None or self._store.check(keys)

    def _leave_group(self) -> None:
        if self._store is not None:
            from stylegan.distributed.collectives import part

            part()

    def _put(self, key: str, value: dict[str, Any]) -> None:
        if self._store is not None:
            self._store.set(key, json.dumps(value))

    def _get(self, key: str) -> dict[str, Any]:
        while not self._all_there([key]):
            # A single long wait could not be interrupted by a signal.
            time.sleep(0.05)
        return json.loads(self._store.get(key))


class StartedProcesses(RunProcesses):
    """Workers on this machine that this process starts, and that end with it.

    Args:
        world: how many processes, this one included.
        words: the command line of the workers.
    """

    def __init__(self, world: int, words: Sequence[str]):
        # Any program that reaches the place to meet can have the others build anything: it is open to this machine
        # alone. Kept open from here on, the port cannot be taken by another program either.
        place = socket.create_server((LOOPBACK, 0))
        port = place.getsockname()[1]
        leader = Process(world=world, local_world=world, port=port, starter="this command")
        # A torchrun that started this one alone has a meeting place of its own, which is not ours.
        environment = leader.environment() | {"TORCHELASTIC_USE_AGENT_STORE": "False"}
        self._before = {name: os.environ.get(name) for name in (*environment, INTERFACE)}
        os.environ.update(environment)
        # For other machines: here they are all on this one, where such an interface may be missing.
        os.environ.pop(INTERFACE, None)
        super().__init__(this_process(), listening=place.detach())
        self._closing = False
        ranks = range(1, world)
        self._workers = [_start(replace(leader, rank=rank, local_rank=rank), words) for rank in ranks]
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self, code: int = 0, *, fault: str | None = None) -> int:
        self._closing = True
        super().close(code)
        end = time.monotonic() + (0.0 if self._broken else _NOTICED_SEC)
        for worker in self._workers:
            with suppress(subprocess.TimeoutExpired):
                worker.wait(max(0.0, end - time.monotonic()))
        self.kill()
        return code

    def kill(self) -> None:
        """Ends the workers at once; they hold nothing that is not saved."""
        self._closing = True
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self._leave_group()
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

    def exit_code_after_loss(self) -> int:
        self._closing = self._broken = True
        end = time.monotonic() + _NOTICED_SEC
        while time.monotonic() < end:
            for worker in self._workers:
                # By itself: one that only lost the connection says no more than we know already.
                if worker.poll() not in (None, 0, EXIT_TRY_AGAIN) and worker.returncode > 0:
                    return worker.returncode
            if all(worker.poll() is not None for worker in self._workers):
                break
            time.sleep(0.05)
        return EXIT_TRY_AGAIN

    def _dead(self) -> list[str]:
        return [
            f"process {rank} of {self.process.world} ended before it was ready (exit code {worker.returncode})"
            for rank, worker in enumerate(self._workers, start=1)
            if worker.poll() is not None
        ]

    def _watch(self) -> None:
        while all(worker.poll() is None for worker in self._workers) and not self._closing:
            time.sleep(0.5)
        time.sleep(_NOTICED_SEC)
        if not self._closing:
            # The main thread waits inside a kernel that will never end. What is saved is saved.
            say_error("another process of the run is gone; repeat the same command")
            for worker in self._workers:
                worker.kill()
            os._exit(EXIT_TRY_AGAIN)


@contextmanager
def processes_of_run(started: RunProcesses, devices: int, words: Sequence[str]) -> Iterator[RunProcesses]:
    """Inside, the processes of one run: those that were `started`, or others on this machine.

    Those that are started here are gone afterwards.
    Args: words: the command line of such others.
    """
    if started.process.world > 1 or devices == 1:
        yield started
        return
    processes = StartedProcesses(devices, words)
    try:
        yield processes
    except BaseException:
        processes.kill()
        raise
    processes.close()


def _meet(process: Process, listening: int | None) -> Any:
    from stylegan.distributed.collectives import meeting_place  # one process alone needs no torch here

    try:
        return meeting_place(process, listening=listening)
    except RuntimeError as error:
        if not is_lost_connection(error):
            raise
        raise UserError(
            f"{process.starter} names {process.address}:{process.port} as the place to meet, and it cannot be used"
            f" ({str(error).splitlines()[0]}); set another MASTER_PORT"
        ) from error


def _start(process: Process, words: Sequence[str]) -> subprocess.Popen:
    """A worker with the same command."""
    environment = environment_of_child() | process.environment()
    # -P: not the modules of the folder that it happens to work in, which this one has not seen either.
    return subprocess.Popen([sys.executable, "-P", "-m", "stylegan.cli.train", *words], env=environment)
