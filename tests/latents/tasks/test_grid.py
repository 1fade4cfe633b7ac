"""The task that draws one sheet."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from stylegan.images import read_image_text, read_png_text
from stylegan.latents import sheets
from stylegan.latents.drawer import Drawer
from stylegan.latents.outputs import Output
from stylegan.latents.provenance import read_sidecar
from stylegan.latents.tasks.blend import Blend
from stylegan.latents.tasks.directions import Directions
from stylegan.latents.tasks.grid import Grid
from stylegan.latents.tasks.images import Images
from stylegan.latents.tasks.style_mixing import StyleMixing
from stylegan.latents.tasks.time_lapse import TimeLapseVideo
from stylegan.latents.tasks.truncation import Truncation
from stylegan.media.settings import MediaSettings
from tests.latents.tasks.drawing import images_in, job, make_drawer, make_generator, pixels


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


TASKS = [
    (Grid, {}),
    (Truncation, {}),
    (StyleMixing, {"seeds": None, "rows": "0", "cols": "1", "layers": None}),
    (Blend, {"high": "other"}),
    (Directions, {"find": "sefa"}),
    (TimeLapseVideo, {"media": MediaSettings(format="png")}),
]


@pytest.mark.parametrize(("kind", "values"), TASKS)
@pytest.mark.parametrize("name", ["fakes.zip", "mine.txt"])
def test_a_zip_holds_no_sheet_and_a_file_is_no_folder(tmp_path, monkeypatch, kind, values, name):
    """Said before anything is drawn."""
    monkeypatch.setattr(Drawer, "ws", None)
    if name == "mine.txt":
        (tmp_path / name).touch()
    values = {"seeds": "0", **values}
    task = kind(**{key: value for key, value in values.items() if (key, value) != ("seeds", None)})
    line = (
        "fakes.zip: a zip holds what task=images draws"
        if name == "fakes.zip"
        else "mine.txt, which is a file"
    )
    with pytest.raises(ValueError, match=line):
        task.run(make_drawer(), Output(tmp_path / name))


@pytest.mark.parametrize("kind", [Grid, Images])
@pytest.mark.parametrize("format_", ["png", "png16"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_spare_cells_have_the_colour_that_is_asked_for(tmp_path, kind, format_, channels):
    generator = make_generator(channels=channels)
    values = dict(kind=kind, seeds="0-2", grid="3x2", format=format_)
    job(tmp_path, generator, **values).run()
    job(tmp_path, generator, **values, fill="red", out=tmp_path / "red").run()
    white, red = (
        cv2.imread(str(tmp_path / name / "grid.png"), cv2.IMREAD_UNCHANGED) for name in ("out", "red")
    )
    most = 255 if format_ == "png" else 65535
    assert (white[16:] == most).all()
    wanted = {1: 76, 3: [0, 0, 255], 4: [0, 0, 255, 255]}[channels]  # blue, green, red there
    assert (red[16:] == np.array(wanted) * (most // 255)).all()
    np.testing.assert_array_equal(white[:16], red[:16])
    assert read_sidecar(tmp_path / "red" / "grid.png")["fill"] == "red"
    assert "fill" not in read_sidecar(tmp_path / "out" / "grid.png")


@pytest.mark.parametrize(
    ("first", "named"), [({"grid": "3x1"}, "grid=3x1"), ({"format": "png16"}, "format=png16")]
)
def test_a_sheet_with_a_setting_that_is_not_asked_for_is_another(tmp_path, first, named):
    job(tmp_path, kind=Grid, seeds="0-2", **first).run()
    with pytest.raises(ValueError, match=f"grid.png is there already, made with .*{named}"):
        job(tmp_path, kind=Grid, seeds="0-2").run()


@pytest.mark.parametrize("kind", [Grid, Images])
def test_a_shape_of_more_cells_than_files_hold_is_refused_before_anything_is_drawn(tmp_path, kind):
    with pytest.raises(ValueError, match="the sheet would be 159,984x159,984 px, and at most"):
        job(tmp_path, kind=kind, seeds="0-3", grid="9999x9999").run()
    assert not (tmp_path / "out").exists()


def test_a_row_a_class_is_no_wider_than_its_format(tmp_path, monkeypatch):
    monkeypatch.setitem(sheets.LARGEST_SIDE_PX, "webp", 40)
    job(tmp_path, make_generator(c_dim=2), seeds="0-3", label="all", format="webp").run()
    assert Image.open(tmp_path / "out" / "grid.webp").size == (32, 32)
    assert len(list((tmp_path / "out").glob("seed*.webp"))) == 8
