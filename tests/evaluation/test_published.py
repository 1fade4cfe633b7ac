"""Published names are for what was published, and for nothing else."""

from types import SimpleNamespace

import pytest
from torch import nn

from callbacks.metrics import Metrics
from stylegan.evaluation import Evaluator, check_draws, check_published, definitions_of
from stylegan.evaluation.definitions import PUBLISHED
from stylegan.evaluation.feature_cache import FeatureCache
from stylegan.evaluation.networks import Evaluation
from stylegan.evaluation.reals import Reals
from stylegan.features.inception import InceptionDetector
from stylegan.features.vgg import LpipsDetector, VGG16Detector
from stylegan.features.weights import Weights
from tests.evaluation.pictures import Averages, Pictures

DEFAULTS = {"truncation": 1.0, "noise_mode": "random"}
OWN = {
    "fid50k_full": "fid_inception",
    "kid50k_full": "kid_inception",
    "pr50k3_full": "pr_vgg16",
    "is50k": "is_inception",
    "ppl2_wend": "ppl_lpips-vgg16",
}


def opened(published):
    detector = SimpleNamespace(published=published, checksum="0123456789abcdef")
    return {"inception": detector, "vgg16": detector, "lpips-vgg16": detector}


def defined(name):
    return definitions_of(name, detector="builtin", num_fakes=100)


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_published_passes(name):
    check_published(defined(name), detectors=opened(True), **DEFAULTS)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(
    ("options", "published", "told"),
    [
        ({"truncation": 0.5}, True, "truncation=0.5: metrics="),
        ({"truncation": -1}, True, "truncation=-1: metrics="),
        ({"noise_mode": "const"}, True, "noise_mode=const: metrics="),
        ({"noise_mode": "none"}, True, "noise_mode=none: metrics="),
        ({}, False, "are not the published ones .*01234567"),
    ],
)
def test_anything_else_is_told_with_a_way_out_that_works(name, options, published, told):
    with pytest.raises(ValueError, match=told) as caught:
        check_published(defined(name), detectors=opened(published), **DEFAULTS | options)
    message = str(caught.value)
    assert f"metrics={name}" in message and "\n" not in message
    own = message.partition("or use metrics=")[2].partition(",")[0]
    assert own == OWN.get(name, own)
    check_published(defined(own), detectors=opened(published), **DEFAULTS | options)


def test_drawing_in_another_way_is_told_before_any_weights_are_looked_for(tmp_path):
    with pytest.raises(ValueError, match="truncation=0.5: metrics=fid50k_full"):
        Evaluation(
            load=None, networks=[], folder=tmp_path, process=SimpleNamespace(local_rank=0), device="cpu",
            metrics="fid50k_full", truncation=0.5,
        )  # fmt: skip
    with pytest.raises(ValueError, match="^truncation=0.5: metrics=fid50k_full"):
        Metrics(names="fid50k_full", folder=tmp_path, truncation=0.5)
    with pytest.raises(ValueError, match="noise_mode=some"):
        check_draws(defined("kid"), first_seed=0, truncation=1, noise_mode="some")


def test_an_evaluator_of_ones_own_is_told_too():
    other = Averages()
    other.published = False
    with pytest.raises(ValueError, match="the weights of inception are not the published ones"):
        Evaluator(
            defined("fid50k_full"),
            {"inception": other},
            Reals(Pictures(), cache=FeatureCache(None)),
            data_fingerprint=None,
        )


@pytest.mark.parametrize("published", [True, False])
def test_detectors_say_whether_their_weights_are_published(monkeypatch, published, tmp_path):
    """The networks themselves, of 500 MB, are left out."""
    monkeypatch.setattr("stylegan.features.inception._port", lambda weights: nn.Identity())
    monkeypatch.setattr("stylegan.features.vgg._vgg16", lambda weights: nn.Identity())
    monkeypatch.setattr("stylegan.features.vgg._heads", lambda weights: [])
    weights, good = (Weights(tmp_path, {}, "ab", known) for known in (published, True))
    assert InceptionDetector(weights).published == published
    assert VGG16Detector(weights).published == published
    assert LpipsDetector(weights, good).published == LpipsDetector(good, weights).published == published
