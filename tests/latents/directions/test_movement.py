"""Several directions with strengths, as they are written and as they are applied."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan.latents.directions.direction import Channel, Direction, write_directions
from stylegan.latents.directions.movement import parse_directions
from stylegan.latents.drawer import Drawer
from stylegan.latents.points import parse_points
from tests.latents.directions.planted import W, make_generator, unit

GENERATOR = make_generator()
L = GENERATOR.num_ws


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_directions(tmp_path / "smile.npz", [Direction(vector=unit(1)[None], sigma=2.0)], {})
    ages = [
        Direction(vector=unit(2)[None], sigma=0.5, layers=(0, 1)),
        Direction(vector=unit(3)[None], layers=(0, 1)),
    ]
    write_directions(tmp_path / "age.npz", ages, {})
    channels = [Direction(channel=Channel("b8.conv0", n), sigma=0.5) for n in (1, 3)]
    write_directions(tmp_path / "eyes.npz", channels, {})
    (tmp_path / "odd: [1] @x").mkdir()
    np.save(tmp_path / "odd: [1] @x" / "a[2].npy", np.ones(W))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "names", "strengths"),
    [
        ("smile.npz", ["smile"], [1]),
        ("smile.npz:2,age.npz[1]:-1", ["smile", "age-1"], [2, -1]),
        (" smile.npz[0] : 1e-1 , age.npz[0]@0-1+3:.5 ", None, None),
        ("smile.npz[0]:1e-1,age.npz[0]@0-1+3:.5", ["smile", "age-0@0-1+3"], [0.1, 0.5]),
        ("smile.npz@coarse:1,smile.npz@fine:-1", ["smile@coarse", "smile@fine"], [1, -1]),
        ("smile.npz@b8.conv0:1", ["smile@b8.conv0"], [1]),
        ("eyes.npz[1]:3", ["eyes-1"], [3]),
        ("odd: [1] @x/a[2].npy:-2", ["a[2]"], [-2]),
    ],
)
def test_how_directions_are_written(files, text, names, strengths):
    if names is None:  # blanks stand around commas alone
        with pytest.raises(ValueError, match="this is no direction"):
            parse_directions(text, GENERATOR)
        return
    found = parse_directions(text, GENERATOR)
    assert list(found.names) == names
    torch.testing.assert_close(found.strengths, torch.tensor(strengths, dtype=torch.float32))
    # What is stored of them leads to the same again.
    again = parse_directions(found.text["directions"], GENERATOR)
    assert again.text == found.text and torch.equal(again.shift(), found.shift())


def test_no_direction_moves_nothing():
    found = parse_directions(None, GENERATOR)
    assert len(found) == 0 and found.text == {} and not found.shift().any() and found.style_offsets() == {}


def test_a_shift_is_the_sum_of_its_parts(files):
    found = parse_directions("smile.npz:2,age.npz[0]:-1,eyes.npz[0]:4,age.npz[1]@4:1", GENERATOR)
    expected = (2 * 2.0 * unit(1)).expand(L, -1).clone()
    expected[:2] -= 0.5 * unit(2)
    expected[4] += unit(3)
    torch.testing.assert_close(found.shift()[0], expected)
    strengths = torch.tensor(np.random.default_rng(0).standard_normal((9, 4)), dtype=torch.float32)
    together = found.shift(strengths)
    assert together.shape == (9, L, W)
    for row in range(9):
        assert torch.equal(together[row], found.shift(strengths[row : row + 1])[0])
    assert not found.shift(torch.zeros(1, 4)).any()
    (offsets,) = found.style_offsets(strengths).values()
    torch.testing.assert_close(offsets[:, 1], strengths[:, 2] * 0.5)
    assert not offsets[:, [0, 2, 3]].any()
    with pytest.raises(ValueError, match=r"strengths must have the shape \[N, 4\], got \[1, 3\]"):
        found.shift(torch.zeros(1, 3))


def test_two_channels_of_a_layer_add_up(files):
    offsets = parse_directions("eyes.npz[0]:1,eyes.npz[1]:-2", GENERATOR).style_offsets()
    assert offsets["b8.conv0"].tolist() == [[0, 0.5, 0, -1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "directions is empty: write files with strengths, as in smile.npz:2,age.npz"),
        (" , ", "directions is empty"),
        ("smile", "directions=smile: this is no direction; write files"),
        ("smile.npz:2x", "directions=smile.npz:2x: a strength is a number from -1000 to 1000"),
        ("smile.npz:", "directions=smile.npz:: a strength is a number"),
        ("smile.npz:nan", "a strength is a number"),
        ("smile.npz:1e9", "a strength is a number"),
        ("gone.npz:1", "directions=gone.npz:1: there is no such file"),
        ("age.npz:1", r"age.npz:1: the file holds 2 directions: say which, as in age.npz\[0\]:2"),
        ("age.npz[2]:1", "the file has 2 directions, numbered 0 to 1"),
        ("smile.npz@9:1", r"directions=smile.npz@layers=9: this network lacks layer 9"),
        ("smile.npz@top:1", "these are no layers"),
        ("eyes.npz[0]@0:1", "a style channel has its layer; leave @0 out"),
        ("smile.npz:1,smile.npz:2", "smile stands there more than once; add the strengths up"),
        ("smile.npz:1,./smile.npz:2", "smile stands there more than once; rename one of the files"),
    ],
)
def test_a_wrong_part_is_named_in_one_line(files, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_directions(text, GENERATOR)
    assert len(str(caught.value).splitlines()) == 1 and str(caught.value).startswith("directions")


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="smile.npz[]@:0123-+,ae \n", max_size=30))
def test_any_text_is_directions_or_one_line(text):
    try:
        parse_directions(text, GENERATOR)
    except ValueError as error:
        assert str(error).startswith("directions") and len(str(error).splitlines()) == 1


SEEDS = parse_points("0-4")


def test_every_image_is_moved_after_truncation(files):
    plain = Drawer(make_generator(), truncation=0.5, device="cpu", precision="fp32")
    moved = Drawer(
        make_generator(),
        truncation=0.5,
        device="cpu",
        precision="fp32",
        directions="smile.npz:2,age.npz[0]:-1",
    )
    expected = plain.ws(SEEDS) + moved.movement.shift()
    assert torch.equal(moved.ws(SEEDS), expected)
    assert torch.equal(moved.images(moved.ws(SEEDS)), plain.images(expected))
    assert not torch.equal(moved.images(moved.ws(SEEDS)), plain.images(plain.ws(SEEDS)))
    assert moved.text["directions"] == "smile.npz:2,age.npz[0]:-1" and "directions" not in plain.text
    # Other strengths, of all or of each image.
    assert torch.equal(moved.ws(SEEDS, strengths=torch.zeros(2)), plain.ws(SEEDS))
    strengths = torch.stack([torch.linspace(-1, 1, 5), torch.zeros(5)], dim=1)
    own = moved.ws(SEEDS, strengths=strengths)
    for place in range(5):
        assert torch.equal(own[place], moved.ws(SEEDS[place : place + 1], strengths=strengths[place])[0])


def test_a_style_channel_moves_every_image(files):
    plain = Drawer(make_generator(), device="cpu", precision="fp32")
    moved = Drawer(make_generator(), device="cpu", precision="fp32", directions="eyes.npz[1]:3")
    other = copy.deepcopy(plain.generator)
    other.synthesis.b8.conv0.affine.bias[3] += 3 * 0.5
    ws = plain.ws(SEEDS)
    assert torch.equal(moved.ws(SEEDS), ws)
    torch.testing.assert_close(
        moved.images(ws), Drawer(other, device="cpu", precision="fp32").images(ws), atol=1, rtol=0
    )
    assert not torch.equal(moved.images(ws), plain.images(ws))
    assert torch.equal(moved.images(ws, styles={}), plain.images(ws))
    assert torch.equal(moved.images(ws)[3], moved.images(ws[3:4])[0])


def test_another_file_of_the_same_name_is_another_provenance(files):
    before = parse_directions("smile.npz:2", GENERATOR).text
    write_directions(files / "smile.npz", [Direction(vector=unit(9)[None], sigma=2.0)], {})
    after = parse_directions("smile.npz:2", GENERATOR).text
    assert before["directions"] == after["directions"] and before != after
