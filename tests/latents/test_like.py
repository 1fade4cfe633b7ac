"""An image that is drawn again from what it says of itself."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan.images import save_png
from stylegan.latents.directions.direction import Channel, Direction, write_directions
from stylegan.latents.latent_files import write_latents
from stylegan.latents.like import likeness_of, network_of
from tests.latents.tasks.drawing import job, make_drawer, make_generator, pixels

CASES = [
    {},
    {"truncation": 0.123456789, "noise_mode": "random"},
    {"truncation": -0.5, "truncation_cutoff": 2, "center": "7"},
    {"canvas": "40x24", "canvas_mode": "mirror", "crop": "20x20", "noise_mode": "none"},
    {"layer": "b8.conv1:4"},
]


def again(tmp_path, image, generator):
    like = likeness_of(image)
    settings = {key: value for key, value in like.settings.items() if key != "precision"}
    for key, kind in (("truncation", float), ("truncation_cutoff", int), ("quality", int)):
        settings |= {key: kind(settings[key])} if key in settings else {}
    job(tmp_path, generator, seeds=like.seeds, out=tmp_path / "again", **settings).run()


@pytest.mark.parametrize("values", CASES)
@pytest.mark.parametrize("kind", ["seed", "w", "z"])
def test_the_same_pixels_again(tmp_path, values, kind):
    generator = make_generator(noise=True)
    if kind == "w":
        write_latents(
            tmp_path / "fox.npz", w=torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(1))
        )
    elif kind == "z":
        write_latents(tmp_path / "fox.npz", z=torch.randn(1, 8, generator=torch.Generator().manual_seed(1)))
    seeds, name = ("42", "seed0042.png") if kind == "seed" else (str(tmp_path / "fox.npz"), "fox.png")
    job(tmp_path, generator, seeds=seeds, **values).run()
    (tmp_path / "fox.npz").unlink(missing_ok=True)
    again(tmp_path, tmp_path / "out" / name, generator)
    np.testing.assert_array_equal(pixels(tmp_path / "again" / name), pixels(tmp_path / "out" / name))


@pytest.mark.parametrize("label", ["owl", "0.25*corgi+0.75*owl", "0.1,0.2,0.30000001"])
def test_labels_again(tmp_path, label):
    generator = make_generator(c_dim=3, label_names=("corgi", "fox", "owl"))
    job(tmp_path, generator, label=label).run()
    again(tmp_path, tmp_path / "out" / "seed0000.png", generator)
    np.testing.assert_array_equal(
        pixels(tmp_path / "again" / "seed0000.png"), pixels(tmp_path / "out" / "seed0000.png")
    )


@pytest.mark.parametrize(("format_", "ending"), [("jpeg", "jpg"), ("webp", "webp"), ("png16", "png")])
def test_every_format_comes_again_to_the_byte(tmp_path, format_, ending):
    generator = make_generator(noise=True)
    job(tmp_path, generator, seeds="5", truncation=0.5, format=format_, quality=40).run()
    again(tmp_path, tmp_path / "out" / f"seed0005.{ending}", generator)
    first, second = (tmp_path / folder / f"seed0005.{ending}" for folder in ("out", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_where_the_text_was_lost_the_file_next_to_it_says_it(tmp_path):
    generator = make_generator(noise=True)
    job(tmp_path, generator, seeds="5", truncation=0.5).run()
    image = tmp_path / "out" / "seed0005.png"
    before = pixels(image)
    Image.open(image).save(image)
    again(tmp_path, image, generator)
    np.testing.assert_array_equal(pixels(tmp_path / "again" / "seed0005.png"), before)


def test_another_network_is_said(tmp_path):
    generator = make_generator()
    job(tmp_path, generator).run()
    like = likeness_of(tmp_path / "out" / "seed0000.png")
    weights = str(like.text["weights"])
    assert like.difference(weights) is None
    line = like.difference("f" * 64)
    assert (
        f"was drawn by another network (weights {weights[:12]}...)" in line
        and "(weights ffffffffffff...)" in line
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "like=.*a.png: there is no such file"),
        ({}, "like=.*a.png: neither this file nor a.png.json says how it was drawn"),
        ({"seed": "3"}, "neither this file nor a.png.json says"),
        ({"weights": "0" * 64, "seeds": "0,1"}, "it holds several images; name one of them"),
        (
            {"weights": "0" * 64, "seed": "1", "center": "fox", "center_latent": "0" * 64},
            "it was drawn with center=fox; name the file once more",
        ),
        (
            {"weights": "0" * 64, "seed": "1", "directions": "/etc/a.npz:2", "tuned": "b"},
            "it was drawn with directions=/etc/a.npz:2 and tuned=b; name the file once more",
        ),
    ],
)
def test_what_cannot_be_drawn_again_is_one_line(tmp_path, text, message):
    if text is not None:
        save_png(tmp_path / "a.png", torch.zeros(3, 4, 4, dtype=torch.uint8), text)
    with pytest.raises(ValueError, match=message):
        likeness_of(tmp_path / "a.png")


def drawn_with_files(tmp_path, generator):
    """An image of a center, of directions and of a style channel from files, and what its files hold."""
    vector = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(1))
    write_latents(tmp_path / "fox.npz", w=vector)
    write_directions(tmp_path / "age.npz", [Direction(vector=row, name="age") for row in vector], {})
    channel = Direction(channel=Channel("b8.conv0", 1), sigma=3.0)
    write_directions(tmp_path / "light.npz", [channel], {})
    directions = f"{tmp_path / 'age.npz'}[1]@0-2:2,{tmp_path / 'light.npz'}:1.5"
    values = {"center": f"{tmp_path / 'fox.npz'}[1]", "directions": directions, "truncation": 0.5}
    job(tmp_path, generator, seeds="5", **values).run()
    return tmp_path / "out" / "seed0005.png"


@pytest.mark.parametrize("moved", [False, True])
def test_files_are_found_again_where_they_were_or_next_to_the_image(tmp_path, moved):
    generator = make_generator(noise=True)
    image = drawn_with_files(tmp_path, generator)
    if moved:
        for name in ("fox.npz", "age.npz", "light.npz"):
            (tmp_path / name).rename(image.parent / name)
    again(tmp_path, image, generator)
    np.testing.assert_array_equal(pixels(tmp_path / "again" / "seed0005.png"), pixels(image))


def test_a_file_that_is_another_by_now_is_said(tmp_path):
    generator = make_generator(noise=True)
    like = likeness_of(drawn_with_files(tmp_path, generator))

    def said(**values):
        settings = {key: like.settings[key] for key in ("center", "directions")} | values
        drawer = make_drawer(generator, **settings)
        return like.difference(drawer.weights, drawer.text)

    assert said() is None
    write_directions(tmp_path / "light.npz", [Direction(channel=Channel("b8.conv0", 2))], {})
    assert "seed0005.png was drawn with other content of directions=" in said()
    assert said(directions=f"{tmp_path / 'light.npz'}:1") is None  # which is asked for
    write_latents(tmp_path / "fox.npz", w=torch.zeros(2, 1, 8))
    assert "was drawn with other content of center=fox-001; what is there now draws other pixels" in said()


@pytest.mark.parametrize(
    "text",
    [
        {"center_latent": "0" * 64, "center": "a", "center_file": "../a.ckpt"},
        {"center_latent": "0" * 64, "center": "a", "center_file": "a\0.npz"},
        {"center_latent": "0" * 64, "center": "a", "center_file": "0-99999999"},
        {"directions": "a.ckpt:2"},
        {"directions": "//server/a.npz:2"},
        {"directions": "\x1b[2J" + "a" * 9000 + ".npz"},
        {"tuned": "a", "tuned_file": "a.ckpt"},
    ],
)
def test_what_is_no_such_file_is_not_looked_for(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.ckpt").touch()
    save_png(
        tmp_path / "b.png", torch.zeros(3, 4, 4, dtype=torch.uint8), {"weights": "0", "seed": "1", **text}
    )
    with pytest.raises(ValueError, match="name the file once more"):
        likeness_of(tmp_path / "b.png")


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "a.npz").touch()
    with pytest.raises(ValueError, match="name an image, a .png, .jpg or .webp"):
        likeness_of(tmp_path / "a.npz")


def test_a_lone_network_is_found_next_to_the_image_or_its_folder(tmp_path):
    (tmp_path / "generated").mkdir()
    (tmp_path / "fox.safetensors").touch()
    text = {"network": "fox.safetensors"}
    for image in (tmp_path / "generated" / "a.png", tmp_path / "a.png"):
        assert network_of(image, text, runs_dir=tmp_path / "runs") == tmp_path / "fox.safetensors"


def test_its_network_is_found_in_its_run(tmp_path):
    run = tmp_path / "runs" / "foxes"
    (run / "checkpoints").mkdir(parents=True)
    (run / "generated").mkdir()
    network = run / "checkpoints" / "kimg0000012.800.ckpt"
    network.touch()
    text = {"network": network.name, "run": "foxes"}
    assert network_of(run / "generated" / "a.png", text, runs_dir=tmp_path / "nowhere") == network
    assert network_of(tmp_path / "a.png", text, runs_dir=tmp_path / "runs") == network
    network.unlink()
    assert network_of(tmp_path / "a.png", text, runs_dir=tmp_path / "runs") is None


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "..", "", 3, None, "a\0b", "c:a"])
def test_no_path_leads_out_of_the_folder(tmp_path, name):
    (tmp_path / "runs" / "checkpoints").mkdir(parents=True)
    (tmp_path / "runs" / "a").touch()
    shutil.copy(tmp_path / "runs" / "a", tmp_path / "a")
    assert network_of(tmp_path / "runs" / "x.png", {"network": name, "run": name}, runs_dir=tmp_path) is None
    if isinstance(name, str):
        found = network_of(tmp_path / "x" / "x.png", {"network": "a", "run": name}, runs_dir=tmp_path)
        assert found is None


def test_any_text_of_an_image_is_harmless(tmp_path):
    text = {
        "weights": "x" * 5000,
        "seed": "1",
        "truncation": "\x1b[2J",
        "label": "${a}",
        "noise_mode": json.dumps({}),
    }
    save_png(tmp_path / "a.png", torch.zeros(3, 4, 4, dtype=torch.uint8), text)
    like = likeness_of(tmp_path / "a.png")
    assert like.settings["label"] == "${a}"
    assert "\x1b" not in like.difference("0" * 64)
