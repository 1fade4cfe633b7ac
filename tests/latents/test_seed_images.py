"""The task that writes one PNG a seed and the grid."""

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan.images import read_png_text, to_uint8
from stylegan.latents import seed_images
from stylegan.latents.sampling import Sampler
from stylegan.latents.seed_images import SeedImages
from stylegan.networks import Generator
from stylegan.networks.digest import weights_sha256


def make_generator(**options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        small = dict(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=128, channel_max=8)
        return Generator(**small, **options).eval().requires_grad_(False)


def task(tmp_path, generator=None, **values):
    generator = make_generator() if generator is None else generator
    given = {"seeds": "0", "out": tmp_path / "out", "network": tmp_path / "network.ckpt", "device": "cpu"}
    return SeedImages(load=lambda path: generator, **(given | values))


def pixels(path):
    return np.asarray(Image.open(path))


def test_one_file_a_seed_numbered_by_seed_and_the_grid(tmp_path):
    generator = make_generator()
    task(tmp_path, generator, seeds="12345,3-4").run()
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
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
        task(tmp_path, seeds="7", out=alone, noise_mode=noise_mode).run()
        task(tmp_path, seeds="0-40", out=among, noise_mode=noise_mode).run()
        name = "seed0007.png"
        assert (alone / name).read_bytes() == (among / name).read_bytes()


def test_grey_pictures_stay_grey(tmp_path):
    task(tmp_path, make_generator(channels=1)).run()
    assert pixels(tmp_path / "out" / "seed0000.png").shape == (16, 16)


def test_the_images_say_their_origin(tmp_path):
    values = dict(truncation=0.7, label="1", noise_mode="none", precision="fp32")
    values["provenance"] = {"network": "nëtwork, 1.ckpt"}
    generator = make_generator(c_dim=3)
    task(tmp_path, generator, seeds="2,5", **values).run()
    common = dict(network="nëtwork, 1.ckpt", truncation="0.7", label="1", noise_mode="none", precision="fp32")
    common["weights"] = weights_sha256(generator)
    assert read_png_text(tmp_path / "out" / "seed0005.png") == common | {"seed": "5"}
    assert read_png_text(tmp_path / "out" / "grid.png") == common | {"seeds": "2,5"}


def test_the_label_chooses_the_class(tmp_path):
    generator = make_generator(c_dim=3)
    for label in (0, 2):
        task(tmp_path, generator, label=label, out=tmp_path / str(label)).run()
    c = torch.tensor([[0.0, 0.0, 1.0]])
    ws = Sampler(generator).map(torch.from_numpy(np.random.RandomState(0).randn(1, 8)).float(), c)
    expected = to_uint8(Sampler(generator).draw(ws))[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(pixels(tmp_path / "2" / "seed0000.png"), expected)
    assert (pixels(tmp_path / "0" / "seed0000.png") != expected).any()


def test_a_grid_that_would_be_too_large_shows_the_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(seed_images, "MAX_GRID_PX", 5 * 16 * 16)
    task(tmp_path, seeds="0-40").run()
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
        ({"seeds": "3-1"}, "seeds=3-1: 3-1 runs backwards"),
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
        task(tmp_path, **values)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("label", ["3", "-1", "cat", "1.0", "²"])
def test_a_label_that_is_not_a_class_is_refused_with_the_classes(tmp_path, label):
    with pytest.raises(
        ValueError, match=f"^label={label}: .*3 classes; say which, label=0 to label=2, or label=all$"
    ):
        task(tmp_path, make_generator(c_dim=3), label=label)


def test_a_network_with_labels_asks_for_one(tmp_path):
    with pytest.raises(ValueError, match="^label is missing: .*3 classes"):
        task(tmp_path, make_generator(c_dim=3))


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(ValueError, match="is a file"):
        task(tmp_path)


def test_a_class_can_be_named(tmp_path):
    generator = make_generator(c_dim=3, label_names=("corgi", "fox", "owl"))
    for label in ("fox", 1):
        task(tmp_path, generator, label=label, out=tmp_path / str(label)).run()
    named, numbered = (pixels(tmp_path / label / "seed0000.png") for label in ("fox", "1"))
    np.testing.assert_array_equal(named, numbered)
    for label in ("fox", "1"):
        assert read_png_text(tmp_path / label / "seed0000.png")["label"] == "fox"


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_grey_and_alpha_are_kept(tmp_path, channels):
    generator = make_generator(channels=channels)
    task(tmp_path, generator).run()
    ((_, images),) = Sampler(generator).of_seeds((0,))
    expected = to_uint8(images)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(
        pixels(tmp_path / "out" / "seed0000.png").reshape(16, 16, channels), expected
    )


def test_more_than_four_channels_are_kept_next_to_what_can_be_shown(tmp_path):
    generator = make_generator(channels=5)
    task(tmp_path, generator, seeds="3").run()
    ((_, images),) = Sampler(generator).of_seeds((3,))
    expected = to_uint8(images)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "seed0003.npy"), expected)
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "seed0003.png"), expected[:, :, :3])
