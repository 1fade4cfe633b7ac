"""Style mixing: layers that change places, to the pixel."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylegan.images import tile, to_uint8
from stylegan.latents.drawer import Drawer
from stylegan.latents.layers import layer_names
from stylegan.latents.points import Point, parse_points
from stylegan.latents.seeds import noise_of
from stylegan.latents.style_mixing import (
    MixingFrames,
    Styles,
    crossed,
    drawn,
    mix,
    noise_of_all,
    styles_of,
    with_heads,
)
from tests.latents.networks import make_generator

# 16 px: enough layers to tell, and little to draw.
GENERATOR = make_generator(resolution=16)
PX = 16
COUNT = GENERATOR.num_ws
EVERY = tuple(range(COUNT))


def make_drawer(**options):
    return Drawer(GENERATOR, **({"device": "cpu", "precision": "fp32", "truncation": 0.7} | options))


def images(drawer, styles):
    return torch.cat(list(drawn(drawer, styles)))


def latent(seed, *, noise=False):
    """A w of a file, as of a projection, with or without its noise maps."""
    random = torch.Generator().manual_seed(seed)
    maps = {name: torch.randn(1, *size, generator=random) for name, size in GENERATOR.synthesis.noise_layers}
    return Point(
        name=f"w{seed}",
        source=f"w{seed}.npz",
        w=torch.randn(COUNT, 8, generator=random),
        noise=maps if noise else None,
    )


@given(st.sets(st.integers(0, COUNT - 1)))
def test_mixing_takes_these_layers_from_the_rows_and_no_others(layers):
    random = torch.Generator().manual_seed(0)
    rows, columns = torch.randn(2, COUNT, 8, generator=random)
    mixed = mix(columns, rows, layers)
    for layer in range(COUNT):
        assert torch.equal(mixed[layer], (rows if layer in layers else columns)[layer])
    assert torch.equal(mix(rows, columns, set(EVERY) - layers), mixed)


@pytest.mark.parametrize("noise_mode", ["const", "random", "none"])
@pytest.mark.parametrize("kind", ["seeds", "latents", "projections", "both"])
def test_all_layers_are_the_row_and_none_the_column_to_the_pixel(noise_mode, kind):
    drawer = make_drawer(noise_mode=noise_mode)
    rows, columns = {
        "seeds": (parse_points("3,1,3"), parse_points("7-6")),
        "latents": ([latent(1), latent(2)], [latent(3)]),
        "projections": ([latent(1, noise=True), latent(2, noise=True)], [latent(3, noise=True)]),
        "both": ([latent(1, noise=True), *parse_points("5")], [*parse_points("9"), latent(4)]),
    }[kind]
    rows, columns = styles_of(drawer, rows), styles_of(drawer, columns)
    alone = images(drawer, rows), images(drawer, columns)
    of_rows = images(drawer, crossed(drawer, rows, columns, EVERY))
    of_columns = images(drawer, crossed(drawer, rows, columns, ()))
    assert torch.equal(of_rows, alone[0].repeat_interleave(len(columns), 0))
    assert torch.equal(of_columns, alone[1].repeat(len(rows), 1, 1, 1))
    assert not torch.equal(alone[0][0], alone[1][0])


def test_images_of_seeds_are_those_that_the_sampler_draws():
    for mode in ("const", "random"):
        drawer = make_drawer(noise_mode=mode)
        expected = [
            to_uint8(image) for _, image in drawer.sampler.of_seeds([4, 2], truncation=0.7, noise_mode=mode)
        ]
        found = images(drawer, styles_of(drawer, parse_points("4,2")))
        assert torch.equal(found, torch.cat(expected))


@pytest.mark.parametrize("noise_mode", ["const", "random", "none"])
def test_noise_goes_with_its_layer(noise_mode):
    """Against the synthesis network itself, with maps put together by hand."""
    drawer = make_drawer(noise_mode=noise_mode)
    row, column = latent(1, noise=True), parse_points("6")[0]
    layers = (0, 2, COUNT - 1)
    mixed = crossed(drawer, styles_of(drawer, [row]), styles_of(drawer, [column]), layers)
    names = layer_names(GENERATOR)
    sizes = dict(GENERATOR.synthesis.noise_layers)
    by_mode = {
        "const": {name: GENERATOR.synthesis.get_submodule(name).noise_const[None, None] for name in sizes},
        "random": noise_of([6], GENERATOR.synthesis.noise_layers),
        "none": {name: torch.zeros(1, 1, *size) for name, size in sizes.items()},
    }[noise_mode]
    noise = {name: row.noise[name][None] if names.index(name) in layers else by_mode[name] for name in sizes}
    expected = drawer.sampler.draw(mixed.ws, "random", noise=noise)
    assert torch.equal(images(drawer, mixed), to_uint8(expected))
    assert not torch.equal(images(drawer, mixed), images(drawer, Styles(mixed.ws, [row.noise])))


def test_cells_do_not_depend_on_how_many_there_are():
    drawer = make_drawer()
    rows, columns = parse_points("0-1"), parse_points("10-13")
    alone = [
        images(drawer, crossed(drawer, styles_of(drawer, [row]), styles_of(drawer, [column]), (0, 1)))
        for row in rows
        for column in columns
    ]
    together = images(drawer, crossed(drawer, styles_of(drawer, rows), styles_of(drawer, columns), (0, 1)))
    assert torch.equal(torch.cat(alone), together)


def test_a_class_is_the_class_of_every_image():
    conditional = make_generator(c_dim=2)
    drawer = Drawer(conditional, device="cpu", precision="fp32")
    points = parse_points("1-2")
    for number in range(2):
        label = drawer.label(str(number))
        styles = styles_of(drawer, points, label)
        assert torch.equal(styles.ws, drawer.ws(points, label))
    assert not torch.equal(styles.ws, styles_of(drawer, points, drawer.label("0")).ws)


def test_a_sheet_has_the_columns_above_and_the_rows_on_the_left():
    cells = torch.arange(12, dtype=torch.uint8)[:, None, None, None].expand(12, 3, 2, 4)
    mixed, rows, columns = cells[:6], cells[6:8], cells[8:11]
    sheet = tile(with_heads(mixed, rows, columns, fill="#010203"), columns=4)
    assert sheet.shape == (3, 6, 16)
    found = sheet[:, ::2, ::4]
    assert found[:, 0, 0].tolist() == [1, 2, 3]
    assert found[0, 0, 1:].tolist() == [8, 9, 10]
    assert found[0, 1:].tolist() == [[6, 0, 1, 2], [7, 3, 4, 5]]


def walks(seeds, frames):
    return torch.from_numpy(
        np.stack([np.random.RandomState(seed).randn(frames, 8) for seed in seeds]).astype(np.float32)
    )


@pytest.mark.parametrize("only_mix", [False, True])
@pytest.mark.parametrize(("seeds", "noise_mode"), [("5", "const"), ("5,8", "random")])
def test_each_frame_is_the_sheet_of_its_moment(only_mix, seeds, noise_mode):
    drawer = make_drawer(noise_mode=noise_mode)
    row_points = parse_points(seeds)
    rows = walks([point.seed for point in row_points], 5)
    columns = styles_of(drawer, parse_points("20-22"))
    layers = (0, 1, 2)
    frames = MixingFrames(
        drawer,
        rows=rows,
        row_points=row_points,
        columns=columns,
        layers=layers,
        only_mix=only_mix,
        fill="red",
    )
    assert frames.count == 5
    found = torch.cat(list(frames.draw(0, 5)))
    assert found.shape == (5, 3, *frames.size)
    border = 0 if only_mix else 1
    assert frames.size == ((len(rows) + border) * PX, (3 + border) * PX)
    for frame in range(5):
        noise = styles_of(drawer, row_points).noise
        points = [Point(name="", source="", z=z) for z in rows[:, frame]]
        now = Styles(drawer.ws(points), noise)
        mixed = images(drawer, crossed(drawer, now, columns, layers))
        expected = (
            tile(mixed, columns=3)
            if only_mix
            else tile(with_heads(mixed, images(drawer, now), images(drawer, columns), fill="red"), columns=4)
        )
        assert torch.equal(found[frame], expected)


def test_a_part_of_a_video_is_the_same_as_in_the_whole():
    drawer = make_drawer()
    points = parse_points("5")
    frames = MixingFrames(
        drawer,
        rows=walks([5], 23),
        row_points=points,
        columns=styles_of(drawer, parse_points("20-21")),
        layers=(0, 1),
    )
    whole = torch.cat(list(frames.draw(0, 23)))
    for first, last in ((0, 1), (7, 9), (6, 23)):
        assert torch.equal(torch.cat(list(frames.draw(first, last))), whole[first:last])


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        (dict(channels=1), 1),
        (dict(channels=2), 2),
        (dict(channels=4, resolution=(24, 16)), 4),
        (dict(channels=6), 3),
    ],
)
def test_any_channels_and_sizes_have_sheets_and_frames(options, channels):
    drawer = Drawer(make_generator(**({"resolution": 8} | options)), device="cpu", precision="fp32")
    points, columns = parse_points("5"), styles_of(drawer, parse_points("20-21"))
    frames = MixingFrames(
        drawer, rows=walks([5], 2), row_points=points, columns=columns, layers=(0, 1), fill="#ff0000"
    )
    height, width = drawer.size
    assert (frames.channels, frames.size) == (channels, (2 * height, 3 * width))
    whole = torch.cat(list(frames.draw(0, 2)))
    assert whole.shape == (2, channels, *frames.size) and whole.dtype == torch.uint8
    corner = {1: [76], 2: [76, 255], 3: [255, 0, 0], 4: [255, 0, 0, 255]}[channels]
    assert whole[0, :, 0, 0].tolist() == corner
    assert torch.equal(
        whole[:, :, :height, width : 2 * width], images(drawer, columns)[:1].expand(2, -1, -1, -1)
    )


@pytest.mark.parametrize("mode", ["const", "random", "none"])
def test_mixed_images_come_again_from_their_w_and_noise(mode):
    drawer = make_drawer(noise_mode=mode)
    maps = noise_of([8], GENERATOR.synthesis.noise_layers)
    own = Point(
        name="own", source="own", w=drawer.ws(parse_points("8"))[0], noise={k: m[0] for k, m in maps.items()}
    )
    for columns in ([own, *parse_points("2")], parse_points("2-3")):
        mixed = crossed(
            drawer, *(styles_of(drawer, points) for points in (parse_points("0-1"), columns)), (0, 2)
        )
        noise = noise_of_all(drawer, mixed.noise)
        assert (noise is None) == (mode != "random" and own not in columns)
        of_each = [None if noise is None else {k: m[i] for k, m in noise.items()} for i in range(len(mixed))]
        points = [
            Point(name=str(i), source=str(i), w=w, noise=of_each[i]) for i, w in enumerate(mixed.ws.cpu())
        ]
        assert torch.equal(to_uint8(drawer.floats_of(points)).cpu(), images(drawer, mixed))
