"""A run in miniature for the evaluate command, with its pictures and its records."""

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from stylegan.evaluation import read_records
from stylegan.interop.checkpoint import save_generator
from stylegan.networks import Generator

ROOT = Path(__file__).parents[2]
SMALL = dict(resolution=8, z_dim=4, w_dim=4, mapping_layers=1, channel_base=32, channel_max=4)
FEW = "num_fakes=24"


def make_generator(seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Generator(**SMALL | options)


@pytest.fixture(name="pictures", scope="module")
def twenty_images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(20):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(name="run")
def small_run(tmp_path, pictures):
    """A run with three checkpoints, of which the generators are left."""
    folder = tmp_path / "runs" / "a"
    (folder / "checkpoints").mkdir(parents=True)
    for number, images in enumerate((4000, 8000, 12000)):
        save_generator(
            folder / "checkpoints" / f"kimg{images / 1000:011.3f}.safetensors", make_generator(number)
        )
    data = {
        "_target_": "datamodules.FolderData",
        "path": str(pictures),
        "resolution": 8,
        "batch_size": 4,
        "cache": "auto",
        "workers": 2,
    }
    OmegaConf.save(OmegaConf.create({"generator": {}, "data": data}), folder / "config.yaml")
    return folder


def records(folder, name):
    return list(read_records(folder / f"metric-{name}.jsonl"))
