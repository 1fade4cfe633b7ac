"""Metrics without weights: a detector and a set of pictures in miniature, and runs with both."""

import pytest
import torch

from callbacks.metrics import Metrics
from stylegan.evaluation import MetricSettings, read_records
from tests.callbacks.callbacks_fakes import FakeData, FakeModule, fit


class Averages:
    """Means over quarters of a picture: a detector without weights."""

    name, checksum, resize = "builtin", "0" * 8, "none"
    calls = 0

    def features(self, images):
        Averages.calls += 1
        return torch.nn.functional.avg_pool2d(images.float() / 255, 4).flatten(1)

    def embedding(self, images):
        return torch.nn.functional.avg_pool2d(images, 4).flatten(1)

    def to(self, device):
        return self


class Set:
    def __init__(self):
        self.pixels = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator())

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        return self.pixels[index], torch.zeros(0)

    def labels(self, indices):
        return torch.zeros(len(indices), 0)

    def content_digest(self):
        return "the same every time"


class Data(FakeData):
    fingerprint = "abc"

    def __init__(self):
        super().__init__()
        self.dataset = Set()


@pytest.fixture(autouse=True)
def without_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(
        MetricSettings,
        "open_detectors",
        lambda self: {definition.detector: Averages() for definition in self.definitions},
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def made(tmp_path, **options):
    options = {"names": "kid", "every_kimg": 0.008, "num_fakes": 20, "budget": 1.0, "report": False} | options
    return Metrics(folder=tmp_path, **options)


def trained(tmp_path, total=40, others=(), ckpt_path=None, **options):
    module, metrics = FakeModule(total_images=total), made(tmp_path, **options)
    metrics._within_budget = lambda module: True
    fit(module, [metrics, *others], data=Data(), ckpt_path=ckpt_path)
    return module, metrics


def kimg_of(tmp_path, name="kid_builtin"):
    path = tmp_path / f"metric-{name}.jsonl"
    return [record["kimg"] for record in read_records(path)] if path.exists() else []
