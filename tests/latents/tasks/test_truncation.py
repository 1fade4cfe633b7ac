"""The task that draws a sheet over psi."""

import numpy as np
import pytest
import torch

from stylegan.images import read_png_text, to_uint8
from stylegan.latents.latent_files import write_latents
from stylegan.latents.provenance import read_sidecar
from stylegan.latents.sampling import Sampler
from stylegan.latents.tasks.truncation import Truncation
from tests.latents.tasks.drawing import images_in, job, make_generator, pixels

PSIS = (-0.5, 0.0, 0.7, 1.0, 1.5)


def test_each_cell_is_that_of_the_task_images_with_its_psi(tmp_path):
    generator = make_generator(noise=True)
    values = dict(seeds="4,2", noise_mode="random")
    job(tmp_path, generator, kind=Truncation, psis="-0.5,0,0.7,1,1.5", **values).run()
    sheet = pixels(tmp_path / "out" / "truncation.png")
    assert images_in(tmp_path / "out") == ["truncation.png"] and sheet.shape == (32, 80, 3)
    for column, psi in enumerate(PSIS):
        job(tmp_path, generator, truncation=psi, out=tmp_path / str(psi), **values).run()
        for row, seed in enumerate((4, 2)):
            cell = sheet[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            np.testing.assert_array_equal(cell, pixels(tmp_path / str(psi) / f"seed000{seed}.png"))
    text = read_png_text(tmp_path / "out" / "truncation.png")
    assert (text["seeds"], text["psis"]) == ("4,2", "-0.5,0,0.7,1,1.5") and "truncation" not in text
    cells = read_sidecar(tmp_path / "out" / "truncation.png")["cells"]
    assert cells[7] == {"column": 2, "row": 1, "psi": 0.7, "seed": "2"}


def test_a_w_of_a_file_is_truncated_here(tmp_path):
    generator = make_generator(noise=True)
    ws = Sampler(generator).map(torch.from_numpy(np.random.RandomState(3).randn(1, 8)).float())
    write_latents(tmp_path / "fox.npz", w=ws)
    job(tmp_path, generator, kind=Truncation, seeds=f"3,{tmp_path / 'fox.npz'}", psis="0,0.5,1").run()
    sheet = pixels(tmp_path / "out" / "truncation.png")
    np.testing.assert_array_equal(sheet[:16], sheet[16:])
    average = generator.mapping.w_avg.expand(1, 6, -1)
    expected = to_uint8(Sampler(generator).draw(average))[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(sheet[:16, :16], expected)


def test_cutoff_center_and_label_reach_it(tmp_path):
    generator = make_generator(noise=True, c_dim=3)
    values = dict(seeds="1", label="2", truncation_cutoff=3, center=7)
    job(tmp_path, generator, kind=Truncation, psis=0.5, **values).run()
    job(tmp_path, generator, truncation=0.5, out=tmp_path / "images", **values).run()
    np.testing.assert_array_equal(
        pixels(tmp_path / "out" / "truncation.png"), pixels(tmp_path / "images" / "seed0001.png")
    )
    text = read_png_text(tmp_path / "out" / "truncation.png")
    assert (text["label"], text["truncation_cutoff"], text["center"]) == ("2", "3", "7")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"psis": "0,x"},
            "psis must be a number, as in 0.7, got 'x'; write numbers between commas, as in psis=0,0.5,1",
        ),
        ({"psis": "1e9"}, "psis must be between -100 and 100"),
        ({"seeds": "fox.npz"}, "seeds=fox.npz: there is no such file"),
        ({"label": "all"}, "label=all: the rows are the points here; name one class"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, values, message):
    generator = make_generator(c_dim=3)
    with pytest.raises(ValueError, match=message):
        job(tmp_path, generator, kind=Truncation, **{"label": 0, **values}).run()
    assert not (tmp_path / "out").exists()


def test_the_same_sheet_stays_and_another_is_refused(tmp_path, capsys):
    job(tmp_path, kind=Truncation, psis="0,1").run()
    job(tmp_path, kind=Truncation, psis="0,1.0").run()
    assert "truncation.png is there already, and stays" in capsys.readouterr().out
    with pytest.raises(ValueError, match="truncation.png is there already, made with psis=0,1"):
        job(tmp_path, kind=Truncation, psis="0,0.5").run()
