"""Fakes and reals judged at once get the logits that they get alone."""

import pytest
import torch

from stylegan.distributed.batch_split import join, separate
from stylegan.networks import Discriminator
from tests.training.standalone import module


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


@pytest.mark.parametrize("c_dim", [0, 3])
@pytest.mark.parametrize("group", [1, 4])
def test_logits_are_those_of_two_passes(c_dim, group):
    trained = module(batch_size=8, c_dim=c_dim, dtype=torch.float64)
    trained.discriminator.b4.mbstd_group = group
    torch.manual_seed(1)
    size = trained.discriminator.size
    fakes, reals = (torch.randn(8, 3, *size, dtype=torch.float64) for _ in range(2))
    labels = torch.eye(3, dtype=torch.float64)[torch.arange(8) % 3] if c_dim else None
    draws = [trained.augment.draw(8, (3, *size), torch.Generator().manual_seed(i)) for i in range(2)]
    trained.augment.p = 0.5
    pairs = [(fakes, labels, draws[0]), (reals, labels, draws[1])]
    for joint, own in zip(trained.judge_both(*pairs), (trained.judge(*p) for p in pairs), strict=True):
        torch.testing.assert_close(joint, own, rtol=0, atol=1e-10)


def test_what_would_be_compared_with_each_other_is_judged_apart(monkeypatch):
    trained = module(batch_size=8)
    calls = []
    monkeypatch.setattr(trained, "judge", lambda images, *_: calls.append(len(images)) or images)
    x = torch.zeros(6, 3, 8, 8)
    for size, n in ((None, 6), (4, 6)):
        monkeypatch.setattr(type(trained.discriminator), "group_size", size)
        trained.judge_both((x[:n], None, None), (x[:n], None, None))
    assert calls == [6] * 4


def test_the_group_size_of_a_discriminator():
    shared = dict(resolution=8, channel_base=64, channel_max=8)
    assert Discriminator(**shared).group_size == 4
    assert Discriminator(**shared, mbstd_channels=0).group_size == 1
    assert Discriminator(**shared, mbstd_group=None).group_size is None


def test_a_discriminator_without_labels_judges_fakes_that_have_some():
    trained = module(batch_size=8, dtype=torch.float64)
    x = torch.randn(8, 3, *trained.discriminator.size, dtype=torch.float64)
    labelled = (x, torch.eye(8, dtype=torch.float64), None)
    fakes, reals = trained.judge_both(labelled, (x, None, None))
    torch.testing.assert_close(fakes, trained.judge(*labelled), rtol=0, atol=1e-10)
    torch.testing.assert_close(reals, fakes, rtol=0, atol=1e-10)
