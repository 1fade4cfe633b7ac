"""How a process that reads pictures for the main process begins."""

import signal

import torch


def start_worker(worker: int) -> None:
    """Makes a worker process a quiet helper: the main process alone decides when to stop."""
    # A terminal's Ctrl-C, `timeout` and cluster schedulers signal the whole group. A worker that dies of it
    # takes down the main process before that has saved; without the main process workers end by themselves.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
