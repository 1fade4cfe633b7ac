"""The notebook runs from top to bottom, as a notebook program would run it, on small numbers."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs/from_photographs_to_a_loop.ipynb"


def cells():
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


def run_cell(source, names):
    """Lines with `!` are commands with {names} filled in, those with `%` change the notebook's own state."""
    if source.startswith("%"):
        return
    if source.startswith("!"):
        words = shlex.split(source[1:].format(**names))
        assert words[0] == "python"
        subprocess.run([sys.executable, *words[1:]], cwd=ROOT, check=True)
        return
    exec(compile(source, str(NOTEBOOK), "exec"), names)


@pytest.mark.long
def test_the_notebook_makes_a_video_of_a_folder_of_pictures(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((40, 48)).save(pictures / f"{number}.jpg")
    small = {
        "PROJECT": str(ROOT),
        "PICTURES": str(pictures),
        "RUNS": str(tmp_path / "runs"),
        "RESOLUTION": 32,
    }
    small |= {
        "TOTAL_KIMG": 0.016,
        "EXTRA": "preset=tiny batch_size=8 metrics=none trainer=cpu",
        "LEG_SEC": 0.2,
    }
    names = {}
    for source in cells():
        run_cell(source, names)
        # What is set at the top is small here.
        names |= {key: value for key, value in small.items() if key in names}
    assert names["video"].suffix == ".mp4" and names["video"].stat().st_size > 1000


def test_the_notebook_holds_no_outputs_and_names_only_what_it_sets():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert all(not cell.get("outputs") for cell in json.loads(text)["cells"])
    code = list(cells())
    for key in ("PICTURES", "RUNS", "RESOLUTION", "TOTAL_KIMG", "EXTRA", "PROJECT"):
        assert f"{key} = " in code[0] and sum(f"{{{key}}}" in cell for cell in code) + sum(
            key in c for c in code[1:]
        )
