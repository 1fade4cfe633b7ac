"""Augmentation of a run: the largest p up to a checkpoint, by what the run has recorded."""

import json

import pytest
from omegaconf import OmegaConf

from stylegan.runs.augmentation import augment_p_of
from stylegan.runs.folder import RunFolder


def run_with(path, ada=None, rows=()):
    if ada is not None:
        OmegaConf.save(OmegaConf.create({"generator": {}, "ada": ada}), path / "config.yaml")
    lines = [{"Progress/kimg": {"mean": kimg}, "Progress/augment": {"mean": p}} for kimg, p in rows]
    if lines:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (path / "stats.jsonl").write_text(
            text + '{"Progress/kimg": {"mea'
        )  # a last line that a kill cut short
    return RunFolder(path)


@pytest.mark.parametrize(
    ("ada", "rows", "images", "p"),
    [
        (None, [], None, None),
        ({"mode": "adaptive"}, [], 4000, None),
        ({"mode": "none"}, [], 4000, 0.0),
        ({"mode": "none"}, [(4, 0.3), (8, 0.0)], 8000, 0.3),
        ({"mode": "fixed", "p_init": 0.2}, [], None, 0.2),
        ({"mode": "adaptive"}, [(4, 0.1), (8, 0.5), (12, 0.2)], 12000, 0.5),
        ({"mode": "adaptive"}, [(4, 0.1), (8, 0.5), (12, 0.2)], 4000, 0.1),
        ({"mode": "adaptive"}, [(4, 0.1), (8, 0.5)], 2000, None),
        ({"mode": "adaptive"}, [(4, 0.1), (8, 0.5)], None, 0.5),
    ],
)
def test_the_largest_so_far(tmp_path, ada, rows, images, p):
    assert augment_p_of(run_with(tmp_path, ada, rows), images) == p


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "generator: {}\nada: 3"])
def test_a_strange_configuration_says_nothing(tmp_path, text):
    run = run_with(tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    assert augment_p_of(run, None) is None
