"""Several processes of the real command: equal to one, and when one of them dies."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.chaos.comparing import differences, newest_state
from tests.chaos.test_exact import SMALL

ROOT = Path(__file__).parents[2]
BASE = [*SMALL, "augpipe=bgc", "data.labels=own", "loss.style_mixing_prob=1", "loss.pl_interval_iterations=2"]
DOUBLE = "+callbacks.double._target_=killing.Double"


def environment():
    threads = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return {**os.environ, **threads, "PYTHONPATH": str(Path(__file__).parent)}


def start(place: Path, *arguments: str, launcher=()) -> subprocess.Popen:
    command = [sys.executable, *launcher, str(ROOT / "train.py"), *BASE, *arguments]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return subprocess.Popen(command, cwd=place, env=environment(), **pipes)


def train(place: Path, *arguments: str, code: int = 0, launcher=()) -> str:
    process = start(place, *arguments, launcher=launcher)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output
    return output


def furthest(one: Path, other: Path) -> float:
    """The largest difference between two runs' last weights and buffers; signs that are not counted yet excepted."""
    a, b = newest_state(one), newest_state(other)
    assert a.keys() == b.keys() and a["images_seen"] == b["images_seen"]
    assert a["generator.synthesis.b4.const"].dtype == torch.float64
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def sampled(file: Path) -> list[tuple[int, str]]:
    """All reals that a run was shown, in the order of the stream."""
    lines = [
        line.split() for path in file.parent.glob(f"{file.name}.*") for line in path.read_text().splitlines()
    ]
    return sorted((int(position), digest) for position, digest in lines)


def order(place: Path, name: str) -> list[str]:
    return ["+callbacks.order._target_=killing.Order", f"+callbacks.order.file={place / name}"]


@pytest.mark.long
def test_one_two_and_one_processes_again(tmp_path):
    """In float64, with R1, path length, style mixing, labels and bgc at p 0.5; the second stretch of the second run
    has two processes."""
    train(tmp_path, "name=alone", DOUBLE, *order(tmp_path, "alone"))
    for total, devices in ((0.08, 1), (0.16, 2), (0.24, 1)):
        said = train(
            *(tmp_path, "name=turns", DOUBLE, *order(tmp_path, "turns")),
            *(f"total_kimg={total}", f"trainer.devices={devices}"),
        )
        assert ("processes" in said) == (total > 0.08), said
    runs = tmp_path / "runs"
    assert furthest(runs / "alone", runs / "turns") <= 1e-9
    assert sampled(tmp_path / "turns") == sampled(tmp_path / "alone")
    assert [position for position, _ in sampled(tmp_path / "alone")] == list(range(240))
    assert (tmp_path / "turns.1").exists(), "the second process got nothing"


@pytest.mark.long
def test_torchrun_on_two_nodes(tmp_path):
    train(tmp_path, "name=alone", DOUBLE)
    nodes = [
        start(
            *(tmp_path, "name=nodes", DOUBLE, "trainer=ddp", "trainer.accelerator=cpu"),
            launcher=[
                *("-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"),
                *("--node_rank", str(node), "--master_addr", "127.0.0.1", "--master_port", "29633"),
            ],
        )
        for node in range(2)
    ]
    said = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert "done: kimg 0.240" in said[0] and "kimg" not in said[1], "rank 0 alone speaks"
    assert furthest(tmp_path / "runs/alone", tmp_path / "runs/nodes") <= 1e-9


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_takes_the_others_along_and_nothing_is_lost(tmp_path, rank):
    # It continues between two moves of p: the file holds signs of both processes, and the last move counts them.
    two = ["trainer.devices=2", "data.workers=1", "total_kimg=0.16", "callbacks.checkpoint.every_kimg=0.072"]
    train(tmp_path, "name=whole", *two)
    kill = [
        *("+callbacks.kill._target_=killing.KillAt", "+callbacks.kill.at_images=152"),
        *(f"+callbacks.kill.marker={tmp_path / 'killed'}", f"+callbacks.kill.rank={rank}"),
    ]
    said = train(tmp_path, "name=halves", *two, *kill, code=75 if rank else -signal.SIGKILL)
    if rank:
        assert "another process of the run is gone" in said and "Traceback" not in said
        assert "the same command continues from kimg0000000.144.ckpt" in said
    assert _others(tmp_path) == [], "a process was left behind"
    assert "continuing from kimg 0.144" in train(tmp_path, "name=halves", *two, *kill)
    assert differences(tmp_path / "runs/whole", tmp_path / "runs/halves") == []


def _others(place: Path) -> list[str]:
    """The command lines of processes that work in `place`; some seconds are given to end."""
    for _ in range(50):
        found = [path for path in Path("/proc").glob("[0-9]*/cwd") if _resolved(path) == place]
        if not found:
            return []
        time.sleep(0.1)
    return [(path.parent / "cmdline").read_text() for path in found]


def _resolved(link: Path) -> Path | None:
    try:
        return link.readlink()
    except OSError:
        return None


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_to_one_process_lets_all_leave_in_order(tmp_path, number):
    ask = [
        *("+callbacks.ask._target_=killing.KillAt", "+callbacks.ask.at_images=56", "+callbacks.ask.rank=1"),
        *(f"+callbacks.ask.number={int(number)}", f"+callbacks.ask.marker={tmp_path / 'asked'}"),
    ]
    said = train(tmp_path, "name=asked", "trainer.devices=2", *ask, code=128 + number)
    # The vote is taken at the end of the iteration, before or after the signal of the same.
    assert "the same command continues from kimg0000000.056.ckpt" in said or "kimg0000000.064.ckpt" in said
    train(tmp_path, "name=asked", "trainer.devices=2", *ask)
    train(tmp_path, "name=whole", "trainer.devices=2")
    assert differences(tmp_path / "runs/whole", tmp_path / "runs/asked") == []


@pytest.mark.parametrize(
    "kind, line",
    [pytest.param("memory", "memory ran out", marks=pytest.mark.long), ("image", "a.png cannot be read")],
)
def test_a_worker_that_fails_in_the_middle_of_a_run_ends_all_at_once(tmp_path, kind, line):
    """Rank 0 waits in a collective then, and for no answer: the worker has to say its line itself, and to end."""
    fail = [
        *("+callbacks.fail._target_=killing.FailAt", "+callbacks.fail.at_images=24"),
        *(f"+callbacks.fail.kind={kind}", "+callbacks.fail.rank=1"),
    ]
    began = time.monotonic()
    said = train(tmp_path, "name=run", "trainer.devices=2", *fail, code=2)
    assert f"process 1 of 2: {line}" in said and "Traceback" not in said
    assert time.monotonic() - began < 60


@pytest.mark.long
def test_a_process_that_is_killed_before_it_is_ready_is_not_a_mistake(tmp_path):
    said = train(tmp_path, "name=run", "trainer.devices=2", "data._target_=killing.DyingFlowers", code=75)
    assert "processes   process 1 of 2 ended before it was ready (exit code -9)" in said
    assert "Traceback" not in said


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_before_the_first_step_ends_all(tmp_path, rank, number):
    ask = [
        *("+callbacks.ask._target_=killing.SignalAtStart", f"+callbacks.ask.rank={rank}"),
        f"+callbacks.ask.number={int(number)}",
    ]
    said = train(tmp_path, "name=asked", "trainer.devices=2", *ask, code=128 + number)
    assert "Traceback" not in said
    assert _others(tmp_path) == [], "a process was left behind"


@pytest.mark.long
def test_the_other_processes_find_the_same_modules(tmp_path):
    """In a folder with a file that is called like a package of ours."""
    (tmp_path / "hydra.py").write_text("raise SystemExit('the wrong hydra')")
    assert "done: kimg 0.008" in train(tmp_path, "name=run", "trainer.devices=2", "total_kimg=0.008")


@pytest.mark.long
def test_weights_that_differ_are_noticed_and_the_run_goes_back(tmp_path):
    said = train(
        *(tmp_path, "name=run", "trainer.devices=2", "callbacks.non_finite_guard.every_kimg=0.04"),
        *("+callbacks.differ._target_=killing.DifferAt", "+callbacks.differ.at_images=104"),
    )
    assert "not the same on all processes: generator." in said
    assert "continuing from kimg0000000.064.ckpt with other random numbers (time 1 of 3)" in said
    assert newest_state(tmp_path / "runs/run")["rollbacks"] == 1


@pytest.mark.long
def test_weights_of_one_process_that_are_not_finite_send_all_back(tmp_path):
    said = train(
        *(tmp_path, "name=run", "trainer.devices=2", "callbacks.non_finite_guard.every_kimg=0.04"),
        *("+callbacks.poison._target_=killing.PoisonAt", "+callbacks.poison.at_images=104"),
        *("+callbacks.poison.times=1", "+callbacks.poison.rank=1", "+callbacks.poison.network=discriminator"),
    )
    assert "unstable    at kimg 0.120: weights are not finite" in said
    assert "continuing from kimg0000000.064.ckpt with other random numbers (time 1 of 3)" in said


@pytest.mark.long
def test_a_full_disk_of_one_process_stops_none(tmp_path):
    said = train(
        *(
            tmp_path,
            "name=run",
            "trainer.devices=2",
            "callbacks.checkpoint.retry_every_kimg=0.04",
            "logger=none",
        ),
        *("+callbacks.full._target_=killing.FullDiskAt", "+callbacks.full.at_images=80"),
        code=75,  # the last one found no room either
    )
    assert said.count("warning     no checkpoint at kimg 0.128") == 1
    assert "interrupted at kimg 0.240; the same command continues from kimg0000000.064.ckpt" in said
    assert newest_state(tmp_path / "runs/run")["images_seen"] == 64


@pytest.mark.long
def test_a_mistake_is_said_once_and_all_leave(tmp_path):
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    said = train(tmp_path, "name=run", "trainer=ddp", "loss.r1_gama=1", code=1, launcher=torchrun)
    assert said.count("there is no key loss.r1_gama; did you mean loss.r1_gamma?") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.long
def test_a_port_that_is_taken_is_said(tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for name, value in {"RANK": "0", "WORLD_SIZE": "2", **place}.items():
            monkeypatch.setenv(name, value)
        said = train(tmp_path, "name=run", "trainer=ddp", code=2)
    assert f"torchrun names 127.0.0.1:{port} as the place to meet" in said
    assert "set another MASTER_PORT" in said and "Traceback" not in said


@pytest.mark.long
def test_a_node_that_does_not_see_the_pictures_says_so(tmp_path):
    """Two nodes, of which one has another working folder: a relative path leads elsewhere there."""
    from PIL import Image

    (tmp_path / "a/foxes").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    for i in range(16):
        Image.new("RGB", (16, 16), (i * 16, 0, 0)).save(tmp_path / f"a/foxes/{i}.png")
    image = [argument for argument in BASE if not argument.startswith(("data.num_items", "data.labels"))]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    nodes = [
        subprocess.Popen(
            [
                *(sys.executable, str(ROOT / "train.py"), *image, "data=folder", "data.path=foxes"),
                *("name=run", "trainer=ddp", "trainer.accelerator=cpu"),
            ],
            cwd=tmp_path / folder,
            env={
                **environment(),
                **{"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"},
                **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29634"},
            },
            **pipes,
        )
        for rank, folder in enumerate("ab")
    ]
    said = [node.communicate(timeout=120)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [2, 2], said
    assert "stylegan-train: process 1 of 2 on" in said[0] and "foxes" in said[0]
    assert "Traceback" not in said[0] + said[1]
