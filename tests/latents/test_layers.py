"""Layers as users name them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylegan.latents.layers import (
    check_layers,
    describe_layers,
    layer_mask,
    layer_names,
    layers_of_style,
    parse_layers,
)
from stylegan.networks import Generator


def make_generator(resolution):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Generator(
            resolution=resolution, z_dim=4, w_dim=4, mapping_layers=1, channel_base=1024, channel_max=2
        )


GENERATORS = {resolution: make_generator(resolution) for resolution in (8, 32, 64, 128, 1024)}


def test_names_follow_what_each_layer_feeds():
    """Each named layer alone changes the gradient of its entry of w."""
    generator = GENERATORS[32]
    names = layer_names(generator)
    assert names == "b4.conv1 b8.conv0 b8.conv1 b16.conv0 b16.conv1 b32.conv0 b32.conv1 b32.torgb".split()
    assert len(names) == generator.num_ws
    seen = {}
    hooks = [
        generator.synthesis.get_submodule(name).register_forward_pre_hook(
            lambda module, inputs, name=name: seen.__setitem__(name, inputs[1])
        )
        for name in names
    ]
    ws = torch.arange(len(names) * 4, dtype=torch.float32).reshape(1, -1, 4)
    generator.synthesis(ws)
    for hook in hooks:
        hook.remove()
    for number, name in enumerate(names):
        assert torch.equal(seen[name], ws[:, number])


@pytest.mark.parametrize(
    ("resolution", "style", "numbers"),
    [
        (1024, "coarse", range(0, 3)),
        (1024, "middle", range(3, 7)),
        (1024, "fine", range(7, 18)),
        (128, "fine", range(7, 12)),
        (64, "coarse", range(0, 4)),
        (64, "middle", range(4, 7)),
        (64, "fine", range(7, 10)),
        (32, "coarse", range(0, 3)),
        (32, "middle", range(3, 6)),
        (32, "fine", range(6, 8)),
        (8, "fine", range(3, 4)),
    ],
)
def test_names_mean_blocks_and_below_128_px_thirds(resolution, style, numbers):
    assert parse_layers(style, GENERATORS[resolution]) == tuple(numbers)


@pytest.mark.parametrize("resolution", list(GENERATORS))
def test_the_three_names_share_all_layers_among_them(resolution):
    names = layer_names(GENERATORS[resolution])
    parts = [layers_of_style(style, names) for style in ("coarse", "middle", "fine")]
    assert [number for part in parts for number in part] == list(range(len(names)))
    assert all(parts)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", (0,)),
        (3, (3,)),
        ("2-4, 1", (1, 2, 3, 4)),
        ("coarse,8-11", (0, 1, 2, 8, 9, 10, 11)),
        ("b8", (1, 2)),
        ("b128", (9, 10, 11)),
        ("b128.torgb,b4.conv1", (0, 11)),
        ("middle,middle,3", (3, 4, 5, 6)),
        (None, tuple(range(12))),
        ("all", tuple(range(12))),
    ],
)
def test_what_is_written_is_what_is_chosen(text, numbers):
    assert parse_layers(text, GENERATORS[128]) == numbers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5-3", "layers=5-3: this range is empty; write 3-5"),
        ("8", "layers=8: this network lacks layer 8; it has 8, numbered 0 to 7, in blocks b4 to b32"),
        (
            "1,6-12",
            "layers=6-12: this network lacks layer 12; it has 8, numbered 0 to 7, in blocks b4 to b32",
        ),
        ("b64", "layers=b64: this network lacks it; it has 8, numbered 0 to 7, in blocks b4 to b32"),
        (
            "b4.conv0",
            "layers=b4.conv0: this network lacks it; it has 8, numbered 0 to 7, in blocks b4 to b32",
        ),
        ("", "layers is empty: write numbers, ranges, coarse, middle or fine, as in coarse,8-11"),
        (" , ", "layers is empty: write numbers, ranges, coarse, middle or fine, as in coarse,8-11"),
        (
            "corse",
            "layers=corse: these are no layers; write numbers, ranges, coarse, middle or fine, as in coarse,8-11",
        ),
        (
            "-3",
            "layers=-3: these are no layers; write numbers, ranges, coarse, middle or fine, as in coarse,8-11",
        ),
        (
            "²",
            "layers=²: these are no layers; write numbers, ranges, coarse, middle or fine, as in coarse,8-11",
        ),
    ],
)
def test_a_slip_is_one_line(text, message):
    with pytest.raises(ValueError) as caught:
        parse_layers(text, GENERATORS[32])
    assert str(caught.value) == message


def test_what_is_wrong_in_any_network_is_found_without_one():
    for text in ("5-3", "corse", "", "1;2"):
        with pytest.raises(ValueError, match="^col_layers"):
            check_layers(text, key="col_layers")
    for text in ("coarse,8-11", "99", "b4096", None, 0):
        check_layers(text)


@given(st.sets(st.integers(0, 17), min_size=1))
def test_what_is_described_can_be_written(numbers):
    line = describe_layers(numbers, GENERATORS[1024])
    text = line.removeprefix("layers ").partition(" of 18: ")[0]
    assert parse_layers(text, GENERATORS[1024]) == tuple(sorted(numbers))


@given(st.text(max_size=30))
def test_any_text_is_layers_or_one_line(text):
    try:
        numbers = parse_layers(text, GENERATORS[32])
    except ValueError as error:
        assert str(error).startswith("layers") and "\n" not in str(error)
    else:
        assert numbers and set(numbers) <= set(range(8))
        check_layers(text)


def test_the_description_names_blocks():
    assert describe_layers((0, 1, 2, 7), GENERATORS[32]) == "layers 0-2,7 of 8: b4 (0), b8 (1-2), b32 (7)"
    assert describe_layers((), GENERATORS[32]) == "layers none of 8"


def test_a_mask_has_the_layers_and_no_others():
    assert layer_mask((0, 3), 5).tolist() == [True, False, False, True, False]
    assert not layer_mask((), 5).any()
