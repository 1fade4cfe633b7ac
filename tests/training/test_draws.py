"""Random numbers are a function of their key and of nothing else."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from standalone import BGC

from stylegan.augment import AugmentPipe
from stylegan.training.draws import Draw, KeyedDraws, key

LIKE = torch.zeros([])


def draws(seed=0, mixing=0.9, labels=None, augment=True):
    return KeyedDraws(
        seed=seed,
        z_dim=8,
        num_ws=6,
        noise_layers=[("b4.conv1", (4, 4)), ("b8.conv0", (8, 8))],
        image_shape=(3, 8, 8),
        style_mixing_prob=mixing,
        augment=AugmentPipe(**dict.fromkeys([*BGC, "noise"], 1)) if augment else None,
        labels=labels,
        num_items=7,
    )


def flat(draw):
    """name → tensor, for comparison."""
    found = {}
    for name, value in vars(draw).items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": tensor for inner, tensor in value.items()}
        elif isinstance(value, torch.Tensor):
            found[name] = value
    return found


def test_keys_are_the_same_in_every_process():
    """`hash` of a string is not; a resumed run needs the same key."""
    code = "from stylegan.training.draws import key; print(key(3, 'Gmain', 'z', 12))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == key(3, "Gmain", "z", 12)


@given(
    st.lists(st.one_of(st.integers(), st.text()), max_size=4), st.lists(st.one_of(st.integers(), st.text()))
)
def test_different_parts_give_different_keys(a, b):
    assert (key(*a) == key(*b)) == (a == b)
    assert 0 <= key(*a) < 2**63


@pytest.mark.parametrize("phase", ["Gmain", "Greg", "Dmain", "Dreg"])
def test_a_draw_depends_neither_on_history_nor_on_the_global_state(phase):
    fresh = flat(draws().phase(phase, 5, 4, LIKE))
    used = draws()
    torch.manual_seed(99)
    for i in range(3):
        used.phase("Gmain", i, 4, LIKE)
        used.phase(phase, i, 4, LIKE)
    state = torch.random.get_rng_state()
    again = flat(used.phase(phase, 5, 4, LIKE))
    assert fresh.keys() == again.keys() != set()
    assert all(torch.equal(fresh[name], again[name]) for name in fresh)
    assert torch.equal(state, torch.random.get_rng_state())


def test_seed_phase_and_iteration_each_change_every_number():
    base = flat(draws().phase("Dmain", 0, 4, LIKE))
    for other in (
        draws(seed=1).phase("Dmain", 0, 4, LIKE),
        draws().phase("Gmain", 0, 4, LIKE),
        draws().phase("Dmain", 1, 4, LIKE),
    ):
        common = [name for name, value in flat(other).items() if name in base and value.numel()]
        assert len(common) >= 4
        assert all(not torch.equal(base[name], flat(other)[name]) for name in common)


def test_no_two_purposes_share_their_numbers():
    draw = flat(draws().phase("Dmain", 0, 64, LIKE))
    seen = set()
    for name, value in draw.items():
        first = round(value.flatten()[0].item(), 9)
        assert first not in seen, name
        seen.add(first)


def test_toggling_style_mixing_changes_nothing_else():
    with_mixing, without = (
        draws(mixing=1.0).phase("Gmain", 2, 4, LIKE),
        draws(mixing=0.0).phase("Gmain", 2, 4, LIKE),
    )
    assert with_mixing.mixing_z is not None and without.mixing_z is None
    assert torch.equal(with_mixing.z, without.z)
    assert torch.equal(with_mixing.noise["b8.conv0"], without.noise["b8.conv0"])


def test_cut_offs_are_uniform_and_as_likely_as_asked():
    cutoffs = [draws(mixing=0.5, augment=False).phase("Gmain", i, 1, LIKE).mixing_cutoff for i in range(600)]
    mixed = [c for c in cutoffs if c is not None]
    assert abs(len(mixed) - 300) < 4 * (600 * 0.25) ** 0.5
    assert set(mixed) == {1, 2, 3, 4, 5}
    expected = len(mixed) / 5
    assert all(abs(mixed.count(c) - expected) < 4 * expected**0.5 for c in set(mixed))


def test_labels_are_rows_of_the_data_set_drawn_uniformly():
    rows = torch.eye(7)
    items = torch.cat(
        [
            draws(labels=lambda i: rows[i], augment=False).phase("Gmain", i, 50, LIKE).c.argmax(1)
            for i in range(20)
        ]
    )
    counts = items.bincount(minlength=7).float()
    assert (counts - 1000 / 7).abs().max() < 4 * (1000 / 7) ** 0.5


@given(n=st.integers(1, 12), count=st.integers(1, 4))
def test_parts_are_dealt_by_stride_and_lose_nothing(n, count):
    draw = Draw(z=torch.arange(n), noise={"b4": torch.arange(n) * 2}, mixing_cutoff=3)
    parts = draw.parts(count)
    assert [part.z.tolist() for part in parts] == [list(range(n))[k::count] for k in range(count)]
    assert all(part.noise["b4"].tolist() == [2 * i for i in part.z.tolist()] for part in parts)
    assert all(part.mixing_cutoff == 3 for part in parts)


def test_float64_runs_get_the_numbers_of_float32():
    single = flat(draws().phase("Dmain", 0, 4, torch.zeros([], dtype=torch.float32)))
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        double = flat(draws().phase("Dmain", 0, 4, torch.zeros([], dtype=torch.float64)))
    finally:
        torch.set_default_dtype(default)
    assert double["z"].dtype == torch.float64
    assert single.keys() == double.keys()
    for name in single:
        assert torch.equal(double[name].float(), single[name].float()), name
