"""Scores of the smallest real training, by a detector that has no weights and sees what a hand can compute."""

import math
from pathlib import Path

import torch

from callbacks.metrics import Metrics
from stylegan.evaluation import read_records
from tests.callbacks.tiny_run import fit, idle_module, tiny_module


class Averages:
    """Means over quarters of an image: a detector without weights, in the place of the built-in one."""

    name, checksum, resize = "builtin", "0" * 8, "none"
    calls = 0

    def features(self, images):
        Averages.calls += 1
        return torch.nn.functional.avg_pool2d(images.float() / 255, 4).flatten(1)

    def embedding(self, images):
        return torch.nn.functional.avg_pool2d(images, 4).flatten(1)

    def to(self, device):
        return self


def made(tmp_path: Path, **options) -> Metrics:
    """Every 8 images, at any cost: training is so short here that no evaluation is within a budget of time."""
    options = {"names": "kid", "every_kimg": 0.008, "num_fakes": 20, "report": False} | options
    metrics = Metrics(folder=tmp_path, cache_dir=tmp_path / "cache", **options)
    metrics.detectors = {name: Averages() for name in metrics.detectors}
    metrics.budget = math.inf
    return metrics


def trained(tmp_path: Path, total=40, others=(), ckpt_path=None, *, learns=False, **options):
    module = (tiny_module if learns else idle_module)(total_images=total)
    metrics = made(tmp_path, **options)
    fit(module, [metrics, *others], ckpt_path=ckpt_path)
    return module, metrics


def kimg_of(tmp_path: Path, name: str = "kid_builtin") -> list[float]:
    path = tmp_path / f"metric-{name}.jsonl"
    return [record["kimg"] for record in read_records(path)] if path.exists() else []
