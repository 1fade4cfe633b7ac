"""How seeds are written, and that their random numbers are those of the public implementation."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylegan.latents.seeds import MAX_SEED, MAX_SEEDS, latents_of, noise_of, parse_seeds

LAYERS = [("b4.conv1", (6, 4)), ("b8.conv0", (12, 8)), ("b8.conv1", (12, 8))]


@pytest.mark.parametrize(
    "text, seeds",
    [
        ("0-3,20", (0, 1, 2, 3, 20)),
        ("7", (7,)),
        (7, (7,)),
        ("5-5", (5,)),
        (" 0 - 3 , 20 ", (0, 1, 2, 3, 20)),
        ("1 2  4-5", (1, 2, 4, 5)),
        ("9,1,5", (9, 1, 5)),
        ("2,0-3,2", (2, 0, 1, 3)),
        ("0007", (7,)),
        (str(MAX_SEED), (MAX_SEED,)),
        (f"{'0' * 9000}1", (1,)),
    ],
)
def test_what_the_forms_mean(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("", "neither a number"),
        ("  ", "neither a number"),
        ("None", "neither a number"),
        ("1,,2", "neither a number"),
        ("1,2,", "neither a number"),
        ("a-b", "neither a number"),
        ("0-15-20", "neither a number"),
        ("-3", "neither a number"),
        ("1, -3", "neither a number"),
        ("3 -5", "neither a number"),
        ("1.5", "neither a number"),
        ("1e3", "neither a number"),
        ("٣", "neither a number"),
        ("0–15", "neither a number"),
        ("15-0", "15-0 runs backwards"),
        (str(MAX_SEED + 1), f"above {MAX_SEED}"),
        (f"0-{'9' * 9000}", f"above {MAX_SEED}"),
        (f"0-{MAX_SEEDS}", "more than"),
        (f"5,10-{MAX_SEEDS + 9}", "more than"),
        (True, "neither a number"),
    ],
)
def test_refused_in_one_line_with_value_and_right_form(text, complaint):
    with pytest.raises(ValueError) as caught:
        parse_seeds(text)
    message = str(caught.value)
    assert message.startswith(f"seeds={str(text)[:20]}") and complaint in message
    assert message.endswith("as in 0-15,20") and "\n" not in message and len(message) < 250


ranges = st.lists(
    st.tuples(st.integers(0, MAX_SEED), st.integers(0, 40)).map(lambda r: (r[0], min(r[0] + r[1], MAX_SEED))),
    min_size=1,
    max_size=6,
)


@given(ranges, st.sampled_from([",", " ", ", ", " ,", "  "]), st.sampled_from(["-", " - "]))
def test_any_list_of_ranges_reads_as_its_numbers_in_order(ranges, comma, dash):
    text = comma.join(str(a) if a == b else f"{a}{dash}{b}" for a, b in ranges)
    everything = [seed for a, b in ranges for seed in range(a, b + 1)]
    assert parse_seeds(text) == tuple(dict.fromkeys(everything))


@given(st.text(max_size=12) | st.text("0123456789-, ", max_size=12))
def test_any_text_is_read_or_refused_by_a_value_error(text):
    try:
        seeds = parse_seeds(text)
    except ValueError as error:
        assert "as in 0-15,20" in str(error)
    else:
        assert seeds and len(set(seeds)) == len(seeds) and all(0 <= seed <= MAX_SEED for seed in seeds)


@given(st.lists(st.integers(0, MAX_SEED), min_size=1, max_size=4), st.integers(1, 20))
def test_latents_are_those_of_the_public_implementation(seeds, z_dim):
    z = latents_of(seeds, z_dim)
    assert z.shape == (len(seeds), z_dim) and z.dtype == torch.float32
    for row, seed in zip(z.numpy(), seeds, strict=True):
        np.testing.assert_array_equal(row, np.random.RandomState(seed).randn(1, z_dim)[0].astype(np.float32))


def test_the_latent_of_seed_0_begins_with_the_well_known_numbers():
    np.testing.assert_allclose(latents_of([0], 3)[0], [1.7640524, 0.4001572, 0.978738], rtol=1e-7)


def test_noise_belongs_to_seed_and_layer_alone():
    together, alone = noise_of([3, 9, 4], LAYERS), noise_of([9], LAYERS)
    for name, size in LAYERS:
        assert together[name].shape == (3, 1, *size) and together[name].dtype == torch.float32
        assert torch.equal(together[name][1:2], alone[name])


def test_noise_differs_by_seed_and_by_layer_and_is_unit_normal():
    noise = noise_of(range(200), LAYERS)
    assert not torch.equal(noise["b8.conv0"][0], noise["b8.conv0"][1])
    assert not torch.equal(noise["b8.conv0"], noise["b8.conv1"])
    values = noise["b8.conv0"].flatten().double()  # 19,200 numbers
    assert abs(values.mean()) < 4 / len(values) ** 0.5
    assert abs(values.std() - 1) < 4 / (2 * len(values)) ** 0.5
    assert abs((noise["b8.conv0"] * noise["b8.conv1"]).mean()) < 4 / len(values) ** 0.5
