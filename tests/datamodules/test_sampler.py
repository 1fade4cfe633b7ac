"""The order is a permutation an epoch, and depends on nothing but seed and position."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.sampler import ResumableSampler, items_of_classes


def sampled(count: int, **options) -> list[int]:
    """The first `count` indices that a sampler gives."""
    sampler = ResumableSampler(**options)
    batches = islice(sampler, -(-count // sampler.batch_size))
    return [index for batch in batches for index in batch][:count]


@settings(deadline=None, max_examples=50)
@given(
    n=st.integers(1, 40),
    batch=st.integers(1, 50),
    seed=st.integers(0, 2**40),
    start=st.integers(0, 200),
)
def test_a_restart_anywhere_with_any_batch_continues_one_stream(n, batch, seed, start):
    whole = sampled(start + 60, num_items=n, batch_size=7, seed=seed)
    assert sampled(60, num_items=n, batch_size=batch, seed=seed, start=start) == whole[start:]


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 40), batch=st.integers(1, 50), seed=st.integers(0, 2**40))
def test_every_epoch_gives_every_item_once(n, batch, seed):
    stream = np.array(sampled(3 * n, num_items=n, batch_size=batch, seed=seed)).reshape(3, n)
    assert (np.sort(stream, axis=1) == np.arange(n)).all()


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 40), share=st.integers(1, 9), world=st.integers(1, 5), start=st.integers(0, 99))
def test_ranks_together_give_what_one_alone_would(n, share, world, start):
    common = dict(num_items=n, batch_size=share * world, seed=5, start=start)
    alone = list(islice(ResumableSampler(**common), 4))
    ranks = [list(islice(ResumableSampler(**common, rank=r, world=world), 4)) for r in range(world)]
    for number, batch in enumerate(alone):
        assert [rank[number] for rank in ranks] == [batch[r::world] for r in range(world)]


def test_epochs_and_seeds_differ():
    first, second = np.array(sampled(200, num_items=100, batch_size=10, seed=0)).reshape(2, 100)
    other = np.array(sampled(100, num_items=100, batch_size=10, seed=1))
    # Two independent permutations agree in one place on average.
    assert (first == second).sum() < 10 and (first == other).sum() < 10


def test_all_orders_are_equally_likely():
    """Chi-squared of the 6 orders of 3 items over 6000 epochs: 5 degrees of freedom, p = 1e-6 at 36.5."""
    orders = np.array(sampled(18000, num_items=3, batch_size=60, seed=2)).reshape(6000, 3)
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6 and ((counts - 1000) ** 2 / 1000).sum() < 36.5


def test_the_order_stays_what_checkpoints_rely_on():
    """A checkpoint stores no order: were this to change, a resumed run would give other pictures."""
    assert sampled(10, num_items=5, batch_size=4, seed=3) == [2, 3, 4, 1, 0, 2, 4, 1, 0, 3]


def test_a_million_items_far_into_the_stream():
    common = dict(num_items=10**6, seed=0)
    start = 25 * 10**6 - 32
    straddling = sampled(64, batch_size=64, start=start, **common)
    # The batch takes the end of one epoch and the beginning of the next.
    assert straddling[:32] == sampled(32, batch_size=8, start=start, **common)
    assert straddling[32:] == sampled(32, batch_size=8, start=start + 32, **common)
    assert len(set(straddling[:32])) == len(set(straddling[32:])) == 32
    assert 10**5 < max(straddling) < 10**6


def test_an_epoch_is_permuted_once(monkeypatch):
    made = []
    original = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda key: made.append(key) or original(key))
    sampled(100, num_items=50, batch_size=3, seed=0)
    assert [key[2] for key in made] == [0, 1, 2]


def test_a_batch_that_ranks_cannot_share_is_refused():
    with pytest.raises(ValueError, match="^batch_size must be a multiple of the 4 devices, got 10"):
        ResumableSampler(num_items=5, batch_size=10, seed=0, world=4)


def groups_of(*counts: int) -> list[np.ndarray]:
    """Groups of so many items each, whose indices are mixed up."""
    order = np.random.default_rng(0).permutation(sum(counts))
    return np.split(order, np.cumsum(counts)[:-1])


COUNTS = st.lists(st.integers(1, 9), min_size=1, max_size=6)


@settings(deadline=None, max_examples=25)
@given(counts=COUNTS, batch=st.integers(1, 50), seed=st.integers(0, 2**40), start=st.integers(0, 99))
def test_a_restart_continues_the_balanced_stream(counts, batch, seed, start):
    common = dict(num_items=sum(counts), seed=seed, groups=groups_of(*counts))
    whole = sampled(start + 40, batch_size=7, **common)
    assert sampled(40, batch_size=batch, start=start, **common) == whole[start:]


@settings(deadline=None, max_examples=25)
@given(counts=COUNTS, share=st.integers(1, 9), world=st.integers(1, 5))
def test_ranks_share_the_balanced_stream(counts, share, world):
    common = dict(num_items=sum(counts), batch_size=share * world, seed=5, groups=groups_of(*counts))
    alone = list(islice(ResumableSampler(**common), 4))
    ranks = [list(islice(ResumableSampler(**common, rank=r, world=world), 4)) for r in range(world)]
    for number, batch in enumerate(alone):
        assert [rank[number] for rank in ranks] == [batch[r::world] for r in range(world)]


@settings(deadline=None, max_examples=25)
@given(counts=COUNTS, seed=st.integers(0, 2**40))
def test_each_group_comes_equally_often_and_each_item_of_it(counts, seed):
    groups = groups_of(*counts)
    rounds = int(np.lcm.reduce(counts))
    stream = sampled(rounds * len(counts), num_items=sum(counts), batch_size=5, seed=seed, groups=groups)
    times = np.bincount(stream, minlength=sum(counts))
    for members in groups:
        assert (times[members] == rounds // len(members)).all()
    # One of each group a round, in an order of its own.
    group_of = {int(item): number for number, members in enumerate(groups) for item in members}
    in_rounds = np.array([group_of[item] for item in stream]).reshape(rounds, len(counts))
    assert (np.sort(in_rounds, axis=1) == np.arange(len(counts))).all()


def test_items_of_classes_repeat_where_there_are_few():
    class_of_item = np.array([2, 0, 2, 2, 0, 2])
    items = items_of_classes(class_of_item, 4, 3, np.random.default_rng(0))
    assert items[3:6] == items[9:] == [None] * 3
    assert set(items[:3]) == {1, 4} and len(set(items[6:9])) == 3 and set(items[6:9]) <= {0, 2, 3, 5}
