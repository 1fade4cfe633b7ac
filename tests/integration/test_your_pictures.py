"""Folders of every kind, trained on for 64 images through the command, and drawn from."""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan.cli.generate import main as generate
from stylegan.cli.train import main as train

SMALL = [
    *("preset=tiny", "batch_size=8", "total_kimg=0.064", "trainer=cpu", "ada.p_init=0.5", "augpipe=bgcfnc"),
    *("generator.z_dim=16", "generator.w_dim=16", "generator.channel_max=8", "discriminator.channel_max=8"),
    *("callbacks.snapshots.columns=2", "callbacks.snapshots.rows=2", "data=folder", "name=run"),
]
NUM_IMAGES = 12


@dataclass(frozen=True)
class Folder:
    """One kind of pictures: how they are made, what the commands get, and what should come out."""

    make: object  # (folder, index, disc [H,W] in [0, 1]) -> None
    options: tuple[str, ...]
    mode: str
    size: tuple[int, int]  # of a picture that is drawn: height, width
    label: tuple[str, ...] = ()
    names: list[str] = field(default_factory=list)


def disc(height: int, width: int, index: int) -> np.ndarray:
    """A soft disc whose radius shows the index."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.clip(4 * (0.3 + 0.04 * index - np.hypot(x, y)) + 0.5, 0, 1)


def shades(disc: np.ndarray, *ends: tuple[int, int]) -> np.ndarray:
    """uint8 [H,W,C]: a channel goes from the first to the second of its ends, from outside the disc to inside."""
    return np.stack([low + (high - low) * disc for low, high in ends], axis=-1).round().astype(np.uint8)


def save_grey(folder: Path, index: int) -> None:
    Image.fromarray(shades(disc(16, 16, index), (30, 220))[..., 0]).save(folder / f"{index}.png")


def save_rgba(folder: Path, index: int) -> None:
    pixels = shades(disc(16, 16, index), (200, 250), (60, 120), (0, 0), (0, 255))
    Image.fromarray(pixels, "RGBA").save(folder / f"{index}.png")


def save_planes(folder: Path, index: int) -> None:
    ends = [(0, 250), (250, 0), (100, 200), (0, 60), (255, 128)]
    np.save(folder / f"{index}.npy", shades(disc(16, 16, index), *ends))


def save_photograph(folder: Path, index: int) -> None:
    shape = (60 + index, 70 - index)  # no two are of one size
    Image.fromarray(shades(disc(*shape, index), (40, 250), (120, 120), (60, 10))).save(
        folder / f"{index}.jpg"
    )


def save_in_classes(folder: Path, index: int) -> None:
    kind = folder / ("corgi", "red fox")[index % 2]
    kind.mkdir(exist_ok=True)
    ends = [(40, 250), (120, 120), (60, 10)] if index % 2 else [(60, 240), (90, 220), (30, 190)]
    Image.fromarray(shades(disc(32, 48, index), *ends)).save(kind / f"{index}.png")


def save_with_numbers(folder: Path, index: int) -> None:
    Image.fromarray(shades(disc(16, 16, index), (20, 250), (80, 80), (200, 40))).save(folder / f"{index}.png")
    with open(folder / "labels.csv", "a", newline="") as file:
        rows = csv.writer(file)
        if index == 0:
            rows.writerow(["file", "radius", "left"])
        rows.writerow([f"{index}.png", 0.3 + 0.04 * index, -0.5])


def save_deep(folder: Path, index: int) -> None:
    deep = (disc(16, 16, index) * 60000 + 2000).astype(np.uint16)
    Image.fromarray(deep).save(folder / f"{index}.png")


FOLDERS = {
    "grey": Folder(save_grey, ("resolution=16", "data.channels=1"), "L", (16, 16)),
    "rgba": Folder(save_rgba, ("resolution=16", "data.channels=4"), "RGBA", (16, 16)),
    "planes": Folder(save_planes, ("resolution=16", "data.channels=5"), "RGB", (16, 16)),
    "tall": Folder(save_photograph, ("resolution=48x32",), "RGB", (48, 32)),
    "classes": Folder(
        save_in_classes,
        ("resolution=null", "data.labels=folders"),
        "RGB",
        (32, 48),
        ("label=red fox",),
        ["corgi", "red fox"],
    ),
    "numbers": Folder(
        save_with_numbers, ("resolution=16", "data.labels=csv"), "RGB", (16, 16), ("label=0.4,-0.5",)
    ),
    "deep": Folder(save_deep, ("resolution=16", "data.channels=1"), "L", (16, 16)),
}


# Each is read in the short tests of the data sets, too.
@pytest.mark.parametrize(
    "kind",
    [kind if kind in ("classes", "tall") else pytest.param(kind, marks=pytest.mark.long) for kind in FOLDERS],
)
def test_a_folder_is_trained_on_and_drawn_from(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case = FOLDERS[kind]
    pictures = tmp_path / "my pictures"
    pictures.mkdir()
    for index in range(NUM_IMAGES):
        case.make(pictures, index)

    assert train([*SMALL, *case.options, "data.path=my pictures", "data.cache_dir=cache"]) == 0
    assert generate(["network=runs/run", "seeds=0-3", "device=cpu", "out=drawn", *case.label]) == 0

    height, width = case.size
    reals = Image.open("runs/run/snapshots/reals.png")
    assert (reals.mode, reals.size) == (case.mode, (2 * width, 2 * height))
    fakes = Image.open("runs/run/snapshots/fakes_kimg0000000.064.png")
    assert (fakes.mode, fakes.size) == (case.mode, reals.size)
    drawn = Image.open("drawn/seed0003.png")
    assert (drawn.mode, drawn.size) == (case.mode, (width, height))
    last = json.loads(Path("runs/run/stats.jsonl").read_text().splitlines()[-1])
    assert last["Progress/kimg"]["mean"] == 0.064
    assert all(np.isfinite(value["mean"]) for name, value in last.items() if name != "timestamp")
    checkpoint = torch.load("runs/run/checkpoints/kimg0000000.064.ckpt", weights_only=True)
    assert checkpoint["generator"].get("label_names", []) == case.names
    if kind == "planes":
        assert np.load("drawn/seed0003.npy").shape == (16, 16, 5)
    if kind == "deep":
        # Scaled by the range of 16 bits: from 2000 to 62000 of 65535.
        assert reals.getextrema() == (pytest.approx(8, abs=1), pytest.approx(241, abs=2))
