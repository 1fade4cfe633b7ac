"""task=interpolation: its values, its files, and the one line of each mistake, through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylegan.cli.generate import main
from stylegan.interop.checkpoint import save_generator
from stylegan.latents.tasks.interpolation import Interpolation
from tests.latents.test_sampling import fresh_generator

TINY = dict(resolution=8, z_dim=4, w_dim=4, mapping_layers=1, channel_base=32, channel_max=4)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_generator("net.safetensors", fresh_generator(**TINY))
    return tmp_path


def generate(*words):
    return main(["network=net.safetensors", "device=cpu", "precision=fp32", "out=out", *words])


def pixels(path):
    return np.asarray(Image.open(path))


def test_key_frames_are_the_files_of_task_images(here):
    assert generate("task=images", "seeds=0-2", "truncation=0.6") == 0
    assert (
        generate("task=interpolation", "seeds=2-0,2", "truncation=0.6", "fps=4", "leg_sec=1", "format=png")
        == 0
    )
    frames = sorted((here / "out" / "through-seed0002-seed0002").glob("*.png"))
    assert len(frames) == 13
    for frame, seed in zip(frames[::4], (2, 1, 0, 2), strict=True):
        np.testing.assert_array_equal(pixels(frame), pixels(here / "out" / f"seed{seed:04d}.png"))


def test_a_walk_is_a_video_that_says_how_it_was_made(here, capsys):
    words = [
        "task=interpolation",
        "seeds=3",
        "duration_sec=1",
        "fps=10",
        "grid=3x2",
        "format=webp",
        "quality=100",
    ]
    Path("film.yaml").write_text("psi: {pulse: {low: 0.5, high: 1, times: 1}}\n")
    assert generate(*words, "timeline=film.yaml") == 0
    with Image.open("out/walk-seed0003.webp") as video:
        assert video.n_frames == 10 and video.size == (24, 16)
    said = json.loads(Path("out/walk-seed0003.webp.json").read_text())
    wanted = {"path": "walk", "seeds": "3", "grid": "3x2", "duration_sec": "1", "smoothing_sec": "3"}
    assert {key: said[key] for key in wanted} == wanted
    assert said["timeline"] == Path("film.yaml").read_text()
    # The same command leaves the file alone; another walk is refused until told.
    assert generate(*words, "timeline=film.yaml") == 0
    assert "is there already, and stays" in capsys.readouterr().out
    assert generate(*words) == 2
    assert "overwrite=true" in capsys.readouterr().err
    assert generate(*words, "overwrite=true") == 0


WRONG = {
    "path=spin": "path must be one of walk, through, circle, noise",
    "space=x": "space must be one of z, w",
    "space=w path=walk": "space=w: it counts for path=through",
    "curve=cubic": "curve=cubic: it counts for path=through",
    "seeds=0,1 curve=bezier": "curve must be one of linear, slerp, cubic",
    "seeds=0,1 easing=ease": "easing must be one of linear",
    "seeds=0,1 leg_sec=0": "leg_sec must be seconds above 0",
    "seeds=0,1 leg_sec=1,2": "leg_sec has 2 numbers, and 2 key frames have 1 leg",
    "seeds=0,1 duration_sec=3": "duration_sec=3: path=through takes leg_sec",
    "path=through": "seeds has one point, and path=through needs two",
    "path=through seeds=0,1,2 grid=2x1": "grid=2x1 has 2 cells, and 3 points cannot be divided",
    "path=walk seeds=0-5 grid=2x2": "grid=2x2 has 4 cells, and there are 6 seeds",
    "grid=3": "grid must be columns x rows",
    "slowdown=0.5": "slowdown must be a number from 1 to 1000",
    "duration_sec=0": "duration_sec must be a number",
    "duration_sec=80000 fps=60": "duration_sec makes 4,800,000 frames",
    "smoothing_sec=-1": "smoothing_sec must be a number from 0",
    "path=circle diameter=0": "diameter must be a number",
    "fill=rot": "fill must be a colour",
    "label=fox": "was trained without labels",
    "seeds=0,none.npz": "there is no such file",
    "seeds=0--3": "seeds=0--3",
    "truncation=much": "truncation",
    "timeline=none.yaml": "timeline=none.yaml: the file cannot be read",
    "timeline=bad.yaml": "bad.yaml, line 2: unknown track spin",
    "timeline=frame.yaml grid=2x1": "the timeline has frame",
    "timeline=mask.yaml": "there is no such file",
    "timeline=label.yaml": "it has a track label, and net.safetensors was trained without labels",
    "timeline=styles.yaml": "this network lacks layer 40",
    "audio_tracks=bass>psi:1": "audio_tracks follows a sound: set audio=song.wav",
    "layers=fine": "layers",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_mistake_is_one_line(here, words, capsys):
    for name, text in {
        "bad": "psi: 1\nspin: 2",
        "frame": "frame: {cells: 2x1}",
        "mask": "frame: {mask: none.png}",
        "label": "label: fox",
        "styles": "styles.3: {layers: 40, keys: 1}",
    }.items():
        Path(f"{name}.yaml").write_text(text)
    assert generate("task=interpolation", "format=png", *words.split()) == 2
    error = capsys.readouterr().err
    assert WRONG[words] in error and "Traceback" not in error and len(error.splitlines()) == 1
    assert not Path("out").exists()


def test_a_latent_file_goes_through_w_and_says_so(here, capsys):
    np.save("two.npy", np.random.default_rng(0).standard_normal((2, 1, 4)).astype(np.float32))
    task = Interpolation(seeds="3,two.npy")
    assert (task.path, task.space) == ("through", "w")
    assert "interpolating in w, since two.npy[0] is given as w" in capsys.readouterr().out


def test_classes_named_with_semicolons_stay_whole(here):
    save_generator("net.safetensors", fresh_generator(**TINY, c_dim=2, label_names=["a;b", "c"]))
    options = ["task=interpolation", "seeds=0,1", "fps=2", "leg_sec=1", "format=png"]
    assert generate(*options, "label=a;b") == 0
    assert generate(*options, "label=c;0", "out=two") == 0
    assert generate(*options, "label=c;c;c", "out=three") == 2
    frames = [sorted(Path(out, "through-seed0000-seed0001").glob("*.png")) for out in ("out", "two")]
    same = [np.array_equal(pixels(a), pixels(b)) for a, b in zip(*frames, strict=True)]
    assert same[0] is False and same[-1] is True


def test_label_all_shows_a_walk_in_every_class(here, capsys):
    save_generator("net.safetensors", fresh_generator(**TINY, c_dim=3))
    options = ["task=interpolation", "fps=4", "duration_sec=1", "format=png", "label=all"]
    assert generate(*options, "seeds=0") == 0
    assert pixels(next(Path("out/walk-seed0000").glob("*.png"))).shape == (16, 16, 3)
    assert generate(*options, "seeds=0,1", "path=walk", "out=b") == 2
    assert "label=all shows one seed in every class" in capsys.readouterr().err
