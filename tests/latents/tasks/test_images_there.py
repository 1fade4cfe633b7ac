"""Images that are there already: the same stay, others are refused before anything is drawn, and nothing is lost."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stylegan.images import encoded, read_png_text, to_uint8
from stylegan.latents.latent_files import write_latents
from stylegan.latents.outputs import ImageFormat
from stylegan.latents.provenance import differences
from stylegan.latents.sampling import Sampler
from tests.latents.tasks.drawing import content, images_in, job, make_generator, pixels

WAYS_OUT = "nothing was drawn: set out=... for another folder, or overwrite=true to replace it$"


def refused(tmp_path, *args, match, **values):
    """The task is refused with the ways out, and its folder stays as it was."""
    before = content(tmp_path / "out")
    with pytest.raises(ValueError, match=f"{match}.*{WAYS_OUT}"):
        job(tmp_path, *args, **values).run()
    assert content(tmp_path / "out") == before


CHANGES = [
    ({"label": "0"}, "label=1"),
    ({"truncation": 0.5}, "truncation=1"),
    ({"noise_mode": "none"}, "noise_mode=const"),
    ({"precision": "fp32"}, "precision=bf16"),
]


@pytest.mark.parametrize(("change", "drawn_with"), CHANGES)
def test_another_setting_is_refused_and_named(tmp_path, change, drawn_with):
    generator = make_generator(c_dim=3)
    values = {"label": "1", "seeds": "0-2", "precision": "bf16"}
    job(tmp_path, generator, **values).run()
    match = rf"seed0000.png is there already, drawn with {drawn_with} \(and 3 more files\); "
    refused(tmp_path, generator, match=match, **(values | change))


def test_overwrite_replaces_and_only_what_differs(tmp_path, capsys):
    generator = make_generator(c_dim=3)
    job(tmp_path, generator, label="1", seeds="0-2").run()
    job(tmp_path, generator, label="2", seeds="1-3", overwrite=True).run()
    assert "2 of 3 images replace those of other settings" in capsys.readouterr().out
    labels = {path.name: read_png_text(path)["label"] for path in (tmp_path / "out").glob("*.png")}
    assert labels == {
        "seed0000.png": "1",
        **dict.fromkeys(["seed0001.png", "seed0002.png", "seed0003.png", "grid.png"], "2"),
    }


def test_other_weights_are_refused_under_the_same_name(tmp_path):
    """As after a training that began again."""
    generator = make_generator()
    values = {"provenance": {"network": "kimg0000012.800.ckpt", "kimg": "12.800"}}
    job(tmp_path, generator, **values).run()
    with torch.no_grad():
        next(generator.parameters()).add_(1e-3)
    refused(tmp_path, generator, match=r"drawn with weights=[0-9a-f]{12}\.\.\. \(", **values)


def test_a_later_checkpoint_is_named_by_its_kimg(tmp_path):
    generator = make_generator()
    job(tmp_path, generator, provenance={"network": "a.ckpt", "kimg": "12.800"}).run()
    with torch.no_grad():
        next(generator.parameters()).add_(1e-3)
    later = {"network": "b.ckpt", "kimg": "25.600"}
    refused(tmp_path, generator, match="drawn with network=a.ckpt, kimg=12.800", provenance=later)


def test_the_same_weights_under_another_name_are_the_same_images(tmp_path, capsys):
    generator = make_generator()
    job(tmp_path, generator, provenance={"network": "a.ckpt", "version": "0.1"}).run()
    before = content(tmp_path / "out")
    job(tmp_path, generator, provenance={"network": "a.safetensors", "version": "0.2"}).run()
    assert content(tmp_path / "out") == before
    assert "1 of 1 images are there already, and stay as they are" in capsys.readouterr().out


def stripped(path):
    Image.open(path).save(path)


@pytest.mark.parametrize(
    "spoil",
    [
        stripped,
        lambda path: path.write_bytes(b"my own"),
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        lambda path: Image.new("RGB", (4, 4)).save(path, format="JPEG"),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
@pytest.mark.parametrize("name", ["seed0001.png", "grid.png"])
def test_a_file_that_does_not_say_how_it_was_drawn_is_refused(tmp_path, spoil, name):
    job(tmp_path, seeds="0-1").run()
    path = tmp_path / "out" / name
    spoil(path)
    with pytest.raises(ValueError, match=rf"{name} is there already, and does not say how it .*{WAYS_OUT}"):
        job(tmp_path, seeds="0-1").run()


def test_what_was_interrupted_continues(tmp_path, monkeypatch, capsys):
    whole, generator = tmp_path / "whole", make_generator()
    job(tmp_path, generator, seeds="0-40", out=whole).run()
    save = ImageFormat.save

    def failing(self, path, *args, **values):
        return 1 / (path.name != "seed0020.png") and save(self, path, *args, **values)

    monkeypatch.setattr(ImageFormat, "save", failing)
    with pytest.raises(ZeroDivisionError):
        job(tmp_path, generator, seeds="0-40").run()
    monkeypatch.undo()
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert len(stamps) == 40
    capsys.readouterr()
    job(tmp_path, generator, seeds="0-40").run()
    assert content(tmp_path / "out") == content(whole)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert "20 of 41 images are there already" in capsys.readouterr().out


def test_more_seeds_replace_the_grid_alone_and_say_so(tmp_path, capsys):
    job(tmp_path, seeds="0-1").run()
    first = content(tmp_path / "out")
    job(tmp_path, seeds="2-5").run()
    grid = {name: (tmp_path / "out" / name).read_bytes() for name in ("grid.png", "grid.png.json")}
    assert {name: data for name, data in content(tmp_path / "out").items() if name in first} == first | grid
    assert read_png_text(tmp_path / "out" / "grid.png")["seeds"] == "2,3,4,5"
    assert "grid.png is replaced (it was of seeds=0,1)" in capsys.readouterr().out


def test_a_grid_of_images_that_are_there_is_that_of_new_ones(tmp_path):
    for channels in (1, 2, 3, 4):
        generator, out = make_generator(channels=channels), tmp_path / str(channels)
        job(tmp_path, generator, seeds="0-4", out=out).run()
        before = content(out)
        (out / "grid.png").unlink()
        (out / "seed0003.png").unlink()
        job(tmp_path, generator, seeds="0-4", out=out).run()
        assert content(out) == before


def test_all_channels_are_there_or_the_image_is_drawn_again(tmp_path):
    generator = make_generator(channels=5)
    job(tmp_path, generator, seeds="0-1").run()
    before = content(tmp_path / "out")
    (tmp_path / "out" / "seed0001.npy").unlink()
    job(tmp_path, generator, seeds="0-1").run()
    assert content(tmp_path / "out") == before
    (tmp_path / "out" / "seed0001.png").unlink()
    refused(tmp_path, generator, seeds="0-1", match="seed0001.npy is there already, and does not say")


def test_all_draws_a_row_a_class(tmp_path, capsys):
    generator = make_generator(c_dim=3, label_names=("corgi", "fox", "owl"))
    job(tmp_path, generator, label="all", seeds="7,3").run()
    out = tmp_path / "out"
    grid = pixels(out / "grid.png")
    assert grid.shape == (48, 32, 3)
    for row, name in enumerate(("corgi", "fox", "owl")):
        ((_, images),) = Sampler(generator).of_seeds((7, 3), label=torch.eye(3)[row])
        for column, (seed, image) in enumerate(zip((7, 3), to_uint8(images), strict=True)):
            expected = image.permute(1, 2, 0).numpy()
            path = out / f"seed{seed:04d}-class{row}.png"
            np.testing.assert_array_equal(pixels(path), expected)
            np.testing.assert_array_equal(
                grid[16 * row : 16 * row + 16, 16 * column : 16 * column + 16], expected
            )
            assert read_png_text(path)["label"] == name
    assert len(images_in(out)) == 7
    assert read_png_text(out / "grid.png")["label"] == "all"
    assert (
        "6 images of 16x16 px" in (said := capsys.readouterr().out) and "a row for each of 3 classes" in said
    )


def test_a_class_alone_and_all_classes_do_not_get_in_each_others_way_but_for_the_grid(tmp_path):
    generator = make_generator(c_dim=2)
    job(tmp_path, generator, label="all").run()
    refused(tmp_path, generator, label="1", match="grid.png is there already, drawn with label=all")


def test_a_grid_of_many_classes_shows_those_that_fit(tmp_path, monkeypatch):
    monkeypatch.setattr("stylegan.latents.sheets.MAX_GRID_PX", 7 * 16 * 16)
    generator = make_generator(c_dim=3)
    job(tmp_path, generator, label="all", seeds="0-4").run()
    assert pixels(tmp_path / "out" / "grid.png").shape == (48, 32, 3)
    assert read_png_text(tmp_path / "out" / "grid.png")["seeds"] == "0,1"


def test_more_images_than_anyone_draws_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("stylegan.latents.point_images.MAX_SEEDS", 100)
    with pytest.raises(ValueError, match="40 seeds of 3 classes are more than 100 images, the most at once"):
        job(tmp_path, make_generator(c_dim=3), label="all", seeds="0-39").run()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1200), st.integers(0, 255), st.text(max_size=5))
def test_any_bytes_are_an_image_or_not_one_of_ours(tmp_path_factory, ending, place, byte, value):
    path = tmp_path_factory.mktemp("any") / f"a.{ending}"
    text = {"seed": "1", "network": value}
    name = {"png": "png", "jpg": "jpeg", "webp": "webp"}[ending]
    path.write_bytes(encoded(torch.zeros(3, 4, 4, dtype=torch.uint8), text, format=name))
    assert differences(path, text) == []
    data = bytearray(path.read_bytes())
    data[place % len(data)] = byte
    path.write_bytes(data)
    found = differences(path, text)
    assert found is None or isinstance(found, list)
    if found == [] and ending == "png":  # then it is whole
        assert Image.open(io.BytesIO(data)).size == (4, 4)


LATER = [
    ({"truncation_cutoff": 2}, "truncation_cutoff=2"),
    ({"center": "7"}, "center=7"),
    ({"canvas": "32x16"}, "canvas=32x16"),
    ({"crop": "8x8"}, "crop=8x8"),
    ({"layer": "b8.conv1"}, "layer=b8.conv1"),
    ({"format": "png16"}, "format=png16"),
]


@pytest.mark.parametrize(("unusual", "drawn_with"), LATER)
def test_a_setting_that_only_the_file_has_is_another_image(tmp_path, unusual, drawn_with):
    generator = make_generator(noise=True)
    job(tmp_path, generator, truncation=0.5, **unusual).run()
    refused(
        tmp_path, generator, truncation=0.5, match=f"seed0000.png is there already, drawn with .*{drawn_with}"
    )


def test_another_latent_of_the_same_name_is_refused_and_the_same_under_another_name_of_its_file_stays(
    tmp_path, capsys
):
    generator = make_generator()
    for folder, value in (("a", 1.0), ("b", 2.0), ("c", 1.0)):
        (tmp_path / folder).mkdir()
        write_latents(tmp_path / folder / "fox.npz", w=torch.full((1, 6, 8), value))
    job(tmp_path, generator, seeds=str(tmp_path / "a" / "fox.npz")).run()
    refused(
        tmp_path,
        generator,
        seeds=str(tmp_path / "b" / "fox.npz"),
        match="fox.png is there .* drawn with latent=",
    )
    capsys.readouterr()
    job(tmp_path, generator, seeds=str(tmp_path / "c" / "fox.npz")).run()
    assert "1 of 1 images are there already" in capsys.readouterr().out


def test_a_latent_of_the_users_own_is_not_replaced(tmp_path):
    generator = make_generator()
    (tmp_path / "out").mkdir()
    write_latents(tmp_path / "fox.npz", w=torch.ones(1, 6, 8))
    write_latents(tmp_path / "out" / "fox.png.npz", w=torch.zeros(1, 6, 8))
    values = dict(seeds=str(tmp_path / "fox.npz"))
    refused(tmp_path, generator, match="fox.png.npz is there already, and does not say", **values)
    # A kill came between the latent and its image: it is that latent.
    write_latents(tmp_path / "out" / "fox.png.npz", w=torch.ones(1, 6, 8))
    job(tmp_path, generator, **values).run()
    (tmp_path / "out" / "fox.png.npz").unlink()
    before = (tmp_path / "out" / "fox.png").read_bytes()
    job(tmp_path, generator, **values).run()
    assert (tmp_path / "out" / "fox.png.npz").exists() and (
        tmp_path / "out" / "fox.png"
    ).read_bytes() == before
