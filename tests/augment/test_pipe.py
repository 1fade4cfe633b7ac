"""The pipe as a whole."""

import math

import pytest
import torch

from stylegan.augment import AugmentPipe
from stylegan.augment.options import COLOR, GEOMETRY, STRENGTHS
from stylegan.augment.spectral import filter_bank, resampling_filter

EVERYTHING = dict.fromkeys(STRENGTHS, 1)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pipe_at(p, dtype=torch.float32, **options):
    pipe = AugmentPipe(**options).to(dtype)
    pipe.p = p
    return pipe


def rows(draws, part):
    return {name: table[part] for name, table in draws.items()}


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_at_p_0_nothing_happens(size):
    images = torch.randn(3, 3, *size, generator=seeded(), dtype=torch.float64)
    pipe = pipe_at(0, torch.float64, **EVERYTHING)
    out = pipe(images, draws=pipe.draw(3, images.shape[1:], seeded()))
    # The filters as float32 numbers undo each other no better than that.
    torch.testing.assert_close(out, images, rtol=0, atol=1e-6)
    pipe.Hz_geom, pipe.Hz_fbank = resampling_filter(), filter_bank()
    out = pipe(images, draws=pipe.draw(3, images.shape[1:], seeded()))
    torch.testing.assert_close(out, images, rtol=0, atol=1e-11)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("parts", [2, 4, 8])
def test_parts_of_a_batch_give_what_the_batch_gives(parts, channels):
    """For any split: the augmented images, and the gradient that comes back through them."""
    shape = (channels, 16, 20)
    images = torch.randn(8, *shape, generator=seeded(1), dtype=torch.float64).requires_grad_()
    cotangent = torch.randn(8, *shape, generator=seeded(2), dtype=torch.float64)
    pipe = pipe_at(0.9, torch.float64, **EVERYTHING, scale_std=0.8)
    draws = pipe.draw(8, shape, seeded(3))
    whole = pipe(images, draws=draws)
    (whole_grad,) = torch.autograd.grad(whole, images, cotangent)
    for k in range(parts):
        part = slice(k, None, parts)
        out = pipe(images[part], draws=rows(draws, part))
        (grad,) = torch.autograd.grad(out, images, cotangent[part])
        torch.testing.assert_close(out, whole[part], rtol=0, atol=1e-12)
        torch.testing.assert_close(grad[part], whole_grad[part], rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_moved_and_cut_out_with_its_image_and_else_left_alone(channels):
    images = torch.randn(8, channels, 16, 20, generator=seeded(1), dtype=torch.float64)
    everything = pipe_at(0.9, torch.float64, **EVERYTHING)
    draws = everything.draw(8, images.shape[1:], seeded(3))
    out = everything(images, draws=draws)
    moves = {name: EVERYTHING[name] for name in (*GEOMETRY, "cutout")}
    moved = pipe_at(0.9, torch.float64, **moves)(images, draws=draws)
    torch.testing.assert_close(out[:, -1], moved[:, -1], rtol=0, atol=1e-12)
    assert not torch.equal(out[:, :-1], moved[:, :-1])
    without = draws | {"noise": draws["noise"][:, :-1]}
    colors = everything(images[:, :-1], draws=without)
    torch.testing.assert_close(out[:, :-1], colors, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(6, 6), (48, 32), (9, 16)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_everything_at_once_on_any_size_and_number_of_channels(size, channels):
    shape = (channels, *size)
    images = torch.rand(4, *shape, generator=seeded(1)) * 2 - 1
    pipe = pipe_at(1, torch.float32, **EVERYTHING)
    out = pipe(images, draws=pipe.draw(4, shape, seeded(2)))
    assert out.shape == images.shape and out.isfinite().all()


@pytest.mark.parametrize("names", [GEOMETRY, COLOR, ("imgfilter",), ("noise", "cutout")], ids=lambda n: n[0])
@pytest.mark.parametrize("channels", [1, 3])
def test_twice_differentiable(names, channels):
    shape = (channels, 5, 4)
    images = torch.randn(2, *shape, generator=seeded(), dtype=torch.float64, requires_grad=True)
    pipe = pipe_at(1.0, torch.float64, **dict.fromkeys(names, 1))
    draws = pipe.draw(2, shape, seeded(1))
    assert torch.autograd.gradcheck(lambda x: pipe(x, draws=draws), images)
    assert torch.autograd.gradgradcheck(lambda x: pipe(x, draws=draws), images, fast_mode=True)


def test_float64_images_meet_no_float32_step():
    images = torch.randn(4, 3, 16, 16, generator=seeded(), dtype=torch.float64)
    pipe = pipe_at(0.8, torch.float64, **EVERYTHING)
    draws = pipe.draw(4, (3, 16, 16), seeded())
    out = pipe(images, draws=draws)
    single = pipe_at(0.8, **EVERYTHING)(images.float(), draws=draws)
    assert out.dtype == torch.float64 and single.dtype == torch.float32
    torch.testing.assert_close(single, out.float(), rtol=0, atol=5e-5)
    # Linear but for its offset, and no rounding in between.
    shift = pipe(torch.zeros_like(images), draws=draws)
    torch.testing.assert_close(
        pipe(1e-6 * images, draws=draws) - shift, 1e-6 * (out - shift), rtol=0, atol=1e-15
    )


def test_layout_does_not_matter():
    images = torch.randn(4, 3, 16, 16, generator=seeded())
    pipe = pipe_at(0.8, **EVERYTHING)
    draws = pipe.draw(4, (3, 16, 16), seeded())
    out = pipe(images, draws=draws)
    torch.testing.assert_close(pipe(images.to(memory_format=torch.channels_last), draws=draws), out)


def test_p_is_a_buffer_that_takes_numbers_and_tensors():
    pipe, controller = AugmentPipe(xflip=1), torch.tensor(0.25)
    buffer = pipe.p
    for value, expected in ((0.5, 0.5), (1, 1.0), (controller, 0.25), (torch.tensor([0.75]), 0.75)):
        pipe.p = value
        assert pipe.p is buffer and buffer.item() == expected
        assert buffer.dtype == torch.float32 and buffer.shape == ()
    assert controller.item() == 0.25
    assert set(pipe.state_dict()) == {"p", "Hz_geom", "Hz_fbank"}
    other = AugmentPipe(xflip=1)
    other.load_state_dict(pipe.state_dict())
    assert other.p.item() == 0.75
    for value in (-0.1, math.nan, torch.tensor(-1.0)):
        with pytest.raises(ValueError, match="at least 0"):
            pipe.p = value


def test_noise_image_replaces_the_drawn_one():
    images, noise = torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8)
    pipe = pipe_at(1.0, noise=1)
    draws = pipe.draw(2, (3, 8, 8), seeded())
    sigma = pipe.parameters_of(draws).noise
    torch.testing.assert_close(pipe(images, noise=noise, draws=draws), noise * sigma[:, :, None, None])
    torch.testing.assert_close(pipe(images, draws=draws), draws["noise"] * sigma[:, :, None, None])


def test_by_hand_it_draws_itself():
    images = torch.randn(4, 3, 8, 8)
    pipe = pipe_at(1.0, brightness=1)
    assert not torch.equal(pipe(images), pipe(images))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"xflip": -1}, "^xflip must be .* got -1"),
        ({"rotate_max": math.nan}, "^rotate_max must be .* got nan"),
        ({"scale_std": math.inf}, "^scale_std must be .* got inf"),
        ({"hue": "yes"}, "^hue must be .* got 'yes'"),
        ({"cutout": None}, "^cutout must be .* got None"),
        ({"imgfilter_bands": [1, 1]}, r"^imgfilter_bands must be four .* got \[1, 1\]"),
        ({"imgfilter_bands": 1}, "^imgfilter_bands must be four .* got 1"),
        ({"imgfilter_bands": [1, 1, -2, 1]}, r"^imgfilter_bands\[2\] must be .* got -2"),
    ],
)
def test_bad_options_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        AugmentPipe(**options)


def test_unknown_option_is_refused():
    with pytest.raises(TypeError, match="rotation"):
        AugmentPipe(rotation=1)


def test_misuse_is_explained():
    pipe = AugmentPipe(xflip=1, noise=1)
    images = torch.zeros(2, 3, 8, 8)
    draws = pipe.draw(3, (3, 8, 8), seeded())
    with pytest.raises(ValueError, match="3 rows of draws for 2 images"):
        pipe(images, draws=draws)
    with pytest.raises(ValueError, match="exclude each other"):
        pipe(images, percentile=0.5, draws=draws)
    with pytest.raises(ValueError, match="pass noise="):
        pipe(images, percentile=0.5)
    with pytest.raises(ValueError, match="to_float"):
        pipe(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"\[N,C,H,W\]"):
        pipe(torch.zeros(3, 8, 8))


def test_options_show_in_the_name():
    assert "xflip=1, scale=0.5" in repr(AugmentPipe(xflip=1, scale=0.5))


def test_p_is_fetched_from_another_device_only_where_it_was_written():
    pipe, elsewhere = AugmentPipe(xflip=1), torch.device("meta")
    first = pipe._p_on(elsewhere)
    assert first.device == elsewhere
    assert pipe._p_on(elsewhere) is first
    restored = {**pipe.state_dict(), "p": torch.tensor(0.5)}
    for write in (
        lambda: setattr(pipe, "p", 0.25),
        lambda: pipe.p.fill_(0.75),
        lambda: pipe.load_state_dict(restored),
        pipe.double,
    ):
        before = pipe._p_on(elsewhere)
        write()
        assert pipe._p_on(elsewhere) is not before
    assert pipe._p_on(elsewhere).dtype == torch.float64


def test_p_where_the_draws_are_is_the_buffer_itself():
    pipe = AugmentPipe(xflip=1)
    assert pipe._p_on(pipe.p.device) is pipe.p
