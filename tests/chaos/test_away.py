"""Images that are away while training: the run waits, stops with what it has, and continues with no other bit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.sampler import ResumableSampler
from stylegan.cli.train import main
from tests.chaos.comparing import differences
from tests.chaos.test_exact import SMALL
from tests.forked import run_command

IMAGES, BATCH = 60, 8
# First shown in the fourth batch.
ITEM = int(ResumableSampler(num_items=IMAGES, batch_size=BATCH, seed=0).indices(np.array([27]))[0])


def run(place: Path, *arguments: str):
    words = [word for word in SMALL if not word.startswith("data.") and "checkpoint" not in word]
    folder = [
        *(
            "data=folder",
            f"data.path={place / 'set'}",
            f"data.cache_dir={place / 'kept'}",
            "total_kimg=0.064",
        ),
        *("data._target_=killing.AwayFolder", f"+data.away={ITEM:02}.png", f"+data.sign={place / 'sign'}"),
    ]
    return run_command(main, [*words, *folder, *arguments], place, path=[Path(__file__).parent])


@pytest.fixture
def place(tmp_path) -> Path:
    (tmp_path / "set").mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "set" / f"{number:02}.png")
    return tmp_path


@pytest.mark.parametrize(
    "kind",
    [
        "data.workers=0",
        pytest.param("data.workers=2", marks=pytest.mark.long),
        pytest.param("trainer.devices=2", marks=pytest.mark.long),
    ],
)
def test_a_run_waits_then_stops_with_a_checkpoint_and_continues(place, kind):
    (place / "sign").touch()
    stopped = run(place, "name=halves", kind, "data.patience_sec=0.7")
    said = stopped.stdout + stopped.stderr
    assert stopped.returncode == 75, said
    assert "Traceback" not in said and "shown in its place" not in said
    name = f"{ITEM:02}.png"
    assert said.count(f"{name} now (Input/output error); trying again for up to 0.7 s") == 1, said
    assert f"{name} (Input/output error, tried for 0.7 s" in said and "the same command continues" in said
    # Three batches were whole when the fourth could not be read: none of them is lost.
    assert "interrupted at kimg 0.024; the same command continues from kimg0000000.024.ckpt" in said
    (place / "sign").unlink()
    assert run(place, "name=halves", kind).returncode == 0
    assert run(place, "name=whole", kind).returncode == 0
    assert differences(place / "runs" / "whole", place / "runs" / "halves") == []
