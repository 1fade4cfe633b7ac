"""Fakes: which image each number stands for, whose label it has, and what cannot be drawn."""

import numpy as np
import pytest
import torch

from stylegan.evaluation.fakes import Fakes, LabelsOfFakes
from stylegan.images import to_uint8
from stylegan.latents import Sampler, latents_of
from tests.evaluation.small import (
    NUM,
    Averages,
    Images,
    evaluator,
    quiet,
    results,
    scores,
    small_generator,
)


def test_fake_i_is_the_image_of_seed_i_with_its_own_noise():
    detector, generator = Averages(), small_generator()
    one = evaluator(["kid"], detector=detector, first_seed=5)
    one.prepare(quiet())
    detector.shown.clear()
    scores(one, generator)
    seeds = range(5, 5 + NUM)
    sampler = Sampler(generator)
    expected = to_uint8(sampler.draw(sampler.map(latents_of(seeds, 8)), "random", noise_seeds=seeds))
    assert torch.equal(torch.cat(detector.shown), expected)


def test_labels_of_fakes_are_as_frequent_as_those_of_reals():
    images, generator = Images(count=4, classes=3), small_generator(c_dim=3)  # classes 0, 1, 2, 0
    drawn = []
    mapping = generator.mapping.forward
    generator.mapping.forward = lambda z, c, **rest: (drawn.append(c), mapping(z, c, **rest))[1]
    results(["fid"], generator, images=images, num_fakes=640)
    share = torch.cat(drawn).mean(0)
    assert share.tolist() == pytest.approx([0.5, 0.25, 0.25], abs=0.06)


class Counting(Images):
    """Knows the most labels that were requested at once."""

    most = 0

    def labels(self, indices):
        self.most = max(self.most, len(indices))
        return super().labels(indices)


def test_labels_of_fakes_are_those_of_a_table_of_all_and_no_table_is_made():
    """Which real picture each fake has its label of: by the words that were written for a table of all labels."""
    images, generator = Counting(count=5000, classes=7), small_generator(c_dim=7)
    table = images.labels(torch.arange(5000))
    images.most = 0
    places = np.random.default_rng([3, int.from_bytes(b"eval", "big")]).random(NUM)
    expected = table[torch.from_numpy((places * 5000).astype(np.int64))]
    assert torch.equal(LabelsOfFakes(images, NUM, 3).of(range(NUM)), expected)
    fakes, drawn = Fakes(generator, images, num=NUM, first_seed=3), []
    mapped = fakes.sampler.map
    fakes.sampler.map = lambda z, c, **rest: (drawn.append(c), mapped(z, c, **rest))[1]
    fakes.images(range(5, 20))
    assert torch.equal(drawn[0], expected[5:20])
    results(["fid"], generator, images=images, first_seed=3)
    assert 1 <= images.most <= NUM


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ({"noise_mode": "some"}, "^noise_mode must be one of .*random.*, got some$"),
        ({"first_seed": -1}, "^first_seed must be from 0 to 4294967226 for 70 seeds, got -1$"),
        ({"first_seed": 2**32 - 69}, "^first_seed must be .*, got 4294967227$"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, reported):
    with pytest.raises(ValueError, match=reported):
        Fakes(small_generator(), None, num=NUM, **options)
    Fakes(small_generator(), None, num=NUM, first_seed=2**32 - 70)
