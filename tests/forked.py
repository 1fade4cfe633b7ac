"""Commands in a process of their own, forked from a server that has imported torch and Lightning already.

A fork takes a tenth of a second, an interpreter that imports all this takes seconds. What is tested of a start itself
(arguments of a shell, the environment, an early kill) belongs into an interpreter of its own.
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

START_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
# The server's environment is that of the test which is the first to need it.
multiprocessing.set_forkserver_preload(
    [
        "torch",
        "torch.utils.tensorboard",
        "pytorch_lightning",
        "stylegan.cli.train",
        "stylegan.training",
        "callbacks",
    ]
)

Main = Callable[[Sequence[str]], int]


def run_command(
    main: Main, words: Sequence[str], place: Path, *, path: Sequence[Path] = (), timeout_sec: float = 120
) -> subprocess.CompletedProcess[str]:
    """Runs `main(words)` in a process whose working folder is `place`.

    Args:
        main: the command, of a module.
        path: folders of further modules.

    Returns: the exit code, below 0 after a signal, and both streams as text.
    Raises: subprocess.TimeoutExpired where it takes longer; the process is killed.
    """
    streams = [place / f".{os.getpid()}.{name}" for name in ("stdout", "stderr")]
    context = multiprocessing.get_context(START_METHOD)
    process = context.Process(target=_command, args=(main, list(words), place, [*map(str, path)], streams))
    process.start()
    process.join(timeout_sec)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise subprocess.TimeoutExpired(list(words), timeout_sec)
    texts = [stream.read_text(errors="replace") for stream in streams]
    for stream in streams:
        stream.unlink()
    return subprocess.CompletedProcess(list(words), process.exitcode, *texts)


def _command(
    main: Main, words: Sequence[str], place: Path, path: Sequence[str], streams: Sequence[Path]
) -> None:
    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(place)
    sys.path[:0] = path
    sys.argv = [f"{main.__module__.rpartition('.')[2]}.py", *words]
    sys.exit(main(words))
