"""Other sizes and single layers, each against the same done by hand."""

import numpy as np
import pytest
import torch

from stylegan.images import to_uint8
from stylegan.latents.canvas import (
    CANVAS_MODES,
    cut_middle,
    layer_lines,
    layers_of,
    on_canvas,
    width_and_height,
)
from stylegan.latents.points import parse_points
from tests.latents.tasks.drawing import make_drawer, make_generator

POINTS = parse_points("0-2")


def drawn(generator=None, points=POINTS, **options):
    drawer = make_drawer(make_generator(noise=True) if generator is None else generator, **options)
    return drawer.floats_of(points)


@pytest.mark.parametrize("mode", CANVAS_MODES)
@pytest.mark.parametrize("options", [{}, {"resolution": (24, 40)}, {"architecture": "resnet", "channels": 1}])
def test_a_canvas_of_the_networks_own_size_changes_nothing(mode, options):
    generator = make_generator(noise=True, **options)
    height, width = generator.size
    assert torch.equal(
        drawn(generator, canvas=f"{width}x{height}", canvas_mode=mode),
        drawn(make_generator(noise=True, **options)),
    )


def middle(images, size=8):
    return cut_middle(images, (size, size))


def test_tiles_are_the_constant_and_the_noise_again_and_again():
    """Three constants side by side: maps of thrice the width, made by numpy."""
    generator = make_generator(noise=True)
    wide = on_canvas(generator, (16, 48), "tile")
    assert wide.size == (16, 48)
    const = generator.synthesis.b4.const.numpy()
    np.testing.assert_array_equal(wide.synthesis.b4.const.numpy(), np.tile(const, (1, 1, 3)))
    noise = generator.synthesis.b16.conv1.noise_const.numpy()
    np.testing.assert_array_equal(wide.synthesis.b16.conv1.noise_const.numpy(), np.tile(noise, (1, 3)))
    assert dict(wide.synthesis.noise_layers)["b16.conv1"] == (16, 48)
    # The network that was given stays as it was.
    assert generator.size == (16, 16) and generator.synthesis.b4.const.shape == (8, 4, 4)


def test_a_mirror_turns_every_second_one_around():
    generator = make_generator(noise=True)
    wide = on_canvas(generator, (16, 48), "mirror")
    for before, after in (
        (generator.synthesis.b4.const, wide.synthesis.b4.const),
        (generator.synthesis.b8.conv0.noise_const, wide.synthesis.b8.conv0.noise_const),
    ):
        expected = np.concatenate(
            [before.numpy()[..., ::-1], before.numpy(), before.numpy()[..., ::-1]], axis=-1
        )
        np.testing.assert_array_equal(after.numpy(), expected)


def test_stretched_maps_are_interpolated_and_noise_keeps_its_deviation():
    generator = make_generator(noise=True)
    wide = on_canvas(generator, (32, 64), "stretch")
    expected = torch.nn.functional.interpolate(
        generator.synthesis.b4.const[None], size=(8, 16), mode="bilinear"
    )
    assert torch.equal(wide.synthesis.b4.const, expected[0])
    for name, size in wide.synthesis.noise_layers:
        noise = wide.synthesis.get_submodule(name).noise_const
        assert tuple(noise.shape) == size
        before = generator.synthesis.get_submodule(name).noise_const
        torch.testing.assert_close(noise.std(), before.std())


@pytest.mark.parametrize("mode", ["tile", "mirror"])
def test_the_middle_of_a_wider_image_is_far_from_its_edges_and_looks_as_before(mode):
    """What a convolution sees there is the same as in the middle of an image that is wider still."""
    generator = make_generator(noise=True, resolution=8)
    images = [drawn(generator, canvas=canvas, canvas_mode=mode) for canvas in ("80x80", "112x112")]
    torch.testing.assert_close(middle(images[0]), middle(images[1]), atol=1e-4, rtol=0)


def test_a_canvas_between_two_steps_is_cut_from_the_next_larger_one():
    sized = drawn(canvas="30x18")
    assert sized.shape == (3, 3, 18, 30)
    assert torch.equal(sized, cut_middle(drawn(canvas="32x20"), (18, 30)))


@pytest.mark.parametrize("noise_mode", ["random", "none"])
def test_noise_of_a_canvas_and_any_number_of_images(noise_mode):
    images = drawn(points=parse_points("0-20"), canvas="40x16", noise_mode=noise_mode)
    assert images.shape == (21, 3, 16, 40)
    assert torch.equal(drawn(points=parse_points("17"), canvas="40x16", noise_mode=noise_mode)[0], images[17])


def test_a_crop_is_the_middle():
    assert torch.equal(drawn(crop="10x6"), drawn()[:, :, 5:11, 3:13])
    drawer = make_drawer(crop="10x6")
    assert drawer.size == (6, 10) and drawer.text["crop"] == "10x6"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"canvas": "big"}, "canvas must be width x height in px, as in 1024x512, got big"),
        ({"canvas": "0x5"}, "canvas must be width x height"),
        ({"canvas": "16385x1"}, "canvas=16385x1: at most 16,384 px a side"),
        ({"canvas": "16000x16000"}, "at most 16,384 px a side and 67,108,864 px in all"),
        (
            {"canvas": "32x32", "canvas_mode": "fold"},
            "canvas_mode must be one of tile, stretch, mirror, got 'fold'",
        ),
        ({"crop": "17x4"}, "crop=17x4: the images are 16x16 px, width x height; nothing larger"),
        ({"crop": "-1"}, "crop must be width x height in px"),
        (
            {"layer": "b64.conv1"},
            "layer=b64.conv1: this network has b4.conv1, b4.torgb, ... b16.torgb; layer=list",
        ),
        ({"layer": "b8"}, "layer=b8: this network has"),
        ({"layer": "b8.conv1:8"}, "name one or three channels of 0 to 7, as in b8.conv1:0"),
        ({"layer": "b8.conv1:1,2"}, "name one or three channels of 0 to 7"),
    ],
)
def test_a_mistake_is_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        make_drawer(**options)


def test_a_layer_is_what_the_network_computes_there():
    generator = make_generator(noise=True)
    caught = []
    for layer, channels in (
        ("b8.conv1", [0, 1, 2]),
        ("b16.torgb", [0, 1, 2]),
        ("b8.conv0:5", [5]),
        ("b4.conv1:7,0,3", [7, 0, 3]),
    ):
        drawer = make_drawer(generator, layer=layer)
        images = drawer.floats_of(POINTS)
        assert (drawer.size, drawer.channels) == (tuple(images.shape[2:]), len(channels))
        module = generator.synthesis.get_submodule(layer.partition(":")[0])
        handle = module.register_forward_hook(lambda _, inputs, output: caught.append(output))
        make_drawer(generator).floats_of(POINTS)
        average = caught.pop()[:3, channels]
        generator.synthesis(generator.mapping.w_avg.expand(4, 6, -1))
        mean = caught.pop()[0, channels].flatten(1)
        handle.remove()
        expected = (average - mean.mean(1)[:, None, None]) / (2.5 * mean.std(1, correction=0))[:, None, None]
        torch.testing.assert_close(images, expected, atol=1e-4, rtol=1e-4)
        assert to_uint8(images).float().std() > 10


def test_layers_are_listed_with_their_sizes():
    generator = make_generator(resolution=(24, 40), channels=4)
    lines = [line.split() for line in layer_lines(generator)]
    assert lines[0] == ["b4.conv1", "3x5", "px", "8", "channels"]
    assert lines[-1] == ["b32.torgb", "24x40", "px", "4", "channels"]
    assert len(layers_of(generator)) == 11


@pytest.mark.parametrize(
    ("text", "size"), [("1024x512", (512, 1024)), ("64", (64, 64)), (48, (48, 48)), ("3 × 4", (4, 3))]
)
def test_sizes_are_width_by_height(text, size):
    assert width_and_height(text, key="canvas") == size
