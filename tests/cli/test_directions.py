"""The generate command with directions: found, shown, and applied to images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan.cli.generate import main
from stylegan.interop.checkpoint import save_generator
from stylegan.latents.directions.direction import Channel, Direction, read_directions, write_directions
from stylegan.networks import Generator

SMALL = dict(resolution=8, z_dim=6, w_dim=6, mapping_layers=2, channel_base=32, channel_max=4)
NETWORK = "network=net.safetensors"


def save(path="net.safetensors", **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_generator(path, Generator(**SMALL | options))


def pixels(path):
    return np.asarray(Image.open(path))


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def found(*words, out="out"):
    assert (
        main(
            [NETWORK, "task=directions", "device=cpu", "precision=fp32", f"out={out}", "samples=300", *words]
        )
        == 0
    )


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_directions_are_found_saved_shown_and_applied(capsys):
    save()
    found("find=sefa", "count=2", "seeds=5,3", "strengths=-2,0,1.5")
    assert names("out") == [
        "sefa-0.png",
        "sefa-0.png.json",
        "sefa-1.png",
        "sefa-1.png.json",
        "sefa.npz",
        "sefa.npz.json",
    ]
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[1].startswith("sefa[0]: eigenvalue ")
        and "2 directions in out/sefa.npz, moving layers 0-3" in lines[3]
    )
    sheet = pixels("out/sefa-1.png")
    assert sheet.shape == (16, 24, 3)
    sidecar = json.loads(Path("out/sefa-1.png.json").read_text())
    assert sidecar["find"] == "sefa" and sidecar["strengths"] == "-2,0,1.5" and len(sidecar["cells"]) == 6
    # The columns are what every other task draws.
    images = [NETWORK, "device=cpu", "precision=fp32", "seeds=5,3"]
    assert main([*images, "out=a"]) == 0
    assert main([*images, "out=b", "directions=out/sefa.npz[1]:1.5"]) == 0
    np.testing.assert_array_equal(pixels("a/seed0005.png"), sheet[:8, 8:16])
    np.testing.assert_array_equal(pixels("b/seed0005.png"), sheet[:8, 16:])
    np.testing.assert_array_equal(pixels("b/seed0003.png"), sheet[8:, 16:])
    assert not np.array_equal(pixels("a/seed0003.png"), pixels("b/seed0003.png"))


def test_what_is_there_stays_and_the_file_does_not_depend_on_psi(capsys):
    save()
    found("find=pca", "count=1", "strengths=0,1")
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    capsys.readouterr()
    found("find=pca", "count=1", "strengths=0,1")
    assert capsys.readouterr().out.count("is there already, and stays as it is") == 2
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before
    assert (
        main([NETWORK, "task=directions", "find=pca", "count=1", "samples=300", "out=out", "truncation=0.5"])
        == 2
    )
    assert "out/pca.png is there already" in capsys.readouterr().err
    found("find=pca", "count=1", "strengths=0,1", "truncation=0.5", "overwrite=true")
    assert Path("out/pca.npz").read_bytes() == before["pca.npz"]


KINDS = [{"channels": 1}, {"channels": 4, "resolution": [8, 16]}, {"c_dim": 2, "label_names": ["fox", "dog"]}]


@pytest.mark.parametrize("options", KINDS)
def test_each_method_draws_any_network(options):
    save(**options)
    label = ["label=all"] if "c_dim" in options else []
    rows = [f"{seed},{seed % 7}" for seed in range(60)]
    Path("smile.csv").write_text("\n".join(["seed,score", *rows]))
    found("find=sefa", "variant=stacked", "count=1", *label)
    found("find=pca", "count=2", "layers=coarse", *label)
    found("find=channels", "count=1", *label)
    found("find=boundary", "scores=smile.csv", "orthogonal_to=out/pca.npz[0],out/pca.npz[1]", *label)
    files = {"sefa-stacked", "pca", "channels", "smile"}
    if label:
        found("find=class_mean", "label=fox-dog")
        files |= {"fox-dog"}
    assert {name.removesuffix(".npz") for name in names("out") if name.endswith(".npz")} == files
    (smile,), (first, _) = read_directions(Path("out/smile.npz")), read_directions(Path("out/pca.npz"))
    assert abs(float((smile.vector * first.vector).sum())) < 1e-5
    assert first.layers is not None and max(first.layers) < 3
    height, width = (8, 16) if "resolution" in options else (8, 8)
    assert pixels("out/channels.png").shape[:2] == (5 * height, 5 * width)
    # Saved ones are shown again, at other strengths, over images that another one has moved.
    found(
        *("directions=out/smile.npz,out/pca.npz[1]:1,out/channels.npz:2", "strengths=-1,1", "seeds=0-1"),
        *(["label=dog"] if label else []),
        out="again",
    )
    assert [name for name in names("again") if name.endswith("png")] == ["smile.png"]


def test_a_direction_as_a_video():
    save(channels=1)
    found("find=sefa", "count=1", "format=gif", "duration_sec=0.4", "fps=10", "seeds=0-2", "strengths=-1,1")
    with Image.open("out/sefa-loop.gif") as video:
        assert video.n_frames == 4 and video.size == (16, 16)


def test_a_style_channel_is_applied_to_images():
    save()
    write_directions(Path("eyes.npz"), [Direction(channel=Channel("b8.torgb", 1), sigma=2.0)], {})
    images = [NETWORK, "device=cpu", "precision=fp32", "seeds=1"]
    assert main([*images, "out=a"]) == 0
    assert main([*images, "out=b", "directions=eyes.npz:4"]) == 0
    assert main([*images, "out=c", "directions=eyes.npz:0"]) == 0
    np.testing.assert_array_equal(pixels("a/seed0001.png"), pixels("c/seed0001.png"))
    assert not np.array_equal(pixels("a/seed0001.png"), pixels("b/seed0001.png"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "find is missing: say how directions are found, as in find=sefa"),
        ("find=magic", "find must be one of sefa, pca, boundary, class_mean, channels, got 'magic'"),
        ("find=sefa variant=svd", "variant must be one of normalised, stacked, got 'svd'"),
        ("find=sefa count=0", "count must be a whole number from 1 to 512, got 0"),
        ("find=sefa count=7", "count must be from 1 to 6, the width of w; got 7"),
        ("find=pca samples=1", "samples must be a whole number from 2"),
        ("find=sefa layers=9", "layers=9: this network lacks layer 9"),
        ("find=sefa layers=top", "layers=top: these are no layers"),
        ("find=sefa strengths=much", "strengths must be numbers from -1000 to 1000"),
        ("find=sefa unit=px", "unit must be one of sigma, absolute, got 'px'"),
        ("find=boundary", "scores is missing: find=boundary takes a CSV"),
        ("find=boundary scores=gone.csv", "scores=gone.csv: there is no such file"),
        ("find=boundary scores=text.csv", "scores=text.csv, line 2: there: a line is seed,score"),
        ("find=boundary scores=few.csv", "scores: 2 latents have 1 at an end"),
        ("find=sefa scores=few.csv", "scores=few.csv counts with find=boundary alone"),
        ("find=boundary scores=few.csv share=2", "share must be above 0 and at most 0.5, got 2"),
        ("find=sefa share=0.1", "share=0.1 counts with find=boundary alone"),
        ("directions=wide.npz layers=0-3", "layers=0-3 counts with find= alone, not with saved directions"),
        ("directions=wide.npz orthogonal_to=a.npz", "orthogonal_to=a.npz counts with find= alone"),
        ("find=class_mean", "find=class_mean needs classes, and net.safetensors was trained without labels"),
        ("find=sefa orthogonal_to=gone.npz", "orthogonal_to=gone.npz: there is no such file"),
        ("find=sefa label=fox", "was trained without labels"),
        (
            "directions=wide.npz",
            "wide.npz: the direction has the shape [1, 512], and net.safetensors takes [1, 6]",
        ),
        ("directions=text.csv", "directions=text.csv: this is no direction"),
        ("directions=bad.npz:1", "bad.npz: this is no file of directions"),
        ("find=sefa format=mp5", "format must be one of"),
        ("find=sefa seeds=0-2 format=gif grid=1x2", "grid=1x2: these are 2 cells, and there are 3 seeds"),
        ("find=sefa duration_sec=0 format=gif", "duration_sec must be above 0, got 0"),
        ("show=video", "there is no key show"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, words, message):
    save()
    Path("text.csv").write_text("hello\nthere\n")
    Path("few.csv").write_text("1,0\n2,1\n")
    Path("bad.npz").write_bytes(b"PK")
    write_directions(Path("wide.npz"), [Direction(vector=torch.ones(1, 512))], {})
    assert main([NETWORK, "task=directions", "samples=300", *words.split()]) == 2
    stderr = capsys.readouterr().err
    assert message in stderr and stderr.startswith("stylegan-generate: ") and len(stderr.splitlines()) == 1


def test_a_direction_of_another_network_is_refused_by_every_task(capsys):
    save()
    write_directions(Path("wide.npz"), [Direction(vector=torch.ones(1, 512))], {})
    assert main([NETWORK, "seeds=0", "directions=wide.npz:1"]) == 2
    assert "wide.npz: the direction has the shape [1, 512]" in capsys.readouterr().err
