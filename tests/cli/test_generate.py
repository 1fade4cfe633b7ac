"""The generate command, from the command line to the pictures."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan.cli.generate import default_out, main
from stylegan.images import read_png_text
from stylegan.interop import load_generator
from stylegan.interop.checkpoint import save_generator
from stylegan.latents.directions.direction import Direction, write_directions
from stylegan.latents.drawer import Drawer
from stylegan.latents.latent_files import write_latents
from stylegan.latents.outputs import Output
from stylegan.latents.projection.difference import write_difference
from stylegan.latents.tasks.images import Images
from stylegan.networks import Generator
from stylegan.networks.digest import weights_sha256
from stylegan.version import __version__

ROOT = Path(__file__).parents[2]
SMALL = dict(resolution=8, z_dim=4, w_dim=4, mapping_layers=1, channel_base=32, channel_max=4)


def make_generator(seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Generator(**SMALL, **options)


def make_run(folder, seed=0, images=12800):
    generator = make_generator(seed)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").touch()
    content = {
        "format_version": 1,
        "generator": generator.options,
        "state_dict": {f"generator_ema.{name}": value for name, value in generator.state_dict().items()},
    }
    path = folder / "checkpoints" / f"kimg{images / 1000:011.3f}.ckpt"
    torch.save(content, path)
    return path


def names(folder):
    """All that is there, but for the JSON next to each image."""
    paths = {*folder.iterdir()}
    beside = {path for path in paths if path.suffix == ".json" and path.with_suffix("") in paths}
    return sorted(path.name for path in paths - beside)


def pixels(path):
    return np.asarray(Image.open(path))


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    path = make_run(home / "runs" / "a")
    assert main(["network=~/runs/a", "seeds=0", "out=~/pics"]) == 0
    assert main([f"network=~/runs/a/checkpoints/{path.name}", "seeds=1", "out=~/pics"]) == 0
    assert main(["runs_dir=~/runs", "seeds=2", "out=~/pics"]) == 0
    assert {"seed0000.png", "seed0001.png", "seed0002.png"} <= set(names(home / "pics"))
    assert names(tmp_path) == ["home"]


@pytest.fixture
def here(tmp_path):
    return tmp_path


def test_without_a_network_the_newest_run_draws_into_its_folder(here, capsys):
    make_run(here / "runs" / "old", seed=1)
    make_run(here / "runs" / "new", seed=2)
    os.utime(here / "runs" / "old" / "config.yaml", (0, 0))
    assert main(["seeds=0-1,20"]) == 0
    out = Path("runs/new/generated")
    assert names(out) == ["grid.png", "seed0000.png", "seed0001.png", "seed0020.png"]
    assert capsys.readouterr().out.splitlines() == [
        "network: runs/new/checkpoints/kimg0000012.800.ckpt",
        f"3 images of 8x8 px in {out}, together in {out / 'grid.png'}",
    ]
    assert names(here) == ["runs"]


def test_a_run_folder_a_checkpoint_and_its_generator_draw_the_same(here):
    path = make_run(here / "runs" / "a")
    make_run(here / "runs" / "a", seed=1, images=6400)
    save_generator("lone.safetensors", make_generator())
    for out, network in {"run": here / "runs" / "a", "file": path, "generator": "lone.safetensors"}.items():
        assert main([f"network={network}", f"out={out}", "seeds=3", "truncation=0.7", "precision=fp32"]) == 0
    seed = "seed0003.png"
    np.testing.assert_array_equal(pixels(here / "run" / seed), pixels(here / "generator" / seed))
    np.testing.assert_array_equal(pixels(here / "run" / seed), pixels(here / "file" / seed))
    common = {
        "seed": "3",
        "truncation": "0.7",
        "noise_mode": "const",
        "precision": "fp32",
        "version": __version__,
        "weights": weights_sha256(make_generator()),
    }
    assert read_png_text(here / "run" / seed) == common | {
        "network": path.name,
        "run": "a",
        "kimg": "12.800",
    }
    assert read_png_text(here / "generator" / seed) == common | {"network": "lone.safetensors"}


def test_where_pictures_go_without_out(here, monkeypatch):
    path = make_run(here / "runs" / "a")
    assert default_out(path) == here / "runs" / "a" / "generated"
    assert default_out(path.relative_to(here)) == Path("runs/a/generated")
    assert default_out(path.with_suffix(".safetensors")) == here / "runs" / "a" / "generated"
    assert default_out(Path("lone.safetensors")) == Path("generated")
    assert default_out(Path("elsewhere/checkpoints/kimg0000001.000.ckpt")) == Path(
        "elsewhere/checkpoints/generated"
    )
    monkeypatch.chdir(path.parent)
    assert default_out(Path(path.name)) == here / "runs" / "a" / "generated"
    assert default_out(Path("..") / "checkpoints" / path.name).resolve() == here / "runs" / "a" / "generated"


def test_labels_and_noise_reach_the_pictures(here):
    generator = make_generator(c_dim=3)
    for name, _ in generator.synthesis.noise_layers:
        generator.get_submodule(f"synthesis.{name}").noise_strength.data.fill_(1)
    save_generator("cond.safetensors", generator)
    for label, noise_mode in [(0, "const"), (2, "const"), (2, "random"), (2, "none")]:
        out = f"{label}-{noise_mode}"
        options = [f"label={label}", f"noise_mode={noise_mode}", f"out={out}", "seeds=5", "device=cpu"]
        assert main(["network=cond.safetensors", *options]) == 0
    drawn = {path.name: pixels(path / "seed0005.png").tobytes() for path in here.iterdir() if path.is_dir()}
    assert len(set(drawn.values())) == len(drawn) == 4


def test_each_job_of_a_sweep_has_a_folder(here):
    make_run(here / "runs" / "a")
    assert main(["-m", "truncation=0.5,1", "seeds=1,2"]) == 0
    assert names(here / "runs" / "a" / "generated") == ["truncation=0.5", "truncation=1"]
    for truncation in ("0.5", "1"):
        out = here / "runs" / "a" / "generated" / f"truncation={truncation}"
        assert names(out) == ["grid.png", "seed0001.png", "seed0002.png"]
        assert read_png_text(out / "grid.png")["truncation"] == truncation


def test_free_text_through_a_plain_shell_from_any_folder(here):
    odd = here / "nëtz, [1] = ${x} 'q'"
    odd.mkdir()
    save_generator(odd / "a=b, c.safetensors", make_generator())
    words = [f"network={odd / 'a=b, c.safetensors'}", "seeds=0 - 1, 20", "out=öut, (2) ${y}"]
    command = [sys.executable, str(ROOT / "generate.py"), *words]
    result = subprocess.run(command, cwd=here, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert names(here / "öut, (2) ${y}") == ["grid.png", "seed0000.png", "seed0001.png", "seed0020.png"]
    assert read_png_text(here / "öut, (2) ${y}" / "grid.png")["network"] == "a=b, c.safetensors"


def test_another_class_replaces_nothing_unasked(here, capsys):
    save_generator("cond.safetensors", make_generator(c_dim=2, label_names=["cat", "dog"]))
    words = ["network=cond.safetensors", "seeds=0-2"]
    assert main([*words, "label=cat"]) == 0
    before = {path.name: path.read_bytes() for path in Path("generated").iterdir()}
    capsys.readouterr()
    assert main([*words, "label=dog"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("stylegan-generate: generated/seed0000.png is there already, drawn with label=cat")
    assert "out=..." in line and "overwrite=true" in line
    assert main([*words, "label=0"]) == 0  # the same class by its number
    assert {path.name: path.read_bytes() for path in Path("generated").iterdir()} == before
    assert main([*words, "label=dog", "overwrite=true"]) == 0
    assert {read_png_text(path)["label"] for path in Path("generated").glob("*.png")} == {"dog"}
    assert main([*words, "label=all", "out=all"]) == 0
    assert names(here / "all") == [
        "grid.png",
        *(f"seed000{s}-class{c}.png" for s in range(3) for c in range(2)),
    ]


def test_a_later_checkpoint_of_a_run_replaces_nothing_unasked(here, capsys):
    make_run(here / "runs" / "a", seed=1)
    assert main(["seeds=0"]) == 0
    make_run(here / "runs" / "a", seed=2, images=25_600)
    assert main(["seeds=0"]) == 2
    assert "drawn with network=kimg0000012.800.ckpt, kimg=12.800 (and 1 more file)" in capsys.readouterr().err


def test_the_same_pixels_from_python_and_from_the_command_line(here):
    path = make_run(here / "runs" / "a")
    words = ["truncation=0.6", "noise_mode=random", "precision=fp32", "device=cpu"]
    assert main(["seeds=0-8", "out=command", *words]) == 0
    drawer = Drawer(load_generator(path), truncation=0.6, noise_mode="random", precision="fp32", device="cpu")
    Images(seeds="8").run(drawer, Output(here / "python"))
    np.testing.assert_array_equal(
        pixels(here / "python" / "seed0008.png"), pixels(here / "command" / "seed0008.png")
    )
    assert main(["task=grid", "seeds=8,0", "out=sheet", *words]) == 0
    np.testing.assert_array_equal(
        pixels(here / "sheet" / "grid.png")[:8, :8], pixels(here / "python" / "seed0008.png")
    )


def test_like_draws_the_same_again_with_the_network_of_the_image(here, capsys):
    make_run(here / "runs" / "foxes", seed=1)
    assert main(["seeds=3", "truncation=0.6", "truncation_cutoff=2", "noise_mode=random", "center=4"]) == 0
    make_run(here / "runs" / "owls", seed=2)  # the newest
    os.utime(here / "runs" / "foxes" / "config.yaml", (0, 0))
    image = "runs/foxes/generated/seed0003.png"
    before = pixels(here / image)
    capsys.readouterr()
    assert main([f"like={image}", "out=again, 1"]) == 0
    assert (printed := capsys.readouterr()).out.startswith(
        "network:"
    ) and "another network" not in printed.out
    np.testing.assert_array_equal(pixels(here / "again, 1" / "seed0003.png"), before)
    assert read_png_text(here / "again, 1" / "seed0003.png") == read_png_text(here / image)
    # From a picture that was moved, by the name of its run.
    (here / "moved").mkdir()
    (here / image).rename(here / "moved" / "a, b.png")
    assert main(["like=moved/a, b.png", "out=moved-again"]) == 0
    np.testing.assert_array_equal(pixels(here / "moved-again" / "seed0003.png"), before)
    # What is typed counts.
    assert main(["like=moved/a, b.png", "out=other", "truncation=1"]) == 0
    text = read_png_text(here / "other" / "seed0003.png")
    assert (text["truncation"], text["truncation_cutoff"], text["noise_mode"]) == ("1", "2", "random")
    capsys.readouterr()
    assert main(["like=moved/a, b.png", "network=runs/owls", "out=owls"]) == 0
    assert "was drawn by another network" in capsys.readouterr().out
    assert (pixels(here / "owls" / "seed0003.png") != before).any()


def test_like_finds_a_lone_network_its_difference_and_its_directions(here, capsys):
    generator, tuned = make_generator(1), make_generator(2)
    save_generator(here / "fox.safetensors", generator)
    write_difference(here / "tuned.safetensors", generator, tuned)
    write_directions(here / "age.npz", [Direction(vector=torch.ones(1, 4), name="age")], {})
    words = ("network=fox.safetensors", "tuned=tuned.safetensors", "directions=age.npz:2", "out=first")
    assert main(["seeds=3", "format=jpeg", "quality=50", *words]) == 0
    assert main(["like=first/seed0003.jpg", "out=again"]) == 0
    assert (here / "first" / "seed0003.jpg").read_bytes() == (here / "again" / "seed0003.jpg").read_bytes()
    assert "was drawn" not in capsys.readouterr().out
    (here / "tuned.safetensors").unlink()
    assert main(["like=first/seed0003.jpg", "out=third"]) == 2
    assert "it was drawn with tuned=tuned.safetensors; name the file once more" in capsys.readouterr().err


def test_layers_are_listed(here, capsys):
    make_run(here / "runs" / "a")
    assert main(["layer=list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == [
        *("b4.conv1", "b4.torgb", "b8.conv0", "b8.conv1", "b8.torgb")
    ]
    assert main(["layer=b8.conv1", "seeds=0"]) == 0
    assert read_png_text(Path("runs/a/generated/seed0000.png"))["layer"] == "b8.conv1"


def test_a_zip_and_a_zip_for_each_job_of_a_sweep(here):
    make_run(here / "runs" / "a")
    assert main(["seeds=0-2", "out=fakes.zip"]) == 0
    assert main(["-m", "seeds=0-2", "out=fakes.zip", "truncation=0.5,1"]) == 0
    found = [name for name in names(here) if name.endswith(".zip")]
    assert found == ["fakes,truncation=0.5.zip", "fakes,truncation=1.zip", "fakes.zip"]
    assert main(["task=grid", "out=sheet.zip"]) == 2


def test_sheets_have_the_keys_of_their_own(here):
    save_generator("cond.safetensors", make_generator(c_dim=2, label_names=["cat", "dog"]))
    words = ["network=cond.safetensors", "seeds=0-1"]
    assert main([*words, "task=truncation", "psis=0, 0.5,1", "label=0.5*cat+0.5*dog"]) == 0
    assert pixels(here / "generated" / "truncation.png").shape == (16, 24, 3)
    assert main([*words, "task=grid", "label=all", "format=webp", "quality=100"]) == 0
    assert pixels(here / "generated" / "grid.webp").shape == (16, 16, 3)


@pytest.fixture
def files(here):
    make_run(here / "runs" / "a")
    save_generator("cond.safetensors", make_generator(c_dim=3))
    Path("empty").mkdir()
    Path("begun").mkdir()
    Path("begun/config.yaml").touch()
    Path("text.txt").touch()
    Image.new("RGB", (8, 8)).save("mine.png")
    write_latents(Path("wide.npz"), w=torch.zeros(1, 18, 512))
    Path("broken.ckpt").write_bytes(b"PK")
    torch.save({"format_version": 99}, "later.ckpt")


@pytest.mark.parametrize(
    "words, message",
    [
        ("network=nothing", "network=nothing: there is no such file or folder"),
        ("network=a", "did you mean network=runs/a?"),
        ("network=empty", "network=empty: it is not a run folder: there is no empty/checkpoints/kimg*.ckpt"),
        (
            "network=begun",
            "network=begun: this run has saved no checkpoint yet; it saves every callbacks.checkpoint.",
        ),
        ("network=runs", "this is a folder of runs; the newest with a checkpoint is network=runs/a"),
        ("psi=0.7", "there is no key psi; here it is truncation"),
        ("class=1", "there is no key class; here it is label"),
        (
            "--seeds 0-3",
            "--seeds: there is no such flag; the whole command here: python generate.py seeds=0-3",
        ),
        ("network=text.txt", "text.txt is not a network"),
        ("network=broken.ckpt", "broken.ckpt cannot be read"),
        ("network=later.ckpt", "later.ckpt has format_version 99"),
        ("runs_dir=nowhere", "no run in nowhere has a checkpoint yet: train first"),
        ("seeds=5-x", "seeds=5-x: neither a seed, nor a range as in 0-15, nor a file of latents"),
        ("seeds=${a}", "seeds=${a}: neither a seed, nor a range"),
        ("seeds=null", "seeds must be text or a whole number, got null"),
        ("seeds=fox.npz", "seeds=fox.npz: there is no such file"),
        (
            "seeds=text.txt",
            "text.txt: this is no file of latents (latents are in .npz, .npy, .safetensors, .pt)",
        ),
        (
            "seeds=wide.npz",
            "wide.npz: w has the shape [18, 512], and runs/a/checkpoints/kimg0000012.800.ckpt takes [4, 4]",
        ),
        ("seeds=mine.png", "mine.png: this picture does not say which seed or latent it was drawn from"),
        ("truncation_cutoff=9", "truncation_cutoff must be from 0 to the network's 4 layers, got 9"),
        ("center=somewhere", "center=somewhere: neither a seed"),
        ("center=clusters:0", "the number of clusters is from 1 to 1,024"),
        ("format=tiff", "format must be one of png, jpeg, webp, png16, got 'tiff'"),
        ("quality=101", "quality must be from 1 to 100, got 101"),
        ("grid=4", "grid must be columns x rows, as in 6x4, got 4"),
        ("grid=2x2", "grid=2x2 has 4 cells, and there are 16 images; grid=4x4 holds them"),
        ("task=grid grid=2x2", "grid=2x2 has 4 cells, and there are 16 images; grid=4x4 holds them"),
        ("task=truncation psis=0,much", "psis must be a number, as in 0.7, got 'much'"),
        ("task=grid psis=0,1", "there is no key psis here; it comes with task=truncation"),
        ("canvas=large", "canvas must be width x height in px, as in 1024x512, got large"),
        ("canvas_mode=fold canvas=32x32", "canvas_mode must be one of tile, stretch, mirror, got 'fold'"),
        (
            "layer=b64.conv1",
            "layer=b64.conv1: this network has b4.conv1, b4.torgb, ... b8.torgb; layer=list shows all",
        ),
        ("crop=64x64", "crop=64x64: the images are 8x8 px"),
        ("like=nothing.png", "like=nothing.png: there is no such file"),
        ("like=mine.png", "like=mine.png: neither this file nor mine.png.json says how it was drawn"),
        ("save_latents=maybe", "save_latents must be true or false, got 'maybe'"),
        ("truncation=much", "truncation must be a number, got 'much'"),
        ("truncation=null", "truncation must be a number, got null"),
        ("noise_mode=some", "noise_mode must be one of const, random, none, got 'some'"),
        ("label=0", "was trained without labels"),
        ("network=cond.safetensors", "label is missing: cond.safetensors draws 3 classes"),
        ("network=cond.safetensors label=3", "label=3: cond.safetensors draws 3 classes"),
        ("out=text.txt", "out must be a folder for the images, got text.txt, which is a file"),
        ("out=text.txt/deeper", "text.txt/deeper'; set out=... for another folder"),
        ("device=toaster", "device=toaster cannot be used here"),
        ("task=dance", "task=dance: there is no such file"),
        ("truncaton=1", "there is no key truncaton; did you mean truncation?"),
        ("+truncaton=1", "there is no key truncaton; did you mean truncation?"),
        ("+foo=1", "there is no key foo"),
        ("+task.quolity=3", "there is no key task.quolity; did you mean task.quality?"),
        ("runs_dir=null", "runs_dir must be a folder, got null"),
        ("runs_dir=", "runs_dir must be a folder, got ''"),
        ("network=", "network is empty; leave it out for the newest run"),
        ("out=", "out is empty; leave it out for the run's own folder"),
        ("task=null", "task=null: choose one of blend, directions, grid, images, "),
        ("device=meta", "device=meta cannot be used here"),
        ("truncation=1e300", "truncation must be between -100 and 100, got 1e+300"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(files, here, capsys, words, message):
    assert main(words.split(" ")) == 2
    stderr = capsys.readouterr().err
    assert message in stderr and stderr.startswith("stylegan-generate: ") and len(stderr.splitlines()) == 1
    assert not (here / "runs" / "a" / "generated").exists()


def test_the_command_itself_needs_no_torch():
    """What only shows something must not wait for it."""
    code = "import sys, stylegan.cli.generate as g; print('torch' in sys.modules, 'numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.split() == ["False", "False"], result.stderr


def test_a_pickle_draws_what_the_same_generator_draws(here):
    pickle = Path(__file__).parents[1] / "golden" / "formats" / "snapshot_torch2_b.pkl"
    save_generator(here / "same.safetensors", load_generator(pickle))
    for network in (pickle, "same.safetensors"):
        assert main([f"network={network}", "seeds=0-1", f"out={Path(network).suffix}"]) == 0
    for name in ("seed0000.png", "seed0001.png"):
        assert np.array_equal(pixels(here / ".pkl" / name), pixels(here / ".safetensors" / name))
    assert read_png_text(here / ".pkl" / "seed0000.png")["network"] == pickle.name


def test_a_published_network_draws_into_this_folder(here, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    place = here / "cache" / "stylegan-lightning" / "networks" / "stylegan2-ffhq-256x256.pkl"
    place.parent.mkdir(parents=True)
    golden = Path(__file__).parents[1] / "golden" / "formats" / "snapshot_torch2_b.pkl"
    place.write_bytes(golden.read_bytes())
    assert main(["network=ffhq256", "seeds=0"]) == 0
    assert "seed0000.png" in names(here / "generated") and names(place.parent) == [place.name]


def test_a_pickle_that_names_a_program_is_refused_in_one_line(here, capsys):
    (here / "evil.pkl").write_bytes(b"\x80\x03cposix\nsystem\nX\x0a\x00\x00\x00touch mark\x85R.")
    assert main(["network=evil.pkl"]) == 2
    error = capsys.readouterr().err
    assert "evil.pkl is not read: it names posix.system" in error and error.count("\n") == 1
    assert names(here) == ["evil.pkl"]
