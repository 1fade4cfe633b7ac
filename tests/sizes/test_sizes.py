"""Which sizes there are, and how a network grows to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan.sizes import block_sizes, nearest_sizes, parse_size, plain_size


@pytest.mark.parametrize(
    ("size", "constant", "blocks"),
    [
        ((48, 32), (6, 4), 4),
        ((512, 384), (4, 3), 8),
        ((96, 96), (3, 3), 6),
        ((8, 8), (4, 4), 2),
        ((1024, 1024), (4, 4), 9),
        ((32, 128), (4, 16), 4),
    ],
)
def test_a_network_grows_from_the_smallest_constant(size, constant, blocks):
    sizes = block_sizes(*size)
    assert sizes[0] == constant and sizes[-1] == size and len(sizes) == blocks
    assert all(b == (2 * a[0], 2 * a[1]) for a, b in zip(sizes, sizes[1:], strict=False))


@given(st.integers(3, 16), st.integers(3, 16), st.integers(1, 7))
def test_every_constant_and_number_of_doublings_gives_a_size(a, b, n):
    sizes = block_sizes(a << n, b << n)
    low = sizes[0]
    assert sizes[-1] == (a << n, b << n)
    assert 3 <= min(low) and max(low) <= 16
    assert low[0] % 2 or low[1] % 2 or min(low) < 6  # no further halving would do


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_the_nearest_sizes_work(height, width):
    nearest = nearest_sizes(height, width)
    assert len(nearest) == 3
    for size in nearest:
        assert block_sizes(*size)[-1] == size
    try:
        block_sizes(height, width)
    except ValueError as error:
        assert "{}x{}".format(*nearest[0]) in str(error)
    else:
        assert nearest[0] == (height, width)


def test_a_constant_above_16_is_refused_with_what_works():
    with pytest.raises(ValueError, match="1000x600.*960x576 or 1024x640"):
        parse_size("1000x600")


@pytest.mark.parametrize("value", [32, "32", "32x32", [32, 32], (32, 32), "32X32"])
def test_a_size_is_read_as_people_write_it(value):
    assert parse_size(value) == (32, 32)
    assert plain_size(parse_size(value)) == 32


def test_height_comes_first():
    assert parse_size("48x32") == (48, 32) == parse_size([48, 32])
    assert plain_size((48, 32)) == [48, 32]


@pytest.mark.parametrize(
    "value", ["", "x", "48x", "4 8", "1e2", True, 1.5, None, [32], [32, True], "٣٢", {}, -32, 0, 5, 4096]
)
def test_what_is_not_a_size_is_refused(value):
    with pytest.raises(ValueError, match="resolution must be|no network draws"):
        parse_size(value)


@given(st.integers(20, 3000))
def test_squares_are_what_is_proposed_for_a_square(side):
    assert all(height == width for height, width in nearest_sizes(side, side))


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ((1000, 600), (960, 576)),  # 5:3, as it is
        ((480, 640), (576, 768)),  # 3:4
        ((4000, 3000), (2048, 1536)),  # 4:3, although a side of each is too large
        ((90, 120), (96, 128)),
        ((33, 33), (32, 32)),
    ],
)
def test_a_size_of_the_same_shape_is_proposed_first(size, nearest):
    assert nearest_sizes(*size)[0] == nearest
