"""Files of directions."""

import json
import pickle

import numpy as np
import pytest
import torch

from stylegan.latents.directions.direction import Channel, Direction, read_directions, write_directions
from tests.latents.directions.planted import W, make_generator, unit


def test_vectors_come_back(tmp_path):
    found = [
        Direction(vector=unit(i)[None], sigma=1.5 * i, layers=(1, 3), method="pca", name=f"pca-{i}")
        for i in (1, 2)
    ]
    write_directions(tmp_path / "age.npz", found, {"network": "ä.ckpt"})
    back = read_directions(tmp_path / "age.npz")
    assert [one.name for one in back] == ["age-0", "age-1"]
    for one, other in zip(back, found, strict=True):
        assert torch.equal(one.vector, other.vector) and one.sigma == other.sigma and one.layers == (1, 3)
        assert one.method == "pca" and one.provenance == {"network": "ä.ckpt"} and one.channel is None
    with np.load(tmp_path / "age.npz", allow_pickle=False) as archive:
        assert archive["direction"].shape == (2, 1, W) and archive["direction"].dtype == np.float32
        assert set(archive.files) == {"direction", "sigma", "layers", "method", "names", "provenance"}


def test_an_archive_of_a_few_bytes_that_would_fill_the_memory_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, direction=np.zeros((3_000_000, W), np.float32))
    with pytest.raises(ValueError, match=r"bomb.npz: this is no file of directions \(direction.npy would be"):
        read_directions(path)


def test_style_channels_come_back(tmp_path):
    found = [Direction(channel=Channel("b16.conv0", 3), sigma=0.5, method="channels")]
    write_directions(tmp_path / "eyes.npz", found, {})
    (back,) = read_directions(tmp_path / "eyes.npz")
    assert (back.channel, back.sigma, back.vector, back.name) == (Channel("b16.conv0", 3), 0.5, None, "eyes")


@pytest.mark.parametrize("shape", [(W,), (1, W), (6, W), (3, 6, W)])
def test_arrays_of_other_programs_are_distances(tmp_path, shape):
    array = np.random.default_rng(0).standard_normal(shape)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", whatever=array)
    for ending in ("npy", "npz"):
        back = read_directions(tmp_path / f"a.{ending}")
        assert len(back) == (3 if len(shape) == 3 else 1)
        assert all(one.sigma == 1 and one.layers is None for one in back)
        joined = torch.stack([one.vector for one in back]).reshape(shape)
        torch.testing.assert_close(joined, torch.from_numpy(array).float())


def test_a_shift_is_strength_times_sigma_times_vector_in_its_layers():
    one = Direction(vector=unit()[None], sigma=2.0, layers=(0, 4))
    shift = one.shift(torch.tensor([0.0, 1.0, -1.5]), 6)
    assert shift.shape == (3, 6, W)
    expected = torch.zeros(6, W)
    expected[0] = expected[4] = -3 * unit()
    torch.testing.assert_close(shift[2], expected)
    assert not shift[0].any()
    rows = torch.arange(6.0)[:, None].expand(-1, W)
    torch.testing.assert_close(Direction(vector=rows).shift(torch.tensor([2.0]), 6)[0], 2 * rows)


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        (
            Direction(vector=torch.ones(1, 512)),
            r"a.npz: the direction has the shape \[1, 512\], and fox takes \[1, 8\]",
        ),
        (Direction(vector=torch.ones(18, W)), r"shape \[18, 8\], and fox takes \[1, 8\] or \[6, 8\]"),
        (Direction(vector=torch.ones(1, W), layers=(2, 6)), "a.npz: it moves layer 6, and fox has 6 layers"),
        (
            Direction(channel=Channel("b64.conv0", 0)),
            "a.npz: fox has no layer b64.conv0; it has b4.conv1, b4.torgb",
        ),
        (Direction(channel=Channel("b8.conv0", 4)), "layer b8.conv0 of fox has 4 channels, numbered 0 to 3"),
    ],
)
def test_a_direction_of_another_network_is_refused(direction, message):
    with pytest.raises(ValueError, match=message):
        direction.check(make_generator(), source="a.npz", network="fox")


class Dangerous:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


ONES = np.ones((2, 1, W), np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"direction": np.array([Dangerous()], dtype=object)}, "this is no file of directions"),
        ({"direction": np.full((1, W), np.nan)}, "direction holds values that are no finite numbers"),
        ({"direction": np.ones((1, 1, 1, W))}, "direction must be numbers"),
        ({"direction": np.ones((0, W))}, "direction must be numbers"),
        ({"direction": np.array(["a", "b"])}, "direction must be numbers"),
        ({"a": ONES, "b": ONES}, "it holds no direction, but a, b"),
        ({}, "it holds no direction, but nothing"),
        ({"direction": ONES, "sigma": np.ones(3)}, "sigma must be 2 numbers, got float64"),
        ({"direction": ONES, "sigma": np.array([1, np.inf])}, "sigma holds values that are no finite"),
        ({"direction": ONES, "layers": np.array([-1])}, "layers must be the numbers of at least one layer"),
        ({"direction": ONES, "layers": np.array([])}, "layers must be the numbers"),
        ({"style_layers": np.array(["b4.conv1"])}, "style_layers and style_channels must be as many"),
        (
            {"style_layers": np.array([]), "style_channels": np.array([])},
            "style_layers and style_channels must be",
        ),
    ],
)
def test_what_is_no_direction_is_said_in_one_line(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        read_directions(tmp_path / "a.npz")
    assert str(tmp_path / "a.npz") in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", pickle.dumps(Dangerous())])
@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_bytes_that_are_no_archive_are_said_in_one_line(tmp_path, content, ending):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="this is no file of directions"):
        read_directions(path)


def test_provenance_that_is_damaged_costs_only_itself(tmp_path):
    for text in ("{", "[1]", json.dumps({"a": 1})):
        np.savez(tmp_path / "a.npz", direction=ONES, provenance=np.array(text))
        (first, _) = read_directions(tmp_path / "a.npz")
        assert first.provenance == ({"a": "1"} if "a" in text else {})
