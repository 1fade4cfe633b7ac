"""The table of a projection: its numbers in closed form, worst first, and read back."""

import csv
import io
import json
import math

import pytest
import torch

from stylegan.latents.projection.quality import (
    Quality,
    as_csv,
    as_json,
    as_lines,
    mean_squared_error,
    psnr,
    worst_first,
)


def row(name, value, **other):
    fields = dict(psnr=value, mse=10 ** (-value / 10), loss=0.1, loss_name="multiscale", distance_to_mean=1.0)
    return Quality(name=name, best_step=7, **fields, **other)


def test_numbers_of_known_pictures():
    black, grey = torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.full((1, 3, 4, 4), 51, dtype=torch.uint8)
    (mse,) = mean_squared_error(grey, black)
    assert math.isclose(mse, 0.04, rel_tol=1e-6)
    assert psnr(0.04) == pytest.approx(13.9794, abs=1e-4)
    assert psnr(0) == psnr(1e-30) == 100


def test_a_mask_weighs_pixels():
    target = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    image = torch.tensor([[[[255, 0], [0, 51]]]], dtype=torch.uint8)
    masks = torch.tensor([[[[0.0, 1.0], [1.0, 0.5]]]])
    assert float(mean_squared_error(image, target, masks)) == pytest.approx(0.5 * 0.04 / 2.5)


def test_colours_that_cannot_be_seen_count_nothing():
    target = torch.zeros(1, 4, 2, 2, dtype=torch.uint8)
    image = target.clone()
    image[:, :3] = 200
    assert mean_squared_error(image, target) == 0
    image[:, 3] = 255
    assert mean_squared_error(image, target) > 0.25


def test_the_worst_comes_first_and_everything_is_read_back():
    rows = [row("b.png", 20.0), row("a,1.png", 10.0, label="fox", tuned_rounds=3), row("a.png", 20.0)]
    order = ["a,1.png", "a.png", "b.png"]
    assert [each.name for each in worst_first(rows)] == order
    table = list(csv.DictReader(io.StringIO(as_csv(rows).decode())))
    assert [each["name"] for each in table] == order
    assert (table[0]["psnr"], table[0]["tuned_rounds"], table[1]["tuned_rounds"]) == ("10", "3", "")
    assert [Quality(**each) for each in json.loads(as_json(rows))] == worst_first(rows)


def test_lines_show_the_worst_and_the_mean():
    lines = as_lines([row(f"{place:02d}.png", 10.0 + place) for place in range(30)], most=4)
    assert len(lines) == 7
    assert lines[1].split()[:2] == ["00.png", "10.00"]
    assert lines[5] == "and 26 more, all better"
    assert lines[6].split()[:2] == ["mean", "24.50"]
