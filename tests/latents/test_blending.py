"""Blending of two networks."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylegan.latents.blending import (
    RELATED_COSINE,
    Relatives,
    blend,
    check_relatives,
    differences,
    fill,
    mean_cosine,
    share_of_high,
    there_and_back,
)
from tests.latents.networks import fine_tuned, make_generator

LOW = make_generator()
HIGH = fine_tuned(LOW)


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


LOW_BEFORE, HIGH_BEFORE = state(LOW), state(HIGH)


@pytest.fixture(autouse=True)
def leaves_both_networks_as_they_are():
    yield
    for network, before in ((LOW, LOW_BEFORE), (HIGH, HIGH_BEFORE)):
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def equal_to(network, other):
    """Which tensors are equal to the bit."""
    theirs = other.state_dict()
    return {name for name, value in network.state_dict().items() if torch.equal(value, theirs[name])}


ALL = set(LOW.state_dict())
SAME_IN_BOTH = {name for name in ALL if name.endswith("resample_filter")}


def test_below_a_split_all_is_low_and_from_it_on_all_is_high():
    blended = blend(LOW, HIGH, at=16)
    of_high = {name for name in ALL if name.startswith(("synthesis.b16.", "synthesis.b32."))}
    assert equal_to(blended, HIGH) == of_high | SAME_IN_BOTH
    assert equal_to(blended, LOW) == ALL - of_high | SAME_IN_BOTH


def test_the_lowest_split_with_the_mapping_of_high_is_high_in_every_tensor():
    assert equal_to(blend(LOW, HIGH, at=4, mapping="high"), HIGH) == ALL
    synthesis = {name for name in ALL if name.startswith("synthesis.")}
    assert equal_to(blend(LOW, HIGH, at=4), HIGH) == synthesis


def test_the_mapping_is_whole_and_takes_its_average_with_it():
    mapping = {name for name in ALL if name.startswith("mapping.")}
    assert "mapping.w_avg" in mapping
    for at in (8, 32):
        assert equal_to(blend(LOW, HIGH, at=at, width=2), LOW) >= mapping
        assert equal_to(blend(LOW, HIGH, at=at, width=2, mapping="high"), HIGH) >= mapping


def test_a_passage_is_a_mean_by_the_share_of_each_resolution():
    blended = blend(LOW, HIGH, at=32, width=1).state_dict()
    shares = {"b4": 0.0, "b8": 0.0, "b16": 0.5, "b32": 1.0}
    for name, value in blended.items():
        if name.startswith("synthesis."):
            share = shares[name.split(".")[1]]
            expected = (1 - share) * LOW_BEFORE[name].double() + share * HIGH_BEFORE[name].double()
            torch.testing.assert_close(value.double(), expected, atol=1e-6, rtol=1e-6)


def test_the_share_falls_by_equal_steps_an_octave():
    assert [share_of_high(level, at=64, width=0) for level in (16, 32, 64, 128)] == [0, 0, 1, 1]
    assert [share_of_high(level, at=64, width=1) for level in (16, 32, 64, 128)] == [0, 0.5, 1, 1]
    assert [share_of_high(level, at=64, width=3) for level in (4, 8, 16, 32, 64)] == [0, 0.25, 0.5, 0.75, 1]


@given(st.sampled_from([4, 8, 16, 64, 1024]), st.sampled_from([4, 32, 1024]), st.floats(0, 20))
def test_a_share_is_one_and_never_falls_with_the_resolution(level, at, width):
    share = share_of_high(level, at=at, width=width)
    assert 0 <= share <= share_of_high(2 * level, at=at, width=width) <= 1
    assert share == 1 if level >= at else share < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(at=12), "at must be the resolution of a block, one of 4, 8, 16, 32, got 12"),
        (dict(at=64), "at must be the resolution of a block, one of 4, 8, 16, 32, got 64"),
        (dict(at=8, width=-1), "width must be 0 octaves or more, got -1"),
        (dict(at=8, width=math.nan), "width must be 0 octaves or more, got nan"),
        (dict(at=8, mapping="both"), "mapping must be low or high, got 'both'"),
    ],
)
def test_a_split_that_is_none_is_refused(options, message):
    with pytest.raises(ValueError) as caught:
        blend(LOW, HIGH, **options)
    assert str(caught.value) == message


def test_a_rectangle_says_what_its_blocks_draw():
    low = make_generator(resolution=(48, 32))
    with pytest.raises(ValueError, match=r"one of 4, 8, 16, 32 \(32 draws 48x32 px\), got 48"):
        blend(low, low, at=48)


def test_relatives_are_either_network_at_the_ends_and_a_mean_between():
    relatives = Relatives(LOW, HIGH)
    assert equal_to(relatives.generator, LOW) == ALL
    assert equal_to(relatives.set_weight(1), HIGH) == ALL
    middle = state(relatives.set_weight(0.25))
    for name, value in middle.items():
        expected = 0.75 * LOW_BEFORE[name].double() + 0.25 * HIGH_BEFORE[name].double()
        torch.testing.assert_close(value.double(), expected, atol=1e-6, rtol=1e-6)
    assert equal_to(relatives.set_weight(0), LOW) == ALL


def test_a_weight_is_the_same_whichever_came_before():
    one, other = Relatives(LOW, HIGH), Relatives(LOW, HIGH)
    other.set_weight(0.9)
    assert equal_to(one.set_weight(0.3), other.set_weight(0.3)) == ALL


@pytest.mark.parametrize("weight", [-0.1, 1.5, math.nan])
def test_a_weight_beyond_both_networks_is_refused(weight):
    with pytest.raises(ValueError, match="^weight must be between 0 and 1"):
        Relatives(LOW, HIGH).set_weight(weight)


def test_filling_takes_one_number_for_all():
    target = make_generator(7)
    fill(target, LOW, HIGH, 1.0)
    assert equal_to(target, HIGH) == ALL


def test_the_cosine_of_a_network_with_itself_is_one_and_with_its_negative_minus_one():
    assert mean_cosine(LOW, LOW) == pytest.approx(1, abs=1e-12)
    negative, twice = make_generator(), make_generator()
    for name, value in negative.state_dict().items():
        if name.endswith(("conv0.weight", "conv1.weight")):
            value.neg_()
    for value in twice.state_dict().values():
        value.mul_(2)
    assert mean_cosine(LOW, negative) == pytest.approx(-1, abs=1e-12)
    assert mean_cosine(LOW, twice) == pytest.approx(1, abs=1e-12)


def test_the_cosine_of_noisy_weights_is_that_of_the_angle():
    """For weights of variance 1 and independent changes of variance s², it is 1/√(1 + s²)."""
    low = make_generator(channel_base=2048, channel_max=64)
    for strength in (0.1, 0.5, 2.0):
        expected = 1 / math.sqrt(1 + strength**2)
        assert mean_cosine(low, fine_tuned(low, strength=strength)) == pytest.approx(expected, abs=0.01)
    assert mean_cosine(low, make_generator(5, channel_base=2048, channel_max=64)) == pytest.approx(
        0, abs=0.01
    )


def test_networks_without_a_common_ancestor_are_refused_unless_told():
    stranger = make_generator(3, channel_base=2048, channel_max=32)
    low = make_generator(4, channel_base=2048, channel_max=32)
    cosine = mean_cosine(low, stranger)
    assert abs(cosine) < RELATED_COSINE / 4
    with pytest.raises(ValueError) as caught:
        blend(low, stranger, at=16)
    assert str(caught.value) == (
        f"these networks have no common ancestor: the cosine of their weights is {cosine:.3f}, and that of relatives"
        f" above {RELATED_COSINE}; set unrelated=true to blend them all the same"
    )
    assert check_relatives(low, stranger, unrelated=True) == cosine
    assert equal_to(blend(low, stranger, at=4, mapping="high", unrelated=True), stranger) == ALL
    with pytest.raises(ValueError, match="no common ancestor"):
        Relatives(low, stranger)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (dict(resolution=64), "resolution 32 and 64"),
        (dict(resolution=(48, 32)), "resolution 32 and [48,32]"),
        (dict(w_dim=4, channels=1), "channels 3 and 1; w_dim 8 and 4"),
        (dict(c_dim=3), "c_dim 0 and 3"),
        (dict(mapping_layers=3), "mapping_layers 2 and 3"),
        (dict(architecture="resnet"), "architecture skip and resnet"),
        (dict(channel_base=128), "channel_base 256 and 128; synthesis.b32.conv0.bias [8] and [4]"),
        (dict(mapping_lr_multiplier=0.1), "mapping_lr_multiplier 0.01 and 0.1"),
    ],
)
def test_networks_of_different_shapes_are_refused_by_what_differs(options, named):
    other = make_generator(**options)
    with pytest.raises(ValueError) as caught:
        blend(LOW, other, at=16, unrelated=True)
    line = str(caught.value)
    assert line.startswith("these networks have different shapes: ") and named in line and "\n" not in line


def test_options_that_come_to_the_same_shape_do_not_differ():
    assert differences(LOW, make_generator(channel_max=8, mapping_features=8)) == []
    assert differences(LOW, make_generator(conv_clamp=None, w_avg_decay=0.9)) == []


def test_names_of_classes_follow_the_mapping():
    low = make_generator(c_dim=2, label_names=["cat", "fox"])
    high = fine_tuned(low)
    high.label_names = high.options["label_names"] = ["lynx", "wolf"]
    assert blend(low, high, at=16).label_names == ["cat", "fox"]
    of_high = blend(low, high, at=16, mapping="high")
    assert of_high.label_names == of_high.options["label_names"] == ["lynx", "wolf"]
    assert low.options["label_names"] == ["cat", "fox"]


def test_a_loop_goes_there_and_back():
    weights = [there_and_back(frame, 8) for frame in range(8)]
    assert weights[0] == 0 and weights[4] == 1
    assert weights[1:4] == pytest.approx(weights[:4:-1])
    assert there_and_back(2, 8) == pytest.approx(0.5)
    assert there_and_back(0, 1) == 0
