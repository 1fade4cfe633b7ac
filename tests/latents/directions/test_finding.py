"""Directions of a network by each method, as they are kept."""

import numpy as np
import pytest
import torch

from stylegan.latents.directions.direction import Channel
from stylegan.latents.directions.finding import (
    find_boundary_of,
    find_channels,
    find_class_means,
    find_components,
    find_factors,
    kept,
    parse_classes,
)
from stylegan.latents.directions.moments import sampled_ws
from stylegan.latents.drawer import Drawer
from tests.latents.directions.planted import (
    W,
    cosine,
    linear_mapping,
    make_generator,
    spread_along,
    unit,
    with_styles,
)

KINDS = [
    {},
    {"channels": 1, "resolution": [16, 32]},
    {"channels": 4, "c_dim": 3, "label_names": ["fox", "dog", "sea-lion"]},
]


def drawer_of(generator):
    return Drawer(generator, device="cpu", precision="fp32")


def only(found, method="pca", **options):
    options = {"layers": range(6), "num_ws": 6} | options
    return kept(found, method=method, **options)


@pytest.mark.parametrize("options", KINDS)
def test_factors_of_any_network(options):
    drawer = drawer_of(with_styles(unit(), **options))
    labels = drawer.labels("all" if drawer.generator.c_dim else None)
    found = find_factors(drawer, labels, range(drawer.generator.num_ws), count=2, samples=500)
    first = kept(found, method="sefa", layers=[0, 2], num_ws=drawer.generator.num_ws)[0]
    assert abs(cosine(first.vector, unit())) > 0.9
    assert first.layers == (0, 2) and first.method == "sefa"
    # A unit of strength is one standard deviation of w along it.
    ws = torch.cat(list(sampled_ws(drawer.sampler, 500, [label for _, label in labels])))
    assert first.sigma == pytest.approx(float((ws @ first.vector[0].double()).std(correction=0)), rel=1e-5)


def test_components():
    planted = unit(3)
    (first,) = only(find_components(drawer_of(spread_along(planted)), [("", None)], count=1, samples=2000))
    assert abs(cosine(first.vector, planted)) > 0.99 and first.sigma == pytest.approx(3, rel=0.1)
    assert first.layers is None and first.vector.shape == (1, W)


def test_absolute_strengths_are_distances():
    found = find_components(drawer_of(spread_along(unit(3))), [("", None)], count=2, samples=100)
    assert [one.sigma for one in only(found, unit="absolute")] == [1, 1]


@pytest.mark.parametrize("options", [{}, {"c_dim": 2, "channels": 1}])
def test_a_boundary_of_scored_seeds(tmp_path, options):
    planted, generator = unit(1), make_generator(**options)
    drawer = drawer_of(generator)
    labels = drawer.labels("1" if options else None)
    (ws,) = sampled_ws(drawer.sampler, 1500, [labels[0][1]])
    spread = ws.std(dim=0).square().mean().sqrt()
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal(1500))
    scores = ws @ planted.double() / spread + 0.1 * noise
    (tmp_path / "smile.csv").write_text("".join(f"{seed},{score}\n" for seed, score in enumerate(scores)))
    found = find_boundary_of(drawer, labels, scores=tmp_path / "smile.csv", samples=500, share=0.2)
    assert cosine(found.vectors, planted) > 0.9
    assert "held-out latents are on their side" in found.lines[0] and found.names == ["smile"]
    assert float(found.lines[0].split("%")[0]) > 90


def conditional(planted):
    """Three classes, of which the second is at `planted` from the first, and the third somewhere else."""
    generator = make_generator(
        c_dim=3, mapping_activation="linear", label_names=["fox", "dog", "sea-lion"], mapping_layers=1
    )
    embed = torch.zeros(W, 3)
    embed[:3] = torch.eye(3)
    generator.mapping.embed.weight.copy_(embed / generator.mapping.embed.weight_gain)
    generator.mapping.embed.bias.zero_()
    # A label's embedding is normalised to the length √W.
    places = torch.stack([torch.zeros(W), planted, unit(9)], dim=1) / W**0.5
    matrix = torch.cat([torch.eye(W), places, torch.zeros(W, W - 3)], dim=1)
    return linear_mapping(generator, matrix)


def test_class_means():
    planted = 2 * unit(1)
    drawer = drawer_of(conditional(planted))
    pairs = parse_classes("dog-fox", drawer)
    found = find_class_means(drawer, pairs, samples=50)
    assert cosine(found.vectors[0], planted) > 0.999
    assert found.names == ["dog-fox"] and "the means are 2 apart" in found.lines[0]
    back = find_class_means(drawer, parse_classes("fox-dog", drawer), samples=50)
    torch.testing.assert_close(back.vectors, -found.vectors)
    all_of_them = find_class_means(drawer, parse_classes("all", drawer), samples=50)
    assert all_of_them.names == ["fox-rest", "dog-rest", "sea-lion-rest"]
    assert cosine(all_of_them.vectors[2], unit(9) - planted / 2) > 0.999


@pytest.mark.parametrize(
    ("text", "high", "low"),
    [
        ("fox-dog", "fox", "dog"),
        ("sea-lion-dog", "sea-lion", "dog"),
        ("0-2", "fox", "sea-lion"),
        ("dog - 0", "dog", "fox"),
    ],
)
def test_how_a_pair_of_classes_is_written(text, high, low):
    (pair,) = parse_classes(text, drawer_of(conditional(unit(1))))
    assert [side[0][0] for side in pair] == [high, low]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "label=null: find=class_mean takes two classes"),
        ("fox", "label=fox: find=class_mean takes two classes"),
        ("fox-cat", "label=cat"),
        ("fox-fox", "the classes have the same mean w"),
    ],
)
def test_what_is_no_pair_is_said(text, message):
    drawer = drawer_of(conditional(unit(1)))
    with pytest.raises(ValueError, match=message):
        find_class_means(drawer, parse_classes(text, drawer), samples=10)


def test_classes_of_a_network_without_labels():
    with pytest.raises(
        ValueError, match="find=class_mean needs classes, and the network was trained without"
    ):
        parse_classes("fox-dog", drawer_of(make_generator()))


def test_channels():
    generator = make_generator(c_dim=2)
    for name in generator.synthesis.block_names:
        getattr(generator.synthesis, name).torgb.weight.mul_(0.01)
    generator.synthesis.b8.torgb.weight[:, 2] = 1
    drawer = drawer_of(generator)
    found = find_channels(drawer, drawer.labels("all"), range(6), count=2, samples=100)
    first, _ = only(found, method="channels")
    assert first.channel == Channel("b8.torgb", 2) and first.sigma > 0 and first.vector is None
    assert found.lines[0].startswith("b8.torgb channel 2: ")
    with pytest.raises(ValueError, match="orthogonal_to: a style channel stands alone"):
        only(found, others=unit()[None])


def test_what_is_taken_out_is_taken_out_of_all():
    others = torch.stack([unit(4), unit(5)])
    found = find_components(drawer_of(spread_along(unit(3))), [("", None)], count=3, samples=500)
    for one, before in zip(only(found, others=others), found.vectors, strict=True):
        assert (one.vector @ others.T).abs().max() < 1e-6 and float(one.vector.norm()) == pytest.approx(1)
        assert cosine(one.vector, before) > 0
