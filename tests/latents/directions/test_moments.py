"""Mean and covariance of w."""

import numpy as np
import pytest
import torch

from stylegan.latents.directions import moments as module
from stylegan.latents.directions.moments import moments_of, sampled_ws
from stylegan.latents.sampling import Sampler
from stylegan.latents.seeds import latents_of
from tests.latents.directions.planted import make_generator


def test_moments_do_not_depend_on_the_blocks():
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 3)) + 1e6)
    expected = np.cov(rows.numpy(), rowvar=False, bias=True)
    for sizes in ([50], [1, 49], [20, 20, 10]):
        found = moments_of(iter(rows.split(sizes)))
        np.testing.assert_allclose(found.covariance.numpy(), expected, rtol=1e-6)
        np.testing.assert_allclose(found.mean.numpy(), rows.numpy().mean(axis=0), rtol=1e-12)
        assert found.count == 50


def test_sigma_is_the_spread_of_the_projection():
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((200, 3)) * [1, 2, 3])
    vectors = torch.tensor([[1.0, 0, 0], [1.0, 2.0, -1.0]])
    projected = rows @ (vectors.double() / vectors.double().norm(dim=1, keepdim=True)).T
    found = moments_of(iter([rows])).sigma(vectors)
    torch.testing.assert_close(found, projected.std(dim=0, correction=0))


def test_seeds_take_the_labels_in_turn(monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    generator = make_generator(c_dim=2)
    labels = torch.eye(2)
    found = torch.cat(list(sampled_ws(Sampler(generator), 7, list(labels))))
    expected = generator.mapping(latents_of(range(7), generator.z_dim), labels[torch.arange(7) % 2])[:, 0]
    torch.testing.assert_close(found, expected.double(), rtol=1e-5, atol=1e-6)


def test_one_sample_has_no_spread():
    with pytest.raises(ValueError, match="samples must be at least 2, got 1"):
        moments_of(iter([torch.ones(1, 3)]))
