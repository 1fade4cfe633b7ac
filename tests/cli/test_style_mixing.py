"""Style mixing from the command line."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from scipy.ndimage import gaussian_filter

from stylegan.cli.generate import main
from stylegan.interop import save_generator
from stylegan.latents.drawer import Drawer
from stylegan.latents.latent_files import write_latents
from stylegan.latents.points import Point
from stylegan.latents.tasks.style_mixing import StyleMixing
from tests.latents.networks import make_generator

SHEET = "style-mixing.png"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_generator("net.safetensors", make_generator())
    return tmp_path


def mixing(*words):
    return main(["task=style_mixing", "network=net.safetensors", "out=out", "device=cpu", *words])


def cells(path, rows, columns):
    """[rows, columns, H, W, C] of a sheet."""
    return cells_of(np.asarray(Image.open(path)), rows, columns)


def cells_of(pixels, rows, columns):
    height, width = pixels.shape[0] // rows, pixels.shape[1] // columns
    return pixels.reshape(rows, height, columns, width, -1).swapaxes(1, 2)


def pictures(seeds, *words, network="net"):
    """{seed: pixels} of `task=images`."""
    out = f"of-{network}"
    text = ",".join(map(str, seeds))
    assert main([f"network={network}.safetensors", f"seeds={text}", f"out={out}", "device=cpu", *words]) == 0
    return {seed: np.asarray(Image.open(f"{out}/seed{seed:04d}.png")) for seed in seeds}


def test_rows_and_columns_are_the_images_of_the_images_task_in_the_order_given(here, capsys):
    assert mixing("rows=5,1", "cols=9,3,9", "layers=0-2") == 0
    assert "layers 0-2 of 8: b4 (0), b8 (1-2)" in capsys.readouterr().out
    sheet = cells(f"out/{SHEET}", 3, 4)
    assert sheet.shape == (3, 4, 32, 32, 3)
    assert (sheet[0, 0] == 255).all()
    alone = pictures((9, 3, 5, 1), "truncation=0.7")
    for place, seed in enumerate((9, 3, 9), start=1):
        assert np.array_equal(sheet[0, place], alone[seed])
    for place, seed in enumerate((5, 1), start=1):
        assert np.array_equal(sheet[place, 0], alone[seed])
    assert np.array_equal(sheet[1, 1], sheet[1, 3]) and not np.array_equal(sheet[1, 1], sheet[2, 1])


@pytest.mark.long
def test_all_layers_copy_the_rows_which_may_be_pictures(here):
    alone = pictures((5,), "truncation=0.7")
    assert mixing("rows=of-net/seed0005.png,1", "cols=9,3", "layers=all") == 0
    sheet = cells(f"out/{SHEET}", 3, 3)
    assert np.array_equal(sheet[1, 0], alone[5])
    for row in (1, 2):
        assert np.array_equal(sheet[row, 1], sheet[row, 0]) and np.array_equal(sheet[row, 2], sheet[row, 0])


def test_only_mix_leaves_the_mixed_cells_as_they_were(here):
    assert mixing("rows=5,1", "cols=9,3,4") == 0
    assert mixing("rows=5,1", "cols=9,3,4", "only_mix=true", "out=alone") == 0
    assert np.array_equal(cells(f"alone/{SHEET}", 2, 3), cells(f"out/{SHEET}", 3, 4)[1:, 1:])


def test_what_is_in_each_cell_is_next_to_the_sheet(here):
    assert mixing("rows=5,1", "cols=9", "latents=true") == 0
    sidecar = json.loads((here / "out" / f"{SHEET}.json").read_text())
    assert sidecar["layers"] == "0,1,2,3,4,5" and sidecar["truncation"] == "0.7"
    assert sidecar["cells"] == [
        {},
        {"column": {"seed": "9"}},
        {"row": {"seed": "5"}},
        {"row": {"seed": "5"}, "column": {"seed": "9"}},
        {"row": {"seed": "1"}},
        {"row": {"seed": "1"}, "column": {"seed": "9"}},
    ]


@pytest.mark.long
def test_saved_latents_draw_the_mixed_cells_again(here):
    assert mixing("rows=5,1", "cols=9,3", "latents=true") == 0
    mixed = cells(f"out/{SHEET}", 3, 3)[1:, 1:].reshape(4, 32, 32, 3)
    assert main(["network=net.safetensors", "seeds=out/style-mixing.npz", "out=again", "device=cpu"]) == 0
    for number in range(4):
        assert np.array_equal(mixed[number], np.asarray(Image.open(f"again/style-mixing-{number:03d}.png")))


def test_a_sheet_that_is_there_stays_and_another_is_refused(here, capsys):
    assert mixing("rows=5", "cols=9") == 0
    before = (here / "out" / SHEET).read_bytes()
    assert mixing("rows=5", "cols=9") == 0
    assert "is there already, and stays as it is" in capsys.readouterr().out
    assert mixing("rows=5", "cols=9", "layers=fine") == 2
    assert "layers=0,1,2,3,4,5" in capsys.readouterr().err
    assert (here / "out" / SHEET).read_bytes() == before
    assert mixing("rows=5", "cols=9", "layers=fine", "overwrite=true") == 0
    assert (here / "out" / SHEET).read_bytes() != before


@pytest.mark.parametrize(
    "name",
    ["png16", pytest.param("jpeg", marks=pytest.mark.long), pytest.param("webp", marks=pytest.mark.long)],
)
def test_other_formats_of_images(here, name):
    assert mixing("rows=5", "cols=9", f"format={name}") == 0
    ending = {"jpeg": "jpg", "webp": "webp", "png16": "png"}[name]
    with Image.open(here / "out" / f"style-mixing.{ending}") as image:
        assert image.size == (64, 64)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["layers=6-4"], "layers=6-4: this range is empty; write 4-6"),
        (
            ["layers=9"],
            "layers=9: this network lacks layer 9; it has 8, numbered 0 to 7, in blocks b4 to b32",
        ),
        (["rows=0-999", "cols=0-999"], "the sheet would be 32,032x32,032 px"),
        (["format=mp4", "fps=0"], "fps must be"),
        (["seeds=1"], "there is no key seeds"),
    ],
)
def test_a_slip_is_one_line_and_writes_nothing(here, capsys, words, line):
    assert mixing(*words) == 2
    error = capsys.readouterr().err.strip()
    assert line in error and "\n" not in error
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (dict(layers="low"), "layers=low: these are no layers"),
        (dict(rows=""), "rows is empty"),
        (dict(cols="fox"), "cols=fox: neither a seed"),
        (dict(rows="gone.npz"), "rows=gone.npz: there is no such file"),
        (
            dict(format="bmp"),
            "format must be one of png, jpeg, webp, png16 for a sheet, or mp4, webm, gif, apng for a video, got 'bmp'",
        ),
        (dict(format="mp4", duration_sec=-1.0), "duration_sec must be above 0, got -1.0"),
        (dict(format="mp4", duration_sec=math.nan), "duration_sec must be above 0, got nan"),
        (
            dict(format="mp4", duration_sec=1e6),
            "duration_sec=1e+06 is 30,000,000 frames, and the most are 1,000,000",
        ),
        (dict(format="mp4", smoothing_sec=-1.0), "smoothing_sec must be 0 or more, got -1.0"),
        (dict(fill="whitish"), "fill must be a colour"),
        (dict(quality=0), "quality must be from 1 to 100, got 0"),
    ],
)
def test_what_is_wrong_with_any_network_is_found_without_one(options, line):
    with pytest.raises(ValueError) as caught:
        StyleMixing(**({"rows": "1", "cols": "2", "layers": "coarse"} | options))
    assert str(caught.value).startswith(line)


def test_the_rows_of_a_video_are_seeds(here):
    write_latents(here / "fox.npz", w=torch.zeros(1, 8, 8))
    with pytest.raises(ValueError, match="^rows=fox.npz: only seeds"):
        StyleMixing(rows="fox.npz", cols="9", layers="coarse", format="mp4")


def test_a_moving_row_gives_its_layers_to_still_columns(here):
    """Read back by another program's reader than ours."""
    words = ["rows=5", "cols=9,3", "format=apng", "duration_sec=0.5", "fps=6", "smoothing_sec=0.2"]
    assert mixing(*words) == 0
    with Image.open(here / "out" / "style-mixing.png") as video:
        assert (video.n_frames, video.size) == (3, (96, 64))
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(video)]
    columns = cells_of(frames[0], 2, 3)[0]
    alone = pictures((9, 3), "truncation=0.7")
    assert np.array_equal(columns[1], alone[9]) and np.array_equal(columns[2], alone[3])
    for frame in frames[1:]:
        assert np.array_equal(cells_of(frame, 2, 3)[0], columns)
        assert not np.array_equal(frame[32:], frames[0][32:])
    z = gaussian_filter(np.random.RandomState(5).randn(3, 8), [1.2, 0], mode="wrap").astype(np.float32)
    drawer = Drawer(make_generator(), device="cpu", truncation=0.7)
    moving = drawer.images(drawer.ws([Point(name="", source="", z=torch.from_numpy(row)) for row in z]))
    for frame, image in zip(frames, moving, strict=True):
        assert np.array_equal(cells_of(frame, 2, 3)[1, 0], image.permute(1, 2, 0).numpy())
