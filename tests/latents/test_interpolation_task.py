"""task=interpolation: its values, its files, and the one line of each mistake, through the command line."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan import load_generator
from stylegan.cli.generate import main
from stylegan.interop.checkpoint import save_generator
from stylegan.latents.drawer import Drawer
from stylegan.latents.outputs import Output
from stylegan.latents.tasks.interpolation import Interpolation
from stylegan.latents.tracks import SOUNDS
from stylegan.media.audio_features import KINDS
from stylegan.media.settings import MediaSettings
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
    # And all of them are those that Python draws.
    media = MediaSettings(format="png", fps=4)
    drawer = Drawer(load_generator("net.safetensors"), device="cpu", precision="fp32", truncation=0.6)
    video = Interpolation(seeds="2-0,2", leg_sec=1, media=media).video(drawer)
    drawn = torch.cat(list(video.draw(0, video.count))).movedim(1, -1)
    np.testing.assert_array_equal(drawn.numpy(), np.stack([pixels(frame) for frame in frames]))


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


# Values that the task itself refuses, before a network is loaded.
REFUSED = {
    "path=spin": "path must be one of walk, through, circle, noise",
    "space=x": "space must be one of z, w",
    "space=w path=walk": "space=w: it counts for path=through",
    "curve=cubic": "curve=cubic: it counts for path=through",
    "seeds=0,1 curve=bezier": "curve must be one of linear, slerp, cubic",
    "seeds=0,1 easing=ease": "easing must be one of linear",
    "seeds=0,1 leg_sec=0": "leg_sec must be seconds above 0",
    "seeds=0,1 duration_sec=3": "duration_sec=3: path=through takes leg_sec",
    "path=walk seeds=0-5 grid=2x2": "grid=2x2 has 4 cells, and there are 6 seeds",
    "grid=3by2": "grid must be columns x rows",
    "slowdown=0.5": "slowdown must be a number from 1 to 1000",
    "duration_sec=0": "duration_sec must be a number",
    "duration_sec=80000 slowdown=9": "duration_sec makes 21,600,000 frames",
    "smoothing_sec=-1": "smoothing_sec must be a number from 0",
    "path=circle diameter=0": "diameter must be a number",
    "seeds=0,none.npz": "there is no such file",
    "seeds=0--3": "seeds=0--3",
    "timeline=none.yaml": "timeline=none.yaml: the file cannot be read",
    "timeline=bad.yaml": "bad.yaml, line 2: unknown track spin",
    "timeline=frame.yaml grid=2x1": "the timeline has frame",
    "audio_tracks=bass>psi:1": "audio_tracks follows a sound: set audio=song.wav",
}
# Those that only the network, or the configuration, knows; all through the command line.
WRONG = {
    "timeline=bad.yaml": "bad.yaml, line 2: unknown track spin",
    "seeds=0,1 leg_sec=1,2": "leg_sec has 2 numbers, and 2 key frames have 1 leg",
    "path=through": "seeds has one point, and path=through needs two",
    "path=through seeds=0,1,2 grid=2x1": "grid=2x1 has 2 cells, and 3 points cannot be divided",
    "label=fox": "was trained without labels",
    "truncation=much": "truncation",
    "timeline=mask.yaml": "there is no such file",
    "timeline=label.yaml": "it has a track label, and net.safetensors was trained without labels",
    "timeline=styles.yaml": "this network lacks layer 40",
    "timeline=direction.yaml": "there is no such file",
    "layers=fine": "layers",
}


@pytest.fixture
def timelines(here):
    for name, text in {
        "bad": "psi: 1\nspin: 2",
        "frame": "frame: {cells: 2x1}",
        "mask": "frame: {mask: none.png}",
        "label": "label: fox",
        "styles": "styles.3: {layers: 40, keys: 1}",
        "direction": "direction.smile.npz: 1",
    }.items():
        Path(f"{name}.yaml").write_text(text)


@pytest.mark.parametrize("words", REFUSED)
def test_a_wrong_value_is_refused_before_a_network_is_loaded(timelines, words):
    values = {"seeds": 0} | dict(word.split("=", 1) for word in words.split())
    with pytest.raises(ValueError) as caught:
        Interpolation(**values)
    assert REFUSED[words] in str(caught.value) and str(caught.value).isprintable()


def test_a_file_in_place_of_the_folder_is_one_line(here):
    Path("taken").write_text("mine")
    drawer = Drawer(load_generator("net.safetensors"), device="cpu")
    with pytest.raises(ValueError, match="^out must be a folder for the video, got taken, which is a file$"):
        Interpolation(seeds=0, duration_sec=1).run(drawer, Output(Path("taken")))


@pytest.mark.parametrize("words", WRONG)
def test_a_mistake_is_one_line_of_the_command(timelines, words, capsys):
    assert generate("task=interpolation", "format=png", *words.split()) == 2
    error = capsys.readouterr().err
    assert WRONG[words] in error and "Traceback" not in error and len(error.splitlines()) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (dict(duration_sec=30), dict(duration_sec=30.00001)),
        (dict(smoothing_sec=3), dict(smoothing_sec=3.00000001)),
        (dict(slowdown=1), dict(slowdown=1.0000001)),
        (dict(path="circle", diameter=1), dict(path="circle", diameter=1.0000001)),
        (dict(seeds="0,1", leg_sec=100.12345), dict(seeds="0,1", leg_sec=100.12346)),
        (dict(media=MediaSettings(fps=23.9760001)), dict(media=MediaSettings(fps=23.976))),
    ],
)
def test_paths_that_differ_say_so(one, other):
    """A file that says the same counts as the same, and is left as it is."""
    texts = [
        task.text | dict(task.media.text)
        for task in (Interpolation(**{"seeds": 0} | v) for v in (one, other))
    ]
    assert texts[0] != texts[1]


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
    assert generate(*(word for word in options if "duration" not in word), "seeds=0,1", "out=b") == 2
    assert "label=all: path=through takes one label" in capsys.readouterr().err


def test_settings_follow_a_sound(here):
    """A click at 1.5 s, of the video 1.25 s, moves psi in the frame that is shown then, and in no other."""
    assert SOUNDS == KINDS
    rate = 22_050
    sound = np.zeros(3 * rate)
    sound[int(1.5 * rate) : int(1.5 * rate) + 300] = np.sin(np.arange(300))
    with wave.open("click.wav", "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound * 30_000).astype("<i2").tobytes())
    media = MediaSettings(fps=10, audio="click.wav", start_sec=0.25)
    task = Interpolation(seeds=1, duration_sec=2, audio_tracks="onset>psi:0.5,rms>speed:1", media=media)
    video = task.video(Drawer(load_generator("net.safetensors"), device="cpu", truncation=0.4))
    psi = [float(video._modulation.psi(video._rows([frame]))) for frame in range(20)]
    assert psi[12] == pytest.approx(0.9)
    assert [psi[frame] for frame in range(20) if frame != 12] == pytest.approx([0.4] * 19, abs=0.02)
    assert [video.position(frame, 0) for frame in (0, 12, 13)] == pytest.approx([0, 12, 14], abs=0.01)
