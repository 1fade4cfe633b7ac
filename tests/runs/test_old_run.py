"""A run of the version before the rooms were rebuilt (0.1.0, commit ee8c82f): continued, generated from and scored.

`old_run` is its folder at kimg 0.08, `old_run_continued` what that version itself made of it: the rows up to kimg 0.16
and the images of seeds 0 and 1.
"""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylegan.cli.evaluate import main as evaluate
from stylegan.cli.generate import main as generate
from stylegan.cli.train import main as train

HERE = Path(__file__).parent
# As it was started.
WORDS = [
    *("preset=tiny", "resolution=16", "name=old", "trainer=cpu", "precision=fp32", "batch_size=8"),
    *("augpipe=bgc", "ada.p_init=0.5", "ada.kimg=5", "data.num_items=40", "data.labels=own", "metrics=[kid]"),
    *("generator.z_dim=8", "generator.w_dim=8", "generator.channel_max=8", "discriminator.channel_max=8"),
    *("callbacks.snapshots=null", "callbacks.checkpoint.every_kimg=0.04", "callbacks.checkpoint.keep_last=1"),
    *("callbacks.checkpoint.keep_every_kimg=null", "callbacks.stats.every_kimg=0.032"),
    *("callbacks.metrics.every_kimg=0.04", "callbacks.metrics.num_fakes=8", "callbacks.metrics.report=false"),
    "logger.tensorboard=null",
]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(HERE / "old_run", tmp_path / "runs" / "old")
    return tmp_path / "runs"


def rows_of(path: Path) -> list[dict[str, float]]:
    """Means of each row, less times and memory, which are those of a machine."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        {
            name: value["mean"]
            for name, value in row.items()
            if name != "timestamp" and not name.startswith(("Timing/", "Resources/"))
        }
        for row in rows
    ]


def test_it_continues_as_the_version_that_began_it_did(runs, capsys):
    assert train([*WORDS, "total_kimg=0.16"]) == 0
    said = capsys.readouterr().out
    assert "continuing from kimg 0.080 (kimg0000000.080.ckpt)" in said
    found, expected = (rows_of(place / "stats.jsonl") for place in (runs / "old", HERE / "old_run_continued"))
    assert [row["Progress/kimg"] for row in found] == [row["Progress/kimg"] for row in expected]
    for row, other in zip(found, expected, strict=True):
        assert row.keys() == other.keys()
        for name, value in row.items():
            # Another CPU rounds otherwise.
            assert math.isclose(value, other[name], rel_tol=0.02, abs_tol=0.02), name


def test_it_is_generated_from(runs, tmp_path):
    assert generate(["network=runs/old", "seeds=0-1", "label=0", "out=drawn", "precision=fp32"]) == 0
    drawn, expected = (
        np.asarray(Image.open(path)).astype(int)
        for path in (tmp_path / "drawn" / "grid.png", HERE / "old_run_continued" / "seeds_0_1.png")
    )
    assert drawn.shape == expected.shape and abs(drawn - expected).max() <= 2


def test_it_is_scored(runs, capsys):
    words = ["network=runs/old", "metrics=kid", "num_fakes=8", "precision=fp32"]
    assert evaluate(words) == 0
    assert "kid_builtin 1.17" in capsys.readouterr().out
