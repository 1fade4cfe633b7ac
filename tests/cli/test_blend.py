"""Blending of two networks from the command line."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from stylegan import load_generator
from stylegan.cli.generate import main
from stylegan.interop import save_generator
from stylegan.latents.blending import blend
from stylegan.latents.tasks.blend import Blend
from stylegan.networks.digest import weights_sha256
from tests.cli.test_style_mixing import cells, pictures
from tests.latents.networks import fine_tuned, make_generator

LOW = make_generator(channel_base=1024, channel_max=32)
HIGH = fine_tuned(LOW)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_generator("net.safetensors", LOW)
    save_generator("high.safetensors", HIGH)
    return tmp_path


def blending(*words):
    return main(
        ["task=blend", "low=net.safetensors", "high=high.safetensors", "out=out", "device=cpu", *words]
    )


def test_a_split_is_a_network_file_like_any_other(here, capsys):
    assert blending("at=16", "width=1", "seeds=3,1") == 0
    assert "cosine of the weights: 0.9" in capsys.readouterr().out
    path = here / "out" / "blend-at16-width1.safetensors"
    expected = blend(LOW, HIGH, at=16, width=1)
    assert weights_sha256(load_generator(path)) == weights_sha256(expected)
    sidecar = json.loads(path.with_name(f"{path.name}.json").read_text())
    assert (sidecar["low"], sidecar["high"]) == (weights_sha256(LOW), weights_sha256(HIGH))
    assert (sidecar["at"], sidecar["width"], sidecar["mapping"]) == ("16", "1", "low")
    from safetensors import safe_open

    with safe_open(path, framework="pt") as archive:
        assert sidecar.items() <= archive.metadata().items()
    assert main([f"network={path}", "seeds=3,1", "out=of-blend", "device=cpu"]) == 0
    of_low, of_high = pictures((3, 1)), pictures((3, 1), network="high")
    sheet = cells(here / "out" / "blend-at16-width1.png", 2, 3)
    for row, seed in enumerate((3, 1)):
        assert np.array_equal(sheet[row, 0], of_low[seed])
        assert np.array_equal(sheet[row, 1], np.asarray(Image.open(f"of-blend/seed{seed:04d}.png")))
        assert np.array_equal(sheet[row, 2], of_high[seed])


def test_without_a_split_all_of_them_are_columns(here, capsys):
    assert blending("seeds=3") == 0
    assert "columns: low, at=32, at=16, at=8, at=4, high" in capsys.readouterr().out
    sheet = cells(here / "out" / "blends.png", 1, 6)[0]
    assert (
        main(["task=blend", "network=net.safetensors", "high=high.safetensors", "at=8", "seeds=3", "out=one"])
        == 0
    )
    one = cells(here / "one" / "blend-at8.png", 1, 3)[0]
    assert (
        np.array_equal(sheet[0], one[0])
        and np.array_equal(sheet[3], one[1])
        and np.array_equal(sheet[5], one[2])
    )
    assert json.loads((here / "out" / "blends.png.json").read_text())["cells"][1] == {
        "network": "at=32",
        "seed": "3",
    }
    assert [path.name for path in (here / "out").glob("*.safetensors")] == []


def test_the_mapping_of_high_with_the_lowest_split_is_high(here):
    assert blending("at=4", "mapping=high", "seeds=3") == 0
    assert weights_sha256(load_generator("out/blend-at4-mapping-high.safetensors")) == weights_sha256(HIGH)


@pytest.mark.long
def test_what_is_there_stays(here, capsys):
    assert blending("at=8", "seeds=3") == 0
    before = {path.name: path.stat().st_mtime_ns for path in (here / "out").iterdir()}
    assert blending("at=8", "seeds=3") == 0
    assert {path.name: path.stat().st_mtime_ns for path in (here / "out").iterdir()} == before
    save_generator("high.safetensors", fine_tuned(LOW, seed=8))
    capsys.readouterr()
    assert blending("at=8", "seeds=3") == 2
    assert "blend-at8.safetensors is there already" in capsys.readouterr().err


@pytest.mark.long
def test_high_may_be_a_run(here):
    (here / "runs" / "faces" / "checkpoints").mkdir(parents=True)
    content = {
        "format_version": 1,
        "generator": HIGH.options,
        "state_dict": {f"generator_ema.{name}": value for name, value in HIGH.state_dict().items()},
    }
    torch.save(content, here / "runs" / "faces" / "checkpoints" / "kimg0000012.800.ckpt")
    assert blending("high=runs/faces", "at=8", "seeds=3") == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        pytest.param(["high=gone"], "high=gone: there is no such file", marks=pytest.mark.long),
        (["low=gone"], "low=gone: there is no such file"),
        (["network=net.safetensors"], "name the same network; set one of them"),
        (["at=12"], "at must be the resolution of a block, one of 4, 8, 16, 32, got 12"),
    ],
)
def test_a_slip_is_one_line_and_writes_nothing(here, capsys, words, line):
    assert blending(*words) == 2
    error = capsys.readouterr().err.strip()
    assert line in error and "\n" not in error
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (dict(high=None), "high is missing: name the network of the high resolutions, as in high=runs/foxes"),
        (dict(width=-1.0), "width must be 0 octaves or more, got -1.0"),
        (dict(mapping="both"), "mapping must be low or high, got 'both'"),
        (dict(seeds="fox"), "seeds=fox: neither a seed"),
        (dict(format="bmp"), "format must be one of"),
        (dict(format="gif", duration_sec=0.0), "duration_sec must be above 0, got 0.0"),
        (dict(fill="whitish"), "fill must be a colour"),
    ],
)
def test_what_is_wrong_with_any_network_is_found_without_one(options, line):
    with pytest.raises(ValueError) as caught:
        Blend(**({"high": "high.safetensors"} | options))
    assert str(caught.value).startswith(line)


def test_strangers_and_other_shapes_are_refused_in_one_line(here, capsys):
    save_generator("stranger.safetensors", make_generator(9, channel_base=1024, channel_max=32))
    assert blending("high=stranger.safetensors", "at=16") == 2
    error = capsys.readouterr().err.strip()
    assert "high=stranger.safetensors: these networks have no common ancestor: the cosine of their" in error
    assert not (here / "out").exists()
    assert blending("high=stranger.safetensors", "at=16", "unrelated=true", "seeds=0") == 0
    save_generator(
        "smaller.safetensors", make_generator(channel_base=1024, channel_max=32, resolution=16, w_dim=4)
    )
    capsys.readouterr()
    assert blending("high=smaller.safetensors", "at=16", "out=other") == 2
    assert capsys.readouterr().err.strip() == (
        "stylegan-generate: high=smaller.safetensors: these networks have different shapes: resolution 32 and 16;"
        " w_dim 8 and 4; only networks of one shape can be blended"
    )
    assert not (here / "other").exists()


def test_a_video_passes_from_low_to_high_and_back(here):
    assert blending("seeds=3,1", "format=apng", "duration_sec=0.5", "fps=8") == 0
    with Image.open(here / "out" / "blend.png") as video:
        assert (video.n_frames, video.size) == (4, (64, 32))
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(video)]
    for number, network in ((0, "net"), (2, "high")):
        words = [f"network={network}.safetensors", "seeds=3,1", f"out=of-{network}", "grid=2x1", "device=cpu"]
        assert main(["task=grid", *words]) == 0
        assert np.array_equal(frames[number], np.asarray(Image.open(f"of-{network}/grid.png")))
    assert not np.array_equal(frames[1], frames[0]) and not np.array_equal(frames[1], frames[2])
    assert np.array_equal(frames[1], frames[3])
    sidecar = json.loads((here / "out" / "blend.png.json").read_text())
    assert (sidecar["weights"], sidecar["high"]) == (weights_sha256(LOW), weights_sha256(HIGH))
