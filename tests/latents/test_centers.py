"""What truncation pulls to: the mean, a seed, a latent, or the nearest of clusters that are always the same."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.vq import kmeans2

from stylegan.latents import centers
from stylegan.latents.centers import clusters_in, k_means, nearest
from stylegan.latents.latent_files import write_latents
from stylegan.latents.points import parse_points
from stylegan.latents.truncation import number_text, psis_in
from tests.latents.tasks.drawing import make_drawer, make_generator

POINTS = parse_points("0-9")


def blobs(count=5, each=40, width=6):
    random = np.random.RandomState(1)
    middles = random.randn(count, width) * 10
    points = middles.repeat(each, axis=0) + random.randn(count * each, width)
    return torch.from_numpy(points.astype(np.float32)), middles


def test_clusters_are_those_that_scipy_settles_on():
    points, middles = blobs()
    found = k_means(points, 5)
    expected, _ = kmeans2(points.numpy().astype(np.float64), middles, minit="matrix", iter=100)
    np.testing.assert_allclose(np.sort(found.numpy(), axis=0), np.sort(expected, axis=0), atol=1e-4)


@settings(max_examples=20)
@given(st.integers(1, 12), st.integers(0, 99))
def test_each_center_is_the_mean_of_the_points_nearest_to_it(count, seed):
    points = torch.from_numpy(np.random.RandomState(seed).randn(40, 3).astype(np.float32))
    found = k_means(points, count, iterations=200)
    assert torch.equal(found, k_means(points, count, iterations=200))
    cluster = torch.cdist(points.double(), found.double()).argmin(1)
    for number in cluster.unique():
        torch.testing.assert_close(found[number], points[cluster == number].mean(0), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("count", [0, 41])
def test_more_clusters_than_points_are_refused(count):
    with pytest.raises(ValueError, match="count must be from 1 to the number of points, 40, got"):
        k_means(torch.zeros(40, 3), count)


def test_the_nearest_of_several():
    centers_, ws = torch.randn(7, 3), torch.randn(20, 4, 3)
    distances = ((ws[:, None] - centers_[None, :, None]) ** 2).sum((2, 3))
    assert torch.equal(nearest(centers_, ws)[:, 0], centers_[distances.argmin(1)])


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Few samples, and a cache of its own."""
    monkeypatch.setattr(centers, "CLUSTER_SAMPLES", 300)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "stylegan-lightning" / "clusters"


def test_clusters_are_of_the_ws_of_seeds_and_remembered(few, capsys):
    generator = make_generator(noise=True)
    drawer = make_drawer(generator, center="clusters:4", truncation=0)
    ws = drawer.ws(POINTS)
    seeds = make_drawer(make_generator(noise=True)).raw_ws(parse_points("0-299"))[:, 0]
    expected = k_means(seeds, 4)
    torch.testing.assert_close(ws, nearest(expected, drawer.raw_ws(POINTS)).expand_as(ws))
    assert "looking for 4 clusters of w among 300 samples" in capsys.readouterr().out
    (file,) = few.iterdir()
    assert file.name.startswith(drawer.weights[:32])
    again = make_drawer(make_generator(noise=True), center="clusters:4", truncation=0).ws(POINTS)
    assert torch.equal(ws, again) and "looking" not in capsys.readouterr().out
    file.write_bytes(b"damaged")
    assert torch.equal(
        ws, make_drawer(make_generator(noise=True), center="clusters:4", truncation=0).ws(POINTS)
    )
    assert drawer.text["center"] == "clusters:4"


def test_a_cache_that_cannot_be_written_costs_nothing_else(few):
    few.parent.mkdir(parents=True)
    few.touch()
    assert make_drawer(center="clusters:2", truncation=0.5).ws(POINTS).shape == (10, 6, 8)


def test_clusters_of_each_label(few):
    generator = make_generator(noise=True, c_dim=3)
    drawer = make_drawer(generator, center="clusters:3", truncation=0)
    labels = torch.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1, 2, 0]]
    together = drawer.ws(POINTS, labels)
    for number, point in enumerate(POINTS):
        assert torch.equal(drawer.ws([point], labels[number])[0], together[number])
    assert len(list(few.iterdir())) == 3
    centers_ = {number: together[number, 0] for number in range(3)}
    assert not torch.equal(centers_[0], centers_[1])
    # Without a label, as in a path between classes: clusters of all classes.
    assert drawer.truncated(drawer.raw_ws(POINTS, labels)).shape == (10, 6, 8)
    assert len(list(few.iterdir())) == 4


def test_a_seed_or_a_latent_is_where_psi_0_leads(tmp_path):
    generator = make_generator(noise=True)
    raw = make_drawer(generator).raw_ws(parse_points("7"))
    at_seed = make_drawer(generator, center=7, truncation=0)
    torch.testing.assert_close(at_seed.ws(POINTS), raw.expand(10, -1, -1))
    write_latents(tmp_path / "a.npz", w=torch.arange(48.0).reshape(1, 6, 8))
    at_latent = make_drawer(generator, center=str(tmp_path / "a.npz"), truncation=0)
    torch.testing.assert_close(at_latent.ws(POINTS), torch.arange(48.0).reshape(1, 6, 8).expand(10, -1, -1))
    assert (
        at_seed.text["center"] == "7"
        and at_latent.text["center"] == "a"
        and len(at_latent.text["center_latent"]) == 64
    )


def test_a_seed_as_center_has_the_label_of_each_image():
    generator = make_generator(noise=True, c_dim=3)
    drawer = make_drawer(generator, center=7, truncation=0)
    labels = torch.eye(3)[[0, 1, 2]]
    expected = make_drawer(generator).raw_ws(parse_points("7,7,7"), labels)
    torch.testing.assert_close(drawer.ws(POINTS[:3], labels), expected)
    with pytest.raises(ValueError, match="center=7: the network draws a seed only with a label"):
        drawer.truncated(expected)


@pytest.mark.parametrize(
    ("center", "message"),
    [
        ("clusters", "center=clusters: the number of clusters is from 1 to 1,024, as in clusters:64"),
        ("clusters:0", "the number of clusters is from 1 to 1,024"),
        ("clusters:2000", "the number of clusters is from 1 to 1,024"),
        ("clusters:x", "the number of clusters is from 1 to 1,024"),
        ("1-3", "center=1-3: one seed or latent, or mean"),
        ("medium", "center=medium: neither a seed"),
    ],
)
def test_a_center_that_is_none_is_one_line(center, message):
    with pytest.raises(ValueError, match=message):
        make_drawer(center=center)


def test_a_center_of_another_width_is_refused(tmp_path):
    write_latents(tmp_path / "a.npz", w=torch.zeros(1, 1, 9))
    with pytest.raises(ValueError, match=r"a.npz: w has the shape \[1, 9\], and the network takes \[6, 8\]"):
        make_drawer(center=str(tmp_path / "a.npz"))


def test_other_texts_are_no_clusters():
    assert clusters_in("mean") is clusters_in("7") is clusters_in("fox.npz") is None
    assert clusters_in("clusters:64") == 64


@given(st.floats(-100, 100))
def test_a_psi_is_stored_so_that_it_is_read_as_the_same(psi):
    assert float(number_text(psi)) == psi
    assert psis_in(f"0, {number_text(psi)}") == (0.0, psi)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "psis must be a number, as in 0.7, got ''"),
        ("0,much", "psis must be a number, as in 0.7, got 'much'; write numbers between commas"),
        ("0,101", "psis must be between -100 and 100"),
        ("nan", "psis must be a number"),
        (",".join(["1"] * 1001), "psis must be at most 1,000 numbers, got 1,001"),
    ],
)
def test_psis_that_are_none_are_one_line(text, message):
    with pytest.raises(ValueError, match=message):
        psis_in(text)
