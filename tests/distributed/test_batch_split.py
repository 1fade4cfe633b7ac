"""Parts and processes of a batch, and two batches joined."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylegan.distributed import collectives as ranks
from stylegan.distributed.batch_split import BatchSplit, join, separate
from tests.together import together


@pytest.mark.parametrize("n, group", [(8, 4), (8, 1), (12, 3), (4, 4)])
def test_separate_undoes_join_and_groups_stay_apart(n, group):
    first, second = torch.arange(n), torch.arange(n) + 100
    joint = join(first, second, group)
    assert all(torch.equal(a, b) for a, b in zip(separate(joint, group), (first, second), strict=True))
    count = 2 * n // group
    for g in range(count):
        members = joint[g::count]
        # A group of the joint batch is one of the first batch, or of the second.
        own = first if g < count // 2 else second
        assert torch.equal(members, own[g % (count // 2) :: count // 2])


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize(("samples", "count"), [(12, 6), (5, 5), (2, 2), (7, 3), (1, 1)])
def test_a_split_gives_each_sample_to_one_part(samples, count, world):
    numbers = torch.arange(samples)
    found = torch.cat(
        [
            torch.cat(BatchSplit(samples, count, r, world).split(numbers) or [numbers[:0]])
            for r in range(world)
        ]
    )
    assert found.sort().values.tolist() == numbers.tolist()
    for r in range(world):
        split = BatchSplit(samples, count, r, world)
        whole = [numbers[k::count].tolist() for k in range(count)]
        assert [part.tolist() for part in split.split(numbers)] == list(split.own(whole))


def gathered():
    split = BatchSplit(7, 3, ranks.rank(), ranks.world())
    values = torch.arange(7.0) ** 2
    return split.gather(split.split(values), like=torch.zeros(1))


def test_what_the_processes_compute_is_gathered_in_the_order_of_samples(tmp_path):
    for whole in together(2, gathered, tmp_path):
        assert whole.tolist() == [0, 1, 4, 9, 16, 25, 36]


@given(
    micro_batch=st.integers(1, 8),
    rounds=st.integers(1, 6),
    processes=st.integers(1, 5),
    shrink=st.integers(1, 3),
)
def test_first_parts_are_as_large_as_those_of_the_run(micro_batch, rounds, processes, shrink):
    """Oracle: the split of process 0 of as many."""
    batch_size = micro_batch * rounds * processes
    for samples in {batch_size, max(1, batch_size // shrink)}:
        count = min(batch_size // micro_batch, samples)
        values = torch.zeros(samples)
        run = [len(part) for part in BatchSplit(samples, count, 0, processes).split(values)]
        few = BatchSplit(samples, count).first_parts(2, world=processes)
        probed = [len(part) for part in few.split(values)]
        assert len(probed) == min(len(run), 2) and probed[0] == run[0]
        assert few.gather(few.split(values + 1), like=values).sum() == sum(probed)
