"""The processes of a run: the first composes and decides, the others are told. How they are started, told, and let go.

torchrun and Slurm start all of them, each with the same command. Where the command finds itself alone and
`trainer.devices` is more than one, it starts the others itself, on this machine."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import call

from stylegan.distributed.processes import LOOPBACK, Process, is_lost_connection, this_process
from stylegan.errors import EXIT_TRY_AGAIN, ProcessLostError, UserError
from stylegan.machine.process import environment_of_child

# A process that ends breaks the connections to the others, which mostly notice at once. GPUs may wait for ever.
_NOTICED_SEC = 20.0
_ROOM = "stylegan.distributed.collectives"


class Team:
    """This process and the others.

    Args: process: this one; alone, nothing is said to anybody. listening: as in `meeting_place`.
    Raises: UserError where they cannot meet.
    """

    def __init__(self, process: Process, *, listening: int | None = None):
        self.process = process
        self._store = None
        if process.world > 1:
            self._store = _meet(process, listening)
        self._said = 0
        self._broken = False

    @property
    def name(self) -> str:
        return f"process {self.process.rank} of {self.process.world} on {socket.gethostname()}"

    def tell(self, message: dict[str, Any]) -> None:
        """Rank 0 says something to all others."""
        self._put(f"told/{self._said}", message)
        self._said += 1

    def hear(self) -> dict[str, Any]:
        """What rank 0 says next; waits for it, for as long as it takes to look at a large set of pictures."""
        message = self._get(f"told/{self._said}")
        self._said += 1
        return message

    def report(self, fault: str | None) -> None:
        """The answer to what was heard: ready, or why not."""
        self._put(f"report/{self._said}/{self.process.rank}", {"fault": fault})

    def faults(self) -> list[str]:
        """Rank 0 waits until all have answered.  Returns: why some cannot.  Raises: ProcessLostError."""
        if self._store is None:
            return []
        answers = [f"report/{self._said}/{rank}" for rank in range(1, self.process.world)]
        while not self._all_there(answers):
            if dead := self._dead():
                raise ProcessLostError(", ".join(dead))
            time.sleep(0.05)
        return [fault for key in answers if (fault := self._get(key)["fault"])]

    def _dead(self) -> list[str]:
        """A line for each process that is known to have ended before it was told to."""
        return []

    def close(self, code: int = 0) -> None:
        """Rank 0 sends the others home, with an exit code."""
        with suppress(RuntimeError):  # they may have gone before
            self.tell({"leave": code})
            end = time.monotonic() + _NOTICED_SEC
            others = [f"left/{rank}" for rank in range(1, self.process.world)]
            # The place where they read it ends with this process.
            while not self._broken and not self._all_there(others) and time.monotonic() < end:
                time.sleep(0.05)
        self._leave_group()

    def leave(self) -> None:
        """Another process goes home."""
        self._put(f"left/{self.process.rank}", {})
        self._leave_group()

    def what_became(self) -> int:
        """After the connection broke: the exit code that the run ends with."""
        self._broken = True
        return EXIT_TRY_AGAIN

    def _all_there(self, keys: list[str]) -> bool:
        return self._store is None or self._store.check(keys)

    def _leave_group(self) -> None:
        if self._store is not None:
            call({"_target_": f"{_ROOM}.part"})

    def _put(self, key: str, value: dict[str, Any]) -> None:
        if self._store is not None:
            self._store.set(key, json.dumps(value))

    def _get(self, key: str) -> dict[str, Any]:
        while not self._all_there([key]):
            # A single long wait could not be interrupted by a signal.
            time.sleep(0.05)
        return json.loads(self._store.get(key))


class StartedTeam(Team):
    """Processes on this machine that this one starts, and that end with it.

    Args: world: how many, this one included.
    """

    def __init__(self, world: int):
        # Whoever reaches the place to meet can have the others build anything: it is open to this machine alone. Kept
        # open from here on, the port cannot be taken by another program either.
        place = socket.create_server((LOOPBACK, 0))
        port = place.getsockname()[1]
        leader = Process(world=world, local_world=world, port=port, starter="this command")
        # A torchrun that started this one alone has a meeting place of its own, which is not ours.
        environment = leader.environment() | {"TORCHELASTIC_USE_AGENT_STORE": "False"}
        self._before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        super().__init__(this_process(), listening=place.detach())
        self._closing = False
        self._others = [_start(replace(leader, rank=rank, local_rank=rank)) for rank in range(1, world)]
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self, code: int = 0) -> None:
        self._closing = True
        super().close(code)
        end = time.monotonic() + (0.0 if self._broken else _NOTICED_SEC)
        for other in self._others:
            with suppress(subprocess.TimeoutExpired):
                other.wait(max(0.0, end - time.monotonic()))
        self.end()

    def end(self) -> None:
        """Ends the others at once; they hold nothing that is not saved."""
        self._closing = True
        for other in self._others:
            other.kill()
            other.wait()
        self._leave_group()
        for name, value in self._before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value

    def _dead(self) -> list[str]:
        return [
            f"process {rank} of {self.process.world} ended before it was ready (exit code {other.returncode})"
            for rank, other in enumerate(self._others, start=1)
            if other.poll() is not None
        ]

    def what_became(self) -> int:
        self._closing = self._broken = True
        end = time.monotonic() + _NOTICED_SEC
        while time.monotonic() < end:
            for other in self._others:
                # By itself: one that only lost the connection says no more than we know already.
                if other.poll() not in (None, 0, EXIT_TRY_AGAIN) and other.returncode > 0:
                    return other.returncode
            if all(other.poll() is not None for other in self._others):
                break
            time.sleep(0.05)
        return EXIT_TRY_AGAIN

    def _watch(self) -> None:
        while all(other.poll() is None for other in self._others) and not self._closing:
            time.sleep(0.5)
        time.sleep(_NOTICED_SEC)
        if not self._closing:
            # The main thread waits inside a kernel that will never end. What is saved is saved.
            print("another process of the run is gone; the same command goes on", file=sys.stderr, flush=True)
            for other in self._others:
                other.kill()
            os._exit(EXIT_TRY_AGAIN)


@contextmanager
def team_of(started: Team, devices: int) -> Iterator[Team]:
    """Inside, the processes of one run: those that were `started`, or others on this machine.

    Afterwards those that were started here are gone.
    """
    if started.process.world > 1 or devices == 1:
        yield started
        return
    team = StartedTeam(devices)
    try:
        yield team
    except BaseException:
        team.end()
        raise
    team.close()


def _meet(process: Process, listening: int | None) -> Any:
    try:
        return call({"_target_": f"{_ROOM}.meeting_place"}, process, listening=listening)
    except InstantiationException as error:
        cause = error.__cause__
        if cause is None or not is_lost_connection(cause):
            raise
        raise UserError(
            f"{process.starter} names {process.address}:{process.port} as the place to meet, and it cannot be used"
            f" ({str(cause).splitlines()[0]}); set another MASTER_PORT"
        ) from error


def _start(process: Process) -> subprocess.Popen:
    """A process that waits for what it is told."""
    environment = environment_of_child() | process.environment()
    # -P: not the modules of the folder that it happens to work in, which this one has not seen either.
    return subprocess.Popen([sys.executable, "-P", "-m", "stylegan.cli.train"], env=environment)
