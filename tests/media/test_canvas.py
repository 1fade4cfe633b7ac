"""Canvas: frames as drawn to frames as a file has them."""

import numpy as np
import pytest
import torch

from stylegan.media.canvas import Canvas
from stylegan.media.settings import MediaSettings


def canvas(drawn=(8, 12), channels=3, *, alpha=False, grey=False, even=False, bits=8, **settings):
    return Canvas(drawn, channels, MediaSettings(**settings), alpha=alpha, grey=grey, even=even, bits=bits)


def noise(channels, size=(8, 12)):
    return torch.randint(0, 256, (channels, *size), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_the_format_holds_stays_bit_for_bit(channels):
    image = noise(channels)
    found = canvas(channels=channels, alpha=True, grey=True).image(image)
    np.testing.assert_array_equal(found, image.movedim(0, -1).numpy())


def test_grey_becomes_rgb_and_more_than_four_channels_their_first_three():
    np.testing.assert_array_equal(
        canvas(channels=1).image(noise(1)), noise(1).expand(3, -1, -1).movedim(0, -1)
    )
    np.testing.assert_array_equal(canvas(channels=6, alpha=True).image(noise(6)), noise(6)[:3].movedim(0, -1))


@pytest.mark.parametrize("channels", [2, 4])
def test_transparent_frames_are_composited_on_the_fill(channels):
    image = noise(channels)
    made = canvas(channels=channels, fill="#204060")
    assert made.channels == 3 and "composited on fill=#204060" in made.notes[0]
    share = image[-1:].double() / 255
    behind = torch.tensor([0x20, 0x40, 0x60])[:, None, None]
    expected = image[:-1].double() * share + behind * (1 - share)
    np.testing.assert_allclose(made.image(image), expected.movedim(0, -1), atol=0.501)


def test_scale_repeats_pixels():
    np.testing.assert_array_equal(
        canvas(scale=3).image(noise(3)),
        np.kron(noise(3).movedim(0, -1).numpy(), np.ones((3, 3, 1), np.uint8)),
    )


def test_frames_that_no_format_holds_are_refused():
    with pytest.raises(
        ValueError, match="^scale=64 makes frames of 32,768 x 16,384 px, and a side has 16,383 px"
    ):
        canvas((256, 512), scale=64)


def test_odd_sides_are_repeated_where_the_format_needs_even_ones():
    image = noise(3, (7, 11))
    made = canvas((7, 11), even=True)
    found = made.image(image)
    assert found.shape == (8, 12, 3) and made.size == (8, 12) and len(made.notes) == 2
    np.testing.assert_array_equal(found[:7, :11], image.movedim(0, -1))
    np.testing.assert_array_equal(found[7], found[6])
    np.testing.assert_array_equal(found[:, 11], found[:, 10])
    assert canvas((7, 11), even=False).notes == ()


def test_pad_leaves_a_frame_of_that_size_in_the_middle():
    # The same width: nothing is resized, so the middle has the same pixels.
    found = canvas(size="12x20", fill="red").image(noise(3))
    np.testing.assert_array_equal(found[6:14], noise(3).movedim(0, -1))
    assert (found[:6] == (255, 0, 0)).all() and (found[14:] == (255, 0, 0)).all()


def test_crop_leaves_the_middle():
    found = canvas((8, 12), size="6x8", fit="crop").image(noise(3))
    np.testing.assert_array_equal(found, noise(3)[:, :, 3:9].movedim(0, -1))


@pytest.mark.parametrize("fit", ["pad", "crop", "blur"])
@pytest.mark.parametrize("size", ["1080x1920", "33x7", "7x33", "12x8", "2x2"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_colour_stays_that_colour(fit, size, channels):
    """Resizing, blurring and compositing are means with weights that sum to 1."""
    level = torch.tensor([10, 200, 90, 255][:channels])
    image = level[:, None, None].expand(channels, 8, 12).to(torch.uint8)
    made = canvas(
        channels=channels,
        alpha=True,
        grey=True,
        size=size,
        fit=fit,
        fill=f"rgb(10,{10 if channels < 3 else 200},{10 if channels < 3 else 90})",
    )
    found = made.image(image)
    assert found.shape[1::-1] == tuple(map(int, size.split("x")))
    assert (found == level.numpy()).all()


def test_the_blurred_background_is_smooth_and_the_frame_on_it_sharp():
    image = noise(3, (64, 64))
    found = canvas((64, 64), size="64x192", fit="blur").image(image).astype(int)
    np.testing.assert_array_equal(found[64:128], image.movedim(0, -1))
    assert np.abs(np.diff(found[:64], axis=0)).max() < 20
    assert np.abs(np.diff(found[64:128], axis=0)).max() > 200


def test_colours_of_invisible_pixels_do_not_bleed():
    """A white disc of opacity on a field of invisible black: no resized pixel turns grey."""
    image = torch.zeros(4, 16, 16, dtype=torch.uint8)
    image[:, 4:12, 4:12] = 255
    found = canvas((16, 16), 4, alpha=True, size="41x41").image(image)
    assert (found[found[..., 3] > 8][:, :3] >= 250).all()


def test_sixteen_bits():
    image = noise(3)
    assert (canvas(bits=16).image(image) == image.movedim(0, -1).numpy().astype(int) * 257).all()
    floats = torch.linspace(-1.2, 1.2, 3 * 8 * 12).reshape(3, 8, 12)
    found = canvas(bits=16).image(floats).astype(int)
    expected = ((floats.double().clamp(-1, 1) + 1) * 32767.5).movedim(0, -1)
    assert found.min() == 0 and found.max() == 65535
    np.testing.assert_allclose(found, expected, atol=0.51)


def test_floats_become_8_bits_as_images_do():
    from stylegan.images import to_uint8

    floats = torch.linspace(-1.2, 1.2, 3 * 8 * 12).reshape(3, 8, 12)
    assert np.abs(canvas().image(floats).astype(int) - to_uint8(floats).movedim(0, -1).numpy()).max() == 0
