"""The task that writes one file a point and the grid."""

import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from stylegan.images import read_image_text, read_png_text, to_uint8, to_uint16
from stylegan.latents import sheets
from stylegan.latents.latent_files import read_latents, write_latents
from stylegan.latents.provenance import read_sidecar
from stylegan.latents.sampling import Sampler
from stylegan.networks.digest import weights_sha256
from tests.latents.tasks.drawing import content, images_in, job, make_drawer, make_generator, pixels


def test_one_file_a_seed_numbered_by_seed_and_the_grid(tmp_path):
    generator = make_generator()
    job(tmp_path, generator, seeds="12345,3-4").run()
    out = tmp_path / "out"
    assert images_in(out) == [
        "grid.png",
        "seed0003.png",
        "seed0004.png",
        "seed12345.png",
    ]
    ((seeds, images),) = Sampler(generator).of_seeds((12345, 3, 4))
    expected = to_uint8(images).permute(0, 2, 3, 1).numpy()
    for seed, image in zip(seeds, expected, strict=True):
        np.testing.assert_array_equal(pixels(out / f"seed{seed:04d}.png"), image)
    grid = pixels(out / "grid.png")
    assert grid.shape == (32, 32, 3)
    np.testing.assert_array_equal(grid[:16, :16], expected[0])
    np.testing.assert_array_equal(grid[:16, 16:], expected[1])
    np.testing.assert_array_equal(grid[16:, :16], expected[2])
    assert (grid[16:, 16:] == 255).all()


def test_a_seed_is_the_same_file_alone_and_among_others(tmp_path):
    for noise_mode in ("const", "random"):
        alone, among = (tmp_path / f"{name} {noise_mode}" for name in ("alone", "among"))
        job(tmp_path, seeds="7", out=alone, noise_mode=noise_mode).run()
        job(tmp_path, seeds="0-40", out=among, noise_mode=noise_mode).run()
        name = "seed0007.png"
        assert (alone / name).read_bytes() == (among / name).read_bytes()


def test_grey_pictures_stay_grey(tmp_path):
    job(tmp_path, make_generator(channels=1)).run()
    assert pixels(tmp_path / "out" / "seed0000.png").shape == (16, 16)


def test_the_images_say_their_origin(tmp_path):
    values = dict(truncation=0.7, label="1", noise_mode="none", precision="fp32")
    values["provenance"] = {"network": "nëtwork, 1.ckpt"}
    generator = make_generator(c_dim=3)
    job(tmp_path, generator, seeds="2,5", **values).run()
    common = dict(network="nëtwork, 1.ckpt", truncation="0.7", label="1", noise_mode="none", precision="fp32")
    common["weights"] = weights_sha256(generator)
    assert read_png_text(tmp_path / "out" / "seed0005.png") == common | {"seed": "5"}
    grid = read_png_text(tmp_path / "out" / "grid.png")
    cells = json.loads(grid.pop("cells"))
    assert grid == common | {"seeds": "2,5"}
    assert cells == [
        {"column": 0, "row": 0, "seed": "2", "label": "1"},
        {"column": 1, "row": 0, "seed": "5", "label": "1"},
    ]
    assert read_sidecar(tmp_path / "out" / "seed0005.png") == common | {"seed": "5"}
    assert read_sidecar(tmp_path / "out" / "grid.png") == common | {"seeds": "2,5", "cells": cells}


def test_the_label_chooses_the_class(tmp_path):
    generator = make_generator(c_dim=3)
    for label in (0, 2):
        job(tmp_path, generator, label=label, out=tmp_path / str(label)).run()
    c = torch.tensor([[0.0, 0.0, 1.0]])
    ws = Sampler(generator).map(torch.from_numpy(np.random.RandomState(0).randn(1, 8)).float(), c)
    expected = to_uint8(Sampler(generator).draw(ws))[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(pixels(tmp_path / "2" / "seed0000.png"), expected)
    assert (pixels(tmp_path / "0" / "seed0000.png") != expected).any()


def test_a_grid_that_would_be_too_large_shows_the_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sheets, "MAX_GRID_PX", 5 * 16 * 16)
    job(tmp_path, seeds="0-40").run()
    assert pixels(tmp_path / "out" / "grid.png").shape == (32, 48, 3)
    assert read_png_text(tmp_path / "out" / "grid.png")["seeds"] == "0,1,2,3,4"
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "16 of 41 images",
        "32 of 41 images",
        f"41 images of 16x16 px in {tmp_path / 'out'}, the first 5 together in {tmp_path / 'out' / 'grid.png'}",
    ]


@pytest.mark.parametrize(
    "values, message",
    [
        ({"seeds": "3-x"}, "seeds=3-x: neither a seed, nor a range as in 0-15, nor a file of latents"),
        ({"seeds": ""}, "seeds is empty: write seeds, ranges or latent files"),
        ({"seeds": "fox.npz"}, "seeds=fox.npz: there is no such file"),
        ({"format": "tiff"}, "format must be one of png, jpeg, webp, png16, got 'tiff'"),
        ({"quality": 0}, "quality must be from 1 to 100, got 0"),
        ({"grid": "3"}, "grid must be columns x rows, as in 6x4, got 3"),
        (
            {"seeds": "0-9", "grid": "3x3"},
            "grid=3x3 has 9 cells, and there are 10 images; grid=4x3 holds them",
        ),
        ({"truncation_cutoff": 7}, "truncation_cutoff must be from 0 to the network's 6 layers, got 7"),
        ({"truncation_cutoff": -1}, "truncation_cutoff must be from 0 to the network's 6 layers, got -1"),
        ({"truncation": "much"}, "truncation must be a number, as in 0.7, got .?much"),
        ({"truncation": True}, "truncation must be a number, as in 0.7, got .?True"),
        ({"truncation": "nan"}, "truncation must be a number, as in 0.7, got .?nan"),
        ({"noise_mode": "some"}, "noise_mode must be one of const, random, none, got 'some'"),
        ({"label": 0}, "was trained without labels; leave label out"),
        ({"device": "cuda:77"}, "device=cuda:77 cannot be used here"),
        ({"truncation": 1e300}, r"truncation must be between -100 and 100, got 1e\+300"),
        ({"device": "meta"}, "device=meta cannot be used here"),
        ({"device": "toaster"}, "device=toaster cannot be used here"),
    ],
)
def test_a_wrong_value_is_named_before_anything_is_drawn(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        job(tmp_path, **values).run()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("label", ["3", "-1", "cat", "1.0", "²"])
def test_a_label_that_is_not_a_class_is_refused_with_the_classes(tmp_path, label):
    with pytest.raises(
        ValueError, match=f"^label={label}: .*3 classes; say which, label=0 to label=2, or label=all$"
    ):
        job(tmp_path, make_generator(c_dim=3), label=label).run()


def test_a_network_with_labels_asks_for_one(tmp_path):
    with pytest.raises(ValueError, match="^label is missing: .*3 classes"):
        job(tmp_path, make_generator(c_dim=3)).run()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(ValueError, match="is a file"):
        job(tmp_path).run()


def test_a_class_can_be_named(tmp_path):
    generator = make_generator(c_dim=3, label_names=("corgi", "fox", "owl"))
    for label in ("fox", 1):
        job(tmp_path, generator, label=label, out=tmp_path / str(label)).run()
    named, numbered = (pixels(tmp_path / label / "seed0000.png") for label in ("fox", "1"))
    np.testing.assert_array_equal(named, numbered)
    for label in ("fox", "1"):
        assert read_png_text(tmp_path / label / "seed0000.png")["label"] == "fox"


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_grey_and_alpha_are_kept(tmp_path, channels):
    generator = make_generator(channels=channels)
    job(tmp_path, generator).run()
    ((_, images),) = Sampler(generator).of_seeds((0,))
    expected = to_uint8(images)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(
        pixels(tmp_path / "out" / "seed0000.png").reshape(16, 16, channels), expected
    )


def test_more_than_four_channels_are_kept_next_to_what_can_be_shown(tmp_path):
    generator = make_generator(channels=5)
    job(tmp_path, generator, seeds="3").run()
    ((_, images),) = Sampler(generator).of_seeds((3,))
    expected = to_uint8(images)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "seed0003.npy"), expected)
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "seed0003.png"), expected[:, :, :3])


def w_file(tmp_path, generator, name="fox.npz", *, seeds=(3,), **more):
    w = Sampler(generator).map(
        torch.from_numpy(np.stack([np.random.RandomState(s).randn(8) for s in seeds])).float()
    )
    write_latents(tmp_path / name, w=w, **more)
    return tmp_path / name


def test_latents_of_files_are_named_by_their_files_and_drawn_as_they_are(tmp_path):
    generator = make_generator(noise=True)
    path = w_file(tmp_path, generator, "walk.npz", seeds=(3, 4))
    job(tmp_path, generator, seeds=f"4,{path}", truncation=0.3).run()
    out = tmp_path / "out"
    assert images_in(out) == [
        *("grid.png", "seed0004.png"),
        *("walk-000.png", "walk-000.png.npz", "walk-001.png", "walk-001.png.npz"),
    ]
    ((_, expected),) = Sampler(generator).of_seeds((3, 4))
    for number, image in enumerate(to_uint8(expected).permute(0, 2, 3, 1).numpy()):
        np.testing.assert_array_equal(pixels(out / f"walk-00{number}.png"), image)
    text = read_png_text(out / "walk-001.png")
    assert text["source"] == "walk.npz[1]" and len(text["latent"]) == 64 and "seed" not in text


def test_a_picture_of_ours_is_its_seed_or_latent(tmp_path):
    generator = make_generator(noise=True)
    path = w_file(tmp_path, generator)
    job(tmp_path, generator, seeds=f"7,{path}", noise_mode="random").run()
    out = tmp_path / "out"
    named = f"{out / 'seed0007.png'},{out / 'fox.png'}"
    job(tmp_path, generator, seeds=named, noise_mode="random", out=tmp_path / "again").run()
    assert content(tmp_path / "again").keys() == content(out).keys()
    for name in ("seed0007.png", "fox.png"):
        np.testing.assert_array_equal(pixels(out / name), pixels(tmp_path / "again" / name))


def test_noise_of_a_latent_is_its_own_wherever_its_file_lies(tmp_path):
    """Keyed by the digest: alone or among others, under another name, and not that of a seed."""
    generator = make_generator(noise=True)
    values = dict(noise_mode="random", truncation=1.0)
    one, two = (w_file(tmp_path, generator, name) for name in ("one.npz", "two.npz"))
    job(tmp_path, generator, seeds=f"3,{one}", out=tmp_path / "a", **values).run()
    job(tmp_path, generator, seeds=f"0-20,{two}", out=tmp_path / "b", **values).run()
    np.testing.assert_array_equal(pixels(tmp_path / "a" / "one.png"), pixels(tmp_path / "b" / "two.png"))
    assert (pixels(tmp_path / "a" / "one.png") != pixels(tmp_path / "a" / "seed0003.png")).any()


def test_noise_maps_of_a_file_are_drawn_with(tmp_path):
    generator = make_generator(noise=True)
    maps = {name: torch.zeros(1, 1, *size) for name, size in generator.synthesis.noise_layers}
    path = w_file(tmp_path, generator, noise=maps)
    for noise_mode in ("const", "random"):
        out = tmp_path / noise_mode
        job(tmp_path, generator, seeds=f"{path},3", noise_mode=noise_mode, out=out).run()
        ((_, expected),) = Sampler(generator).of_seeds((3,), noise_mode="none")
        np.testing.assert_array_equal(pixels(out / "fox.png"), to_uint8(expected)[0].permute(1, 2, 0).numpy())
        assert (pixels(out / "fox.png") != pixels(out / "seed0003.png")).any()
    (row,) = read_latents(tmp_path / "const" / "fox.png.npz")
    assert row.noise.keys() == maps.keys()


def test_saved_latents_draw_the_same_again_with_the_noise_maps_of_files(tmp_path):
    generator = make_generator(noise=True)
    maps = {name: torch.randn(1, 1, *size) for name, size in generator.synthesis.noise_layers}
    path = w_file(tmp_path, generator, noise=maps)
    job(tmp_path, generator, seeds=f"{path},3", truncation=0.5, save_latents=True).run()
    saved = tmp_path / "out" / "latents.npz"
    job(tmp_path, generator, seeds=str(saved), truncation=0.5, out=tmp_path / "again").run()
    for number, name in enumerate(("fox.png", "seed0003.png")):
        np.testing.assert_array_equal(
            pixels(tmp_path / "again" / f"latents-00{number}.png"), pixels(tmp_path / "out" / name)
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda maps: maps.pop("b8.conv0"),
            r"takes noise of the shape \[1, 8, 8\] for b8.conv0, and the file holds none",
        ),
        (
            lambda maps: maps.update({"b8.conv0": torch.zeros(1, 1, 4, 4)}),
            r"takes noise of the shape \[1, 8, 8\] for b8.conv0, and the file holds one of the shape \[1, 4, 4\]",
        ),
    ],
)
def test_noise_maps_of_another_network_are_refused(tmp_path, change, message):
    generator = make_generator()
    maps = {name: torch.zeros(1, 1, *size) for name, size in generator.synthesis.noise_layers}
    change(maps)
    with pytest.raises(ValueError, match=message):
        job(tmp_path, generator, seeds=str(w_file(tmp_path, generator, noise=maps))).run()
    assert not (tmp_path / "out").exists()


def test_a_latent_of_another_width_is_one_line_that_names_both(tmp_path):
    write_latents(tmp_path / "a.npz", w=torch.zeros(1, 18, 512))
    with pytest.raises(
        ValueError, match=r"a.npz: w has the shape \[18, 512\], and the network takes \[6, 8\]"
    ):
        job(tmp_path, seeds=str(tmp_path / "a.npz")).run()
    write_latents(tmp_path / "b.npz", z=torch.zeros(1, 512))
    with pytest.raises(ValueError, match=r"b.npz: z has 512 numbers, and the network takes 8"):
        job(tmp_path, seeds=str(tmp_path / "b.npz")).run()


def test_z_of_a_file_is_truncated_as_a_seed(tmp_path):
    generator = make_generator(noise=True)
    write_latents(tmp_path / "z.npz", z=torch.from_numpy(np.random.RandomState(5).randn(1, 8)).float())
    job(tmp_path, generator, seeds=f"5,{tmp_path / 'z.npz'}", truncation=0.4).run()
    np.testing.assert_array_equal(
        pixels(tmp_path / "out" / "z.png"), pixels(tmp_path / "out" / "seed0005.png")
    )


def test_a_repeated_point_is_drawn_once_and_two_of_one_name_are_refused(tmp_path):
    generator = make_generator()
    job(tmp_path, generator, seeds="3,1,3,1-2").run()
    assert read_png_text(tmp_path / "out" / "grid.png")["seeds"] == "3,1,2"
    for folder, seed in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        w_file(tmp_path / folder, generator, seeds=(seed,))
    with pytest.raises(
        ValueError, match="a/fox.npz and .*b/fox.npz would both be called fox; draw them into two"
    ):
        job(tmp_path, generator, seeds=f"{tmp_path / 'a' / 'fox.npz'},{tmp_path / 'b' / 'fox.npz'}")
    with pytest.raises(ValueError, match="a latent called grid would take the place of grid"):
        job(tmp_path, generator, seeds=str(w_file(tmp_path, generator, "grid.npz")))


def test_ranges_may_run_down(tmp_path):
    job(tmp_path, seeds="3-1").run()
    assert read_png_text(tmp_path / "out" / "grid.png")["seeds"] == "3,2,1"


def test_the_grid_has_the_shape_that_is_asked_for(tmp_path):
    job(tmp_path, seeds="0-4", grid="2x4").run()
    grid = pixels(tmp_path / "out" / "grid.png")
    assert grid.shape == (64, 32, 3)
    np.testing.assert_array_equal(grid[32:48, :16], pixels(tmp_path / "out" / "seed0004.png"))
    assert (grid[48:] == 255).all() and (grid[32:48, 16:] == 255).all()
    assert [cell["seed"] for cell in read_sidecar(tmp_path / "out" / "grid.png")["cells"]] == [
        "0",
        "1",
        "2",
        "3",
        "4",
    ]
    job(tmp_path, seeds="0-4").run()
    assert pixels(tmp_path / "out" / "grid.png").shape == (32, 48, 3)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_16_bits_are_those_of_the_network(tmp_path, channels):
    """Read by OpenCV, which another hand wrote."""
    generator = make_generator(channels=channels)
    job(tmp_path, generator, seeds="0-1", format="png16").run()
    drawer = make_drawer(generator)
    expected = (
        to_uint16(drawer.floats_of(job(tmp_path, seeds="0-1").task.points)).numpy().transpose(0, 2, 3, 1)
    )
    for number, image in enumerate(expected):
        path = tmp_path / "out" / f"seed000{number}.png"
        read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert read.dtype == np.uint16
        shown = image[:, :, :3] if channels == 5 else image
        # OpenCV has blue first, and grey with alpha as colours.
        order = {1: [0], 2: [0, 0, 0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3], 5: [2, 1, 0]}[channels]
        np.testing.assert_array_equal(read.reshape(16, 16, -1), shown[:, :, order])
        assert read_png_text(path)["format"] == "png16"
        if channels == 5:
            np.testing.assert_array_equal(np.load(path.with_suffix(".npy")), image)
    assert len(np.unique(expected)) > 257


@pytest.mark.parametrize(("name", "ending"), [("jpeg", "jpg"), ("webp", "webp")])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_jpeg_and_webp_look_alike_and_say_their_origin(tmp_path, name, ending, channels):
    generator = make_generator(channels=channels)
    values = dict(seeds="0-1", truncation=0.5, provenance={"network": "nëtwork.ckpt"})
    job(tmp_path, generator, format=name, quality=95, **values).run()
    job(tmp_path, generator, out=tmp_path / "png", **values).run()
    path = tmp_path / "out" / f"seed0001.{ending}"
    text = read_image_text(path, ending=ending)
    assert text["seed"] == "1" and text["truncation"] == "0.5" and text["network"] == "nëtwork.ckpt"
    assert (text["format"], text["quality"]) == (name, "95") and read_sidecar(path) == text
    with Image.open(path) as image, Image.open(tmp_path / "png" / "seed0001.png") as png:
        white = Image.new("RGBA", png.size, "white")
        white.alpha_composite(png.convert("RGBA"))
        seen = image.convert("RGBA") if image.mode == "RGBA" else image.convert("RGB")
        expected = png.convert("RGBA") if image.mode == "RGBA" else white.convert("RGB")
        difference = np.abs(np.asarray(seen).astype(int) - np.asarray(expected).astype(int))
    # Colours under no opacity may be anything.
    assert difference[..., -1 if seen.mode == "RGBA" else slice(None)].mean() < 12


def test_a_webp_of_quality_100_loses_nothing(tmp_path):
    job(tmp_path, format="webp", quality=100).run()
    job(tmp_path, out=tmp_path / "png").run()
    np.testing.assert_array_equal(
        pixels(tmp_path / "out" / "seed0000.webp"), pixels(tmp_path / "png" / "seed0000.png")
    )


@pytest.mark.parametrize("name", ["jpeg", "png16"])
def test_a_grid_of_kept_images_is_that_of_new_ones_in_every_format(tmp_path, name):
    job(tmp_path, seeds="0-4", format=name).run()
    before = content(tmp_path / "out")
    grid = next((tmp_path / "out").glob("grid.*[gp]"))
    grid.unlink()
    next((tmp_path / "out").glob("seed0003.*g")).unlink()
    job(tmp_path, seeds="0-4", format=name).run()
    assert content(tmp_path / "out") == before


def test_latents_are_saved_as_drawn_and_draw_the_same_again(tmp_path):
    generator = make_generator(noise=True, c_dim=2)
    job(tmp_path, generator, seeds="0-20", label="all", truncation=0.6, save_latents=True).run()
    path = tmp_path / "out" / "latents.npz"
    with np.load(path, allow_pickle=False) as saved:
        assert saved["w"].shape == (42, 6, 8) and saved["w"].dtype == np.float32
    job(tmp_path, generator, seeds=f"{path}[0-1],{path}[22]", label="0", out=tmp_path / "again").run()
    for number, name in ((0, "seed0000-class0"), (1, "seed0001-class0"), (22, "seed0001-class1")):
        np.testing.assert_array_equal(
            pixels(tmp_path / "again" / f"latents-{number:03d}.png"), pixels(tmp_path / "out" / f"{name}.png")
        )
    before = path.read_bytes()
    job(tmp_path, generator, seeds="0-20", label="all", truncation=0.6, save_latents=True).run()
    assert path.read_bytes() == before
    path.unlink()
    job(tmp_path, generator, seeds="0-20", label="all", truncation=0.6, save_latents=True).run()
    assert path.read_bytes() == before


def test_a_mixture_of_classes(tmp_path):
    generator = make_generator(c_dim=3, label_names=("corgi", "fox", "owl"))
    job(tmp_path, generator, label="0.7*fox+0.3*owl").run()
    ((_, images),) = Sampler(generator).of_seeds((0,), label=torch.tensor([0, 0.7, 0.3]))
    np.testing.assert_array_equal(
        pixels(tmp_path / "out" / "seed0000.png"), to_uint8(images)[0].permute(1, 2, 0).numpy()
    )
    stored = read_png_text(tmp_path / "out" / "seed0000.png")["label"]
    job(
        tmp_path, generator, label=stored
    ).run()  # what is stored is the label that was given: nothing is in the way


def test_psi_may_be_any_number_and_reach_some_layers_alone(tmp_path):
    generator = make_generator(noise=True)
    for psi in (-0.5, 1.7):
        job(tmp_path, generator, truncation=psi, truncation_cutoff=2, out=tmp_path / str(psi)).run()
        ws = Sampler(generator).map(torch.from_numpy(np.random.RandomState(0).randn(1, 8)).float())
        average = generator.mapping.w_avg
        ws = torch.cat([average + psi * (ws[:, :2] - average), ws[:, 2:]], dim=1)
        expected = to_uint8(Sampler(generator).draw(ws))[0].permute(1, 2, 0).numpy().astype(int)
        drawn = pixels(tmp_path / str(psi) / "seed0000.png")
        assert np.abs(drawn.astype(int) - expected).max() <= 1
        text = read_png_text(tmp_path / str(psi) / "seed0000.png")
        assert (text["truncation"], text["truncation_cutoff"]) == (str(psi), "2")
    with pytest.raises(ValueError, match="drawn with truncation_cutoff=2"):
        job(tmp_path, generator, truncation=1.7, out=tmp_path / "1.7").run()


@pytest.mark.parametrize(
    "options", [{}, {"resolution": (24, 40)}, {"channels": 1}, {"channels": 4}, {"c_dim": 2}]
)
def test_the_same_pixels_for_any_number_of_images_and_after_an_interruption(tmp_path, options):
    generator = make_generator(noise=True, **options)
    values = dict(truncation=0.7, noise_mode="random") | ({"label": 1} if "c_dim" in options else {})
    job(tmp_path, generator, seeds="0-20", out=tmp_path / "all", **values).run()
    job(tmp_path, generator, seeds="17", out=tmp_path / "one", **values).run()
    job(tmp_path, generator, seeds="16-18", out=tmp_path / "few", **values).run()
    (tmp_path / "few" / "seed0017.png").unlink()
    (tmp_path / "few" / "grid.png").unlink()
    job(tmp_path, generator, seeds="16-18", out=tmp_path / "few", **values).run()
    name = "seed0017.png"
    assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "few" / name).read_bytes()
