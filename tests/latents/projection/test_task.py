"""The task projection, from pictures to files: what is written, read again, continued and refused."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan.cli.generate import decode_picture, main
from stylegan.images import read_png, read_png_text, save_png
from stylegan.interop.checkpoint import save_generator
from stylegan.latents.drawer import Drawer
from stylegan.latents.latent_files import write_latents
from stylegan.latents.outputs import Output, read_sidecar
from stylegan.latents.points import parse_points
from stylegan.latents.projection.alignment import Alignment
from stylegan.latents.projection.difference import apply_difference
from stylegan.latents.projection.pictures import Reader, find_pictures
from stylegan.latents.projection.results import SearchFrames
from stylegan.latents.tasks.projection import Projection
from stylegan.media.settings import MediaSettings
from tests.latents.projection.small import make_generator, pictures_of

SETTINGS = dict(steps=3, loss="multiscale")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pictures(tmp_path):
    """Three pictures that no seed of the network draws."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, image in zip("abc", pictures_of(make_generator(seed=7), range(3)), strict=True):
        save_png(folder / f"{name}.png", image)
    return folder


def drawer(**options):
    return Drawer(make_generator(**options), device="cpu", precision="fp32", decode_picture=decode_picture)


def project(target, out, **settings):
    overwrite = settings.pop("overwrite", False)
    Projection(target=str(target), **{**SETTINGS, **settings}).run(drawer(), Output(out, overwrite=overwrite))


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def latents(path):
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def test_every_picture_has_its_files_and_the_table_all(pictures, tmp_path, capsys):
    out = tmp_path / "out"
    project(pictures, out)
    names = {str(path) for path in content(out)}
    for name in "abc":
        assert {f"latents/{name}.npz", f"latents/{name}.npz.json", f"{name}-target.png"} <= names
        assert {f"{name}-projected.png", f"{name}-projected.png.json", f"{name}-compared.png"} <= names
        assert torch.equal(read_png(out / f"{name}-target.png"), read_png(pictures / f"{name}.png"))
        both = torch.cat([read_png(out / f"{name}-{part}.png") for part in ("target", "projected")], 2)
        assert torch.equal(read_png(out / f"{name}-compared.png"), both)
    table = list(csv.DictReader((out / "projection.csv").open()))
    assert sorted(row["name"] for row in table) == ["a.png", "b.png", "c.png"]
    worst = [float(row["psnr"]) for row in table]
    assert worst == sorted(worst)
    error = np.asarray(Image.open(out / "b-projected.png"), float) - np.asarray(
        Image.open(out / "b-target.png"), float
    )
    (row,) = [row for row in table if row["name"] == "b.png"]
    assert float(row["mse"]) == pytest.approx(np.mean((error / 255) ** 2), rel=1e-4)
    assert [row["name"] for row in json.loads((out / "projection.json").read_text())] == [
        row["name"] for row in table
    ]
    printed = capsys.readouterr().out
    assert "from the mean" in printed and table[0]["name"] in printed


def test_latents_draw_the_projected_picture_in_every_task(pictures, tmp_path):
    out = tmp_path / "out"
    project(pictures / "a.png", out, space="w+")
    (point,) = parse_points(str(out / "latents"))
    assert point.name == "a" and point.noise is not None
    own = drawer()
    noise = {layer: maps[None] for layer, maps in point.noise.items()}
    assert torch.equal(own.images(own.ws([point]), noise=noise)[0], read_png(out / "a-projected.png"))
    assert not torch.equal(own.images(own.ws([point]))[0], read_png(out / "a-projected.png"))


def test_provenance_is_in_the_files_and_beside_them(pictures, tmp_path):
    out = tmp_path / "out"
    project(pictures / "a.png", out)
    for text in (read_png_text(out / "a-projected.png"), read_sidecar(out / "latents" / "a.npz")):
        assert text["target"] == "a.png" and text["space"] == "w" and text["loss"] == "multiscale"
        assert len(text["weights"]) == 64


def test_a_folder_is_the_same_as_its_pictures_one_by_one(pictures, tmp_path):
    project(pictures, tmp_path / "all")
    for name in "abc":
        project(pictures / f"{name}.png", tmp_path / "alone")
    for name in "abc":
        one, other = (latents(tmp_path / folder / "latents" / f"{name}.npz") for folder in ("all", "alone"))
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_what_was_interrupted_continues_and_ends_the_same(pictures, tmp_path, capsys):
    """As after a kill between two pictures, and after one in the middle of writing a picture."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    project(pictures, whole)
    shutil.copytree(whole, cut)
    for name in ("latents/b.npz", "latents/c.npz", "latents/c.npz.json", "c-projected.png", "projection.csv"):
        (cut / name).unlink()
    before = (cut / "latents" / "a.npz").stat().st_mtime_ns
    capsys.readouterr()
    project(pictures, cut)
    assert "1 of 3 pictures were found before" in capsys.readouterr().out
    assert (cut / "latents" / "a.npz").stat().st_mtime_ns == before
    assert content(cut) == content(whole)


def test_latents_that_are_damaged_are_sought_again(pictures, tmp_path):
    out = tmp_path / "out"
    project(pictures / "a.png", out)
    whole = content(out)
    (out / "latents" / "a.npz").write_bytes(b"cut short")
    project(pictures / "a.png", out)
    assert content(out) == whole


@pytest.mark.parametrize("settings", [{}, {"space": "tuned", "together": True, "tuning_steps": 2}])
def test_a_picture_that_cannot_be_read_is_named_and_the_others_go_on(settings, pictures, tmp_path, capsys):
    project(pictures / "c.png", tmp_path / "alone")
    (pictures / "b.png").write_bytes((pictures / "b.png").read_bytes()[:60])
    project(pictures, tmp_path / "out", start="7,8,0", **settings)
    said = capsys.readouterr()
    named = [line for line in (said.out + said.err).splitlines() if "b.png" in line]
    assert "this picture cannot be read" in named[0] and named[-1].endswith("cannot be read: b.png")
    names = {path.name for path in (tmp_path / "out").rglob("*")}
    assert {"a.npz", "c.npz", "c-projected.png"} <= names and "b-target.png" not in names
    assert len(json.loads((tmp_path / "out" / "projection.json").read_text())) == 2
    # Latents that are given one for each stay with their pictures.
    assert read_sidecar(tmp_path / "out" / "latents" / "a.npz")["start"] == "7,0"
    for name in "ac":
        (pictures / f"{name}.png").write_bytes(b"")
    with pytest.raises(ValueError, match="a.png: this picture cannot be read"):
        project(pictures, tmp_path / "none")


def test_a_video_is_made_also_of_pictures_that_were_found_before(pictures, tmp_path):
    out = tmp_path / "out"
    project(pictures / "a.png", out)
    before = content(out)
    project(pictures / "a.png", out, video=True, media=MediaSettings(format="gif"))
    assert (out / "a-search.gif").exists()
    assert {path: content(out)[path] for path in before} == before
    with pytest.raises(ValueError, match=r"a-search.gif is there already, made with fps=30"):
        project(pictures / "a.png", out, video=True, media=MediaSettings(format="gif", fps=10))


@pytest.fixture
def landmarks(tmp_path):
    face = [[2, 3], [5, 3], [3, 4], [2, 6], [5, 6]]
    path = tmp_path / "faces.json"
    path.write_text(json.dumps({f"{name}.png": face for name in "abc"}))
    return path


def test_faces_are_cut_out_of_pictures_and_of_their_masks(pictures, landmarks, tmp_path):
    settings = dict(align=f"ffhq:{landmarks}")
    project(pictures, tmp_path / "faces", **settings)
    project(pictures, tmp_path / "whole")
    faces, whole = (read_png(tmp_path / folder / "a-target.png") for folder in ("faces", "whole"))
    assert faces.shape == whole.shape and not torch.equal(faces, whole)
    reader = Reader(decode=decode_picture, size=(8, 8), channels=1, cut=Alignment(f"ffhq:{landmarks}"))
    # A picture as its own mask is cut as the picture is.
    found, masks = reader.read(find_pictures(pictures, pictures))
    torch.testing.assert_close(masks, found / 255)


@pytest.mark.parametrize("what", ["start", "align"])
def test_a_file_with_another_content_is_another_setting(what, pictures, landmarks, tmp_path):
    start = tmp_path / "start.npz"
    write_latents(start, w=torch.zeros(1, 1, 8))
    settings = {"start": {"start": str(start)}, "align": {"align": f"ffhq:{landmarks}"}}[what]
    project(pictures, tmp_path / "out", **settings)
    write_latents(start, w=torch.ones(1, 1, 8))
    faces = json.loads(landmarks.read_text())
    faces["b.png"][0] = [1, 3]
    landmarks.write_text(json.dumps(faces))
    with pytest.raises(ValueError, match=f"is there already, drawn with {what}="):
        project(pictures, tmp_path / "out", **settings)


def test_other_settings_replace_nothing_unasked(pictures, tmp_path):
    out = tmp_path / "out"
    project(pictures / "a.png", out)
    before = content(out)
    with pytest.raises(ValueError, match=r"is there already.*steps=3.*overwrite=true"):
        project(pictures / "a.png", out, steps=7)
    assert content(out) == before
    project(pictures / "a.png", out, steps=7, overwrite=True)
    assert read_sidecar(out / "latents" / "a.npz")["steps"] == "7"
    assert read_png_text(out / "a-projected.png")["steps"] == "7"


def test_one_tuned_generator_for_all(pictures, tmp_path):
    out = tmp_path / "out"
    project(pictures, out, space="tuned", together=True, tuning_steps=4, target_loss=0)
    generator = make_generator()
    apply_difference(generator, out / "tuned.safetensors")
    own = Drawer(generator, device="cpu", precision="fp32")
    for name in "abc":
        (point,) = parse_points(str(out / "latents" / f"{name}.npz"))
        noise = {layer: maps[None] for layer, maps in point.noise.items()}
        assert torch.equal(
            own.images(own.ws([point]), noise=noise)[0], read_png(out / f"{name}-projected.png")
        )
    rows = list(csv.DictReader((out / "projection.csv").open()))
    assert {row["tuned_rounds"] for row in rows} == {"4"}
    whole = content(out)
    # As after a kill during the tuning.
    for name in ("tuned.safetensors", "tuned.safetensors.json", "a-projected.png"):
        (out / name).unlink()
    project(pictures, out, space="tuned", together=True, tuning_steps=4, target_loss=0)
    assert content(out) == whole


@pytest.mark.long
def test_each_space_is_nearer_than_the_one_before(pictures, tmp_path):
    psnr = {}
    for space in ("w", "w+", "tuned"):
        project(pictures / "a.png", tmp_path / space, space=space, steps=100, tuning_steps=100)
        (row,) = json.loads((tmp_path / space / "projection.json").read_text())
        psnr[space] = row["psnr"]
    assert psnr["w"] < psnr["w+"] and psnr["w"] + 1 < psnr["tuned"]
    assert (tmp_path / "tuned" / "a-tuned.safetensors").is_file()


def test_without_noise_there_are_no_maps(pictures, tmp_path):
    silent = Drawer(
        make_generator(), device="cpu", precision="fp32", noise_mode="none", decode_picture=decode_picture
    )
    Projection(target=str(pictures / "a.png"), **SETTINGS).run(silent, Output(tmp_path / "out"))
    assert set(latents(tmp_path / "out" / "latents" / "a.npz")) == {"w", "provenance"}


@pytest.mark.parametrize("options", [{"channels": 1}, {"channels": 4}, {"resolution": (8, 16)}, {"c_dim": 2}])
def test_grey_transparent_wide_and_labelled_networks(options, pictures, tmp_path):
    label = {"label": "all"} if "c_dim" in options else {}
    task = Projection(target=str(pictures), space="tuned", together=True, tuning_steps=2, **SETTINGS, **label)
    own = drawer(**options)
    task.run(own, Output(tmp_path / "out"))
    assert read_png(tmp_path / "out" / "a-projected.png").shape == (own.channels, *own.size)


def test_frames_of_the_search_begin_at_the_mean_and_end_at_the_result(pictures):
    own = drawer()
    path = torch.randn(7, own.generator.num_ws, 8, generator=torch.Generator().manual_seed(0))
    frames = SearchFrames(own, read_png(pictures / "a.png"), path, None)
    assert (frames.count, frames.size, frames.channels) == (7, (8, 16), 3)
    whole = torch.cat(list(frames.draw(0, 7)))
    assert torch.equal(whole[2:5], torch.cat(list(frames.draw(2, 5))))
    assert torch.equal(whole[3, :, :, 8:], own.images(path[3:4])[0])
    assert torch.equal(whole[6, :, :, :8], read_png(pictures / "a.png"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"space": "z"}, "^space must"),
        ({"steps": 0}, "^steps must"),
        ({"loss": "vgg"}, "^loss must"),
        ({"together": True}, "^together=true"),
        ({"seed": -1}, "^seed must"),
        ({"batch": 0}, "^batch must"),
        ({"start": "best of none"}, "^start="),
        ({"start": "1,2"}, "2 latents for 3 pictures"),
        ({"masks": "nothing"}, "^masks=nothing"),
        ({"align": "ffhq"}, "^align=ffhq"),
        ({"target_loss": float("nan")}, "^target_loss must be a number"),
        ({"locality": float("nan")}, "^locality must be a number"),
        ({"locality": float("inf")}, "^locality must be a number"),
        ({"target": None}, "^target is missing"),
        ({"target": "nothing"}, "^target=nothing"),
    ],
)
def test_a_wrong_value_is_named(settings, words, pictures):
    with pytest.raises(ValueError, match=words) as caught:
        Projection(**{"target": str(pictures), **settings})
    assert "\n" not in str(caught.value)


def test_what_the_network_cannot_do_is_named(pictures, tmp_path):
    task = Projection(target=str(pictures), **SETTINGS)
    with pytest.raises(ValueError, match="need a decoder"):
        task.run(Drawer(make_generator(), device="cpu"), Output(tmp_path))
    with pytest.raises(ValueError, match="trained without labels"):
        project(pictures, tmp_path / "out", label="fox")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="out must be a folder"):
        project(pictures, tmp_path / "file")
    assert not (tmp_path / "out").exists()


def test_from_the_command_line_a_tuned_network_draws_in_every_task(pictures, tmp_path, capsys):
    save_generator(tmp_path / "net.safetensors", make_generator())
    words = ["network=net.safetensors", "precision=fp32", "device=cpu"]
    projection = [
        "task=projection",
        "space=tuned",
        "together=true",
        "steps=4",
        "tuning_steps=4",
        "loss=multiscale",
    ]
    assert main([*words, *projection, "target=pictures", "out=out", "start=best of 4"]) == 0
    assert main([*words, "seeds=3", "out=plain"]) == 0
    assert main([*words, "seeds=3", "tuned=out/tuned.safetensors", "out=tuned"]) == 0
    assert not torch.equal(
        read_png(tmp_path / "plain" / "seed0003.png"), read_png(tmp_path / "tuned" / "seed0003.png")
    )
    assert read_png_text(tmp_path / "tuned" / "seed0003.png")["tuned"] == "tuned.safetensors"
    save_generator(tmp_path / "other.safetensors", make_generator(seed=1))
    capsys.readouterr()
    assert main(["network=other.safetensors", "seeds=3", "tuned=out/tuned.safetensors", "out=x"]) == 2
    error = capsys.readouterr().err
    assert "it belongs to a network with the weights" in error and error.count("\n") == 1
    assert main([*words, *projection, "target=pictures", "out=y", "tuned=out/tuned.safetensors"]) == 2
    assert "leave tuned out" in capsys.readouterr().err
    assert main([*words, "task=projection", "target=net.safetensors", "loss=multiscale", "out=z"]) == 2
    assert "this picture cannot be read" in capsys.readouterr().err
