"""The task that draws one sheet."""

import json

import numpy as np
import pytest
from PIL import Image

from stylegan.images import read_image_text, read_png_text
from stylegan.latents import sheets
from stylegan.latents.provenance import read_sidecar
from stylegan.latents.tasks.grid import Grid
from tests.latents.tasks.drawing import images_in, job, make_generator, pixels


def cell(sheet, column, row, side=16):
    return sheet[row * side : (row + 1) * side, column * side : (column + 1) * side]


def test_the_order_given_repeats_kept_each_cell_that_of_the_task_images(tmp_path):
    values = dict(seeds="5-3,4,5", truncation=0.7, noise_mode="random")
    generator = make_generator(noise=True)
    job(tmp_path, generator, kind=Grid, grid="3x2", **values).run()
    job(tmp_path, generator, out=tmp_path / "images", **values).run()
    sheet = pixels(tmp_path / "out" / "grid.png")
    assert images_in(tmp_path / "out") == ["grid.png"] and sheet.shape == (32, 48, 3)
    for number, seed in enumerate((5, 4, 3, 4, 5)):
        image = pixels(tmp_path / "images" / f"seed000{seed}.png")
        np.testing.assert_array_equal(cell(sheet, number % 3, number // 3), image)
    assert (cell(sheet, 2, 1) == 255).all()
    cells = read_sidecar(tmp_path / "out" / "grid.png")["cells"]
    assert [(each["column"], each["row"], each["seed"]) for each in cells] == [
        *((0, 0, "5"), (1, 0, "4"), (2, 0, "3")),
        *((0, 1, "4"), (1, 1, "5")),
    ]
    assert json.loads(read_png_text(tmp_path / "out" / "grid.png")["cells"]) == cells


def test_a_row_a_class_or_another_shape(tmp_path):
    generator = make_generator(c_dim=3, label_names=("corgi", "fox", "owl"))
    job(tmp_path, generator, kind=Grid, seeds="0-3", label="all").run()
    sheet = pixels(tmp_path / "out" / "grid.png")
    assert sheet.shape == (48, 64, 3)
    job(tmp_path, generator, seeds="0-3", label="all", out=tmp_path / "images").run()
    np.testing.assert_array_equal(cell(sheet, 3, 1), pixels(tmp_path / "images" / "seed0003-class1.png"))
    labels = [each["label"] for each in read_sidecar(tmp_path / "out" / "grid.png")["cells"]]
    assert labels == ["corgi"] * 4 + ["fox"] * 4 + ["owl"] * 4
    job(tmp_path, generator, kind=Grid, seeds="0-3", label="all", grid="6x2", out=tmp_path / "wide").run()
    assert pixels(tmp_path / "wide" / "grid.png").shape == (32, 96, 3)


@pytest.mark.parametrize(
    "options", [{"channels": 1}, {"channels": 4}, {"channels": 6}, {"resolution": (24, 40)}]
)
@pytest.mark.parametrize(
    ("name", "ending"), [("png", "png"), ("png16", "png"), ("jpeg", "jpg"), ("webp", "webp")]
)
def test_every_kind_of_image_in_every_format(tmp_path, options, name, ending):
    generator = make_generator(**options)
    job(tmp_path, generator, kind=Grid, seeds="0-4", format=name).run()
    path = tmp_path / "out" / f"grid.{ending}"
    height, width = generator.size
    assert Image.open(path).size == (3 * width, 2 * height)
    assert read_image_text(path, ending=ending)["seeds"] == "0,1,2,3,4"


def test_the_same_sheet_stays_and_another_is_refused(tmp_path, capsys):
    job(tmp_path, kind=Grid, seeds="0-2").run()
    before = (tmp_path / "out" / "grid.png").read_bytes()
    job(tmp_path, kind=Grid, seeds="0-2").run()
    assert "grid.png is there already, and stays as it is" in capsys.readouterr().out
    for values in ({"seeds": "0-3"}, {"grid": "1x3"}, {"truncation": 0.5}, {"format": "png16"}):
        with pytest.raises(ValueError, match="grid.png is there already, made with .*overwrite=true"):
            job(tmp_path, kind=Grid, **{"seeds": "0-2", **values}).run()
    assert (tmp_path / "out" / "grid.png").read_bytes() == before
    job(tmp_path, kind=Grid, seeds="0-3", overwrite=True).run()
    assert pixels(tmp_path / "out" / "grid.png").shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"seeds": "0-9", "grid": "3x3"},
            "grid=3x3 has 9 cells, and there are 10 images; grid=4x3 holds them",
        ),
        ({"grid": "0x3"}, "grid must be columns x rows, as in 6x4, got 0x3"),
        ({"grid": "axb"}, "grid must be columns x rows"),
        ({"format": "gif"}, "format must be one of png, jpeg, webp, png16, got 'gif'"),
        ({"seeds": "0-40"}, "the sheet would be 112x96 px, and at most 10,000 px can be; take fewer images"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, values, message):
    monkeypatch.setattr(sheets, "MAX_GRID_PX", 10_000)
    with pytest.raises(ValueError, match=message):
        job(tmp_path, kind=Grid, **values).run()
    assert not (tmp_path / "out").exists()


def test_a_zip_holds_no_sheet(tmp_path):
    with pytest.raises(ValueError, match="fakes.zip: a zip holds what task=images draws; name a folder"):
        job(tmp_path, kind=Grid, out=tmp_path / "fakes.zip").run()
