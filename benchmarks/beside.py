"""What a run does besides its iterations: reading images, starting, writing checkpoints and grids."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

from benchmarks.settings import Setting
from stylegan.configuration.complete import check, complete
from stylegan.configuration.compose import composed

ROOT = Path(__file__).parents[1]
ITERATIONS = 4


def loading(setting: Setting, *, cached: bool, batches: int = 20) -> float:
    """Images a second that the data module gives out when nothing trains.

    Args: cached: all are kept in memory already, from an epoch before; else each is decoded or drawn.
    """
    # As many images in an epoch as are timed.
    words = [f"data.cache={str(cached).lower()}", f"data.num_items={batches * setting.batch}"]
    config = complete(check(composed("train", [*setting.words, *words]))).config
    data = instantiate(config.data, _convert_="all")
    data.setup("fit")
    stream = iter(data.train_dataloader())
    for _ in islice(stream, batches if cached else 1):
        pass
    start = time.perf_counter()
    for _ in islice(stream, batches):
        pass
    return batches * setting.batch / (time.perf_counter() - start)


def whole_run(setting: Setting, device: torch.device, *, rounds: int) -> dict[str, Any]:
    """Medians of short trainings by the real command: seconds to the first step, and for a checkpoint and a grid."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as place:
            times = Path(place) / "times.txt"
            began = time.time()
            done = subprocess.run(
                [
                    *(sys.executable, str(ROOT / "train.py"), *setting.words, "name=run", "logger=none"),
                    *(
                        f"total_kimg={ITERATIONS * setting.batch / 1000}",
                        "callbacks.snapshots.every_kimg=1000",
                    ),
                    *(f"trainer.accelerator={'gpu' if device.type == 'cuda' else 'cpu'}",),
                    *("+callbacks.clock._target_=benchmarks.beside_clock.Clock",),
                    f"+callbacks.clock.file={times}",
                ],
                cwd=place,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise RuntimeError(
                    f"the training ended with code {done.returncode}: {done.stderr.strip()[-500:]}"
                )
            for line in times.read_text().splitlines():
                name, seconds = line.split()
                value = float(seconds) - began if name == "first_step_sec" else float(seconds)
                found.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in found.items()}
