"""Metric settings: what cannot be drawn or read is refused, and published names are for what was published."""

from types import SimpleNamespace

import pytest
from torch import nn

import stylegan.evaluation.settings
from stylegan.evaluation import Evaluator, MetricSettings
from stylegan.evaluation.definitions import PUBLISHED
from stylegan.evaluation.feature_cache import FeatureCache
from stylegan.evaluation.reals import Reals
from stylegan.evaluation.settings import check_published_weights
from stylegan.features.inception import InceptionDetector
from stylegan.features.vgg import LpipsDetector, VGG16Detector
from stylegan.features.weights import Weights
from tests.evaluation.small import Averages, Images

OWN = {
    "fid50k_full": "fid_inception",
    "kid50k_full": "kid_inception",
    "pr50k3_full": "pr_vgg16",
    "is50k": "is_inception",
    "ppl2_wend": "ppl_lpips-vgg16",
}


@pytest.fixture
def detectors(monkeypatch):
    """Detectors without weights: name → whether theirs are the published ones; and what was requested."""
    published, asked = {}, []

    def opened(name, *, path, download):
        asked.append((name, path, download))
        return SimpleNamespace(published=published.get(name, True), checksum="0123456789abcdef")

    monkeypatch.setattr(stylegan.evaluation.settings, "open_detector", opened)
    return SimpleNamespace(published=published, asked=asked)


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_published_passes(name, detectors):
    settings = MetricSettings(metrics=name)
    [definition] = settings.definitions
    assert list(settings.open_detectors()) == [definition.detector]


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(
    ("options", "published", "reported"),
    [
        ({"truncation": 0.5}, True, "^truncation must be 1 .* got 0.5;"),
        ({"truncation": -1}, True, "^truncation must be 1 .* got -1;"),
        ({"noise_mode": "const"}, True, "^noise_mode must be random .* got const;"),
        ({"noise_mode": "none"}, True, "^noise_mode must be random .* got none;"),
        ({}, False, "^detector_path must lead to the published weights of .* got others .*01234567"),
    ],
)
def test_anything_else_is_refused_with_a_way_out_that_works(detectors, name, options, published, reported):
    detectors.published[PUBLISHED[name].detector] = published
    with pytest.raises(ValueError, match=reported) as caught:
        MetricSettings(metrics=name, **options).open_detectors()
    message = str(caught.value)
    assert f"metrics={name}" in message and "\n" not in message
    own = message.partition("or use metrics=")[2].partition(",")[0]
    assert own == OWN.get(name, own)
    MetricSettings(metrics=own, **options).open_detectors()


def test_draws_are_checked_before_any_weights_are_looked_for(detectors):
    with pytest.raises(ValueError, match="^truncation must be 1 for metrics=fid50k_full"):
        MetricSettings(metrics="fid50k_full", truncation=0.5)
    assert detectors.asked == []


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ({"noise_mode": "some"}, "^noise_mode must be one of .*, got some$"),
        ({"truncation": float("nan")}, "^truncation must be between -100 and 100, got nan$"),
        ({"truncation": float("inf")}, "^truncation must be .*, got inf$"),
        ({"truncation": -101.0}, "^truncation must be .*, got -101.0$"),
        ({"num_fakes": 1}, "^num_fakes must be at least 2, got 1;"),
        ({"num_fakes": 2**32 + 1}, "^num_fakes must be at most 4294967296 for .*, got 4294967297;"),
        ({"num_fakes": 2**31 + 1, "metrics": "ppl"}, "^num_fakes must be at most 2147483648 for"),
        ({"first_seed": -1}, "^first_seed must be from 0 to .*, got -1$"),
        ({"first_seed": 2**32 - 1000, "num_fakes": 1001}, "^first_seed must be from 0 to 4294966295 for 1,001 seeds"),
        ({"first_seed": 2**32 - 2000, "num_fakes": 1001, "metrics": "ppl"}, "^first_seed must .* 2,002 seeds"),
        # A report draws as many.
        ({"first_seed": 2**32 - 399, "metrics": "none"}, "^first_seed must be .* for 400 seeds"),
        ({"detector": "resnet"}, "^detector must be one of .*, got resnet$"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_by_the_name_of_the_argument(options, reported):
    with pytest.raises(ValueError, match=reported) as caught:
        MetricSettings(**{"metrics": "kid"} | options)
    assert "\n" not in str(caught.value)


def test_the_last_seeds_that_there_are_can_be_drawn():
    assert MetricSettings(metrics="kid", first_seed=2**32 - 1000, num_fakes=1000).first_seed == 2**32 - 1000
    with pytest.raises(ValueError, match="^first_seed"):
        MetricSettings(metrics="kid", first_seed=2**32 - 999, num_fakes=1000)
    # The report draws 400, also without metrics.
    assert MetricSettings(metrics="none", first_seed=2**32 - 400).first_seed == 2**32 - 400
    with pytest.raises(ValueError, match="^first_seed"):
        MetricSettings(metrics="none", first_seed=2**32 - 399)


def test_weights_are_looked_for_where_they_are_said_to_be(detectors):
    settings = MetricSettings(metrics=["fid_inception", "kid"], detector_path="weights", download=True)
    settings.open_detectors()
    assert detectors.asked == [("inception", "weights", True), ("builtin", None, True)]
    # Empty, as `detector_path=` on a command line, is as good as left out.
    MetricSettings(metrics="kid", detector_path="").open_detectors()
    assert detectors.asked[-1] == ("builtin", None, False)


def test_a_path_that_nothing_would_read_is_refused():
    with pytest.raises(ValueError, match="^detector_path must be left out .* got w.pth; or choose another"):
        MetricSettings(metrics="kid", detector_path="w.pth").open_detectors()


def test_weights_that_are_missing_are_named(tmp_path):
    with pytest.raises(ValueError, match="^detector_path must lead to the weights of inception") as caught:
        MetricSettings(metrics="fid50k_full", detector_path=tmp_path / "none.pth").open_detectors()
    assert "none.pth" in str(caught.value) and "\n" not in str(caught.value)


def test_an_evaluator_refuses_other_weights_too():
    other = Averages()
    other.published = False
    with pytest.raises(ValueError, match="^detector_path must lead to the published weights of inception"):
        Evaluator(
            MetricSettings(metrics="fid50k_full"),
            {"inception": other},
            Reals(Images(), cache=FeatureCache(None)),
            data_fingerprint=None,
        )


def test_weights_of_the_projects_own_metrics_are_anybodys():
    check_published_weights(MetricSettings(metrics="fid_inception").definitions, {})


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
