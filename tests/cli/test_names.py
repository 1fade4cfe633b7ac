"""Names that are no UTF-8, as older systems and archives leave them."""

import os
import sys

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from stylegan.cli.generate import main as generate
from stylegan.cli.train import main
from tests.cli.test_train import SMALL


@pytest.mark.skipif(sys.platform != "linux", reason="file systems there hold text alone")
def test_classes_of_such_names_are_learned_and_drawn(tmp_path, monkeypatch):
    for name in (b"caf\xe9", b"th\xe9"):
        folder = os.path.join(os.fsencode(tmp_path), b"pictures", name)
        os.makedirs(folder)
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(
                os.path.join(folder, b"%d.png" % number).decode("utf-8", "surrogateescape")
            )
    monkeypatch.chdir(tmp_path)
    small = [word for word in SMALL if not word.startswith("data.")]
    words = [*small, "data=folder", "data.path=pictures", "data.labels=folders", "name=c", "metrics=none"]
    for total_kimg in (0.004, 0.008):  # begun, and continued by what config.yaml says
        assert main([*words, f"total_kimg={total_kimg}"]) == 0
    names = list(OmegaConf.load("runs/c/config.yaml").generator.label_names)
    assert [name[:-1] for name in names] == ["caf", "th"]
    assert generate(["network=runs/c", "seeds=0", f"label={names[0]}"]) == 0
