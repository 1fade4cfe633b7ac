"""Resemblance: no alarm before a network knows what pictures look like, and alarms as ever once it does.

`half_trained/` has 144 and 64 emoji of 16 px (Noto Emoji, Apache-2.0), and 64 fakes each of one network that learned
from such emoji (`preset=tiny`), after 4 to 52 kimg.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan.evaluation.fakes import Fakes
from stylegan.networks import Generator
from stylegan.report import Evidence, examine, report_images
from stylegan.report.resemblance import FARTHEST_ALIKE, distance_of_edges, resembles
from tests.report.evidences import FAKES, REALS, report_on_copies, report_on_fresh
from tests.similarity.images import blended, flowers, recoloured

HALF_TRAINED = Path(__file__).parent / "half_trained"
KIMG = ["kimg004", "kimg012", "kimg020", "kimg028", "kimg052"]


def stored(name):
    grid = torch.from_numpy(np.array(Image.open(HALF_TRAINED / f"{name}.png"))).permute(2, 0, 1)
    return grid.unfold(1, 16, 16).unfold(2, 16, 16).permute(1, 2, 0, 3, 4).flatten(0, 1).contiguous()


def untrained(seed, size=16, count=60):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(resolution=size, z_dim=32, w_dim=32, channel_base=512, channel_max=32)
    return Fakes(generator.eval().requires_grad_(False), None, num=count).images(range(count))


def seen(real, fake, **more):
    return examine(
        Evidence(real=report_images(real), fake=report_images(fake), provenance="training", **more)
    )


def assert_too_early(report):
    assert report.is_early and report.verdict == "unknown"
    assert report.head == "Too early to tell: the fakes are still softer or coarser than your pictures."
    assert report.advice.startswith("Train longer")
    assert {finding.verdict for finding in report.findings} <= {"look", "unknown", "fine"}


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(s, marks=pytest.mark.long) for s in range(5, 20))]
)
def test_an_untrained_network_raises_no_alarm(seed):
    # Even next to real pictures with many twins.
    assert_too_early(seen(torch.cat([flowers(1, 60, 16), flowers(1, 30, 16)]), untrained(seed)))


@pytest.mark.parametrize("kimg", KIMG)
def test_a_half_trained_network_raises_no_alarm(kimg):
    assert_too_early(seen(stored("real"), stored(kimg)))


@pytest.mark.parametrize("count", [20, 30, 39])
def test_a_small_set_is_no_reason_for_an_alarm(count):
    some = torch.randperm(144, generator=torch.Generator().manual_seed(count))[:count]
    for kimg in KIMG:
        assert_too_early(seen(stored("real")[some], stored(kimg), augment_p=0.3))
    for seed in range(3):
        assert_too_early(seen(flowers(1, count, 16), untrained(seed), augment_p=0.3))


@pytest.mark.parametrize("fakes", [20, 60])
def test_of_20_pictures_those_that_are_alike_stay_so(fakes):
    random = torch.Generator().manual_seed(0)
    pairs = [(flowers(1, 200, 16), flowers(2, 200, 16)), (stored("real"), stored("other_real"))]
    for real, other in pairs:
        for _ in range(20):
            one, two = (
                images[torch.randperm(len(images), generator=random)[:count]]
                for images, count in ((real, 20), (other, fakes))
            )
            assert distance_of_edges(one, two) < FARTHEST_ALIKE


def test_training_brings_fakes_nearer():
    start = min(distance_of_edges(stored("real"), untrained(seed)) for seed in range(3))
    last = distance_of_edges(stored("real"), stored(KIMG[-1]))
    assert start > distance_of_edges(stored("real"), stored("kimg028")) > last > FARTHEST_ALIKE
    assert distance_of_edges(stored("real"), stored("other_real")) < 0.5


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: x.flip(-1),
        lambda x: x.rot90(1, (-2, -1)),
        lambda x: x.transpose(-2, -1),
        lambda x: 255 - x,
        lambda x: x.roll(1, 1),
        recoloured,
    ],
)
@pytest.mark.parametrize("size", [8, *(pytest.param(size, marks=pytest.mark.long) for size in (16, 32))])
def test_what_augmentation_does_is_no_lack_of_resemblance(change, size):
    """So that a leak is found as a leak."""
    real, other = flowers(1, 100, size), flowers(2, 60, size)
    assert distance_of_edges(real, change(other)) < FARTHEST_ALIKE / 2


def test_turns_mirroring_and_negatives_change_nothing_at_all():
    plain = distance_of_edges(REALS, untrained(0, 32))
    for changed in (untrained(0, 32).rot90(1, (-2, -1)), untrained(0, 32).flip(-1), 255 - untrained(0, 32)):
        assert distance_of_edges(REALS, changed) == pytest.approx(plain, rel=1e-3)


def test_copies_and_leaks_are_alarms_as_ever():
    assert not report_on_copies().is_early and not report_on_fresh().is_early
    turned = torch.cat([FAKES[:20], FAKES[20:].rot90(1, (-2, -1))])
    assert distance_of_edges(REALS, turned) < FARTHEST_ALIKE
    # Copies among fakes that are like nothing.
    mixed = torch.cat([REALS[:30], untrained(0, 32, 40)])
    report = seen(REALS, mixed)
    assert report["copies"].verdict == "bad" and report.verdict == "bad" and not report.is_early
    blends = seen(REALS, blended(REALS[:40], REALS[40:80]))
    assert blends["copies"].verdict == "bad" and not blends.is_early


def test_a_good_network_that_knows_two_pictures_is_an_alarm():
    report = seen(REALS, FAKES[:2].repeat(25, 1, 1, 1))
    assert report["repeats"].verdict == "bad" and not report.is_early


def test_few_pictures_or_those_of_another_training_say_nothing():
    fakes = untrained(0, 32)
    few = Evidence(real=report_images(REALS[:19]), fake=report_images(fakes), provenance="training")
    other = Evidence(real=report_images(REALS), fake=report_images(fakes), provenance="other")
    assert resembles(few) is None and resembles(other) is None
    assert not examine(other).is_early


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (0.0, "Training did not augment (p was 0)"),
        (0.003, "Training hardly augmented (p was 0.003 at most)"),
        (0.0002000123, "Training hardly augmented (p was 0.0002 at most)"),
        (6.4e-05, "Training hardly augmented (p was below 0.0001)"),
    ],
)
def test_where_p_was_about_0_leaks_are_not_asked_about(p, words):
    report = seen(REALS, FAKES.rot90(1, (-2, -1)), augment_p=p)
    for key in ("orientation", "colour"):
        assert report[key].verdict == "fine" and report[key].result.startswith(f"No. {words}")
        assert not report[key].what_to_try
        assert report[key].values == {"largest p": float(f"{p:.4g}")}


@pytest.mark.parametrize("p", [None, 0.3])
def test_where_p_was_larger_or_is_unknown_they_are(p):
    report = seen(flowers(1, 100), recoloured(FAKES), augment_p=p)
    assert report["colour"].verdict == "bad"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_a_short_run_ends_in_a_report_without_alarm(seed, tmp_path, monkeypatch):
    import json

    from stylegan.cli.train import main

    monkeypatch.chdir(tmp_path)
    words = [
        "data=flowers",
        "data.num_items=200",
        "resolution=16",
        "preset=tiny",
        "name=short",
        f"seed={seed}",
    ]
    words += [
        f"total_kimg={0.4 * (1 + seed % 4)}",
        "callbacks.metrics.every_kimg=0.2",
        "callbacks.metrics.budget=1",
    ]
    words += ["callbacks.metrics.num_fakes=100"]
    words += [f"ada={'none' if seed % 2 else 'adaptive'}"]
    assert main(words) == 0
    report = json.loads(Path("runs/short/report.json").read_text())
    assert report["head"].startswith("Too early to tell")
    assert "bad" not in {finding["verdict"] for finding in report["findings"]}
