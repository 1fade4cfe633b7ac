"""Time-lapse: pictures held and faded, captions, and a run's networks drawn as one by one."""

import cv2
import numpy as np
import pytest
import torch

from stylegan.images import read_png, save_png, to_uint8
from stylegan.latents.drawer import Drawer
from stylegan.latents.latent_files import write_latents
from stylegan.latents.outputs import Output, read_sidecar
from stylegan.latents.points import parse_points
from stylegan.latents.tasks.time_lapse import TimeLapseVideo
from stylegan.latents.time_lapse import TimeLapse, strip_height, with_caption
from stylegan.media.settings import MediaSettings
from stylegan.networks import Generator


def flat(level):
    return torch.full((3, 4, 6), level, dtype=torch.uint8)


def lapse(number=3, **values):
    asked = []

    def picture(place):
        asked.append(place)
        return flat(100 * place)

    made = TimeLapse(
        picture, number, size=(4, 6), channels=3, **(dict(hold_frames=2, fade_frames=3) | values)
    )
    return made, asked


def levels(frames, first, last):
    return [int(frame[0, 0, 0]) for chunk in frames.draw(first, last) for frame in chunk]


def test_held_and_faded():
    frames, asked = lapse()
    assert frames.count == 3 * 2 + 2 * 3
    assert levels(frames, 0, 12) == [0, 0, 25, 50, 75, 100, 100, 125, 150, 175, 200, 200]
    assert asked == [0, 1, 2]


def test_any_part_is_the_same():
    whole = levels(lapse()[0], 0, 12)
    assert [levels(lapse()[0], number, number + 1)[0] for number in range(12)] == whole


def test_without_a_fade_and_alone():
    assert levels(lapse(fade_frames=0)[0], 0, 6) == [0, 0, 100, 100, 200, 200]
    frames, _ = lapse(number=1)
    assert frames.count == 2 and levels(frames, 0, 2) == [0, 0]


def test_captions_do_not_fade():
    frames, _ = lapse(number=2, caption_px=1)
    found = [(int(frame[0, 0, 0]), int(frame[0, -1, 0])) for chunk in frames.draw(2, 5) for frame in chunk]
    assert found == [(25, 0), (50, 100), (75, 100)]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_caption_leaves_the_picture_and_is_legible(channels):
    picture = torch.full((channels, 96, 96), 40, dtype=torch.uint8)
    found = with_caption(picture, "12,800 kimg")
    assert found.shape == (channels, 96 + strip_height((96, 96)), 96)
    assert (found[:, :96] == picture).all()
    strip = found[0, 96:]
    assert strip.max() > 200 and strip.min() == 0 and 0.02 < (strip > 127).float().mean() < 0.4
    if channels in (2, 4):
        assert (found[-1, 96:] == 255).all()
    assert (strip[:, 0] == 0).all() and (strip[:, -1] == 0).all(), "it fits in"


def make_generator(seed, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        small = dict(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=128, channel_max=8)
        return Generator(**small, **options).eval().requires_grad_(False)


def with_noise(seed):
    generator = make_generator(seed)
    for name, _ in generator.synthesis.noise_layers:
        generator.get_submodule(f"synthesis.{name}").noise_strength.fill_(0.5)
    return generator


def drawer_of(kept, *, noise_mode="const", **others):
    """Args: kept: [(kimg, file)]; others: file → generator."""
    return Drawer(
        make_generator(2),
        device="cpu",
        truncation=0.7,
        noise_mode=noise_mode,
        open_other=lambda name, key: others[name],
        kept=lambda what: kept,
    )


def task(**values):
    media = MediaSettings(**({"format": "png", "fps": 10} | values.pop("media", {})))
    return TimeLapseVideo(
        **(dict(seeds="3,1-2", hold_sec=0.1, fade_sec=0.2, caption=False, media=media) | values)
    )


def test_frames_are_what_each_network_draws(tmp_path, capfd):
    networks = {f"kimg{number}": make_generator(number) for number in range(3)}
    drawer = drawer_of([(1.6 * number, name) for number, name in enumerate(networks)], **networks)
    task().run(drawer, Output(tmp_path))
    assert "3 networks, of 0 to 3.2 kimg" in capfd.readouterr().out
    folder = tmp_path / "time_lapse"
    assert len(list(folder.iterdir())) == 7
    points = parse_points("3,1-2")
    for number, generator in enumerate(networks.values()):
        one = Drawer(generator, device="cpu", truncation=0.7)
        images = one.images(one.ws(points))
        frame = read_png(folder / f"frame{3 * number:06d}.png")
        assert frame.shape == (3, 32, 32)
        assert (frame[:, :16, :16] == images[0]).all() and (frame[:, :16, 16:] == images[1]).all()
        assert (frame[:, 16:, :16] == images[2]).all() and (frame[:, 16:, 16:] == 0).all()
    said = read_sidecar(folder)
    assert said["kimgs"] == "0,1.6,3.2" and said["seeds"] == "3,1-2" and said["truncation"] == "0.7"
    task().run(drawer, Output(tmp_path))
    assert "is there already, and stays as it is" in capfd.readouterr().out


def test_points_of_files_bring_their_noise_and_are_told_apart(tmp_path):
    networks = {f"kimg{number}": with_noise(number) for number in range(2)}
    sizes = networks["kimg0"].synthesis.noise_layers
    random = torch.Generator().manual_seed(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        noise = {layer: torch.randn(1, 1, *size, generator=random) for layer, size in sizes}
        w = torch.randn(1, 6, 8, generator=random)
        write_latents(tmp_path / name / "fox.npz", w=w, noise=noise)
        write_latents(tmp_path / name / "owl.npz", w=w)
    seeds = f"{tmp_path / 'a' / 'fox.npz'},{tmp_path / 'a' / 'owl.npz'},5"
    for mode in ("const", "random"):
        drawer = drawer_of(
            [(number, name) for number, name in enumerate(networks)], noise_mode=mode, **networks
        )
        task(seeds=seeds).run(drawer, Output(tmp_path / mode))
        for number, generator in enumerate(networks.values()):
            one = Drawer(generator, device="cpu", truncation=0.7, noise_mode=mode)
            images = to_uint8(one.floats_of(parse_points(seeds)))
            frame = read_png(tmp_path / mode / "time_lapse" / f"frame{3 * number:06d}.png")
            assert (frame[:, :16, :16] == images[0]).all() and (frame[:, :16, 16:] == images[1]).all()
            assert (frame[:, 16:, :16] == images[2]).all()
    with pytest.raises(ValueError, match="time_lapse is there already, made with .*seeds=fox:"):
        task(seeds=seeds.replace("/a/", "/b/")).run(drawer, Output(tmp_path / "random"))


def test_a_tuned_network_is_one_and_has_no_time_lapse(tmp_path):
    drawer = drawer_of([(0, "kimg0")], kimg0=make_generator(0))
    drawer.text["tuned"] = "fox.safetensors"
    with pytest.raises(ValueError, match="tuned=fox.safetensors: it belongs to one network"):
        task().run(drawer, Output(tmp_path))


def test_the_video_has_a_caption(tmp_path):
    networks = {f"kimg{number}": make_generator(number) for number in range(3)}
    drawer = drawer_of([(number, name) for number, name in enumerate(networks)], **networks)
    task(caption=True, media=dict(format="mp4")).run(drawer, Output(tmp_path))
    video = cv2.VideoCapture(str(tmp_path / "time_lapse.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 7
    assert video.read()[1].shape == (32 + strip_height((32, 32)), 32, 3)


def test_snapshots_of_the_newest_size_in_order(tmp_path, capfd):
    kept = []
    for number, side in enumerate((8, 16, 16, 16)):
        path = tmp_path / f"fakes_{number}.png"
        save_png(path, torch.full((3, side, side), 60 * number, dtype=torch.uint8))
        kept.append((float(number), path))
    task(checkpoints="snapshots", fade_sec=0).run(drawer_of(kept), Output(tmp_path))
    assert "1 snapshots have another size than the newest, 16x16 px" in capfd.readouterr().out
    found = [read_png(path)[0, 0, 0] for path in sorted((tmp_path / "snapshots").iterdir())]
    np.testing.assert_array_equal(found, [60, 120, 180])


def test_a_network_of_another_size_is_named(tmp_path):
    small = make_generator(0)
    large = Generator(
        resolution=32, z_dim=8, w_dim=8, mapping_layers=1, channel_base=128, channel_max=8
    ).eval()
    drawer = drawer_of([(0, "old"), (1, "new")], old=large, new=small)
    with pytest.raises(ValueError, match="network=old: it draws 32x32 px, and the newest of the run 16x16"):
        task().run(drawer, Output(tmp_path))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (dict(checkpoints="newest"), "checkpoints must be one of all, snapshots, got 'newest'"),
        (dict(hold_sec=-1), "hold_sec must be 0 to 3,600 seconds, got -1"),
        (dict(fade_sec=float("nan")), "fade_sec must be 0 to 3,600 seconds, got nan"),
        (dict(grid="1x2"), "grid=1x2: it has fewer cells than there are seeds, 3"),
    ],
)
def test_mistakes_are_one_line(values, line):
    with pytest.raises(ValueError) as error:
        task(**values)
    assert str(error.value) == line


def test_a_lone_file_has_no_run(tmp_path):
    drawer = Drawer(make_generator(0), name="net.safetensors", device="cpu")
    with pytest.raises(ValueError, match="checkpoints=all: net.safetensors does not belong to a run"):
        task().run(drawer, Output(tmp_path))
