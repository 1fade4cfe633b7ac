"""Random numbers are a function of their key and of nothing else."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from datamodules import ImageDataModule
from datamodules.datasets import ImageDataset
from stylegan.augment import AugmentPipe
from stylegan.networks import Generator
from stylegan.training.draws import Draw, KeyedDraws, key
from tests.training.trainings import BGC, KINDS

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
        label_items=torch.arange(7),
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
    assert key(3, "Gmain", "z", 12) == 96596744822815972  # of another process


@given(
    st.lists(st.one_of(st.integers(), st.text()), max_size=4), st.lists(st.one_of(st.integers(), st.text()))
)
def test_different_parts_give_different_keys(a, b):
    assert (key(*a) == key(*b)) == (a == b)
    assert 0 <= key(*a) < 2**63


@pytest.mark.parametrize("phase", ["Gmain", "Greg", "Dmain", "Dreg"])
def test_a_draw_depends_neither_on_history_nor_on_the_global_state(phase):
    fresh = flat(draws().draw(phase, 5, 4, LIKE, KINDS[phase]))
    used = draws()
    torch.manual_seed(99)
    for i in range(3):
        used.draw("Gmain", i, 4, LIKE, KINDS["Gmain"])
        used.draw(phase, i, 4, LIKE, KINDS[phase])
    state = torch.random.get_rng_state()
    again = flat(used.draw(phase, 5, 4, LIKE, KINDS[phase]))
    assert fresh.keys() == again.keys() != set()
    assert all(torch.equal(fresh[name], again[name]) for name in fresh)
    assert torch.equal(state, torch.random.get_rng_state())


def test_seed_phase_and_iteration_each_change_every_number():
    base = flat(draws().draw("Dmain", 0, 4, LIKE, KINDS["Dmain"]))
    for other in (
        draws(seed=1).draw("Dmain", 0, 4, LIKE, KINDS["Dmain"]),
        draws().draw("Gmain", 0, 4, LIKE, KINDS["Gmain"]),
        draws().draw("Dmain", 1, 4, LIKE, KINDS["Dmain"]),
    ):
        common = [name for name, value in flat(other).items() if name in base and value.numel()]
        assert len(common) >= 4
        assert all(not torch.equal(base[name], flat(other)[name]) for name in common)


def test_no_two_purposes_share_their_numbers():
    draw = flat(draws().draw("Dmain", 0, 64, LIKE, KINDS["Dmain"]))
    seen = set()
    for name, value in draw.items():
        first = round(value.flatten()[0].item(), 9)
        assert first not in seen, name
        seen.add(first)


def test_toggling_style_mixing_changes_nothing_else():
    with_mixing, without = (
        draws(mixing=1.0).draw("Gmain", 2, 4, LIKE, KINDS["Gmain"]),
        draws(mixing=0.0).draw("Gmain", 2, 4, LIKE, KINDS["Gmain"]),
    )
    assert with_mixing.mixing_z is not None and without.mixing_z is None
    assert torch.equal(with_mixing.z, without.z)
    assert torch.equal(with_mixing.noise["b8.conv0"], without.noise["b8.conv0"])


def test_cut_offs_are_uniform_and_as_likely_as_asked():
    cutoffs = [
        draws(mixing=0.5, augment=False).draw("Gmain", i, 1, LIKE, KINDS["Gmain"]).mixing_cutoff
        for i in range(600)
    ]
    mixed = [c for c in cutoffs if c is not None]
    assert abs(len(mixed) - 300) < 4 * (600 * 0.25) ** 0.5
    assert set(mixed) == {1, 2, 3, 4, 5}
    expected = len(mixed) / 5
    assert all(abs(mixed.count(c) - expected) < 4 * expected**0.5 for c in set(mixed))


def test_labels_are_rows_of_the_data_set_drawn_uniformly():
    rows = torch.eye(7)
    items = torch.cat(
        [
            draws(labels=lambda i: rows[i], augment=False)
            .draw("Gmain", i, 50, LIKE, KINDS["Gmain"])
            .c.argmax(1)
            for i in range(20)
        ]
    )
    counts = items.bincount(minlength=7).float()
    assert (counts - 1000 / 7).abs().max() < 4 * (1000 / 7) ** 0.5


class OneInTen(ImageDataset):
    """Item i is of the second class where i ends in 0, else of the first."""

    label_width, label_kind, label_names = 2, "classes", ("many", "few")

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def image(self, index: int) -> torch.Tensor:
        return torch.zeros(3, 8, 8, dtype=torch.uint8)

    def labels(self, indices: torch.Tensor) -> torch.Tensor:
        return torch.eye(2)[(indices % 10 == 0).long()]


class OneInTenData(ImageDataModule):
    def __init__(self, count: int = 100, **options):
        super().__init__(resolution=8, batch_size=4, **options)
        self.count = count

    def open_dataset(self) -> OneInTen:
        return OneInTen(self.count)


class Items:
    """Data of the user's own: no `label_items`, and the labels are the items' numbers."""

    num_items = 100_000

    def labels(self, indices: torch.Tensor) -> torch.Tensor:
        return indices[:, None].expand(-1, 2)


def draws_of(data, *, seed=0, c_dim=2) -> KeyedDraws:
    generator = Generator(resolution=8, z_dim=8, w_dim=8, mapping_layers=1, channel_max=4, c_dim=c_dim)
    if isinstance(data, ImageDataModule):
        data.setup()
    return KeyedDraws.for_networks(generator, seed=seed, style_mixing_prob=0.9, augment=None, data=data)


@pytest.mark.parametrize(("balanced", "share"), [(True, 0.5), (False, 0.1)])
@pytest.mark.parametrize("xflip", [False, True])
def test_fakes_get_each_class_as_often_as_reals_do(balanced, share, xflip):
    """Within 4 standard deviations of the binomial distribution: 63 of 1 million correct draws are not."""
    n = 4000
    drawn = draws_of(OneInTenData(balanced=balanced, xflip=xflip)).draw("Gmain", 0, n, LIKE, KINDS["Gmain"]).c
    assert abs(drawn[:, 1].sum().item() - n * share) < 4 * (n * share * (1 - share)) ** 0.5
    assert (drawn.sum(1) == 1).all()


def test_items_of_labels_stay_what_they_have_always_been():
    """A run that resumes must not get other labels: the numbers were recorded before there was a choice of items."""
    recorded = {
        "Gmain": [85527, 81780, 9163, 12956, 94047, 11731, 21997, 39927],
        "Dmain": [31484, 81641, 57584, 50712, 1678, 60367, 13662, 78301],
    }
    like = torch.zeros([], dtype=torch.float64)
    for phase, items in recorded.items():
        assert draws_of(Items(), seed=3).draw(phase, 5, 8, like, KINDS[phase]).c[:, 0].tolist() == items
        data = OneInTenData(count=100_000)
        expected = OneInTen(100_000).labels(torch.tensor(items))
        assert torch.equal(draws_of(data, seed=3).draw(phase, 5, 8, LIKE, KINDS[phase]).c, expected)


class LargestTensor(TorchDispatchMode):
    """Inside, notes how many elements the largest tensor has that an operation gives."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numel = max(self.numel, result.numel())
        return result


@pytest.mark.parametrize(
    "data", [Items(), OneInTenData(count=100_000), OneInTenData(count=100_000, balanced=True)]
)
def test_a_phase_costs_the_same_for_any_number_of_items(data):
    drawing = draws_of(data)
    with LargestTensor() as largest:
        drawing.draw("Gmain", 0, 4, LIKE, KINDS["Gmain"])
    # The noise of the largest layer, 4 x 8 x 8, and no array of all items.
    assert largest.numel == 4 * 8 * 8


@given(n=st.integers(1, 12), count=st.integers(1, 4))
def test_parts_are_split_by_stride_and_lose_nothing(n, count):
    draw = Draw(z=torch.arange(n), noise={"b4": torch.arange(n) * 2}, mixing_cutoff=3)
    parts = draw.parts(count)
    assert [part.z.tolist() for part in parts] == [list(range(n))[k::count] for k in range(count)]
    assert all(part.noise["b4"].tolist() == [2 * i for i in part.z.tolist()] for part in parts)
    assert all(part.mixing_cutoff == 3 for part in parts)


def test_float64_runs_get_the_numbers_of_float32():
    single = flat(draws().draw("Dmain", 0, 4, torch.zeros([], dtype=torch.float32), KINDS["Dmain"]))
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        double = flat(draws().draw("Dmain", 0, 4, torch.zeros([], dtype=torch.float64), KINDS["Dmain"]))
    finally:
        torch.set_default_dtype(default)
    assert double["z"].dtype == torch.float64
    assert single.keys() == double.keys()
    for name in single:
        assert torch.equal(double[name].float(), single[name].float()), name
